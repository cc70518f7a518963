// Commands about an agent: what each will do, said before, and the buttons for those that its status allows.

import { AGENTS, SESSIONS, get, of } from "../lib/api.js";
import { button } from "../lib/dom.js";
import { plural } from "../lib/format.js";
import * as credential from "../lib/credential.js";
import { ask, filled } from "./dialog.js";

const REASON = { name: "reason", label: "Reason", hint: "Everybody who reads the events sees it.", maxlength: 1024 };

/** Such as `3 active sessions`. */
const sessions = (active) => (active === null ? "active sessions" : plural(active, "active session"));

const COMMANDS = {
  suspend: {
    from: ["active"],
    act: "Suspend",
    title: (id) => `Suspend ${id}?`,
    says: (active) => [
      `The agent can open no sessions, take none over and hand none off, until it is reinstated.`,
      `Its ${sessions(active)} stay open, but their tokens count as inactive meanwhile.`,
    ],
  },
  reinstate: {
    from: ["suspended"],
    act: "Reinstate",
    title: (id) => `Reinstate ${id}?`,
    says: (active) => [`The agent may act again, and the tokens of its ${sessions(active)} are active again.`],
  },
  revoke: {
    from: ["active", "suspended"],
    act: "Revoke",
    isDanger: true,
    title: (id) => `Revoke ${id} for good?`,
    says: (active) => [
      active === 0
        ? "The agent has no active session. It can never act again, and nothing undoes this."
        : `This ends ${sessions(active)} with the outcome revoked. ` +
          "The agent can never act again, and nothing undoes this.",
    ],
  },
};

/** Asks, with the number of active sessions as it is now, and sends the command. Returns what was done, or null. */
async function run(name, id) {
  const { act, title, says, isDanger } = COMMANDS[name];
  // The row on the page may be old, and a key without the role `read` knows no number.
  const count = await get(`${SESSIONS}/count`, { agent_id: id, status: "active" }).catch(() => null);
  const active = count?.by_status.active ?? null;
  const answer = await ask({
    title: title(id),
    says: says(active),
    fields: [REASON],
    act,
    isDanger,
    request: (values) => ({ method: "POST", path: of(AGENTS, id, `/${name}`), body: filled(values) }),
  });
  if (!answer) return null;
  const ended = answer.ended_sessions;
  if (ended !== undefined) return `Revoked. ${plural(ended, "session")} ended.`;
  if (answer.agent === undefined) return "Revoked. The ledger is still ending its sessions.";
  const { status } = answer.agent;
  return answer.verdict === "rejected" ? `Nothing changed: the agent is ${status}.` : `${id} is ${status}.`;
}

/** The buttons that this key and the status of the agent allow. `done` gets a sentence. */
export function agentButtons(agent, done) {
  // A credential that is bound to an agent changes no agents.
  if (!credential.may("write") || credential.boundAgent() !== null) return [];
  return Object.entries(COMMANDS)
    .filter(([, { from }]) => from.includes(agent.status))
    .map(([name, { act, isDanger }]) =>
      button(act, async () => {
        const text = await run(name, agent.agent_id);
        if (text) done(text);
      }, { class: isDanger ? "danger" : "", "aria-haspopup": "dialog", "aria-label": `${act} ${agent.agent_id}` }),
    );
}
