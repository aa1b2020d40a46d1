// One export: how it is doing or how it ended, what to do about it, and what can be done with it.

import { authorization, call, get, hasToken } from "./api.js";
import { known } from "./list.js";
import { REASONS, STATES, count, duration, element, isOpen, size, toast, when } from "./words.js";

const dialog = document.getElementById("detail");
let current = null;
let status = null;
let trouble = null;
let refused = null;
let links = true;
let confirming = false;

export function closeDetail() {
  current = null;
  if (dialog.open) dialog.close();
}

export async function openDetail(id) {
  if (current === id) return;
  current = id;
  status = null;
  trouble = null;
  refused = null;
  confirming = false;
  draw();
  if (!dialog.open) dialog.showModal();
  await refresh();
}

async function refresh() {
  const id = current;
  let found = status, problem = null;
  try {
    found = await get(`/export/status/${encodeURIComponent(id)}`);
  } catch (error) {
    problem = error.message;
  }
  if (id !== current) return;
  status = found;
  trouble = problem;
  draw();
}

// After changes that the stream didn't bring, such as an end while the node was away.
export function refreshDetail() {
  if (current && !status?.event) refresh();
}

// A change of the stream: rows grow in place, an end is fetched with its event. An export that was
// opened before it was requested is fetched too.
export function putDetail(change) {
  if (change.export_id !== current) return;
  if (status?.event) name();  // it ended before the list knew its title
  else if (!status || !isOpen(change.state)) refresh();
  else {
    status = { ...status, state: change.state, rows: change.rows ?? status.rows, bytes: change.bytes ?? status.bytes };
    draw();
  }
}

function draw() {
  const listed = known(current);
  const event = status?.event;
  const state = status?.state ?? listed?.state;
  const focused = dialog.contains(document.activeElement) ? document.activeElement.dataset.act : null;
  dialog.replaceChildren(
    ...dialog.querySelectorAll("#toast"),
    element("header", {}, names(),
      button("close", "×", () => dialog.close(), { className: "close", ariaLabel: "Close" })),
    element("div", { className: "content" },
      trouble ? element("p", { className: "error" }, trouble) : null,
      state ? element("p", {}, element("span", { className: `state large ${state}` }, STATES[state])) : null,
      isOpen(state) ? element("progress", { ariaLabel: "Under way" }) : null,
      ...(event ? outcome(event) : []),
      state ? actions(state, event) : null,
      refused ? element("p", { className: "error refused", role: "alert" }, refused) : null,
      state ? facts(listed, event) : null,
      event ? timeline(event) : null,
      event ? details(event) : null));
  // What had the focus may be gone, as "Cancel" is at the end.
  if (focused) (dialog.querySelector(`[data-act="${focused}"]`) ?? dialog.querySelector("#detail-title")).focus();
}

function names() {
  const listed = known(current);
  return element("div", { className: "called" }, title(listed?.title ?? current),
    listed?.title ? element("p", { className: "id" }, current) : null);
}

function name() {
  if (known(current)?.title) dialog.querySelector(".called").replaceWith(names());
}

// The focus begins here, so that a screen reader says what was opened.
function title(text) {
  const made = element("h2", { id: "detail-title", tabIndex: -1, autofocus: true }, text);
  made.dataset.act = "title";
  return made;
}

function outcome(event) {
  if (event.type === "export.failed") {
    const [what, todo] = REASONS[event.reason] ?? [event.reason, ""];
    return [element("div", { className: "reason" },
      element("p", { className: "what" }, what), element("p", {}, todo),
      element("p", { className: "message" }, event.message))];
  }
  if (event.type === "export.cancelled") {
    return [element("div", { className: "reason mild" }, element("p", { className: "message" }, event.message))];
  }
  return status.expired
    ? [element("div", { className: "reason mild" }, element("p", {}, "Its file has expired and can't be downloaded any more."))] : [];
}

function actions(state, event) {
  const found = [];
  if (state === "completed" && !status?.expired) {
    found.push(button("download", "Download", download, { className: "primary" }));
    if (links) found.push(button("link", "Copy link", copyLink));
  }
  if (isOpen(state)) found.push(button("cancel", confirming ? "Really cancel?" : "Cancel export", cancel, { className: "danger" }));
  if (state === "cancelled" || (event?.type === "export.failed" && REASONS[event.reason]?.[2])) {
    found.push(button("retry", "Run again", retry, { className: "primary" }));
  }
  return element("div", { className: "actions" }, ...found);
}

