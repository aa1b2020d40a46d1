// What the page shows of numbers, times, states and reasons; elements, and a line at the bottom.

const number = new Intl.NumberFormat("en");
const moment = new Intl.DateTimeFormat("en-GB", {
  year: "numeric", month: "short", day: "numeric", hour: "2-digit", minute: "2-digit", second: "2-digit",
});

// A file that can't become an export; the message is for people.
export class WrongFile extends Error {}

export const STATES = {
  queued: "Queued", running: "Running", completed: "Completed", failed: "Failed", cancelled: "Cancelled",
};

export const isOpen = (state) => state === "queued" || state === "running";

export const count = (value) => (value === null || value === undefined ? "–" : number.format(value));

export function size(bytes) {
  if (bytes === null || bytes === undefined) return "–";
  const units = ["B", "kB", "MB", "GB", "TB"];
  let value = bytes, unit = 0;
  while (value >= 999.5 && unit < units.length - 1) [value, unit] = [value / 1000, unit + 1];
  return `${unit && value < 9.95 ? value.toFixed(1) : Math.round(value)} ${units[unit]}`;
}

export function duration(ms) {
  if (ms < 1000) return `${Math.max(0, Math.round(ms))} ms`;
  const seconds = ms / 1000;
  if (seconds < 60) return `${seconds.toFixed(seconds < 10 ? 1 : 0)} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${Math.floor(seconds % 60)} s`;
  return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`;
}

export function age(time, now = Date.now()) {
  const seconds = Math.max(0, (now - Date.parse(time)) / 1000);
  if (seconds < 60) return "now";
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 86400) return `${Math.floor(seconds / 3600)} h`;
  return `${Math.floor(seconds / 86400)} d`;
}

export const when = (time) => moment.format(Date.parse(time));

// Of a failed export: what happened, what to do, and whether the same rows may be run again.
export const REASONS = {
  invalid_request: ["The request has wrong fields.", "Correct what is named below and send it under a new id.", false],
  invalid_batch: ["A row doesn't fit the columns.", "Correct the row that is named below and send the rows under a new id.", false],
  sequence_gap: ["Some rows never arrived: a batch is missing.", "Send all rows again under a new id; the service that sends them has lost some.", false],
  row_count_mismatch: ["The number of rows isn't the one that was announced.", "Send all rows again under a new id.", false],
  too_large: ["It is larger than this service allows.", "Ask for fewer rows, or have an operator raise the limit; then run it again.", true],
  too_many_open: ["Too many exports were under way at once.", "Run it again.", true],
  storage_unavailable: ["The storage of files didn't answer for too long.", "Run it again once the storage works. If it fails again, tell your operator.", true],
  timed_out: ["Its rows stopped coming.", "Run it again if all rows have come since; else send them again under a new id.", true],
  internal: ["Something in the service itself went wrong.", "Run it again. If it fails again, send your operator this page's details.", true],
};

export function element(tag, given = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(given)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (name in made && name !== "list") made[name] = value;
    else made.setAttribute(name, value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

const shown = document.getElementById("toast");
let quiet;
export function toast(text) {
  // An open modal dialog makes the rest of the page inert and covers it: the message goes into it.
  const top = [...document.querySelectorAll("dialog[open]")].at(-1);
  (top ?? document.body).append(shown);
  shown.textContent = text;
  shown.classList.add("shown");
  clearTimeout(quiet);
  quiet = setTimeout(() => shown.classList.remove("shown"), 6000);
}
