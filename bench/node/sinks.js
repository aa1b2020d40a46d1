// Rows to a file by csv-writer, exceljs or pdfkit, as their manuals show it. One sink makes one file;
// `rows` takes the rows of a message, arrays or (with `objects`) objects by column, `end` resolves
// when the file is whole.

'use strict';

const fs = require('node:fs');
const { once } = require('node:events');
const {
  createArrayCsvStringifier, createArrayCsvWriter, createObjectCsvStringifier, createObjectCsvWriter,
} = require('csv-writer');
const PDFDocument = require('pdfkit');

const MARGIN = 36;
const TYPE_SIZE = 7;
const GAP = 4;
const LINE = 9.6;
const TOP = 60;
const ROWS_PER_PAGE = 50;

// How csv-writer is told the header; for objects it needs the keys too.
const headerOf = ({ columns, objects }) =>
  objects ? columns.map((key) => ({ id: key, title: key })) : columns;

class CsvSink {
  constructor(job) {
    const create = job.objects ? createObjectCsvWriter : createArrayCsvWriter;
    this.writer = create({ path: job.path, header: headerOf(job), recordDelimiter: '\r\n' });
  }

  async rows(rows) {
    await this.writer.writeRecords(rows);
  }

  async end() {}
}

// What csv-writer's manual names for large files: its stringifier, and one stream that stays open.
class CsvStreamSink {
  constructor(job) {
    const create = job.objects ? createObjectCsvStringifier : createArrayCsvStringifier;
    this.stringifier = create({ header: headerOf(job), recordDelimiter: '\r\n' });
    this.file = fs.createWriteStream(job.path);
    this.closed = once(this.file, 'close');
    this.file.write(this.stringifier.getHeaderString());
  }

  async rows(rows) {
    if (!this.file.write(this.stringifier.stringifyRecords(rows))) await once(this.file, 'drain');
  }

  async end() {
    this.file.end();
    await this.closed;
  }
}

// Text is cut to its column with an ellipsis, unless `uncut` is set: then it runs over the next one.
class PdfSink {
  constructor({ columns, widths, path, font, uncut, objects }) {
    this.columns = columns;
    this.cells = objects ? (row) => columns.map((key) => row[key]) : (row) => row;
    this.options = widths.map((width) =>
      uncut ? { lineBreak: false } : { width: width - GAP, height: LINE, ellipsis: true },
    );
    this.lefts = widths.map((_, index) => widths.slice(0, index).reduce((a, b) => a + b, MARGIN));
    this.file = fs.createWriteStream(path);
    this.closed = once(this.file, 'close');
    this.document = new PDFDocument({
      size: 'A4',
      layout: 'landscape',
      margin: 0,
      autoFirstPage: false,
      info: { Title: 'Bench', CreationDate: new Date(0) }, // The same bytes each time.
    });
    this.document.pipe(this.file);
    this.document.font(font || 'Helvetica').fontSize(TYPE_SIZE);
  }

  async rows(rows) {
    for (let start = 0; start < rows.length; start += ROWS_PER_PAGE) {
      this.page(rows.slice(start, start + ROWS_PER_PAGE));
      // Lets the stream write what it has, or all of the file would wait in memory.
      await new Promise(setImmediate);
    }
  }

  async end() {
    this.document.end();
    await this.closed;
  }

  page(rows) {
    this.document.addPage();
    this.line(this.columns, TOP);
    rows.forEach((row, index) => this.line(this.cells(row), TOP + (index + 1) * LINE));
  }

  line(cells, y) {
    cells.forEach((cell, index) => {
      this.document.text(textOf(cell), this.lefts[index], y, this.options[index]);
    });
  }
}

// As its manual shows the streaming writer; rows are arrays or objects by key, as they came.
class XlsxSink {
  constructor({ columns, path }) {
    const ExcelJS = require('exceljs');
    this.book = new ExcelJS.stream.xlsx.WorkbookWriter({ filename: path });
    this.sheet = this.book.addWorksheet('Export');
    this.sheet.columns = columns.map((key) => ({ header: key, key }));
  }

  async rows(rows) {
    for (const row of rows) this.sheet.addRow(row).commit();
    // Lets the stream write what it has, or all of the file would wait in memory.
    await new Promise(setImmediate);
  }

  async end() {
    this.sheet.commit();
    await this.book.commit();
  }
}

function textOf(cell) {
  if (cell === null) return '';
  return typeof cell === 'string' ? cell.split(/\s+/).join(' ').trim() : String(cell);
}

const SINKS = {
  'csv-writer': CsvSink,
  'csv-stream': CsvStreamSink,
  exceljs: XlsxSink,
  pdfkit: PdfSink,
};

// Before anything is measured. No other contender has exceljs in its memory, which is large.
function load(contender) {
  if (contender === 'exceljs') require('exceljs');
}

function sinkFor(contender, job) {
  return new SINKS[contender](job);
}

module.exports = { load, sinkFor };
