// A file of the user's becomes an export: dropped or chosen, with a format and its options.

import { authorization, newToken, problemOf, hasToken } from "./api.js";
import { bodyOf, inspect } from "./rows.js";
import { WrongFile, element, size } from "./words.js";

const $ = (id) => document.getElementById(id);
const dialog = $("upload"), form = $("upload-form"), fields = $("upload-fields");

const COMPRESSION = ["compression", "Compression", ["none", "gzip", "zstd"], { none: "None" }];
// Of each format: the name, what it is good for, and the options worth a field. The first choice is the default.
const FORMATS = {
  csv: ["CSV", "Any program", [
    ["delimiter", "Delimiter", [",", ";", "\t"], { ",": "Comma", ";": "Semicolon", "\t": "Tab" }],
    ["header", "Header", [true, false]], ["bom", "Mark as UTF-8, for older Excel", [false, true]], COMPRESSION]],
  xlsx: ["XLSX", "Spreadsheets", [["header", "Header", [true, false]], ["sheet", "Sheet", ""]]],
  pdf: ["PDF", "To print", [
    ["page_size", "Page", ["A4", "A3", "A5", "letter", "legal"]],
    ["orientation", "Orientation", ["auto", "portrait", "landscape"]],
    ["overflow", "Long text", ["cut", "wrap"], { cut: "Cut", wrap: "Wrap" }], ["footer", "Footer", ""]]],
  json: ["JSON", "Programs", [COMPRESSION]],
  ndjson: ["NDJSON", "Pipelines", [COMPRESSION]],
  xml: ["XML", "Older systems", [["root", "Root element", ""], ["row", "Row element", ""], COMPRESSION]],
};

let file = null, found = null, done = null, sending = null;

export function prepareUpload(onExport) {
  done = onExport;
  $("formats").append(...Object.entries(FORMATS).map(([name, [title, use]], index) =>
    element("label", {}, element("input", { type: "radio", name: "format", value: name, defaultChecked: index === 0 }),
      element("span", {}, element("b", {}, title), element("small", {}, use)))));
  $("formats").addEventListener("change", drawOptions);
  $("file").addEventListener("change", () => take($("file").files[0]));
  form.addEventListener("submit", (event) => { event.preventDefault(); send(); });
  for (const button of dialog.querySelectorAll("[data-act=close]")) button.addEventListener("click", () => dialog.close());
  dialog.addEventListener("close", () => { sending?.abort(); sending = null; });
  listenForDrops();
}

export function openUpload(dropped = null) {
  form.reset();
  drawOptions();
  show(null);
  [file, found] = [null, null];
  fields.hidden = true;
  $("upload-send").disabled = true;
  drawDrop();
  if (!dialog.open) dialog.showModal();
  if (dropped) take(dropped);
}

function listenForDrops() {
  let depth = 0;
  const hasFiles = (event) => [...(event.dataTransfer?.types ?? [])].includes("Files");
  addEventListener("dragenter", (event) => { if (hasFiles(event)) { depth += 1; $("veil").hidden = dialog.open; } });
  addEventListener("dragleave", (event) => { if (hasFiles(event) && (depth -= 1) <= 0) { depth = 0; $("veil").hidden = true; } });
  addEventListener("dragover", (event) => { if (hasFiles(event)) event.preventDefault(); });
  addEventListener("drop", (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    [depth, $("veil").hidden] = [0, true];
    if (!sending && event.dataTransfer.files[0]) openUpload(event.dataTransfer.files[0]);
  });
}

async function take(chosen) {
  if (!chosen) return;
  show(null);
  file = chosen;
  try {
    found = await inspect(chosen);
  } catch (error) {
    found = null;
    show(error.message);
  }
  fields.hidden = !found;
  $("upload-send").disabled = !found;
  drawDrop();
  if (!found) return;
  const { columns } = found;
  $("upload-columns").textContent = `${columns.length} column${columns.length === 1 ? "" : "s"}: `
    + `${columns.slice(0, 12).join(", ")}${columns.length > 12 ? ", …" : ""}`
    + (found.note ? `. ${found.note}` : "");
  form.elements.title.value = chosen.name.replace(/\.[^.]+$/, "");
  // A dropped file leaves the focus on the first button, which closes; from a format Enter starts.
  if (document.activeElement?.dataset.act === "close") form.querySelector("input[name=format]:checked").focus();
}