function facts(listed, event) {
  const pairs = [
    ["Rows", count(event?.rows ?? status?.rows)],
    ["Size", size(event?.bytes ?? status?.bytes)],
    ["Format", (event?.format ?? listed?.format ?? "–").toUpperCase()],
    ["User", event?.user ?? listed?.user ?? "–"],
    ...(event?.pages ? [["Pages", count(event.pages)]] : []),
    ...(event?.truncated_cells ? [["Cells cut", count(event.truncated_cells)]] : []),
    ...(event?.replaced_characters ? [["Characters replaced", count(event.replaced_characters)]] : []),
    ...(event?.retry_of ? [["Runs again", event.retry_of]] : []),
    ...(event?.attempts ? [["Attempts", String(event.attempts)]] : []),
    ...(event?.sha256 ? [["SHA-256", element("code", {}, event.sha256)]] : []),
  ];
  return element("dl", {}, ...pairs.flatMap(([name, value]) => [element("dt", {}, name), element("dd", {}, value)]));
}

function timeline(event) {
  const end = { "export.completed": "Completed", "export.failed": "Failed", "export.cancelled": "Cancelled" }[event.type];
  const steps = [
    ["Requested", event.requested_at, null],
    ["Started", event.started_at, event.requested_at],
    [end, event.completed_at, event.started_at ?? event.requested_at],
    ["Expires", event.expires_at, null],
  ].filter(([, time]) => time);
  return element("section", {}, element("h3", {}, "Timeline"),
    element("ol", { className: "timeline" }, ...steps.map(([name, time, since]) =>
      element("li", {}, element("span", {}, name), element("time", { dateTime: time }, when(time)),
        since ? element("span", { className: "after" }, `+ ${duration(Date.parse(time) - Date.parse(since))}`) : null))));
}

function details(event) {
  return element("details", {}, element("summary", {}, "Event"),
    element("pre", { tabIndex: 0, ariaLabel: "The event as JSON" }, JSON.stringify(event, null, 2)));
}

function button(act, text, onclick, given = {}) {
  const made = element("button", { type: "button", ...given }, text);
  made.dataset.act = act;
  made.addEventListener("click", async () => {
    // Not by `disabled`, which takes the focus away from the dialog.
    if (made.ariaDisabled === "true") return;
    made.ariaDisabled = "true";
    try {
      await onclick(made);
    } catch (error) {
      toast(error.message);
    }
    made.ariaDisabled = "false";
  });
  return made;
}

const path = () => encodeURIComponent(current);

async function download(made) {
  const url = `/export/download/${path()}`;
  if (!hasToken()) {
    save(url);
    return;
  }
  // A plain link has no header, and a URL must not have the token.
  const answer = await call("GET", url, { headers: authorization() });
  const name = /filename="([^"]+)"/.exec(answer.headers.get("Content-Disposition") ?? "")?.[1] ?? current;
  const total = Number(answer.headers.get("Content-Length"));
  const parts = [];
  let received = 0;
  for (const reader = answer.body.getReader(); ;) {
    const { value, done } = await reader.read();
    if (done) break;
    parts.push(value);
    received += value.length;
    if (total) made.textContent = `${Math.floor((received / total) * 100)} %`;
    // Blobs that are made early can wait on disk.
    if (parts.length > 256) parts.splice(0, parts.length, new Blob(parts));
  }
  made.textContent = "Download";
  const held = URL.createObjectURL(new Blob(parts, { type: "application/octet-stream" }));
  save(held, name);
  setTimeout(() => URL.revokeObjectURL(held), 60000);
}

function save(href, name = "") {
  const anchor = element("a", { href, download: name });
  dialog.append(anchor);
  anchor.click();
  anchor.remove();
}

async function copyLink() {
  try {
    const { url, expires_at: expires } = await (await call("POST", `/export/${path()}/link`, { body: {} })).json();
    try {
      await navigator.clipboard.writeText(url);
      toast(`Link copied. It works until ${when(expires)}, for anyone who has it.`);
    } catch {
      // Without HTTPS a page may not write to the clipboard.
      dialog.querySelector(".actions").after(element("input", {
        className: "link", value: url, readOnly: true, ariaLabel: "Download link",
      }));
      dialog.querySelector("input.link").select();
    }
  } catch (error) {
    if (error.status !== 501) throw error;
    links = false;
    draw();
    toast("This node makes no links: its operator hasn't set them up.");
  }
}

async function cancel(made) {
  if (!confirming) {
    confirming = true;
    made.textContent = "Really cancel?";
    setTimeout(() => { confirming = false; if (current) draw(); }, 4000);
    return;
  }
  await call("DELETE", `/export/${path()}`);
  toast("Cancelling; it may take a moment.");
}

function refuse(text) {
  refused = text;
  draw();
  dialog.querySelector("[data-act=retry]")?.focus();
}

async function retry() {
  const id = current;
  refused = null;
  let answer;
  try {
    answer = await (await call("POST", `/export/${path()}/retry`)).json();
  } catch (error) {
    // Not in a toast, which is gone in seconds: it is what somebody has to act on. It stays until
    // another try, or another export.
    if (id === current) refuse(error.message);
    return;
  }
  toast("It runs again, as a new export.");
  const query = new URLSearchParams(location.search);
  query.set("export", answer.export_id);
  history.pushState(null, "", `?${query}`);
  openDetail(answer.export_id);
}
