// Files of people as NDJSON, which a node takes at any size. No DOM.

import { WrongFile } from "./words.js";
import { openWorkbook } from "./workbook.js";

const SAMPLE_BYTES = 64 * 1024;
const PART_CHARACTERS = 1024 * 1024;
const DELIMITERS = [",", ";", "\t", "|"];

// The kind of a file, its columns, and of a CSV its delimiter.
export async function inspect(file) {
  const ending = file.name.toLowerCase().split(".").pop();
  if (!["csv", "tsv", "txt", "ndjson", "jsonl", "xlsx", "xlsm"].includes(ending)) {
    throw new WrongFile(`A file that ends in .${ending} isn't known here: use CSV, NDJSON or XLSX.`);
  }
  if (file.size === 0) throw new WrongFile("The file is empty.");
  if (ending.startsWith("xls")) return inspectWorkbook(file);
  const sample = decoded(await file.slice(0, SAMPLE_BYTES).arrayBuffer());
  return ending === "ndjson" || ending === "jsonl" ? inspectNdjson(sample) : inspectCsv(sample, ending);
}

function decoded(buffer) {
  try {
    // The sample may end within a character.
    return new TextDecoder("utf-8", { fatal: true }).decode(buffer, { stream: true });
  } catch {
    throw new WrongFile("The file isn't UTF-8. In Excel, save it as “CSV UTF-8”.");
  }
}

function inspectNdjson(sample) {
  const line = sample.split("\n").find((one) => one.trim());
  let row;
  try {
    row = JSON.parse(line);
  } catch {
    throw new WrongFile("Its first line isn't JSON. NDJSON has one row a line.");
  }
  const columns = Array.isArray(row) ? row.map((_, index) => `column_${index + 1}`) : Object.keys(row ?? {});
  if (row === null || typeof row !== "object" || !columns.length) {
    throw new WrongFile("Its first line must be an object or an array with at least one cell.");
  }
  return { kind: "ndjson", columns };
}

function inspectCsv(sample, ending) {
  const head = sample.split(/\r?\n/, 1)[0];
  const times = (delimiter) => head.split(delimiter).length;
  const delimiter = ending === "tsv" ? "\t" : DELIMITERS.reduce((best, one) => (times(one) > times(best) ? one : best));
  const parser = new CsvParser(delimiter);
  const columns = parser.feed(sample)[0] ?? parser.end()[0];
  return { kind: "csv", columns: checked(columns), delimiter };
}

async function inspectWorkbook(file) {
  const book = await openWorkbook(file);
  const { value } = await book.rows().next();
  const columns = checked(value?.[1].map((cell) => (cell === "null" ? "" : String(JSON.parse(cell)))));
  const note = book.names.length > 1 ? `The first of ${book.names.length} sheets, “${book.names[0]}”.` : "";
  return { kind: "xlsx", columns, book, note };
}

function checked(columns) {
  if (!columns?.length) throw new WrongFile("The file has no header.");
  const wrong = columns.find((name, index) => !name.trim() || columns.indexOf(name) !== index);
  if (wrong !== undefined) {
    throw new WrongFile(wrong.trim() ? `Two columns are named “${wrong}”.` : "A column has no name in the header.");
  }
  return columns;
}

// The body to send: the file itself if it is NDJSON; else rows in a Blob, which may wait on disk.
export async function bodyOf(file, found, onProgress) {
  if (found.kind === "ndjson") return file;
  return found.kind === "xlsx" ? bodyOfSheet(found, onProgress) : bodyOfCsv(file, found, onProgress);
}

async function bodyOfSheet({ columns, book }, onProgress) {
  const parts = [];
  let text = "", next = null;
  for await (const [number, cells] of book.rows(onProgress)) {
    if (next !== null) {
      if (cells.length > columns.length) {
        throw new WrongFile(`Row ${number} has ${cells.length} cells, the header has ${columns.length}.`);
      }
      // A row without a value counts if another one follows.
      for (; next < number; next += 1) text += `[${columns.map(() => "null")}]\n`;
      text += `[${columns.map((_, place) => cells[place] ?? "null")}]\n`;
    }
    next = number + 1;
    if (text.length > PART_CHARACTERS) {
      parts.push(new Blob([text]));
      text = "";
    }
  }
  return new Blob([...parts, text]);
}

async function bodyOfCsv(file, { columns, delimiter }, onProgress) {
  const parser = new CsvParser(delimiter);
  const parts = [];
  let text = "", isHeader = true, line = 1, read = 0;
  const take = (rows) => {
    for (const row of rows) {
      if (isHeader) isHeader = false;
      else if (row.length !== 1 || row[0] !== "" || columns.length === 1) {
        if (row.length !== columns.length) {
          throw new WrongFile(`Row ${line} has ${row.length} cells, the header has ${columns.length}.`);
        }
        text += `${JSON.stringify(row)}\n`;
        line += 1;
      }
      if (text.length > PART_CHARACTERS) {
        parts.push(new Blob([text]));
        text = "";
      }
    }
  };
  const decoder = new TextDecoder("utf-8", { fatal: true });
  const reader = file.stream().getReader();
  for (;;) {
    const { value, done } = await reader.read();
    try {
      take(parser.feed(done ? decoder.decode() : decoder.decode(value, { stream: true })));
    } catch (error) {
      if (error instanceof WrongFile) throw error;
      throw new WrongFile("The file isn't UTF-8. In Excel, save it as “CSV UTF-8”.");
    }
    if (done) break;
    read += value.length;
    onProgress(read / file.size);
  }
  take(parser.end());
  return new Blob([...parts, text]);
}

// RFC 4180, with LF and CR as line ends too.
export class CsvParser {
  #delimiter;
  #row = [];
  #cell = "";
  #quoted = false;
  #wasQuote = false;
  #wasReturn = false;
  #begun = false;

  constructor(delimiter) {
    this.#delimiter = delimiter;
  }

  feed(text) {
    const rows = [];
    for (const character of text) {
      if (this.#quoted && !this.#wasQuote) {
        if (character === '"') this.#wasQuote = true;
        else this.#cell += character;
        continue;
      }
      if (this.#wasQuote) {
        this.#wasQuote = false;
        if (character === '"') {
          this.#cell += '"';
          continue;
        }
        this.#quoted = false;
      }
      const isSecond = character === "\n" && this.#wasReturn;
      this.#wasReturn = character === "\r";
      if (isSecond) continue;
      if (character === '"' && this.#cell === "") [this.#quoted, this.#begun] = [true, true];
      else if (character === this.#delimiter) this.#endCell();
      else if (character === "\n" || character === "\r") rows.push(this.#endRow());
      else this.#cell += character;
    }
    return rows;
  }

  // The last row, where no line end follows it.
  end() {
    if (this.#quoted && !this.#wasQuote) throw new WrongFile("A quoted cell has no end.");
    return this.#row.length || this.#cell || this.#begun ? [this.#endRow()] : [];
  }

  #endCell() {
    this.#row.push(this.#cell);
    [this.#cell, this.#begun] = ["", true];
  }

  #endRow() {
    this.#endCell();
    const row = this.#row;
    [this.#row, this.#begun, this.#quoted, this.#wasQuote] = [[], false, false, false];
    return row;
  }
}
