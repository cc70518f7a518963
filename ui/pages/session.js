// `<sl-page-session>`: one session: its row, its events, its lineage, and the commands that the key may send.

import { SESSIONS, curl, get, of } from "../lib/api.js";
import { append, atMostEvery, button, h, replace, setText, setTitle } from "../lib/dom.js";
import { doing, plural } from "../lib/format.js";
import { follow } from "../lib/stream.js";
import * as connection from "../lib/connection.js";
import * as credential from "../lib/credential.js";
import * as url from "../lib/url.js";
import { tell } from "../components/dialog.js";
import { agentLink, badge, copyButton, facts, failure, idWithCopy } from "../components/parts.js";
import { json, message, scopeList, sessionLink } from "../components/parts.js";
import { endSession, handOver } from "../components/session-actions.js";
import { timeOf } from "../components/time.js";
import "../components/lineage.js";
import "../components/timeline.js";

const EVENTS = 200;
const TREE_ROWS = 100;
/** How often at most a session is read again because of its events. */
const READ_MS = 500;
/** How often a session is read again for a key that may not follow events. */
const LOOK_MS = 5_000;
/** How many pages of the log a search for rejected events reads at a time. Each covers 20,000 events. */
const SEARCH_PAGES = 10;

class SessionPage extends HTMLElement {
  #id = "";
  #leave = new AbortController();
  #stopStream = () => {};
  #timer = 0;
  #session = null;
  #asOf = "";
  /** The events of a past state end at this position. */
  #until = Infinity;
  #eventsAfter = null;
  /** What is shown, so that an equal answer takes neither the focus nor a selection away. */
  #shown = { row: "", tree: "", actions: "" };
  #title = h("h1", { tabindex: "-1" });
  #actions = h("div", { class: "buttons" });
  #done = h("div");
  #row = h("section", { "aria-label": "Session" });
  #lineage = h("sl-lineage");
  #moreTree = h("div");
  #timeline = h("sl-timeline");
  #moreEvents = h("div", { class: "buttons" });
  #search = h("div", { class: "buttons" });
  /** Shown when all parts have come, so that none moves another. */
  #parts = h(
    "div",
    { class: "columns", hidden: true },
    this.#row,
    h(
      "div",
      {},
      h("section", {}, h("h2", {}, "Timeline"), this.#timeline, this.#moreEvents, this.#search),
      h("section", {}, h("h2", {}, "Lineage"), this.#lineage, this.#moreTree),
    ),
  );
  #readSoon = atMostEvery(READ_MS, async () => {
    if (await this.#readAll(true)) setTimeout(this.#readSoon, LOOK_MS);
  });

