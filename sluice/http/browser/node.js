// For operators: what this node does, and the dead letters where they may see them.

import { call, get } from "./api.js";
import { count, element, toast, when } from "./words.js";

const dialog = document.getElementById("node");
const LETTERS = 50;
let timer = null;

dialog.addEventListener("close", () => clearInterval(timer));

export async function openNode() {
  const content = element("div", { className: "content" });
  const status = element("section"), letters = element("section");
  content.append(status, letters);
  dialog.replaceChildren(
    element("header", {}, element("h2", { id: "node-title" }, "This node"),
      element("button", { type: "button", className: "close", ariaLabel: "Close", onclick: () => dialog.close() }, "×")),
    content);
  dialog.showModal();
  const draw = async () => {
    try {
      drawStatus(status, await get("/export/status"));
    } catch (error) {
      status.replaceChildren(element("p", { className: "error" }, error.message));
    }
  };
  clearInterval(timer);
  timer = setInterval(draw, 2000);
  await draw();
  await drawLetters(letters);
}

function drawStatus(section, { running, capacity, queued, open_exports: open, lag, partition_lag: lags }) {
  const partitions = Object.entries(lags);
  const tile = (name, value) => element("div", {}, element("dt", {}, name), element("dd", {}, value));
  section.replaceChildren(
    element("dl", { className: "tiles" },
      tile("Running", `${running} of ${capacity}`), tile("Queued", count(queued)),
      tile("Open exports", count(open)), tile("Lag, records", count(lag))),
    element("h3", {}, `${partitions.length} partition${partitions.length === 1 ? "" : "s"}`),
    partitions.length
      ? element("ul", { className: "partitions" }, ...partitions.map(([partition, behind]) =>
        element("li", { className: behind ? "behind" : "" }, element("b", {}, partition), ` lag ${count(behind)}`)))
      : element("p", { className: "mild" }, "None: another node has them."));
}

async function drawLetters(section) {
  let found;
  try {
    found = (await get(`/dead-letters?last=${LETTERS}`)).dead_letters;
  } catch (error) {
    // Not an operator's token, or a node that can't show them.
    if (![403, 404, 405].includes(error.status)) section.replaceChildren(element("p", { className: "error" }, error.message));
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
