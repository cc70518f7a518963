// `<sl-page-overview>`: how much happens, what is active, and how the server is.

import { SESSIONS, get } from "../lib/api.js";
import { append, h, oncePerFrame, replace, setText } from "../lib/dom.js";
import { number, plural, title, word } from "../lib/format.js";
import { STATUSES } from "../lib/filter.js";
import { RANGES, Series } from "../lib/series.js";
import { FollowedRows, follow } from "../lib/stream.js";
import * as connection from "../lib/connection.js";
import * as credential from "../lib/credential.js";
import * as metrics from "../lib/metrics.js";
import * as url from "../lib/url.js";
import { failure, message } from "../components/parts.js";
import "../components/chart.js";

const CHART_MS = 15_000;
const HEALTH_MS = 5_000;
/** How many of the newest active sessions are looked at for deadlines. */
const DUE_ROWS = 200;
const DUE_MS = 600_000;

/** In place of the chart. */
const noChart = () =>
  message("No chart", "It needs a server with its history file, and a key that is not bound to an agent.");

/** A figure with its label and a line below it. */
class Figure {
  constructor(label, href) {
    this.value = h("span", { class: "value" }, "-");
    this.note = h("span", { class: "muted" });
    const title = h("span", { class: "label" }, href ? h("a", { href }, label) : label);
    this.element = h("div", { class: "figure" }, title, this.value, this.note);
  }

  show(value, note = "", state = "") {
    setText(this.value, value);
    setText(this.note, note);
    this.element.dataset.state = state;
  }
}

