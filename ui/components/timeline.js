// `<sl-timeline>`: events in their order, each with its verdict, who wrote it, both clocks and its JSON.

import { h } from "../lib/dom.js";
import { bytesOf, hexDump, span, word } from "../lib/format.js";
import { copyButton, badge, facts, json, trace } from "./parts.js";
import { timeOf } from "./time.js";

const VIA = { api: "over HTTP", nats: "on NATS", ledger: "by the ledger itself" };

/** Who wrote an event, and how it arrived. */
export function actor(event) {
  const who = event.written_by ?? (event.writer === "ledger" ? "ledger" : event.writer) ?? "unknown";
  return `${who}${event.via ? `, ${VIA[event.via] ?? event.via}` : ""}`;
}

/** The time of the emitter, with its distance from the clock of the log. */
function emitted(event) {
  const time = event.event?.time;
  if (typeof time !== "string" || Number.isNaN(Date.parse(time))) return null;
  const early = (Date.parse(event.recorded_at) - Date.parse(time)) / 1_000;
  const side = early > 0 ? "before" : "after";
  const distance = Math.abs(early) < 1 ? "same second" : `${span(Math.abs(early))} ${side} the log`;
  return h("span", {}, timeOf(time), h("span", { class: "muted" }, ` (${distance})`));
}

/** The bytes of an event: its JSON, or a hexadecimal dump if it is none. */
export function raw(event) {
  if (event.raw_base64 !== undefined) {
    const dump = hexDump(bytesOf(event.raw_base64));
    return h(
      "div",
      { class: "raw" },
      h("pre", { class: "code", tabindex: "0" }, dump),
      copyButton("Copy base64", () => event.raw_base64),
    );
  }
  return h("div", { class: "raw" }, json(event.event), copyButton("Copy JSON", () => JSON.stringify(event.event)));
}

/** What is known of an event beside its type. */
export function eventFacts(event) {
  const of = (name) => {
    const value = event.event?.[name];
    return typeof value === "string" ? h("span", { class: "mono" }, value) : null;
  };
  return facts([
    ["Written by", h("span", { class: "mono" }, actor(event))],
    ["Source", of("source")],
    ["Event id", of("id")],
    ["Trace", event.trace_id && trace(event.trace_id)],
    ["Clock of the emitter", emitted(event)],
    ["Clock of the log", timeOf(event.recorded_at)],
    ["First copy at", event.first_position],
    ["Decided at", event.settled_at],
    ["Reason in words", event.detail],
    ["Wrong fields", (event.errors ?? []).map((error) => `${error.field}: ${error.message}`).join("; ")],
  ]);
}

class Timeline extends HTMLElement {
  #list = h("ol", { class: "timeline" });
  #positions = new Set();

  connectedCallback() {
    if (!this.#list.parentNode) this.append(this.#list);
  }

  /** Adds events that are not shown yet, in the order of the log. Open ones stay open. */
  add(events) {
    const added = new Map();
    for (const event of events) if (!this.#positions.has(event.position)) added.set(event.position, event);
    // From the end, because most events are new: then no entry that is shown is looked at twice.
    let before = null;
    for (const event of [...added.values()].sort((one, other) => other.position - one.position)) {
      let last = before ? before.previousElementSibling : this.#list.lastElementChild;
      while (last && event.position < Number(last.dataset.position)) {
        before = last;
        last = last.previousElementSibling;
      }
      const entry = this.#entry(event);
      this.#list.insertBefore(entry, before);
      before = entry;
      this.#positions.add(event.position);
    }
  }

  #entry(event) {
    const details = h(
      "details",
      {},
      h(
        "summary",
        {},
        h("span", { class: "mono type" }, event.type ?? "unreadable"),
        badge(event.verdict, event.reason && word(event.reason)),
        h("span", { class: "by muted" }, actor(event)),
        h("span", { class: "position mono muted" }, `#${event.position}`),
        timeOf(event.recorded_at),
      ),
    );
    // The JSON of thousands of events is made only for those that somebody opens.
    details.addEventListener("toggle", () => {
      if (details.open && details.childElementCount === 1) details.append(eventFacts(event), raw(event));
    });
    return h("li", { data: { position: event.position, verdict: event.verdict } }, details);
  }
}

customElements.define("sl-timeline", Timeline);
