// The first sheet of an XLSX workbook as rows: XML parts in a zip (ECMA-376 parts 1 and 2). The sheet is read as
// a stream; in memory are the texts that its cells share, as in any reader.

import { WrongFile } from "./words.js";

const TAIL_BYTES = 22 + 65535; // a zip's last record, with a comment of any length
const MOST_ROWS = 1048576;
const DAY_MS = 86400000;
const NO_WORKBOOK = "The file is no XLSX workbook, or is protected by a password: save it as a plain .xlsx, or as CSV.";
const NUMBER = /^-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?$/;
// Any prefix may stand for the namespace.
const element = (name) => `<(?:\\w+:)?${name}(?=[\\s/>])([^>]*?)(?:/>|>([\\s\\S]*?)</(?:\\w+:)?${name}>)`;
const [ROW, ITEM, CELL, TEXT, VALUE, PHONETIC] = ["row", "si", "c", "t", "v", "rPh"].map((name) => new RegExp(element(name), "g"));

// Built-in formats of dates, times and durations (18.8.30), those of East Asian Excels included.
const BUILT_IN = [["d", 14, 17], ["t", 18, 21], ["dt", 22, 22], ["d", 27, 31], ["t", 32, 35], ["d", 36, 36],
  ["t", 45, 45], ["elapsed", 46, 46], ["t", 47, 47], ["d", 50, 54], ["t", 55, 56], ["d", 57, 58]];

export async function openWorkbook(file) {
  const parts = await partsOf(file);
  const open = async (path) => {
    const part = parts.get(path);
    if (!part) throw new WrongFile(NO_WORKBOOK);
    const head = new DataView(await file.slice(part.at, part.at + 30).arrayBuffer());
    const start = part.at + 30 + head.getUint16(26, true) + head.getUint16(28, true);
    const stored = file.slice(start, start + part.bytes).stream();
    const plain = part.method === 0 ? stored : stored.pipeThrough(new DecompressionStream("deflate-raw"));
    return plain.pipeThrough(new TextDecoderStream());
  };
  const xml = async (path) => new DOMParser().parseFromString(await whole(await open(path)), "text/xml");
  const relations = async (path) => {
    const folder = path.slice(0, path.lastIndexOf("/") + 1);
    return all(await xml(`${folder}_rels/${path.slice(folder.length)}.rels`), "Relationship").map((one) => ({
      id: one.getAttribute("Id"), type: one.getAttribute("Type").split("/").pop(),
      path: decodeURI(new URL(one.getAttribute("Target"), `zip:///${folder}`).pathname).slice(1),
    }));
  };
  try {
    const path = (await relations("")).find(({ type }) => type === "officeDocument").path;
    const book = await xml(path), related = await relations(path);
    const sheets = all(book, "sheet").flatMap((sheet) => {
      const id = [...sheet.attributes].find(({ localName, prefix }) => localName === "id" && prefix).value;
      return related.filter((one) => one.id === id && one.type === "worksheet")
        .map((one) => ({ name: sheet.getAttribute("name"), path: one.path }));
    });
    const of = (wanted) => related.find(({ type }) => type === wanted)?.path;
    const [texts, styles] = [of("sharedStrings"), of("styles")];
    const isOf1904 = ["1", "true"].includes(all(book, "workbookPr")[0]?.getAttribute("date1904"));
    const cells = new Cells(texts ? await sharedTexts(await open(texts)) : [], styles ? kindsOf(await xml(styles)) : [], isOf1904);
    return {
      names: sheets.map(({ name }) => name),
      rows: async function* rows(onProgress = () => {}) {
        const { path: sheet } = sheets[0];
        yield* rowsOf(await open(sheet), cells, (read) => onProgress(Math.min(1, read / parts.get(sheet).size)));
      },
    };
  } catch (error) {
    throw error instanceof WrongFile ? error : new WrongFile(NO_WORKBOOK);
  }
}

