// `<sl-page-sessions>`: the listing of sessions. Its first page is live; other pages stay as they were read.

import { AGENTS, SESSIONS, get, isOfPast } from "../lib/api.js";
import { atMostEvery, button, announce, h, oncePerFrame, replace, setText } from "../lib/dom.js";
import { PAGE_ROWS, STATUSES, chosen, fromParams, statusesOf, toParams, toggled, withoutStatus } from "../lib/filter.js";
import { number, plural, rangeOf, title } from "../lib/format.js";
import { FollowedRows, follow } from "../lib/stream.js";
import * as connection from "../lib/connection.js";
import * as url from "../lib/url.js";
import { Totals, failure, message } from "../components/parts.js";
import "../components/as-of.js";
import "../components/export.js";
import "../components/filters.js";
import "../components/pager.js";
import "../components/session-table.js";

/** In place of rows. An address may name a page that does not exist (any more). */
const none = (total) =>
  message("No sessions", total > 0 ? "The last page comes before this one." : "No session matches these filters.");
/** How often totals beside a status filter are read while the page is live. */
const TOTALS_MS = 1_000;
/** How often a screen reader hears how many sessions are new. */
const NEWS_MS = 10_000;

class SessionsPage extends HTMLElement {
  #filter = null;
  #leave = new AbortController();
  #stopStream = () => {};
  #live = new FollowedRows();
  #isPointedAt = false;
  #isFresh = true;
  /** The position and the total of the rows that are shown, which may wait while the live ones go on. */
  #shownAt = null;
  #shownTotal = 0;
  #head = 0;
  #title = h("h1", { tabindex: "-1" }, "Sessions");
  #filters = h("sl-filters");
  #asOf = h("sl-as-of");
  #export = h("sl-export");
  #totals = new Totals("Totals by status", (status) => {
    url.change({ ...toggled(this.#filter, status), page: null, pin: null });
  });
  /** The totals that are known, and the filter that they count without its statuses. */
  #byStatus = {};
  #counted = "";
  #state = h("span", { class: "state-text" });
  #news = button("", () => this.#showNews(), { class: "news", hidden: true });
  #range = h("span", { class: "range muted" });
  #pager = h("sl-pager");
  #table = h("sl-session-table", { label: "Sessions, newest first" });
  #notice = h("div", { class: "notice" });
  #render = oncePerFrame(() => this.#showLive());
  #readTotals = atMostEvery(TOTALS_MS, () => this.#count());
  #newsCount = 0;
  #sayNews = atMostEvery(NEWS_MS, () => announce(plural(this.#newsCount, "new session")));

  connectedCallback() {
    const rows = h("div", { class: "table-area" }, this.#table, this.#notice);
    const grow = () => h("span", { class: "grow" });
    const bar = h("div", { class: "state" }, this.#state, this.#news, grow(), this.#range, this.#pager);
    this.append(
      h("div", { class: "page-head" }, this.#title, grow(), this.#asOf.toggle, this.#export),
      this.#totals.element,
      this.#filters,
      this.#asOf,
      bar,
      rows,
    );
    this.#totals.show(STATUSES.map((status) => [status, title(status), null]), []);
    this.#pager.addEventListener("page", ({ detail }) => this.#go(detail));
    this.#export.asked = () => {
      const { asOf, pin } = this.#filter;
      return { params: toParams(this.#filter), asOf: asOf || pin, mustBe: asOf !== "" };
    };
    // Rows under the pointer or with the focus do not move: what is new waits until the reader leaves.
    rows.addEventListener("pointerenter", ({ pointerType }) => { this.#isPointedAt = pointerType === "mouse"; });
    rows.addEventListener("pointerleave", () => { this.#isPointedAt = false; this.#render(); });
    rows.addEventListener("focusout", () => this.#render());
    addEventListener("scroll", this.#render, { passive: true, signal: this.#leave.signal });
    this.#offerAgents();
  }

  disconnectedCallback() {
    this.#leave.abort();
    this.#stopStream();
  }

  /** The settings in the address. */
  set route({ params }) {
    this.#filter = fromParams(params);
    const counted = JSON.stringify({ ...this.#filter, status: [], page: 1, pin: "" });
    if (counted !== this.#counted) this.#byStatus = {};
    this.#counted = counted;
    this.#stopStream();
    this.#stopStream = () => {};
    this.#filters.show(this.#filter);
    this.#asOf.show(this.#filter.asOf, this.#head);
    this.#news.hidden = true;
    // The first rows of another filter are shown, wherever the pointer is.
    this.#isFresh = true;
    replace(this.#notice);
    if (this.#filter.asOf === "" && this.#filter.page === 1) this.#followRows();
    else this.#readPage();
  }

  #go(page) {
    const { asOf, pin } = this.#filter;
    // Further pages are of the state of the first one, so that no row moves from one page to the next.
    const position = asOf === "" ? pin || this.#shownAt : null;
    url.change({ page: page === 1 ? null : page, pin: page === 1 ? null : position });
  }

  // --- The live first page ---

  #followRows() {
    const filter = this.#filter;
    this.#live = new FollowedRows();
    this.#shownAt = null;
    const take = (frame) => {
      if (this.#live.take(frame)) this.#render();
    };
    // Each connection, of four minutes at most, asks again: a range such as the last hour moves on.
    this.#follow({ window: PAGE_ROWS }, take, () => toParams(filter));
  }

  #follow(params, frame, resume) {
    this.#stopStream = follow(`${SESSIONS}/stream`, {
      params,
      resume,
      frame: (value) => {
        if (value.frame === "synced") this.#headIs(value.as_of);
        frame(value);
      },
      state: (state, problem) => {
        connection.show(state);
        if (state === "stopped") this.#failed(problem);
      },
    });
  }

  #again() {
    this.route = url.read();
  }

  #headIs(asOf) {
    this.#head = asOf.position;
    this.#asOf.show(this.#filter.asOf, this.#head);
    connection.showPosition(asOf);
  }

  /** Whether somebody reads the rows, so that they must not move. */
  get #isRead() {
    const head = this.#table.getBoundingClientRect().top;
    return this.#isPointedAt || this.#table.contains(document.activeElement) || head < 0;
  }

  #showLive() {
    const { rows, total, byStatus, asOf } = this.#live;
    if (!asOf || this.#filter.page !== 1 || this.#filter.asOf !== "") return;
    const isHeld = !this.#isFresh && this.#isRead;
    const isWhole = this.#shownTotal <= PAGE_ROWS;
    const { added, isSame } = isHeld ? this.#table.refresh(rows, isWhole) : { added: 0, isSame: true };
    this.#isFresh = false;
    if (isSame) {
      this.#table.show(rows);
      this.#shownAt = asOf.position;
      this.#shownTotal = total;
    }
    // The stream has the newest rows only: the totals tell of more.
    this.#newsIs(isSame ? 0 : Math.max(added, total - this.#shownTotal), "Rows stay while you read");
    setText(this.#state, isSame ? `Live at position ${number(asOf.position)}` : "Held while you read");
    this.#shown(total, rows.length, 0);
    this.#totalsAre(byStatus);
    if (chosen(this.#filter).length > 0) this.#readTotals();
  }

  // --- Pages of one state ---

  async #readPage() {
    const filter = this.#filter;
    const isCurrent = () => filter === this.#filter && !this.#leave.signal.aborted;
    setText(this.#state, "Reading");
    try {
      const [page, count] = await this.#pageAndCount(filter);
      if (!isCurrent()) return;
      this.#table.show(page.sessions, filter.asOf);
      this.#shown(page.total, page.sessions.length, (filter.page - 1) * PAGE_ROWS);
      this.#totalsAre(count.by_status);
      this.#asOf.found(page.as_of);
      this.#head = Math.max(this.#head, page.as_of.position);
      const position = number(page.as_of.position);
      if (filter.asOf !== "") {
        setText(this.#state, `Past state at position ${position}`);
        connection.show("past");
        this.#readHead();
        return;
      }
      setText(this.#state, `As of position ${position}`);
      filter.pin = String(page.as_of.position);
      url.note({ pin: filter.pin });
      this.#followTotals(filter, page, count);
    } catch (problem) {
      if (isCurrent()) this.#failed(problem);
    }
  }

  /** Shows no rows of another filter beside a failure. */
  #failed(problem) {
    this.#table.show([]);
    setText(this.#state, "Not shown");
    setText(this.#range, "");
    replace(this.#notice, failure(problem, () => this.#again()));
  }

  /** The slider ends at the end of the log, which a past state does not tell. */
  async #readHead() {
    const status = await get("v1/status", {}, this.#leave.signal).catch(() => null);
    if (!status) return;
    this.#head = status.as_of.position;
    this.#asOf.show(this.#filter.asOf, this.#head);
  }

  /** The page and the totals of one state; of the present, if the server has no such past state. */
  async #pageAndCount(filter) {
    const asked = { ...toParams(filter), limit: PAGE_ROWS, offset: (filter.page - 1) * PAGE_ROWS };
    const signal = this.#leave.signal;
    const read = async (asOf) => {
      const page = await get(SESSIONS, { ...asked, as_of: asOf }, signal);
      const counted = asOf === null ? null : page.as_of.position;
      return [page, await get(`${SESSIONS}/count`, { ...withoutStatus(filter), as_of: counted }, signal)];
    };
    try {
      return await read(filter.asOf || filter.pin || "now");
    } catch (problem) {
      if (filter.asOf !== "" || !isOfPast(problem)) throw problem;
      return read(null);
    }
  }

  /** Counts what comes after the state of this page, and moves no row. */
  #followTotals(filter, page, count) {
    // A new session is active. Those that end meanwhile must not count against it.
    const isOpen = statusesOf(filter).includes("active");
    const [followed, before] = isOpen ? [withoutStatus(filter), count.total] : [toParams(filter), page.total];
    this.#follow({ ...followed, window: 0 }, (frame) => {
      if (frame.frame !== "synced") return;
      this.#newsIs(Math.max(0, frame.total - before), "To the newest");
    });
  }

  #newsIs(count, hint) {
    this.#news.hidden = count === 0;
    if (count === 0) return;
    setText(this.#news, `${number(count)} new`);
    this.#news.title = hint;
    this.#newsCount = count;
    this.#sayNews();
  }

  #showNews() {
    if (this.#filter.page !== 1) return url.change({ page: null, pin: null });
    this.#isPointedAt = false;
    this.#title.focus({ preventScroll: true });
    scrollTo({ top: 0 });
    this.#isFresh = true;
    this.#render();
  }

  // --- Totals ---

  /** Takes totals, of some statuses or of all. */
  #totalsAre(byStatus) {
    Object.assign(this.#byStatus, byStatus);
    this.#totals.show(STATUSES.map((status) => [status, title(status), this.#byStatus[status]]), chosen(this.#filter));
  }

  async #count() {
    const filter = this.#filter;
    // Asked for before the person went to a page or a past state, which has totals of its own.
    if (filter.page !== 1 || filter.asOf !== "") return;
    const count = await get(`${SESSIONS}/count`, withoutStatus(filter), this.#leave.signal).catch(() => null);
    // The stream has those that the filter lists, and is ahead.
    if (count && filter === this.#filter) this.#totalsAre({ ...count.by_status, ...this.#live.byStatus });
  }

  #shown(total, rows, offset) {
    this.#pager.show(this.#filter.page, Math.ceil(total / PAGE_ROWS));
    setText(this.#range, rangeOf(offset, rows, total));
    if (rows > 0) replace(this.#notice);
    else if (!this.#notice.firstChild) replace(this.#notice, none(total));
  }

  async #offerAgents() {
    const list = await get(AGENTS, { limit: 200 }, this.#leave.signal).catch(() => null);
    if (list) this.#filters.offer(list.agents.map((agent) => agent.agent_id));
  }
}

customElements.define("sl-page-sessions", SessionsPage);
