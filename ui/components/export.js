// `<sl-export>`: copies the request of the page, and downloads its rows as CSV or NDJSON.

import { SESSIONS, curl } from "../lib/api.js";
import { announce, button, h, setText } from "../lib/dom.js";
import { ROWS_MAX, download } from "../lib/download.js";
import { number, plural } from "../lib/format.js";
import { copyButton } from "./parts.js";

class Export extends HTMLElement {
  #asked = () => ({ params: {}, asOf: "", mustBe: false });
  #running = null;
  #csv = button("CSV", () => this.#start("csv"), { "aria-label": "Download the filter as CSV" });
  #ndjson = button("NDJSON", () => this.#start("ndjson"), { "aria-label": "Download the filter as NDJSON" });
  #stop = button("Stop", () => this.#running?.abort(), { hidden: true, "aria-label": "Stop the download" });
  #progress = h("span", { class: "progress muted", role: "status" });

  connectedCallback() {
    if (this.firstChild) return;
    const copy = copyButton("Copy as curl", () => {
      const { params, asOf } = this.#asked();
      return curl(SESSIONS, { ...params, as_of: asOf || null });
    }, { "aria-label": "Copy this listing as a curl command" });
    this.append(this.#progress, this.#stop, copy, this.#csv, this.#ndjson);
  }

  disconnectedCallback() {
    this.#running?.abort();
  }

  /** Takes a function that returns the parameters and the state of the page, and whether a person has chosen that. */
  set asked(asked) {
    this.#asked = asked;
  }

  async #start(format) {
    if (this.#running) return;
    const running = new AbortController();
    this.#running = running;
    this.#stop.hidden = false;
    const { params, ...state } = this.#asked();
    const progress = (rows, total) => setText(this.#progress, `${number(rows)} of ${number(total)}`);
    try {
      const { rows, isWhole, isOfOneState } = await download(format, params, state, progress, running.signal);
      const all = isWhole ? "all rows" : `the newest rows: a page takes ${number(ROWS_MAX)} at most`;
      const mixed = isOfOneState ? "" : ". They may have changed meanwhile: the server has no past state to read";
      setText(this.#progress, `${plural(rows, "row")} saved, ${all}${mixed}`);
    } catch (problem) {
      setText(this.#progress, running.signal.aborted ? "" : `Not saved: ${problem.message}`);
    }
    announce(this.#progress.textContent);
    this.#running = null;
    this.#stop.hidden = true;
  }
}

customElements.define("sl-export", Export);