// The zip's directory: each part's place, its bytes there, and its size.
async function partsOf(file) {
  const tail = new DataView(await file.slice(Math.max(0, file.size - TAIL_BYTES)).arrayBuffer());
  let end = tail.byteLength - 22;
  while (end >= 0 && tail.getUint32(end, true) !== 0x06054b50) end -= 1;
  if (end < 0) throw new WrongFile(NO_WORKBOOK);
  const [length, start] = [tail.getUint32(end + 12, true), tail.getUint32(end + 16, true)];
  if (start === 0xffffffff) throw new WrongFile("The workbook has more than 4 GB: save the sheet as CSV.");
  const directory = new DataView(await file.slice(start, start + length).arrayBuffer());
  const parts = new Map();
  for (let at = 0; at + 46 <= directory.byteLength && directory.getUint32(at, true) === 0x02014b50;) {
    const [name, extra, comment] = [28, 30, 32].map((place) => directory.getUint16(at + place, true));
    parts.set(new TextDecoder().decode(new Uint8Array(directory.buffer, at + 46, name)), {
      method: directory.getUint16(at + 10, true), bytes: directory.getUint32(at + 20, true),
      size: directory.getUint32(at + 24, true), at: directory.getUint32(at + 42, true),
    });
    at += 46 + name + extra + comment;
  }
  return parts;
}

const all = (parent, name) => [...parent.getElementsByTagNameNS("*", name)];
const attribute = (text, name) => new RegExp(`(?:^|\\s)${name}\\s*=\\s*["']([^"']*)`).exec(text)?.[1];

// Not every browser iterates over a stream.
async function* pieces(stream) {
  const reader = stream.getReader();
  try {
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      yield value;
    }
  } finally {
    reader.cancel();
  }
}

async function whole(stream) {
  let text = "";
  for await (const piece of pieces(stream)) text += piece;
  return text;
}

// The matches of an element in a stream of XML, as they come.
async function* matches(stream, pattern, onRead = () => {}) {
  let rest = "", read = 0;
  for await (const piece of pieces(stream)) {
    rest += piece;
    let end = 0;
    for (const match of rest.matchAll(pattern)) {
      yield match;
      end = match.index + match[0].length;
    }
    rest = rest.slice(end);
    onRead(read += piece.length);
  }
}

async function sharedTexts(stream) {
  const texts = [];
  for await (const [, , inner = ""] of matches(stream, ITEM)) texts.push(textOf(inner));
  return texts;
}

// The text of an item or a cell, of all its runs but for how it is pronounced.
const textOf = (xml) => [...xml.replace(PHONETIC, "").matchAll(TEXT)].map(([, , inner = ""]) => plain(inner)).join("");

const ENTITIES = { lt: "<", gt: ">", amp: "&", quot: '"', apos: "'" };
const code = (digits) => String.fromCodePoint(digits[0] === "x" ? parseInt(digits.slice(1), 16) : Number(digits));

function plain(xml) {
  return xml.replace(/\r\n?/g, "\n").replace(/<!\[CDATA\[([\s\S]*?)\]\]>|&(?:#(x?[0-9a-fA-F]+)|(\w+));/g,
    (found, verbatim, digits, name) => verbatim ?? (digits ? code(digits) : ENTITIES[name] ?? found))
    // Characters that XML can't hold (22.9.2.19).
    .replace(/_x([0-9A-Fa-f]{4})_/g, (_, digits) => String.fromCharCode(parseInt(digits, 16)));
}

// Of each style of cells: what its number stands for, if it isn't a number.
function kindsOf(styles) {
  const own = new Map(all(styles, "numFmt").map((one) => [one.getAttribute("numFmtId"), kindOf(one.getAttribute("formatCode"))]));
  return [...all(styles, "cellXfs")[0]?.children ?? []].map((style) => {
    const id = style.getAttribute("numFmtId");
    return own.has(id) ? own.get(id) : BUILT_IN.find(([, from, to]) => from <= Number(id) && Number(id) <= to)?.[0];
  });
}

function kindOf(format) {
  const bare = format.split(";")[0].replace(/"[^"]*"|\\.|_.|\*./g, "");
  if (/\[(h+|m+|s+)\]/i.test(bare)) return "elapsed";
  const letters = bare.replace(/\[[^\]]*\]|AM\/PM|A\/P/gi, (found) => (found[0] === "[" ? "" : "h")).toLowerCase();
  if (/general/.test(letters)) return undefined;
  const isTime = /[hs]/.test(letters), isDate = /[dy]/.test(letters) || (!isTime && letters.includes("m"));
  return (isDate ? "d" : "") + (isTime ? "t" : "") || undefined;
}