  connectedCallback() {
    append(this, [
      h("p", { class: "crumbs" }, h("a", { href: url.link("sessions") }, "Sessions")),
      h("div", { class: "page-head" }, this.#title, h("span", { class: "grow" }), this.#actions),
      this.#done,
      this.#parts,
    ]);
  }

  disconnectedCallback() {
    this.#leave.abort();
    this.#stopStream();
    clearTimeout(this.#timer);
  }

  set route({ id, params }) {
    this.#id = id;
    this.#asOf = params.get("as_of") ?? "";
    const past = this.#asOf !== "" && h("span", { class: "past" }, `past state: ${this.#asOf}`);
    replace(this.#title, "Session ", h("span", { class: "mono" }, id), past);
    this.#start();
  }

  async #start() {
    const mayFollow = this.#asOf === "" && credential.may("audit");
    // Before the rest, so that the stream has every event that the rest lacks.
    const status = mayFollow ? await get("v1/status", {}, this.#leave.signal).catch(() => null) : null;
    await this.#readAll();
    this.#parts.hidden = false;
    if (this.#leave.signal.aborted) return;
    if (this.#asOf !== "") connection.show("past");
    else if (status) this.#follow(status.as_of.position);
    else this.#lookAgain();
  }

  /** Reads everything again. Parts that fail show their failure, and leave the others alone. `byItself`: nobody has
   * asked, and what is shown stays while the server is away. Returns whether that is so. */
  async #readAll(byItself = false) {
    let isAway = false;
    const state = { as_of: this.#asOf || null };
    const mayRead = credential.may("read");
    const part = (place, read, show) =>
      read.then(show, (problem) => {
        if (this.#leave.signal.aborted) return;
        if (byItself && problem.status === 0) {
          isAway = true;
          return;
        }
        Object.assign(this.#shown, { row: "", tree: "" });
        // The place of the row says that there is no such session.
        const isSaid = mayRead && problem.status === 404 && place !== this.#row;
        replace(place, !isSaid && failure(problem, () => this.#readAll()));
      });
    const signal = this.#leave.signal;
    const params = { ...state, limit: TREE_ROWS };
    const tree = mayRead && get(of(SESSIONS, this.#id, "/lineage"), params, signal);
    const events = async () => {
      // The history of a session has no past states: the lineage says at which position this one is.
      if (this.#asOf !== "") this.#until = (await tree).as_of.position;
      return get(of(SESSIONS, this.#id, "/events"), { limit: EVENTS, after: this.#eventsAfter }, signal);
    };
    const row = mayRead && get(of(SESSIONS, this.#id), state, signal);
    if (!mayRead) replace(this.#row, message("Not for this key", "The row and the lineage need the role read."));
    await Promise.all([
      row && part(this.#row, row, (session) => this.#show(session)),
      tree && part(this.#moreTree, tree, (answer) => this.#firstTree(answer)),
      part(this.#moreEvents, events(), (page) => this.#events(page)),
    ]);
    return isAway;
  }

  #show(session) {
    this.#session = session;
    if (!this.#isNew("row", JSON.stringify(session))) return;
    setTitle(session.session_id);
    const mono = (text) => text && h("span", { class: "mono" }, text);
    const time = (iso) => iso && timeOf(iso);
    replace(
      this.#row,
      facts([
        ["Status", badge(session.status, doing(session))],
        ["Session", idWithCopy(session.session_id)],
        ["Agent", agentLink(session.agent_id)],
        ["Name of the agent", session.agent_name],
        ["Parent", session.parent_session_id && sessionLink(session.parent_session_id)],
        ["Handed off to", session.handed_off_to && agentLink(session.handed_off_to)],
        ["As session", session.handed_off_session_id && sessionLink(session.handed_off_session_id)],
        ["Project", mono(session.project_id)],
        ["User", mono(session.user_id)],
        ["Created", time(session.created_at)],
        ["Recorded", time(session.recorded_at)],
        ["Last activity", time(session.last_activity_at)],
        ["Refreshed", time(session.refreshed_at)],
        ["Deadline", time(session.expires_at)],
        ["Terminated", time(session.terminated_at)],
        ["Deleted", time(session.deleted_at)],
        ["Updated", time(session.updated_at)],
        ["Times", session.time_adjusted && "corrected by the ledger"],
        ["Scopes", scopeList(session.scopes)],
        ["Machine", mono(session.machine_id)],
        ["Key of the agent", mono(session.agent_key_id)],
        ["Caller", [session.caller_role, session.caller_origin, session.ip_address].filter(Boolean).join(", ")],
        ["Program", session.user_agent],
      ].map(([name, value]) => [name, value || null])),
      Object.keys(session.metadata).length > 0 && h("h2", {}, "Metadata"),
      Object.keys(session.metadata).length > 0 && json(session.metadata),
    );
    this.#offer(session);
  }

  #isNew(part, text) {
    const isNew = this.#shown[part] !== text;
    this.#shown[part] = text;
    return isNew;
  }

  // --- Commands ---

  #offer(session) {
    if (!this.#isNew("actions", session.status)) return;
    const isOpen = session.status === "active";
    const read = () => curl(of(SESSIONS, this.#id), { as_of: this.#asOf || null });
    const mayWrite = credential.may("write") && this.#asOf === "";
    replace(
      this.#actions,
      isOpen && mayWrite && button("Hand over", () => this.#run(handOver), { "aria-haspopup": "dialog" }),
      isOpen && mayWrite && button("End session", () => this.#run(endSession), { class: "danger", "aria-haspopup": "dialog" }),
      copyButton("Copy as curl", read, { "aria-label": "Copy this read as a curl command" }),
      this.#asOf !== "" && h("a", { href: url.link("sessions", this.#id) }, "Back to now"),
    );
  }

  async #run(act) {
    const text = await act(this.#id);
    if (text === null) return;
    tell(this.#done, text);
    this.#readAll();
  }

  // --- Lineage and events ---

  /** Keeps the pages that a person has added while the first one stays as it is. */
  #firstTree(tree) {
    if (this.#isNew("tree", JSON.stringify({ ...tree, as_of: null }))) this.#tree(tree);
  }

  #tree(tree) {
    replace(this.#moreTree);
    this.#lineage.show(tree, this.#asOf);
    if (!tree.next_after) return;
    const more = button("More sessions below", async () => {
      more.disabled = true;
      const params = { as_of: this.#asOf || null, limit: TREE_ROWS, after: tree.next_after };
      const next = await get(of(SESSIONS, this.#id, "/lineage"), params, this.#leave.signal).catch(() => null);
      if (next) this.#tree({ ...next, descendants: [...tree.descendants, ...next.descendants] });
      else more.disabled = false;
    });
    replace(this.#moreTree, more);
  }

  #events(page) {
    this.#timeline.add(page.events.filter((event) => event.position <= this.#until));
    replace(this.#moreEvents);
    if (page.next_after === null) {
      this.#offerSearch();
      return;
    }
    this.#eventsAfter = page.next_after;
    replace(this.#moreEvents, button(`More of ${plural(page.total, "event")}`, () => this.#readAll()));
  }

  /** The history has the events that took effect. The log has the others, and searching it takes time. */
  #offerSearch() {
    if (!credential.may("audit") || this.#asOf !== "" || this.#search.firstChild) return;
    const shown = h("span", { class: "muted", role: "status" });
    let before = null;
    const search = button("Find rejected and repeated events", async () => {
      search.disabled = true;
      let found = 0;
      for (let page = 0; page < SEARCH_PAGES; page += 1) {
        const filter = { session_id: this.#id, verdict: ["rejected", "duplicate"] };
        const params = { ...filter, order: "newest", limit: EVENTS, before };
        const answer = await get("v1/events", params, this.#leave.signal).catch(() => null);
        if (!answer) break;
        found += answer.events.length;
        this.#timeline.add(answer.events);
        before = answer.next_before;
        const where = before === null ? "in the whole log" : `down to position ${before}`;
        setText(shown, `${plural(found, "event")} found ${where}`);
        if (before === null) return search.remove();
      }
      replace(search, "Search further");
      search.disabled = false;
    });
    append(this.#search, [search, shown]);
  }

  // --- Changes ---

  #follow(position) {
    let after = position;
    this.#stopStream();
    this.#stopStream = follow("v1/events/stream", {
      params: { session_id: this.#id },
      resume: () => ({ after }),
      state: (state) => connection.show(state),
      frame: (frame) => {
        if (frame.frame === "event") this.#readSoon();
        if (frame.frame === "reset") after = 0;
        else after = frame.as_of?.position ?? frame.position ?? after;
        if (frame.frame === "synced") connection.showPosition(frame.as_of);
      },
    });
  }

  #lookAgain(isAway = false) {
    connection.show(isAway ? "away" : "idle");
    this.#timer = setTimeout(async () => {
      const isStillAway = document.hidden ? isAway : await this.#readAll(true);
      if (!this.#leave.signal.aborted && this.#session?.status === "active") this.#lookAgain(isStillAway);
    }, LOOK_MS);
  }
}

customElements.define("sl-page-session", SessionPage);
