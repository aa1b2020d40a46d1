// The page, put together: filters in the URL, what is open, keys, and the stream.

import { follow, forgetToken, hasToken, onTokenNeeded } from "./api.js";
import { closeDetail, openDetail, putDetail, refreshDetail } from "./detail.js";
import { load, loadOlder, neighbour, put, refreshAges } from "./list.js";
import { openNode } from "./node.js";
import { openUpload, prepareUpload } from "./upload.js";
import { toast } from "./words.js";

const $ = (id) => document.getElementById(id);
const NAMES = ["q", "state", "format", "user"];
const form = $("filters");

function filters() {
  const query = new URLSearchParams(location.search);
  return Object.fromEntries(NAMES.map((name) => [name, query.get(name) ?? ""]));
}

let again;
async function reload() {
  clearTimeout(again);
  try {
    await load(filters());
    notice(null);
  } catch (error) {
    notice(`The list can't be shown: ${error.message}`);
    // Kafka may be away while the stream stays: nothing else would fetch it.
    if (!(error.status >= 400 && error.status < 500)) again = setTimeout(reload, 5000);
  }
  $("sign-out").hidden = !hasToken();
}

function reloadAll() {
  refreshDetail();
  reload();
}

function notice(text) {
  $("notice").hidden = !text;
  // A screen reader says the same text again if it is set again.
  if ($("notice").textContent !== (text ?? "")) $("notice").textContent = text ?? "";
}

// What the URL says is what is shown; the back button goes through it.
function show() {
  const wanted = filters();
  for (const name of NAMES) {
    const field = form.elements[name];
    if (field.value.trim() !== wanted[name]) field.value = wanted[name];  // a blank may be typed just now
  }
  $("clear").hidden = !NAMES.some((name) => wanted[name]);
  const id = new URLSearchParams(location.search).get("export");
  if (id) openDetail(id);
  else closeDetail();
}

function go(changed, replace = false) {
  const now = new URLSearchParams(location.search);
  const query = new URLSearchParams();
  // One order, so that one view has one URL, whichever filter was chosen first.
  for (const name of [...NAMES, "export"]) {
    const value = changed[name] ?? now.get(name);
    if (value) query.set(name, value);
  }
  const text = query.toString();
  history[replace ? "replaceState" : "pushState"](null, "", text ? `?${text}` : location.pathname);
  show();
}

function filtersChanged(replace) {
  go(Object.fromEntries(NAMES.map((name) => [name, form.elements[name].value.trim()])), replace);
  reload();
}

let typing;
form.addEventListener("input", (event) => {
  clearTimeout(typing);
  const isText = event.target.tagName === "INPUT";
  typing = setTimeout(() => filtersChanged(isText), isText ? 250 : 0);
});
form.addEventListener("submit", (event) => event.preventDefault());
$("clear").addEventListener("click", () => { form.reset(); filtersChanged(false); form.elements.q.focus(); });
$("more").addEventListener("click", () => loadOlder().catch((error) => toast(error.message)));
new IntersectionObserver((entries) => {
  if (entries.some((entry) => entry.isIntersecting)) loadOlder().catch((error) => toast(error.message));
}, { rootMargin: "400px" }).observe($("more"));

document.addEventListener("click", (event) => {
  const anchor = event.target.closest("a.name");
  const row = event.target.closest("#rows tr");
  const isPlain = event.button === 0 && !(event.metaKey || event.ctrlKey || event.shiftKey || event.altKey);
  if (isPlain && (anchor || (row && !getSelection().toString()))) {
    event.preventDefault();
    go({ export: row.dataset.id });
  }
});
$("detail").addEventListener("close", () => {
  if (new URLSearchParams(location.search).has("export")) go({ export: "" });
});
addEventListener("popstate", () => { show(); reload(); });

document.addEventListener("keydown", (event) => {
  const isTyping = event.target.closest("input, select, textarea, dialog");
  if (isTyping || event.metaKey || event.ctrlKey || event.altKey) return;
  const act = {
    "/": () => form.elements.q.focus(),
    n: () => openUpload(),
    j: () => neighbour(1)?.focus(),
    k: () => neighbour(-1)?.focus(),
    ArrowDown: () => neighbour(1)?.focus(),
    ArrowUp: () => neighbour(-1)?.focus(),
  }[event.key];
  const isArrow = event.key.startsWith("Arrow") && !event.target.closest("#rows");
  if (act && !isArrow) {
    event.preventDefault();
    act();
  }
});

$("open-upload").addEventListener("click", () => openUpload());
document.querySelector("[data-act=upload]").addEventListener("click", () => openUpload());
$("open-node").addEventListener("click", openNode);
$("sign-out").addEventListener("click", () => { forgetToken(); location.reload(); });

onTokenNeeded((refused) => new Promise((resolve) => {
  const dialog = $("token");
  $("token-error").hidden = !refused;
  $("token-error").textContent = refused ? "That token isn't known here, or has ended." : "";
  const field = dialog.querySelector("input");
  field.value = "";
  dialog.oncancel = (event) => event.preventDefault();
  // A browser closes it at the second Escape all the same.
  dialog.onclose = () => dialog.showModal();
  dialog.querySelector("form").onsubmit = (event) => {
    event.preventDefault();
    const token = field.value.trim();
    // A header takes no other characters.
    if (!/^[\x21-\x7e]+$/.test(token)) {
      $("token-error").hidden = false;
      $("token-error").textContent = "A token has letters, digits and signs of ASCII, and no spaces.";
      return;
    }
    dialog.onclose = null;
    dialog.close();
    field.value = "";
    resolve(token);
    // Another's token sees other exports.
    if (refused) setTimeout(reloadAll);
  };
  dialog.showModal();
}));

function live(state, text) {
  $("live").dataset.state = state;
  $("live").textContent = text;
}

prepareUpload((id) => { go({ export: id }); });
setInterval(refreshAges, 20000);
show();
follow({
  open: (resumed) => { live("live", "Live"); if (!resumed) reloadAll(); else $("sign-out").hidden = !hasToken(); },
  closed: () => live("connecting", "Reconnecting"),
  message: (change) => {
    if (change.type === "reload") reloadAll();
    else { put(change); putDetail(change); }
  },
});
// The stream needs Kafka; why there is no list is worth a line.
setTimeout(() => { if ($("live").dataset.state !== "live" && !$("token").open) reload(); }, 3000);