// Cells as JSON, as `sluice submit` reads them.
class Cells {
  constructor(texts, kinds, isOf1904) {
    [this.texts, this.kinds, this.isOf1904] = [texts, kinds, isOf1904];
  }

  json(attributes, inner) {
    const type = attribute(attributes, "t") ?? "n";
    if (type === "inlineStr") return JSON.stringify(textOf(inner));
    const [, , raw] = [...inner.matchAll(VALUE)][0] ?? [];
    if (raw === undefined || (raw === "" && type !== "str")) return "null"; // a formula without its value
    if (type === "s") return JSON.stringify(this.texts[Number(raw)] ?? null);
    if (type === "b") return raw.trim() === "1" ? "true" : "false";
    if (type !== "n") return JSON.stringify(plain(raw));
    const kind = this.kinds[Number(attribute(attributes, "s") ?? 0)], number = raw.trim(), value = Number(number);
    if (kind) return JSON.stringify(this.moment(value, kind));
    // Some programs write 5.0 for 5. Else its own digits, which a double might change.
    return NUMBER.test(number) && !Number.isSafeInteger(value) ? number : JSON.stringify(value);
  }

  moment(serial, kind) {
    const ms = Math.round(serial * DAY_MS);
    if (kind === "elapsed") {
      const seconds = Math.round(Math.abs(ms) / 1000), two = (value) => String(value).padStart(2, "0");
      return `${ms < 0 ? "-" : ""}${Math.floor(seconds / 3600)}:${two(Math.floor(seconds / 60) % 60)}:${two(seconds % 60)}`;
    }
    // Before March 1900 a day less: there was no 29th of February, but Excel has it.
    const first = this.isOf1904 ? Date.UTC(1904, 0, 1) : Date.UTC(1899, 11, serial < 60 ? 31 : 30);
    const [day, clock] = new Date(first + ms).toISOString().split("T");
    const time = clock.replace(/(\.000)?Z$/, "");
    if (kind === "t" || (serial < 1 && !this.isOf1904)) return time;
    return kind === "d" && ms % DAY_MS === 0 ? day : `${day}T${time}`;
  }
}

// Rows that have a value, each with its number and the JSON of its cells up to the last that has one.
async function* rowsOf(stream, cells, onRead) {
  let number = 0;
  for await (const [, attributes, inner = ""] of matches(stream, ROW, onRead)) {
    number = Number(attribute(attributes, "r") ?? number + 1);
    if (!(number <= MOST_ROWS)) throw new WrongFile(`Row ${number}: a sheet has no such row.`);
    const row = [];
    for (const [, ofCell, content = ""] of inner.matchAll(CELL)) {
      const letters = /^[A-Z]{1,3}/.exec(attribute(ofCell, "r") ?? "")?.[0];
      const place = letters ? [...letters].reduce((sum, one) => sum * 26 + one.charCodeAt(0) - 64, 0) - 1 : row.length;
      while (row.length < place) row.push("null");
      row[place] = cells.json(ofCell, content);
    }
    while (row.length && row.at(-1) === "null") row.pop();
    if (row.length) yield [number, row];
  }
}
