// Commands about a session: they ask first, say what will happen, and return a sentence about what was done.

import { SESSIONS, of } from "../lib/api.js";
import { h } from "../lib/dom.js";
import { ask, filled } from "./dialog.js";
import { sessionLink } from "./parts.js";

const OUTCOMES = [["", "not stated"], ...["completed", "error", "revoked"].map((word) => [word, word])];
const REASON = { name: "reason", label: "Reason", hint: "Everybody who reads the events sees it.", maxlength: 1024 };

/** Ends a session. Returns null if the person did not. */
export async function endSession(id) {
  const answer = await ask({
    title: "End this session?",
    says: [
      "The session ends at once and cannot be opened again. Its token stops working.",
      "Sessions that it opened go on.",
    ],
    fields: [{ name: "outcome", label: "Outcome", options: OUTCOMES }, REASON],
    act: "End session",
    isDanger: true,
    request: (values) => ({ method: "DELETE", path: of(SESSIONS, id), body: filled(values) }),
  });
  if (!answer) return null;
  return answer.verdict === "rejected" ? "The session had ended before." : "The session has ended.";
}

/** Hands a session over to another agent. Returns null if the person did not. */
export async function handOver(id) {
  const answer = await ask({
    title: "Hand this session over?",
    says: [
      "This session ends, and a child of it opens for the other agent, with no more scopes and no later deadline.",
      "The ledger gives out the tokens of the child once, in its answer. This page drops them. " +
        "If a runtime is to run the child with tokens, hand over from there.",
    ],
    fields: [{ name: "to_agent_id", label: "Agent that takes over", required: true, maxlength: 256 }, REASON],
    act: "Hand over",
    request: (values) => ({ method: "POST", path: of(SESSIONS, id, "/handoff"), body: filled(values) }),
  });
  if (!answer) return null;
  return h("span", {}, "Handed over. The child is ", sessionLink(answer.session?.session_id ?? answer.id), ".");
}
