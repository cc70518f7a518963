// `<sl-filters>`: roots or all sessions, one agent, project, user or parent, an outcome, and a range of creation times.
// Each change goes into the address.

import { h, setAttribute } from "../lib/dom.js";
import { OUTCOMES, RANGES, SUBJECTS, statusesOf } from "../lib/filter.js";
import { fromInput, toInput } from "../lib/format.js";
import * as credential from "../lib/credential.js";
import * as url from "../lib/url.js";

/** Each change of a filter leads to the first page. */
const FIRST_PAGE = { page: null, pin: null };
const NO_SUBJECT = Object.fromEntries(Object.keys(SUBJECTS).map((name) => [name, null]));

const option = (value, label) => h("option", { value }, label);

class Filters extends HTMLElement {
  #shown = null;
  #roots = this.#choice("Roots", null);
  #children = this.#choice("With children", "1");
  #subject = h(
    "select",
    { "aria-label": "Filter by", on: { change: () => this.#named() } },
    Object.entries(SUBJECTS).map(([name, { label }]) => option(name, label)),
  );
  #value = h("input", {
    type: "search",
    "aria-label": "Id to filter by",
    placeholder: "any",
    spellcheck: "false",
    autocomplete: "off",
    list: "known-agents",
    on: { change: () => this.#named(), search: () => this.#named() },
  });
  #outcome = h(
    "select",
    { "aria-label": "Outcome", on: { change: () => this.#ended() } },
    option("", "any"),
    OUTCOMES.map((word) => option(word, word)),
  );
  #range = h(
    "select",
    { "aria-label": "Created", on: { change: () => this.#ranged() } },
    option("", "Any time"),
    Object.entries(RANGES).map(([name, [label]]) => option(name, label)),
    option("custom", "From, to"),
  );
  #after = this.#time("Created at or after", "after");
  #before = this.#time("Created before", "before");
  #custom = h("span", { class: "custom", hidden: true }, this.#after, h("span", {}, "to"), this.#before);

  connectedCallback() {
    if (this.firstChild) return;
    const label = (text) => h("span", { class: "label", "aria-hidden": "true" }, text);
    this.append(
      h("div", { class: "segments", role: "radiogroup", "aria-label": "Which sessions" }, this.#roots, this.#children),
      h("div", { class: "field" }, this.#subject, this.#value),
      h("div", { class: "field" }, label("Outcome"), this.#outcome),
      h("div", { class: "field" }, label("Created"), this.#range, this.#custom),
      h("datalist", { id: "known-agents" }),
    );
  }

  #choice(label, value) {
    const input = h("input", {
      type: "radio",
      name: "children",
      on: { change: () => url.change({ children: value, ...FIRST_PAGE }) },
    });
    return h("label", {}, input, h("span", {}, label));
  }

  #time(label, name) {
    const changed = () => {
      const input = name === "after" ? this.#after : this.#before;
      url.change({ since: null, [name]: fromInput(input.value), ...FIRST_PAGE });
    };
    return h("input", { type: "datetime-local", step: "1", "aria-label": label, on: { change: changed } });
  }

  #named() {
    const value = this.#value.value.trim();
    const subject = this.#subject.value;
    setAttribute(this.#value, "list", subject === "agent" ? "known-agents" : null);
    if (new URLSearchParams(location.hash.split("?")[1]).get(subject) === (value || null)) return;
    url.change({ ...NO_SUBJECT, [subject]: value, ...FIRST_PAGE });
  }

  /** Only terminated sessions have an outcome, so one without them would choose nothing. */
  #ended() {
    const hasEnded = statusesOf(this.#shown).includes("terminated");
    url.change({ outcome: this.#outcome.value, ...(hasEnded ? {} : { status: null }), ...FIRST_PAGE });
  }

  #ranged() {
    const range = this.#range.value;
    this.#custom.hidden = range !== "custom";
    if (range === "custom") return this.#after.focus();
    url.change({ since: range, after: null, before: null, ...FIRST_PAGE });
  }

  show(filter) {
    this.#shown = filter;
    this.#outcome.value = filter.outcome;
    const [roots, children] = [this.#roots, this.#children].map((label) => label.firstChild);
    const ofParent = filter.subject === "parent";
    roots.checked = !filter.children && !ofParent;
    children.checked = filter.children || ofParent;
    roots.disabled = ofParent;
    children.disabled = ofParent;
    // A credential that is bound to an agent may not filter by anything else.
    const isBound = credential.boundAgent() !== null;
    for (const each of this.#subject.options) each.disabled = isBound && each.value !== "agent";
    if (filter.subject) this.#subject.value = filter.subject;
    if (document.activeElement !== this.#value) this.#value.value = filter.value;
    const isCustom = filter.after !== "" || filter.before !== "";
    this.#range.value = filter.since || (isCustom ? "custom" : "");
    this.#custom.hidden = this.#range.value !== "custom";
    if (document.activeElement !== this.#after) this.#after.value = toInput(filter.after);
    if (document.activeElement !== this.#before) this.#before.value = toInput(filter.before);
  }

  /** Offers these ids of agents while a person types. */
  offer(agents) {
    this.querySelector("datalist").replaceChildren(...agents.map((id) => option(id, id)));
  }
}

customElements.define("sl-filters", Filters);