function drawDrop() {
  $("drop").classList.toggle("chosen", Boolean(found));
  $("drop").querySelector(".drop-title").textContent = file && found ? file.name : "Drop a file, or choose one";
  $("drop").querySelector(".drop-text").textContent = file && found
    ? `${size(file.size)} · choose another` : "CSV or XLSX with a header, or NDJSON. It may be of any size.";
}

const format = () => form.querySelector("input[name=format]:checked").value;

function drawOptions() {
  $("options").replaceChildren(...FORMATS[format()][2].map(([name, title, choices, words = {}]) => {
    const input = Array.isArray(choices)
      ? element("select", {}, ...choices.map((choice, index) => element("option", { value: String(index) },
        words[choice] ?? { true: "Yes", false: "No" }[choice] ?? choice)))
      : element("input", { type: "text", maxLength: 100 });
    input.dataset.option = name;
    return element("label", { className: "field" }, element("span", {}, title), input);
  }));
}

// Only what differs from the default, so that the node's own defaults hold.
function options() {
  const given = {};
  for (const [name, , choices] of FORMATS[format()][2]) {
    const input = $("options").querySelector(`[data-option=${name}]`);
    if (!Array.isArray(choices)) {
      if (input.value.trim()) given[name] = input.value.trim();
    } else if (input.value !== "0") given[name] = choices[Number(input.value)];
  }
  return given;
}

async function send() {
  const mine = sending = new AbortController();
  show(null);
  $("upload-send").disabled = true;
  try {
    progress("Reading the file", 0);
    const body = await bodyOf(file, found, (share) => {
      mine.signal.throwIfAborted();
      progress("Reading the file", share);
    });
    const query = new URLSearchParams({ format: format(), columns: JSON.stringify(found.columns) });
    const chosen = options(), title = form.elements.title.value.trim();
    if (Object.keys(chosen).length) query.set("options", JSON.stringify(chosen));
    if (title) query.set("title", title);
    const answer = await post(`/export/run?${query}`, body, mine.signal);
    if (mine.signal.aborted) return;
    sending = null;
    dialog.close();
    done(answer.export_id);
  } catch (error) {
    if (mine.signal.aborted) return;
    show(error instanceof WrongFile || error.status !== undefined ? error.message : "The file can't be read any more.");
  } finally {
    if (sending === mine) sending = null;
    // Closed and opened again, the dialog may be sending another file by now.
    if (!sending) {
      $("upload-send").disabled = !found;
      $("upload-progress").hidden = true;
    }
  }
}

// XMLHttpRequest tells how much was sent, which fetch doesn't.
async function post(url, body, signal) {
  for (;;) {
    signal.throwIfAborted();
    const answer = await new Promise((resolve, reject) => {
      const request = new XMLHttpRequest();
      request.open("POST", url);
      request.setRequestHeader("Content-Type", "application/x-ndjson");
      for (const [name, value] of Object.entries(authorization())) request.setRequestHeader(name, value);
      request.upload.onprogress = ({ loaded, total }) => progress("Sending", total ? loaded / total : 0);
      request.upload.onload = () => progress("Waiting for Kafka", 1);
      request.onload = () => resolve(request);
      request.onerror = () => reject(problemOf(0, "The connection broke off; the export is cancelled."));
      signal.addEventListener("abort", () => request.abort());
      request.send(body);
    });
    if (answer.status < 300) return JSON.parse(answer.responseText);
    if (answer.status !== 401) throw problemOf(answer.status, answer.responseText);
    await newToken(hasToken());
  }
}

function progress(text, share) {
  $("upload-progress").hidden = false;
  $("upload-progress").querySelector("progress").value = share;
  $("upload-progress").querySelector("span").textContent = text;
}

function show(text) {
  $("upload-error").hidden = !text;
  $("upload-error").textContent = text ?? "";
}
