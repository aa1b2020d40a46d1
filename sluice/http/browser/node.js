// What this node does; for operators the group's nodes and partitions, and the dead letters.

import { call, get } from "./api.js";
import { count, element, toast, when } from "./words.js";

const dialog = document.getElementById("node");
const LETTERS = 50;
const NOT_SHOWN = [403, 404, 405]; // not an operator's token, or a node that can't show it
let timer = null;

dialog.addEventListener("close", () => clearInterval(timer));

export async function openNode() {
  const title = element("h2", { id: "node-title" }, "This node");
  const work = element("section"), group = element("section"), letters = element("section");
  dialog.replaceChildren(
    element("header", {}, title,
      element("button", { type: "button", className: "close", ariaLabel: "Close", onclick: () => dialog.close() }, "×")),
    element("div", { className: "content" }, work, group, letters));
  dialog.showModal();

  // Each is drawn as it comes: without Kafka the group takes seconds to fail.
  let status = null, found = null, why = null, isKnown = false, isUser = false, isAsking = false;
  const draw = () => {
    title.textContent = found ? "Nodes" : "This node";
    if (status) drawWork(work, status, found);
    if (found) drawGroup(group, found);
    else if (isKnown && status) drawPartitions(group, status.partition_lag, why);
  };
  const askNode = async () => {
    try {
      status = await get("/export/status");
    } catch (error) {
      status = found = null;
      group.replaceChildren();
      work.replaceChildren(element("p", { className: "error" }, error.message));
    }
    draw();
  };
  const askGroup = async () => {
    if (isUser || isAsking) return;
    isAsking = true;
    try {
      found = await get("/group");
    } catch (error) {
      found = null;
      isUser = error.status === 403;
      why = NOT_SHOWN.includes(error.status) ? null : error.message;
    }
    isAsking = false;
    isKnown = true;
    draw();
  };
  const ask = () => Promise.all([askNode(), askGroup()]);
  clearInterval(timer);
  timer = setInterval(ask, 2000);
  await Promise.all([ask(), drawLetters(letters)]);
}

const heading = (text) => element("h3", {}, text);
const counted = (amount, word) => `${count(amount)} ${word}${amount === 1 ? "" : "s"}`;

function drawWork(section, { running, capacity, queued, open_exports: open, lag }, found) {
  const tile = (name, value) => element("div", {}, element("dt", {}, name), element("dd", {}, value));
  section.replaceChildren(
    ...(found ? [heading("What this node does")] : []),
    element("dl", { className: "tiles" },
      tile("Running", `${running} of ${capacity}`), tile("Queued", count(queued)),
      tile("Open exports", count(open)), tile("Lag, records", count(lag))));
}

function drawPartitions(section, lags, why) {
  const partitions = Object.entries(lags);
  section.replaceChildren(
    ...(why ? [element("p", { className: "error" }, `The group can't be shown: ${why}`)] : []),
    heading(counted(partitions.length, "partition")),
    partitions.length
      ? element("ul", { className: "partitions" }, ...partitions.map(([partition, behind]) =>
        element("li", { className: behind ? "behind" : "" }, element("b", {}, partition), ` lag ${count(behind)}`)))
      : element("p", { className: "mild" }, "None: another node has them."));
}

function drawGroup(section, { state, nodes, partitions, lag, answered_by: here }) {
  const lags = new Map(partitions.map((one) => [one.partition, one.lag]));
  section.replaceChildren(
    heading(`${counted(nodes.length, "node")} in the group${state.endsWith("Rebalance") ? ", which is rebalancing" : ""}`),
    nodes.length
      ? element("ul", { className: "nodes" }, ...nodes.map(({ name, host, partitions: own }) => {
        const behind = own.reduce((sum, one) => sum + (lags.get(one) ?? 0), 0);
        return element("li", {},
          element("p", {}, element("b", {}, name), ...(name === here ? [" ", element("span", { className: "format" }, "this node")] : [])),
          element("p", { className: "mild" }, host, " · ",
            own.length ? `partition${own.length === 1 ? "" : "s"} ${runs(own)} · lag ${count(behind)}` : "no partitions"));
      }))
      : element("p", { className: "mild" }, "None now: nothing is read."),
    heading(`${counted(partitions.length, "partition")}, lag ${count(lag)}`),
    element("ul", { className: "partitions owned" }, ...partitions.map(({ partition, lag: behind, node }) =>
      element("li", { className: behind ? "behind" : "" }, element("b", {}, partition), ` lag ${count(behind)} `,
        element("span", {}, node ?? "no node")))));
}

// Ascending numbers in short: 0 to 3, 7
function runs(numbers) {
  const found = [];
  for (const one of numbers) {
    if (found.length && found.at(-1)[1] === one - 1) found.at(-1)[1] = one;
    else found.push([one, one]);
  }
  return found.map(([first, last]) => (first === last ? `${first}` : `${first} to ${last}`)).join(", ");
}

async function drawLetters(section) {
  let found;
  try {
    found = (await get(`/dead-letters?last=${LETTERS}`)).dead_letters;
  } catch (error) {
    if (!NOT_SHOWN.includes(error.status)) section.replaceChildren(element("p", { className: "error" }, error.message));
    return;
  }
  section.replaceChildren(element("h3", {}, "Dead letters"));
  if (!found.length) section.append(element("p", { className: "mild" }, "None."));
  for (const letter of found.reverse()) section.append(shown(letter));
}

function shown(letter) {
  const place = `${letter.partition}:${letter.offset}`;
  const again = element("button", { type: "button", className: "quiet" }, "Requeue");
  again.addEventListener("click", async () => {
    again.disabled = true;
    try {
      const answer = await (await call("POST", "/dead-letters/requeue", { body: { places: [place] } })).json();
      toast(answer.requeued ? `${place} is back on its topic.` : `Not requeued: ${answer.letters[0]?.why ?? answer.letters[0]?.outcome}`);
    } catch (error) {
      again.disabled = false;
      toast(error.message);
    }
  });
  return element("div", { className: "letter" },
    element("p", {}, element("b", {}, letter.reason), ` at ${place}`),
    element("p", { className: "mild" }, `${when(letter.time)}${letter.key ? ` · key ${letter.key}` : ""}`), again);
}
