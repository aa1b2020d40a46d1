// Sends the examples of /docs from the page. Without it the page is complete, and sends nothing.
"use strict";

const KEY = "sluice-token"; // as the page at / keeps it: for this tab
const MOST_CHARACTERS = 20000;
const MOST_MILLISECONDS = 10000; // a stream of events has no end

const token = document.querySelector("#token");
if (token) {
  token.value = sessionStorage.getItem(KEY) ?? "";
  token.addEventListener("input", () => sessionStorage.setItem(KEY, token.value.trim()));
}

for (const origin of document.querySelectorAll(".origin")) origin.textContent = location.origin;

async function send(form, shown) {
  const headers = {};
  if (token && token.value.trim()) headers.Authorization = `Bearer ${token.value.trim()}`;
  if (form.dataset.type) headers["Content-Type"] = form.dataset.type;
  const ending = new AbortController();
  setTimeout(() => ending.abort(), MOST_MILLISECONDS);
  const answer = await fetch(form.elements.path.value, {
    method: form.dataset.method,
    headers,
    body: form.elements.body ? form.elements.body.value : undefined,
    signal: ending.signal,
  });
  let text = `${answer.status} ${answer.statusText}\n${answer.headers.get("content-type") ?? ""}\n\n`;
  shown.textContent = text;
  if (answer.status === 401 && token) token.focus();
  const reader = answer.body?.pipeThrough(new TextDecoderStream()).getReader();
  while (reader && text.length < MOST_CHARACTERS) {
    const { done, value } = await reader.read();
    if (done) return;
    text += value;
    shown.textContent = text;
  }
  ending.abort();
}

for (const form of document.querySelectorAll("form[data-method]")) {
  form.hidden = false;
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const shown = form.querySelector("pre");
    shown.hidden = false;
    shown.textContent = "…";
    try {
      await send(form, shown);
    } catch (error) {
      if (error.name !== "AbortError") shown.textContent += `\n${error.message}`;
    }
  });
}
