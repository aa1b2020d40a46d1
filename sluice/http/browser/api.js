// Requests to this node: the token, problems in words, and the stream of events.

const KEY = "sluice-token";
let askForToken = null;
let asking = null;

export class Problem extends Error {
  constructor(status, detail, errors = []) {
    const fields = errors.map(({ field, message }) => (field ? `${field}: ${message}` : message));
    super([...new Set([detail, ...fields.slice(0, 8)])].join("\n"));
    this.status = status;
    this.detail = detail;
  }
}

export const hasToken = () => sessionStorage.getItem(KEY) !== null;

export function forgetToken() {
  sessionStorage.removeItem(KEY);
}

// `ask` resolves with a token; it gets whether one was refused.
export function onTokenNeeded(ask) {
  askForToken = ask;
}

export const authorization = () => (hasToken() ? { Authorization: `Bearer ${sessionStorage.getItem(KEY)}` } : {});

export async function newToken(refused) {
  asking ??= askForToken(refused).finally(() => { asking = null; });
  sessionStorage.setItem(KEY, await asking);
}

export function problemOf(status, text) {
  try {
    const { detail, errors } = JSON.parse(text);
    return new Problem(status, detail, errors);
  } catch {
    return new Problem(status, text.slice(0, 200) || `the node answered ${status}`);
  }
}

export async function call(method, path, { body, headers = {}, signal } = {}) {
  for (;;) {
    const before = sessionStorage.getItem(KEY);
    let answer;
    try {
      answer = await fetch(path, {
        method, signal, cache: "no-store",
        headers: { ...headers, ...authorization(), ...(body === undefined ? {} : { "Content-Type": "application/json" }) },
        body: body === undefined ? undefined : JSON.stringify(body),
      });
    } catch (error) {
      if (signal?.aborted) throw error;
      throw new Problem(0, "the node can't be reached");
    }
    if (answer.ok) return answer;
    const problem = problemOf(answer.status, await answer.text());
    if (answer.status !== 401) throw problem;
    if (sessionStorage.getItem(KEY) === before) await newToken(before !== null);
  }
}

export const get = async (path, more) => (await call("GET", path, more)).json();

// Follows /export/events for ever. `on` has `open`, `message` and `closed`.
export async function follow(on) {
  let last = null, pause = 1000;
  for (;;) {
    const stop = new AbortController();
    try {
      const headers = last ? { "Last-Event-ID": last } : {};
      const answer = await call("GET", "/export/events", { headers, signal: stop.signal });
      const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
      // The list is fetched once the stream is there, so that nothing falls between the two.
      on.open(last !== null);
      pause = 1000;
      let rest = "";
      for (;;) {
        const { value, done } = await within(reader.read(), 45000);
        if (done) break;
        const blocks = (rest + value).split("\n\n");
        rest = blocks.pop();
        for (const block of blocks) {
          const found = parse(block);
          last = found.id ?? last;
          if (found.data) on.message(JSON.parse(found.data));
        }
      }
    } catch { /* it is begun again, whatever it was */ }
    stop.abort();
    on.closed();
    await new Promise((resolve) => { setTimeout(resolve, pause); });
    pause = Math.min(pause * 2, 15000);
  }
}

function parse(block) {
  const found = {};
  for (const line of block.split("\n")) {
    if (line.startsWith("id: ")) found.id = line.slice(4);
    else if (line.startsWith("data: ")) found.data = line.slice(6);
  }
  return found;
}

// Heartbeats come every 15 s: a stream without any is dead, though nothing has closed it.
function within(promise, ms) {
  let timer;
  const late = new Promise((_, reject) => { timer = setTimeout(() => reject(new Error("silent")), ms); });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}
