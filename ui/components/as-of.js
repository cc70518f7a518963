// `<sl-as-of>`: chooses the state that is shown: now, a time, or a position by a slider over the life of the log.

import { button, h, setAttribute, setText, whenQuiet } from "../lib/dom.js";
import { absolute, fromInput, number, toInput } from "../lib/format.js";
import * as credential from "../lib/credential.js";
import * as url from "../lib/url.js";

/** How long the slider must rest before its state is read. */
const REST_MS = 120;

class AsOf extends HTMLElement {
  #end = 0;
  #toggle = button("Past state", () => this.#open(this.#panel.hidden), {
    "aria-expanded": "false",
    "aria-controls": "as-of",
  });
  #slider = h("input", {
    type: "range",
    min: "0",
    step: "1",
    "aria-label": "Position on the log",
    on: { input: () => this.#slid() },
  });
  #time = h("input", {
    type: "datetime-local",
    step: "1",
    "aria-label": "Time of the state",
    on: { change: () => this.#timed() },
  });
  #shown = h("output", { class: "mono" });
  #now = button("Back to now", () => url.change({ as_of: null, page: null, pin: null }));
  #panel = h(
    "div",
    { class: "as-of", id: "as-of", hidden: true },
    h("label", { class: "field" }, h("span", { class: "label" }, "State at"), this.#time),
    h("label", { class: "field slide" }, h("span", { class: "label" }, "Position"), this.#slider),
    this.#shown,
    this.#now,
  );
  #choose = whenQuiet(REST_MS, (position) => url.amend({ as_of: position, page: null, pin: null }));

  connectedCallback() {
    if (this.#panel.parentNode) return;
    // The state at a time would tell a bound credential when others wrote.
    this.#time.disabled = credential.boundAgent() !== null;
    this.append(this.#panel);
  }

  /** The button that opens this; a page puts it beside its others. */
  get toggle() {
    return this.#toggle;
  }

  #open(open) {
    this.#panel.hidden = !open;
    this.#toggle.setAttribute("aria-expanded", String(open));
    if (open) this.#slider.focus();
    else if (url.read().params.has("as_of")) url.change({ as_of: null, page: null, pin: null });
  }

  #slid() {
    this.#say(`position ${number(this.#slider.valueAsNumber)}`);
    this.#choose(this.#slider.value);
  }

  #timed() {
    const time = fromInput(this.#time.value);
    if (time) url.change({ as_of: time, page: null, pin: null });
  }

  /** Shows the end of the log, and what is asked for (empty is now). */
  show(asOf, head) {
    this.#end = Math.max(head, this.#end);
    this.#slider.max = String(this.#end);
    if (asOf === "") {
      if (document.activeElement !== this.#slider) this.#slider.value = this.#slider.max;
      this.#say("now");
      return;
    }
    this.#panel.hidden = false;
    this.#toggle.setAttribute("aria-expanded", "true");
  }

  /** Shows the position and the time of the state that is on the page. */
  found(asOf) {
    this.#end = Math.max(asOf.position, this.#end);
    this.#slider.max = String(this.#end);
    if (document.activeElement !== this.#slider) this.#slider.value = String(asOf.position);
    if (asOf.time && document.activeElement !== this.#time) this.#time.value = toInput(asOf.time);
    const text = `position ${number(asOf.position)}${asOf.time ? `, ${absolute(asOf.time)}` : ""}`;
    this.#say(text);
  }

  #say(text) {
    setText(this.#shown, text);
    setAttribute(this.#slider, "aria-valuetext", text);
  }
}

customElements.define("sl-as-of", AsOf);
