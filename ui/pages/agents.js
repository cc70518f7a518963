// `<sl-page-agents>`: the agents of the tenant, newest first, with the commands that the key may send.

import { AGENTS, get } from "../lib/api.js";
import { append, button, h, replace, setText } from "../lib/dom.js";
import { number, rangeOf, title } from "../lib/format.js";
import * as connection from "../lib/connection.js";
import * as url from "../lib/url.js";
import { agentButtons } from "../components/agent-actions.js";
import { tell } from "../components/dialog.js";
import { Totals, agentLink, badge, failure, message } from "../components/parts.js";
import { timeOf } from "../components/time.js";
import "../components/as-of.js";
import "../components/pager.js";

const ROWS = 50;
const STATUSES = ["active", "suspended", "revoked"];

class AgentsPage extends HTMLElement {
  #leave = new AbortController();
  #asked = {};
  #title = h("h1", { tabindex: "-1" }, "Agents");
  #done = h("div");
  #totals = new Totals("Totals by status", (status) => this.#pressed(status));
  #type = this.#field("Type", "type");
  #trust = this.#field("Trust level", "trust");
  #asOf = h("sl-as-of");
  #state = h("span", { class: "state-text" });
  #range = h("span", { class: "range muted" });
  #pager = h("sl-pager");
  #body = h("tbody");
  #notice = h("div", { class: "notice" });

  connectedCallback() {
    const heads = ["Status", "Agent", "Type", "Trust", "Sessions", "Active", "Created", "Commands"];
    const classes = ["status", "agent", "type", "trust", "count", "count", "created", "commands"];
    const table = h(
      "table",
      { class: "rows agents", "aria-label": "Agents, newest first" },
      h("thead", {}, h("tr", {}, heads.map((label, at) => h("th", { scope: "col", class: classes[at] }, label)))),
      this.#body,
    );
    const again = button("Read again", () => this.#read());
    append(this, [
      h("div", { class: "page-head" }, this.#title, h("span", { class: "grow" }), this.#asOf.toggle),
      this.#done,
      this.#totals.element,
      h("div", { class: "filters" }, this.#type, this.#trust),
      this.#asOf,
      h("div", { class: "state" }, this.#state, again, h("span", { class: "grow" }), this.#range, this.#pager),
      h("div", { class: "table-area" }, table, this.#notice),
    ]);
    this.#totals.show(STATUSES.map((status) => [status, title(status), null]), []);
    this.#pager.addEventListener("page", ({ detail }) => url.change({ page: detail === 1 ? null : detail }));
  }

  disconnectedCallback() {
    this.#leave.abort();
  }

  set route({ params }) {
    const page = Math.max(1, Number.parseInt(params.get("page") ?? "1", 10) || 1);
    this.#asked = {
      page,
      asOf: params.get("as_of") ?? "",
      status: params.getAll("status").filter((status) => STATUSES.includes(status)),
      type: params.get("type") ?? "",
      trust: params.get("trust") ?? "",
    };
    for (const [field, value] of [[this.#type, this.#asked.type], [this.#trust, this.#asked.trust]]) {
      const input = field.querySelector("input");
      if (document.activeElement !== input) input.value = value;
    }
    connection.show(this.#asked.asOf ? "past" : "idle");
    this.#read();
  }

  #field(label, name) {
    const changed = (event) => url.change({ [name]: event.target.value.trim(), page: null });
    const words = { type: "search", placeholder: "any", spellcheck: "false", autocomplete: "off" };
    const input = h("input", { ...words, on: { change: changed } });
    return h("label", { class: "field" }, h("span", { class: "label" }, label), input);
  }

  #pressed(status) {
    const chosen = this.#asked.status;
    const next = chosen.includes(status) ? chosen.filter((one) => one !== status) : [...chosen, status];
    url.change({ status: next.length === STATUSES.length ? null : next, page: null });
  }

  async #read() {
    const asked = this.#asked;
    const { page, asOf, type, trust } = asked;
    const filter = { agent_type: type, trust_level: trust, as_of: asOf || null };
    const signal = this.#leave.signal;
    try {
      const place = { limit: ROWS, offset: (page - 1) * ROWS };
      const list = await get(AGENTS, { ...filter, status: asked.status, ...place }, signal);
      if (asked !== this.#asked) return;
      this.#show(list);
      // Totals of the state of the page, one small request for each.
      const state = asOf ? list.as_of.position : null;
      const counts = STATUSES.map((status) => get(AGENTS, { ...filter, as_of: state, status, limit: 1 }, signal));
      const totals = (await Promise.all(counts)).map(({ total }) => total);
      if (asked !== this.#asked) return;
      this.#totals.show(STATUSES.map((status, at) => [status, title(status), totals[at]]), asked.status);
    } catch (problem) {
      if (signal.aborted || asked !== this.#asked) return;
      this.#body.replaceChildren();
      setText(this.#state, "Not shown");
      replace(this.#notice, failure(problem, () => this.#read()));
    }
  }

  #show(list) {
    const { page, asOf, status } = this.#asked;
    this.#asOf.show(asOf, list.as_of.position);
    if (asOf) this.#asOf.found(list.as_of);
    else connection.showPosition(list.as_of);
    setText(this.#state, `${asOf ? "Past state at" : "As of"} position ${number(list.as_of.position)}`);
    setText(this.#range, rangeOf((page - 1) * ROWS, list.agents.length, list.total));
    this.#pager.show(page, Math.ceil(list.total / ROWS));
    this.#body.replaceChildren(...list.agents.map((agent) => this.#row(agent)));
    const isFiltered = status.length > 0 || this.#asked.type || this.#asked.trust;
    const nobody = isFiltered ? "No agent matches these filters." : "No agent is known yet.";
    const none = list.total > 0 ? "The last page comes before this one." : nobody;
    replace(this.#notice, list.agents.length === 0 && message("No agents", none));
  }

  #row(agent) {
    const { agent_id: id, display_name: name } = agent;
    const sessions = (count, status) => {
      const href = url.link("sessions", "", { agent: id, status, children: "1" });
      return h("a", { href, "aria-label": `${count} ${status ?? ""} sessions of ${id}` }, number(count));
    };
    const trust = [agent.trust_level, agent.trust_score?.toFixed(2)].filter(Boolean).join(", ");
    const buttons = this.#asked.asOf ? [] : agentButtons(agent, (text) => {
      tell(this.#done, text);
      this.#read();
    });
    return h(
      "tr",
      { data: { status: agent.status } },
      h("td", { class: "status" }, badge(agent.status)),
      h("td", { class: "agent" }, agentLink(id), name && h("span", { class: "note" }, name)),
      h("td", { class: "type" }, agent.agent_type ?? (agent.registered ? "" : "not registered")),
      h("td", { class: "trust" }, trust),
      h("td", { class: "count" }, sessions(agent.session_count, null)),
      h("td", { class: "count" }, sessions(agent.active_session_count, "active")),
      h("td", { class: "created" }, timeOf(agent.created_at)),
      h("td", { class: "commands" }, h("div", { class: "buttons" }, buttons)),
    );
  }
}

customElements.define("sl-page-agents", AgentsPage);
