// `<sl-time>`: a time, relative or absolute as the reader prefers. The other form is in its title.

import { setAttribute, setText } from "../lib/dom.js";
import { absolute, relative } from "../lib/format.js";
import * as prefs from "../lib/prefs.js";

const shown = new Set();

function tick() {
  const nowMs = Date.now();
  for (const time of shown) time.show(nowMs);
}

setInterval(() => {
  if (!document.hidden && prefs.get("times") === "relative") tick();
}, 1_000);
addEventListener("preference", tick);

class Time extends HTMLElement {
  #at = null;
  #time = document.createElement("time");

  connectedCallback() {
    if (!this.#time.parentNode) this.append(this.#time);
    shown.add(this);
    this.show(Date.now());
  }

  disconnectedCallback() {
    shown.delete(this);
  }

  set at(iso) {
    if (this.#at === iso) return;
    this.#at = iso;
    setAttribute(this.#time, "datetime", iso);
    setAttribute(this.#time, "title", iso && `${absolute(iso)} here, ${iso} in the ledger`);
    this.show(Date.now());
  }

  show(nowMs) {
    const at = this.#at;
    if (!at) return setText(this.#time, "-");
    setText(this.#time, prefs.get("times") === "relative" ? relative(at, nowMs) : absolute(at));
  }
}

customElements.define("sl-time", Time);

/** A `<sl-time>`. */
export function timeOf(iso) {
  const element = document.createElement("sl-time");
  element.at = iso;
  return element;
}
