// Shows an answer while it arrives: its status, its headers and its body.

import { announce, button, h, replace, setText } from "../ui/lib/dom.js";
import { parse } from "../ui/lib/json.js";

/** How much of a body the page shows. Of a longer one, the last part. */
const SHOWN_CHARS_MAX = 256 * 1024;

/** The place of an answer, and a function that fills it from a promise of a response. */
export function answerView() {
  const place = h("div", { class: "answer", data: { test: "answer" } });
  let stop = null;

  const show = async (sending) => {
    stop?.abort();
    const own = new AbortController();
    stop = own;
    const started = performance.now();
    const status = h("p", { class: "status" }, "Waiting for the answer.");
    const stopper = button("Stop", () => own.abort());
    replace(place, status, stopper);
    try {
      const response = await sending(own.signal);
      const ms = () => Math.round(performance.now() - started);
      const line = `${response.status} ${response.statusText}`.trim();
      setText(status, `${line} after ${ms()} ms`);
      status.classList.add(response.ok ? "good" : "bad");
      const pre = h("pre", { tabindex: "0", role: "group", "aria-label": "Body of the answer" });
      place.append(headersOf(response), pre);
      announce(`The answer is ${line}.`);
      await read(response, pre);
    } catch (error) {
      if (stop !== own) return;
      const stopped = own.signal.aborted;
      place.append(h("p", { class: stopped ? "" : "bad" }, stopped ? "Stopped." : `No answer: ${error.message}`));
      if (!stopped) announce("There is no answer.");
    } finally {
      stopper.remove();
    }
  };
  return { place, show };
}

function headersOf(response) {
  const rows = [...response.headers].map(([name, value]) =>
    h("tr", {}, h("th", { scope: "row" }, name), h("td", {}, value)),
  );
  const table = h("table", {}, h("caption", { class: "visually-hidden" }, "Headers of the answer"), h("tbody", {}, rows));
  return h("details", {}, h("summary", {}, `${rows.length} headers`), table);
}

/** Shows a body as it arrives: a stream may not end. JSON is indented once it is complete. */
async function read(response, pre) {
  if (response.body === null) return;
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    text = (text + value).slice(-SHOWN_CHARS_MAX);
    setText(pre, text);
  }
  const type = response.headers.get("content-type") ?? "";
  if (/^application\/([a-z.-]+\+)?json/.test(type)) setText(pre, indented(text));
}

function indented(text) {
  try {
    return JSON.stringify(parse(text), null, 2);
  } catch {
    return text;
  }
}
