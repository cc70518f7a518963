// Small parts that many pages use: status badges, ids, copy buttons, messages, lists of facts.

import { announce, button, h, setText } from "../lib/dom.js";
import { title, word } from "../lib/format.js";
import * as credential from "../lib/credential.js";
import { link } from "../lib/url.js";

/** A status: a mark, which differs in shape and color, and the word. */
export function badge(status, note) {
  return h("span", { class: "badge", data: { status } }, title(status), note && h("span", { class: "note" }, note));
}

/** Copies a text. Browsers have the clipboard on secure origins only. */
async function copy(text) {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  const area = h("textarea", { class: "visually-hidden", readonly: true, value: text });
  document.body.append(area);
  area.select();
  document.execCommand("copy");
  area.remove();
}

/** A button that copies what `text` returns. */
export function copyButton(label, text, props) {
  const made = button(label, async () => {
    const done = await copy(text()).then(
      () => "Copied",
      () => "Not copied",
    );
    // The name of a button in a table changes with the row.
    announce(`${done}: ${made.getAttribute("aria-label") ?? label}`);
    made.dataset.done = done;
    setTimeout(() => delete made.dataset.done, 1_200);
  }, { ...props, class: `copy ${props?.class ?? ""}` });
  return made;
}

/** An id in full, with a button that copies it. */
export function idWithCopy(id, href) {
  return h(
    "span",
    { class: "id" },
    href ? h("a", { href, class: "mono" }, id) : h("span", { class: "mono" }, id),
    copyButton("Copy", () => id, { "aria-label": `Copy the id ${id}`, class: "quiet" }),
  );
}

/** Where the tracing system of the server's operator shows a trace; null if the server names no such place. */
function traceAddress(id) {
  const text = credential.traceUrl()?.replaceAll("{trace_id}", encodeURIComponent(id)) ?? "";
  if (!URL.canParse(text)) return null;
  const { protocol, href } = new URL(text);
  // Whatever a server says, a link runs no code.
  return ["https", "http"].includes(protocol.slice(0, -1)) ? href : null;
}

/** The id of a trace with a button that copies it, and a link to the trace if there is one. */
export function trace(id) {
  const href = traceAddress(id);
  // In another tab: this page would forget the key.
  const away = { href, target: "_blank", rel: "noopener noreferrer", class: "mono", title: "Opens in another tab" };
  return h(
    "span",
    { class: "id" },
    href === null ? h("span", { class: "mono" }, id) : h("a", away, id),
    copyButton("Copy", () => id, { "aria-label": `Copy the trace id ${id}`, class: "quiet" }),
  );
}

export const sessionLink = (id) => h("a", { href: link("sessions", id), class: "mono" }, id);
export const agentLink = (id) => h("a", { href: link("agents", id), class: "mono" }, id);

/** A message in place of something that is not there. */
export function message(title, text, ...more) {
  return h("div", { class: "message" }, h("p", { class: "title" }, title), text && h("p", {}, text), more);
}

/** What failed, with a button that tries again. */
export function failure(problem, again) {
  const id = h("span", { class: "mono" }, problem.request);
  const reference = problem.request && h("p", { class: "muted" }, "Request ", id);
  const title = problem.status === 0 ? "The server cannot be reached" : `Not shown: ${word(problem.code) || "error"}`;
  const box = message(title, problem.text ?? String(problem), reference, again && button("Try again", again));
  box.setAttribute("role", "alert");
  return box;
}

/** Names and values in a column. Leaves out values that are null. */
export function facts(entries) {
  const rows = entries.filter(([, value]) => value !== null && value !== undefined && value !== "");
  return h(
    "dl",
    { class: "facts" },
    rows.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))),
  );
}

/** Scopes in a column; null if there are none. */
export function scopeList(scopes) {
  return scopes.length > 0 ? h("ul", { class: "scopes mono" }, scopes.map((scope) => h("li", {}, scope))) : null;
}

/** JSON as it is, indented. */
export function json(value) {
  return h("pre", { class: "code", tabindex: "0" }, JSON.stringify(value, null, 2));
}

/** A group of buttons with totals. Any number of them can be pressed. `entries`: value, label, total. */
export class Totals {
  constructor(label, press) {
    this.element = h("div", { class: "totals", role: "group", "aria-label": label });
    this.press = press;
    this.parts = new Map();
  }

  show(entries, pressed) {
    for (const [value, label, total] of entries) {
      let part = this.parts.get(value);
      if (!part) {
        const count = h("span", { class: "count" });
        const made = button(h("span", { class: "word" }, label), () => this.press(value), { data: { status: value } });
        made.append(count);
        part = { made, count };
        this.parts.set(value, part);
        this.element.append(made);
      }
      setText(part.count, total === null || total === undefined ? "" : total.toLocaleString("en-US"));
      part.made.setAttribute("aria-pressed", String(pressed.includes(value)));
    }
    const values = entries.map(([value]) => value);
    for (const [value, { made }] of this.parts) {
      if (values.includes(value)) continue;
      made.remove();
      this.parts.delete(value);
    }
  }
}
