// The list: pages of exports, kept in the server's order while changes come in.

import { get } from "./api.js";
import { STATES, age, count, element, isOpen, size, when } from "./words.js";

const PAGE = 100;
const body = document.getElementById("rows");
const more = document.getElementById("more");
const counted = document.getElementById("count");
const empty = document.getElementById("empty");

const shown = new Map();
let filters = {};
let next = null;
let loading = null;
let dirty = false;
let meanwhile = [];

// A change that is older than what the list has doesn't undo it.
const RANK = { queued: 0, running: 1, completed: 2, failed: 2, cancelled: 2 };

export const known = (id) => shown.get(id)?.one;

const isAfter = (a, b) =>
  a.requested_at === b.requested_at ? a.export_id < b.export_id : a.requested_at < b.requested_at;

// Loads the first page for these filters. What is shown stays until it is there.
export async function load(wanted) {
  filters = wanted;
  const pages = Math.max(1, Math.min(5, Math.ceil(shown.size / PAGE)));
  const found = await fetchPages(null, pages);
  if (!found) return;
  shown.clear();
  body.replaceChildren();
  for (const one of found) add(one);
  for (const change of meanwhile.splice(0)) put(change);
  draw();
}

export async function loadOlder() {
  if (!next || loading) return;
  more.disabled = true;
  try {
    const found = await fetchPages(next, 1);
    for (const one of found ?? []) if (!shown.has(one.export_id)) add(one);
  } finally {
    more.disabled = false;
  }
  draw();
}

async function fetchPages(before, pages) {
  loading?.abort();
  if (!before) meanwhile = [];
  const mine = loading = new AbortController();
  body.ariaBusy = "true";
  const found = [];
  try {
    for (let page = 0; page < pages; page += 1) {
      const query = new URLSearchParams({ limit: PAGE });
      for (const [name, value] of Object.entries(filters)) if (value) query.set(name, value);
      if (before) query.set("before", before);
      const answer = await get(`/export?${query}`, { signal: mine.signal });
      found.push(...answer.exports);
      next = before = answer.next;
      if (!before) break;
    }
    return found;
  } catch (error) {
    if (mine.signal.aborted) return null;
    throw error;
  } finally {
    if (loading === mine) {
      loading = null;
      body.ariaBusy = "false";
    }
  }
}

// A change came: the export is where it belongs, or goes if the filters leave it out.
export function put(change) {
  if (loading) meanwhile.push(change);
  const before = shown.get(change.export_id)?.one;
  if (before?.requested_at === change.requested_at && RANK[change.state] < RANK[before.state]) return;
  // An event may come before its request's title is known; another node's rows never are.
  const one = { ...change, title: change.title ?? before?.title ?? null };
  if (!matches(one)) {
    if (before) remove(one.export_id);
  } else if (before && before.requested_at === one.requested_at) {
    fill(shown.get(one.export_id), one);
  } else {
    if (before) remove(one.export_id);
    if (!next || isAfter(lastShown() ?? one, one)) add(one);
  }
  later();
}

function matches(one) {
  const text = (filters.q ?? "").toLowerCase();
  return (!filters.state || one.state === filters.state)
    && (!filters.format || one.format === filters.format)
    && (!filters.user || one.user === filters.user)
    && (!text || one.export_id.toLowerCase().includes(text) || (one.title ?? "").toLowerCase().includes(text));
}

const lastShown = () => shown.get(body.lastElementChild?.dataset.id)?.one;

function remove(id) {
  shown.get(id).row.remove();
  shown.delete(id);
}

function add(one) {
  const entry = { row: element("tr"), cells: [] };
  entry.row.dataset.id = one.export_id;
  fill(entry, one);
  const last = lastShown();
  if (!last || isAfter(one, last)) body.append(entry.row);
  else {
    let place = body.firstElementChild;
    while (place && isAfter(one, shown.get(place.dataset.id).one)) place = place.nextElementSibling;
    body.insertBefore(entry.row, place);
  }
  shown.set(one.export_id, entry);
}

function fill(entry, one) {
  const name = element("a", { href: link(one.export_id), className: "name" }, one.title ?? one.export_id);
  const cells = [
    ["c-state", element("span", { className: `state ${one.state}` }, STATES[one.state])],
    ["c-name", element("span", { className: "names" }, name,
      one.title ? element("span", { className: "id" }, one.export_id) : null)],
    ["c-format", element("span", { className: "format" }, one.format.toUpperCase())],
    ["c-user", one.user],
    [`c-rows${{ null: " none", 1: " one" }[one.rows] ?? ""}`, count(one.rows)],
    [one.bytes === null ? "c-size none" : "c-size", one.expired ? "expired" : size(one.bytes)],
    ["c-age", element("time", { dateTime: one.requested_at, title: when(one.requested_at) }, age(one.requested_at))],
  ];
  const focused = entry.row.contains(document.activeElement);
  entry.row.className = isOpen(one.state) ? "open" : "";
  entry.row.replaceChildren(...cells.map(([className, content]) => element("td", { className }, content)));
  if (focused) entry.row.querySelector("a").focus();
  entry.one = one;
}

export function link(id) {
  const query = new URLSearchParams(location.search);
  query.set("export", id);
  return `?${query}`;
}

function later() {
  if (dirty) return;
  dirty = true;
  requestAnimationFrame(draw);
}

function draw() {
  dirty = false;
  more.hidden = !next;
  const total = count(shown.size);
  counted.textContent = shown.size ? `${total} export${shown.size === 1 ? "" : "s"}${next ? ", and older ones" : ""}` : "";
  empty.hidden = shown.size > 0;
  const filtered = Object.values(filters).some(Boolean);
  empty.querySelector(".empty-title").textContent = filtered ? "Nothing matches" : "No exports yet";
  empty.querySelector(".empty-text").textContent = filtered
    ? "No export has this state, format, user and text." : "Drop a CSV, XLSX or NDJSON file anywhere on this page.";
  empty.querySelector("button").hidden = filtered;
}

export function refreshAges() {
  const now = Date.now();
  for (const time of body.querySelectorAll("time")) {
    const text = age(time.dateTime, now);
    if (time.textContent !== text) time.textContent = text;
  }
}

// The link of the next row, from the one that has the focus.
export function neighbour(step) {
  const rows = [...body.rows];
  const at = rows.findIndex((row) => row.contains(document.activeElement));
  return rows[Math.max(0, Math.min(rows.length - 1, at + step))]?.querySelector("a");
}
