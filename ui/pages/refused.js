// `<sl-page-refused>`: events that the ledger rejected or parked, by reason, with their bytes and what to do.

import { get } from "../lib/api.js";
import { adviceFor } from "../lib/advice.js";
import { append, button, h, replace, setText } from "../lib/dom.js";
import { number, title } from "../lib/format.js";
import { follow } from "../lib/stream.js";
import * as connection from "../lib/connection.js";
import * as url from "../lib/url.js";
import { Totals, failure, message, sessionLink } from "../components/parts.js";
import { eventFacts, raw } from "../components/timeline.js";
import { timeOf } from "../components/time.js";

const ROWS = 50;

/** Why an event was not applied. */
const reasonOf = (event) => (event.verdict === "parked" ? "parked" : event.reason);

class RefusedPage extends HTMLElement {
  #leave = new AbortController();
  #stopStream = () => {};
  #reasons = [];
  #before = null;
  #newCount = 0;
  /** The latest read. Answers to others come too late. */
  #reading = null;
  #title = h("h1", { tabindex: "-1" }, "Refused");
  #totals = new Totals("Totals by reason", (reason) => this.#pressed(reason));
  #state = h("span", { class: "state-text" });
  #news = button("", () => this.#again(), { class: "news", hidden: true });
  #list = h("ol", { class: "timeline refused" });
  #more = h("div", { class: "buttons" });
  #notice = h("div", { class: "notice" });

  connectedCallback() {
    const about = h("span", { class: "muted" }, "Events on the log that changed nothing, newest first");
    append(this, [
      h("div", { class: "page-head" }, this.#title, about),
      this.#totals.element,
      h("div", { class: "state short" }, this.#state, this.#news),
      this.#list,
      this.#notice,
      this.#more,
    ]);
  }

  disconnectedCallback() {
    this.#leave.abort();
    this.#stopStream();
  }

  set route({ params }) {
    this.#reasons = params.getAll("reason");
    this.#again();
  }

  #again() {
    this.#stopStream();
    this.#before = null;
    this.#newCount = 0;
    this.#news.hidden = true;
    this.#list.replaceChildren();
    this.#read(true);
  }

  #pressed(reason) {
    const others = this.#reasons.filter((one) => one !== reason);
    url.change({ reason: others.length < this.#reasons.length ? others : [...others, reason] });
  }

  async #read(isFirst) {
    const reading = {};
    this.#reading = reading;
    try {
      const asked = { reason: this.#reasons, limit: ROWS, before: this.#before };
      const page = await get("v1/rejections", asked, this.#leave.signal);
      if (reading !== this.#reading) return;
      this.#show(page);
      if (isFirst) this.#follow(page.as_of.position);
    } catch (problem) {
      if (this.#leave.signal.aborted || reading !== this.#reading) return;
      if (isFirst) connection.show("idle");
      setText(this.#state, "Not shown");
      replace(this.#notice, failure(problem, () => this.#again()));
    }
  }

  #show(page) {
    const known = Object.entries(page.by_reason).sort(([, one], [, other]) => other - one);
    this.#totals.show(known.map(([reason, total]) => [reason, title(reason), total]), this.#reasons);
    this.#list.append(...page.events.map((event) => this.#entry(event)));
    const shown = this.#list.childElementCount;
    setText(this.#state, `${number(shown)} of ${number(page.total)} at position ${number(page.as_of.position)}`);
    this.#before = page.next_before;
    replace(this.#more, page.next_before !== null && button("Older events", () => this.#read(false)));
    const none = "Every event of this tenant was applied, or was a copy.";
    replace(this.#notice, shown === 0 && message("Nothing was refused", none));
  }

  #entry(event) {
    const reason = reasonOf(event);
    const subject = typeof event.event?.subject === "string" ? event.event.subject : "";
    const wrong = (event.errors ?? []).map((error) => error.field).join(", ");
    const details = h(
      "details",
      {},
      h(
        "summary",
        {},
        h("span", { class: "badge", data: { status: event.verdict } }, title(reason)),
        h("span", { class: "mono type" }, event.type ?? "unreadable"),
        h("span", { class: "mono subject" }, subject || wrong),
        h("span", { class: "position mono muted" }, `#${event.position}`),
        timeOf(event.recorded_at),
      ),
      h("p", { class: "advice" }, h("strong", {}, "What to do: "), adviceFor(reason)),
    );
    details.addEventListener("toggle", () => {
      if (!details.open || details.childElementCount > 2) return;
      const isSession = event.type?.startsWith("session.") && subject;
      append(details, [isSession && h("p", {}, "Session ", sessionLink(subject)), eventFacts(event), raw(event)]);
    });
    return h("li", { data: { verdict: event.verdict } }, details);
  }

  /** Counts what is refused from now on. The rows stay as they are. */
  #follow(position) {
    let after = position;
    this.#stopStream();
    const params = this.#reasons.length > 0 ? { reason: this.#reasons } : { verdict: ["rejected", "parked"] };
    this.#stopStream = follow("v1/events/stream", {
      params,
      resume: () => ({ after }),
      state: (state, problem) => {
        connection.show(state);
        if (state === "stopped") replace(this.#notice, failure(problem, () => this.#again()));
      },
      frame: (frame) => {
        // The log was restored, and has other events than the list.
        if (frame.frame === "reset") return this.#again();
        after = frame.as_of?.position ?? frame.position ?? after;
        if (frame.frame === "synced") connection.showPosition(frame.as_of);
        if (frame.frame !== "event") return;
        this.#newCount += 1;
        this.#news.hidden = false;
        setText(this.#news, `${number(this.#newCount)} new`);
      },
    });
  }
}

customElements.define("sl-page-refused", RefusedPage);
