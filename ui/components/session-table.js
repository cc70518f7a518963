// `<sl-session-table>`: rows of sessions. It uses the elements of rows again, and changes only texts that differ, so a
// page that is refreshed ten times a second costs little.

import { h, setAttribute, setText } from "../lib/dom.js";
import { doing, title } from "../lib/format.js";
import { link } from "../lib/url.js";
import { copyButton } from "./parts.js";
import { timeOf } from "./time.js";

/** In place of the status of a row that has left the listing: the stream no longer reports its session. */
const LEFT = "left";
const WHY_LEFT = "The session no longer matches the filter, or newer ones have taken its place. This row may be out of date.";

/** When a session ended, or ends. */
function end(session) {
  if (session.status === LEFT) return null;
  if (session.status === "terminated") return session.terminated_at ?? session.updated_at;
  if (session.status === "handed_off") return session.updated_at;
  return session.expires_at;
}

/** A cell with a time. */
function time(of) {
  const at = timeOf(null);
  return [at, (session) => { at.at = of(session); }];
}

function status() {
  const text = h("span", {});
  const note = h("span", { class: "note" });
  const badge = h("span", { class: "badge" }, text, note);
  return [badge, (session) => {
    setAttribute(badge, "data-status", session.status);
    const hasLeft = session.status === LEFT;
    setText(text, hasLeft ? "Left this page" : title(session.status));
    setText(note, hasLeft ? "" : doing(session));
    setAttribute(badge, "title", hasLeft ? WHY_LEFT : null);
  }];
}

function id() {
  const anchor = h("a", { class: "mono" });
  let shown = "";
  const copy = copyButton("Copy", () => shown, { class: "quiet" });
  return [h("span", { class: "id" }, anchor, copy), ({ session_id }, asOf) => {
    setAttribute(anchor, "href", link("sessions", session_id, { as_of: asOf }));
    if (shown === session_id) return;
    shown = session_id;
    setText(anchor, session_id);
    setAttribute(copy, "aria-label", `Copy the id ${session_id}`);
  }];
}

function agent() {
  const anchor = h("a", { class: "mono" });
  const name = h("span", { class: "note" });
  return [h("span", {}, anchor, name), ({ agent_id, agent_name }) => {
    setText(anchor, agent_id);
    setAttribute(anchor, "href", link("agents", agent_id));
    setText(name, agent_name && agent_name !== agent_id ? agent_name : "");
  }];
}

function about() {
  const project = h("span", { class: "mono" });
  const user = h("span", { class: "note" });
  return [h("span", {}, project, user), (session) => {
    setText(project, session.project_id ?? "");
    setText(user, session.user_id ?? "");
  }];
}

/** Columns: the class, the label, and what makes a cell and the function that updates it. */
const COLUMNS = [
  ["status", "Status", status],
  ["session", "Session", id],
  ["agent", "Agent", agent],
  ["about", "Project, user", about],
  ["created", "Created", () => time((session) => session.created_at)],
  ["activity", "Last activity", () => time((session) => session.last_activity_at)],
  ["end", "Ends or ended", () => time(end)],
];

function makeRow() {
  const updates = [];
  const cells = COLUMNS.map(([name, , make]) => {
    const [content, update] = make();
    updates.push(update);
    return h("td", { role: "cell", class: name }, content);
  });
  return { element: h("tr", { role: "row" }, cells), updates, session: null };
}

function update(row, session, asOf) {
  if (row.session === session) return;
  for (const change of row.updates) change(session, asOf);
  setAttribute(row.element, "data-status", session.status);
  row.session = session;
}

class SessionTable extends HTMLElement {
  #rows = new Map();
  #body = h("tbody", { role: "rowgroup" });
  #table = null;

  connectedCallback() {
    if (this.#table) return;
    const heads = COLUMNS.map(([name, label]) => h("th", { role: "columnheader", scope: "col", class: name }, label));
    // The roles are said because rows are laid out as grids, which takes the roles of tables from them.
    this.#table = h(
      "table",
      { class: "rows sessions", role: "table", "aria-label": this.getAttribute("label") ?? "Sessions" },
      h("thead", { role: "rowgroup" }, h("tr", { role: "row" }, heads)),
      this.#body,
    );
    this.#body.addEventListener("keydown", (event) => this.#move(event));
    this.append(this.#table);
  }

  /** Shows these sessions, in this order. Their links lead to the same past state, if there is one. */
  show(sessions, asOf = "") {
    const kept = new Map(sessions.map((session) => [session.session_id, null]));
    const free = [];
    for (const [shownId, row] of this.#rows) if (!kept.has(shownId)) free.push(row);
    // In their order: if all rows are new, each takes the place that it has.
    free.reverse();
    let before = this.#body.firstChild;
    for (const session of sessions) {
      const row = this.#rows.get(session.session_id) ?? free.pop() ?? makeRow();
      update(row, session, asOf);
      kept.set(session.session_id, row);
      if (row.element === before) before = before.nextSibling;
      else this.#body.insertBefore(row.element, before);
    }
    for (const { element } of free) element.remove();
    this.#rows = kept;
  }

  /** Updates rows that are shown, where they are, and marks those that are not in the listing any more. Returns how
   * many sessions are new, and whether the rows are exactly these. `isWhole`: no other page follows these rows. */
  refresh(sessions, isWhole) {
    const left = new Map(this.#rows);
    const created = Array.from(left.values(), ({ session }) => Date.parse(session.created_at));
    const oldest = isWhole ? -Infinity : Math.min(...created);
    let isSame = sessions.length === left.size;
    let added = 0;
    for (const session of sessions) {
      const row = this.#rows.get(session.session_id);
      left.delete(session.session_id);
      if (row) {
        update(row, session, "");
        continue;
      }
      isSame = false;
      // Older ones were on the next page, and have moved up in place of rows that left.
      if (oldest < Date.parse(session.created_at)) added += 1;
    }
    for (const row of left.values()) if (row.session.status !== LEFT) update(row, { ...row.session, status: LEFT }, "");
    return { added, isSame };
  }

  /** Moves the focus from row to row with the arrow keys, `j` and `k`. */
  #move(event) {
    const steps = { ArrowDown: 1, j: 1, ArrowUp: -1, k: -1 };
    if (event.ctrlKey || event.metaKey || event.altKey || !(event.key in steps)) return;
    const row = event.target.closest("tr");
    const next = steps[event.key] === 1 ? row.nextElementSibling : row.previousElementSibling;
    if (!next) return;
    next.querySelector("a").focus();
    event.preventDefault();
  }
}

customElements.define("sl-session-table", SessionTable);