class OverviewPage extends HTMLElement {
  #leave = new AbortController();
  #stopStream = () => {};
  #timers = [];
  #series = new Series();
  #range = "1h";
  #live = new FollowedRows();
  #choice = h(
    "select",
    { "aria-label": "Range of the chart", on: { change: (event) => url.change({ range: event.target.value }) } },
    Object.entries(RANGES).map(([name, [label]]) => h("option", { value: name }, label)),
  );
  #chart = h("sl-chart");
  #notice = h("div", { class: "notice" });
  #byStatus = Object.fromEntries(
    STATUSES.map((status) => [status, new Figure(title(status), url.link("sessions", "", { status, children: "1" }))]),
  );
  #due = new Figure("Deadlines within 10 minutes");
  #refused = new Figure("Refused events", url.link("refused"));
  #head = new Figure("Position");
  #lag = new Figure("Lag");
  #node = {
    ready: new Figure("Server"),
    log: new Figure("Log"),
    history: new Figure("History file"),
    errors: new Figure("Server errors (5xx)"),
    writes: new Figure("Writes"),
    connections: new Figure("Connections"),
    expiries: new Figure("Expiries due"),
    reactors: new Figure("Failed expiries, revocations"),
    mended: new Figure("Read model mended"),
  };

  connectedCallback() {
    const figures = (label, all) =>
      h("div", { class: "figures", role: "group", "aria-label": label }, all.map(({ element }) => element));
    const title = h("h2", {}, "Sessions opened and ended");
    append(this, [
      h("div", { class: "page-head" }, h("h1", { tabindex: "-1" }, "Overview")),
      figures("Sessions", Object.values(this.#byStatus)),
      figures("Ledger", [this.#due, this.#refused, this.#head, this.#lag]),
      h(
        "section",
        { class: "chart-area" },
        h("div", { class: "page-head" }, title, h("span", { class: "grow" }), this.#choice),
        this.#chart,
        this.#notice,
      ),
      h("section", {}, h("h2", {}, "This server"), figures("This server", Object.values(this.#node))),
    ]);
    this.#follow();
    this.#every(HEALTH_MS, () => this.#readHealth());
    this.#every(CHART_MS, () => this.#readChart());
  }

  disconnectedCallback() {
    this.#leave.abort();
    this.#stopStream();
    for (const timer of this.#timers) clearInterval(timer);
  }

  set route({ params }) {
    const range = Object.hasOwn(RANGES, params.get("range")) ? params.get("range") : "1h";
    this.#choice.value = range;
    if (range === this.#range) return;
    this.#range = range;
    this.#readChart();
  }

  #every(ms, act) {
    act();
    this.#timers.push(setInterval(() => document.hidden || act(), ms));
  }

  /** The newest active sessions, with totals; other totals come from the status. */
  #follow() {
    const render = oncePerFrame(() => this.#showLive());
    this.#stopStream = follow(`${SESSIONS}/stream`, {
      params: { window: 0 },
      state: (state, problem) => {
        connection.show(state);
        if (state === "stopped") replace(this.#notice, failure(problem));
      },
      frame: (frame) => {
        if (this.#live.take(frame)) render();
      },
    });
  }

  #showLive() {
    const { byStatus, asOf } = this.#live;
    connection.showPosition(asOf);
    for (const status of STATUSES) this.#byStatus[status].show(number(byStatus[status] ?? 0));
    this.#head.show(number(asOf.position), asOf.caught_up ? "caught up with the log" : "catching up");
  }

  async #readHealth() {
    const signal = this.#leave.signal;
    const [status, figures, ready] = await Promise.all([
      get("v1/status", {}, signal).catch(() => null),
      metrics.read(signal),
      metrics.ready(signal),
    ]);
    if (signal.aborted) return;
    if (status) this.#showRefused(status);
    this.#showServer(figures, ready);
    this.#readDue();
  }

  #showRefused(status) {
    const by = status.rejections?.by;
    if (!by) return this.#refused.show("-", "not for this key");
    const [most] = Object.entries(by).sort(([, one], [, other]) => other - one);
    const note = most ? `most: ${word(most[0])}` : "none";
    this.#refused.show(number(status.rejections.total), note, most ? "note" : "");
  }

  #showServer(figures, { isReady, text }) {
    const node = this.#node;
    node.ready.show(isReady ? "Ready" : "Not ready", isReady ? "" : text, isReady ? "good" : "bad");
    if (!figures) {
      for (const figure of [this.#lag, ...Object.values(node)]) {
        if (figure !== node.ready) figure.show("-", "metrics are not reachable");
      }
      return;
    }
    const lag = figures.one("lag_records");
    this.#lag.show(plural(lag ?? 0, "record"), `head ${number(figures.one("log_head"))}`, lag > 10_000 ? "bad" : "");
    const refuses = figures.one("log_refuses_writes") === 1;
    const isAvailable = figures.one("log_available") === 1;
    if (!isAvailable) node.log.show("Unreachable", "", "bad");
    else node.log.show(refuses ? "Refuses writes" : "Available", "", refuses ? "bad" : "good");
    const behind = figures.one("position") - figures.one("history_position");
    const hasHistory = figures.one("history_position") > 0;
    if (hasHistory) node.history.show(plural(Math.max(0, behind), "record"), "behind the read model");
    else node.history.show("-", "off or empty");
    const errors = figures.sum("http_request_seconds_count", ({ status }) => status?.startsWith("5"));
    node.errors.show(number(errors), "since the start", errors > 0 ? "note" : "");
    const queued = figures.sum("writes", ({ state }) => state === "queued");
    const running = figures.sum("writes", ({ state }) => state === "running");
    node.writes.show(number(running), `${number(queued)} queued`, queued > 0 ? "note" : "");
    node.connections.show(number(figures.one("connections")), plural(figures.one("streams") ?? 0, "stream"));
    const due = figures.one("expiries_due");
    const soon = `${number(figures.one("expiries_soon"))} within 10 minutes, of all tenants`;
    node.expiries.show(number(due), soon, due > 0 ? "note" : "");
    const failed = figures.sum("reactor_failures_total");
    node.reactors.show(number(failed), "since the start", failed > 0 ? "bad" : "");
    const mended = figures.one("read_model_mended_total");
    node.mended.show(number(mended), "times since the start", mended > 0 ? "bad" : "");
  }

  /** Deadlines that come soon, among the newest active sessions: the API has no filter by deadline. */
  async #readDue() {
    if (!credential.may("read")) return this.#due.show("-", "not for this key");
    const params = { status: "active", limit: DUE_ROWS };
    const list = await get(SESSIONS, params, this.#leave.signal).catch(() => null);
    if (!list) return;
    const until = Date.now() + DUE_MS;
    const due = list.sessions.filter(({ expires_at: at }) => at !== null && Date.parse(at) <= until);
    const whole = plural(list.total, "active session");
    const part = `the newest ${number(list.sessions.length)} of ${number(list.total)}`;
    this.#due.show(number(due.length), `of ${list.next_cursor === null ? whole : part}`);
  }

  async #readChart() {
    const range = this.#range;
    // The counts of a past time would tell a bound credential when others wrote.
    if (credential.boundAgent() !== null) return replace(this.#notice, noChart());
    try {
      const steps = await this.#series.read(range, this.#leave.signal);
      if (range !== this.#range) return;
      this.#chart.show(steps);
      replace(this.#notice);
    } catch (problem) {
      if (this.#leave.signal.aborted || range !== this.#range) return;
      // The clock of this page is ahead of the server's: the step is read a little later.
      if (problem.code === "position_beyond_head") return;
      if (problem.code === "history_off") return replace(this.#notice, noChart());
      replace(this.#notice, failure(problem, () => this.#readChart()));
    }
  }
}

customElements.define("sl-page-overview", OverviewPage);
