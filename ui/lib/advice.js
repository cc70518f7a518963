// What to do about an event that the ledger did not apply, for each reason.

const ADVICE = {
  parked: "The session has not opened yet. Send its session.created: the ledger then decides this event by itself. After 24 hours it rejects it.",
  not_json: "Send JSON text in UTF-8. The bytes below show what arrived: often a wrong encoding, or a body that was cut.",
  invalid: "Correct the fields that are named, and send the event again. The same id may be used, because a rejected event does not count as a copy.",
  unknown_type: "Use one of the ledger's types. Look for a typing error in `type`, or a runtime that is newer than this ledger.",
  subject_mismatch: "Publish the event on the NATS subject of its own type: ledger.v1.TENANT.TYPE.",
  tenant_mismatch: "Leave `tenantid` out, or use the credential or the NATS account of that tenant.",
  id_reused: "Give every event an id of its own. If this was a retry, send the same bytes again: any difference makes it another event.",
  already_exists: "Nothing, if this was sent twice by two runtimes. Otherwise choose another id.",
  not_found: "Check the id. If the agent or session is new, send the event that registers or opens it first.",
  not_active: "The session has ended. Open another one; its timeline says how it ended.",
  already_ended: "Nothing: the first termination counts.",
  session_expired: "The event came after the deadline. Refresh the session earlier, or give it a longer time to live.",
  superseded: "Nothing, if refreshes may overtake each other. Otherwise check the clock of the runtime.",
  refreshed_since: "Nothing: the session got a later deadline while the ledger was about to expire it.",
  not_due: "Nothing: the deadline has moved.",
  agent_suspended: "Reinstate the agent, or stop its runtime.",
  agent_revoked: "The agent can never act again. Stop its runtime, or register another agent.",
  agent_expired: "Give the agent a later `expires_at`, then send the event again.",
  other_agent: "The key is bound to another agent. Use the key of this one.",
  scope_exceeded: "Ask for fewer scopes, or widen those of the agent. The agent's page lists them.",
  unknown_parent: "Send the parent's session.created first, or leave `parent_session_id` out.",
  parking_full: "64 events wait for this session. Send its session.created, then send this event again.",
  parking_expired: "The session did not open within 24 hours. Send its session.created, then this event again with a new id.",
  token_stale: "Use the refresh token of the latest answer. Two processes may be refreshing one session.",
  agent_not_registered: "Register the agent first.",
  metadata_too_large: "Send less metadata: at most 16,384 bytes and 32 levels after the merge.",
  deadline_not_after_time: "Set `expires_at` later than `time`. Check the clock of the runtime.",
  already_suspended: "Nothing: the agent is suspended.",
  not_suspended: "Nothing: the agent is not suspended.",
  already_revoked: "Nothing: the agent is revoked.",
  too_large: "Send at most 65,536 bytes. Keep large data elsewhere, and put a reference into the metadata.",
};

/** What to do about an event with this reason. */
export const adviceFor = (reason) => ADVICE[reason] ?? "See the reason in words, and the documents of the ledger.";
