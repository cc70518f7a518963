// `<sl-page-agent>`: one agent, its newest sessions, and the commands that the key may send.

import { AGENTS, SESSIONS, get, of } from "../lib/api.js";
import { append, atMostEvery, h, oncePerFrame, replace } from "../lib/dom.js";
import { number } from "../lib/format.js";
import { FollowedRows, follow } from "../lib/stream.js";
import * as connection from "../lib/connection.js";
import * as url from "../lib/url.js";
import { agentButtons } from "../components/agent-actions.js";
import { tell } from "../components/dialog.js";
import { agentLink, badge, facts, failure, idWithCopy, json, message, scopeList } from "../components/parts.js";
import { timeOf } from "../components/time.js";
import "../components/session-table.js";

const ROWS = 20;
/** How often at most the agent is read again because of its sessions. */
const READ_MS = 1_000;

class AgentPage extends HTMLElement {
  #id = "";
  #leave = new AbortController();
  #stopStream = () => {};
  #title = h("h1", { tabindex: "-1" });
  #actions = h("div", { class: "buttons" });
  #done = h("div");
  #facts = h("section", { "aria-label": "Agent" });
  #all = h("a", {}, "All sessions");
  #table = h("sl-session-table", { label: "Newest sessions of the agent" });
  #notice = h("div", { class: "notice" });
  /** Shown when the agent has been read, so that its facts move nothing. */
  #parts = h("div", { class: "columns", hidden: true }, this.#facts);
  #offered = "";
  #readSoon = atMostEvery(READ_MS, () => this.#read());

  connectedCallback() {
    const grow = () => h("span", { class: "grow" });
    const head = h("div", { class: "page-head" }, h("h2", {}, "Newest sessions"), grow(), this.#all);
    append(this, [
      h("p", { class: "crumbs" }, h("a", { href: url.link("agents") }, "Agents")),
      h("div", { class: "page-head" }, this.#title, grow(), this.#actions),
      this.#done,
      this.#parts,
    ]);
    append(this.#parts, [h("section", {}, head, this.#table, this.#notice)]);
  }

  disconnectedCallback() {
    this.#leave.abort();
    this.#stopStream();
  }

  set route({ id }) {
    this.#id = id;
    replace(this.#title, "Agent ", h("span", { class: "mono" }, id));
    this.#all.href = url.link("sessions", "", { agent: id, children: "1" });
    this.#read();
    this.#follow();
  }

  async #read() {
    try {
      this.#show(await get(of(AGENTS, this.#id), {}, this.#leave.signal));
    } catch (problem) {
      if (!this.#leave.signal.aborted) replace(this.#facts, failure(problem, () => this.#read()));
    }
    this.#parts.hidden = false;
  }

  #show(agent) {
    const time = (iso) => iso && timeOf(iso);
    replace(
      this.#facts,
      facts([
        ["Status", badge(agent.status)],
        ["Agent", idWithCopy(agent.agent_id)],
        ["Name", agent.display_name],
        ["Description", agent.description],
        ["Type", agent.agent_type],
        ["Registered", agent.registered ? "yes" : "no: only sessions have named it"],
        ["Trust level", agent.trust_level],
        ["Trust score", agent.trust_score !== null ? agent.trust_score.toFixed(2) : null],
        ["Sessions", number(agent.session_count)],
        ["Active sessions", number(agent.active_session_count)],
        ["Scopes", agent.scopes === null ? "no limit" : (scopeList(agent.scopes) ?? "none")],
        ["Derived from", agent.parent_agent_id && agentLink(agent.parent_agent_id)],
        ["Registered by", agent.created_by_user_id],
        ["Public key", agent.public_key && h("span", { class: "mono" }, agent.public_key)],
        ["Key id", agent.key_id && h("span", { class: "mono" }, agent.key_id)],
        ["Expires", time(agent.expires_at)],
        ["Suspended", time(agent.suspended_at)],
        ["Revoked", time(agent.revoked_at)],
        ["Created", time(agent.created_at)],
        ["Updated", time(agent.updated_at)],
      ]),
      Object.keys(agent.metadata).length > 0 && h("h2", {}, "Metadata"),
      Object.keys(agent.metadata).length > 0 && json(agent.metadata),
    );
    // Other buttons only for another status, or they would lose the focus.
    if (this.#offered === agent.status) return;
    this.#offered = agent.status;
    replace(this.#actions, agentButtons(agent, (text) => {
      tell(this.#done, text);
      this.#read();
    }));
  }

  #follow() {
    const live = new FollowedRows();
    let known = -1;
    const render = oncePerFrame(() => {
      this.#table.show(live.rows);
      replace(this.#notice, live.rows.length === 0 && message("No sessions", "The agent has opened none."));
    });
    this.#stopStream();
    this.#stopStream = follow(`${SESSIONS}/stream`, {
      params: { agent_id: this.#id, window: ROWS },
      state: (state, problem) => {
        connection.show(state);
        if (state === "stopped") replace(this.#notice, failure(problem));
      },
      frame: (frame) => {
        if (!live.take(frame)) return;
        connection.showPosition(live.asOf);
        render();
        // The counts of the agent change with its sessions.
        const counted = live.byStatus.active * 1e9 + live.total;
        if (known !== -1 && counted !== known) this.#readSoon();
        known = counted;
      },
    });
  }
}

customElements.define("sl-page-agent", AgentPage);
