// The filter of a listing of sessions: from the settings in the address to the parameters of the API.

/** One of these at most: the API has a listing for each. */
export const SUBJECTS = {
  agent: { label: "Agent", parameter: "agent_id" },
  project: { label: "Project", parameter: "project_id" },
  user: { label: "User", parameter: "user_id" },
  parent: { label: "Parent", parameter: "parent_session_id" },
};

export const STATUSES = ["active", "terminated", "expired", "handed_off"];

/** How a terminated session went. */
export const OUTCOMES = ["completed", "error", "revoked", "deleted"];

/** Ranges of creation times that end now. */
export const RANGES = {
  "15m": ["Last 15 minutes", 900],
  "1h": ["Last hour", 3_600],
  "24h": ["Last 24 hours", 86_400],
  "7d": ["Last 7 days", 604_800],
  "30d": ["Last 30 days", 2_592_000],
};

export const PAGE_ROWS = 50;

/** What the settings in an address ask for. */
export function fromParams(params) {
  const subject = Object.keys(SUBJECTS).find((name) => params.get(name)) ?? null;
  const page = Number.parseInt(params.get("page") ?? "1", 10);
  return {
    children: params.get("children") === "1",
    subject,
    value: subject ? params.get(subject) : "",
    status: params.getAll("status").filter((status) => STATUSES.includes(status)),
    outcome: OUTCOMES.includes(params.get("outcome")) ? params.get("outcome") : "",
    since: Object.hasOwn(RANGES, params.get("since")) ? params.get("since") : "",
    after: params.get("after") ?? "",
    before: params.get("before") ?? "",
    asOf: params.get("as_of") ?? "",
    pin: params.get("pin") ?? "",
    page: Number.isSafeInteger(page) && page > 0 ? page : 1,
  };
}

/** The statuses of the sessions that a filter asks for. An outcome alone asks for terminated ones. */
export function statusesOf({ status, outcome }) {
  if (status.length > 0) return status;
  return outcome ? ["terminated"] : STATUSES;
}

/** The statuses by which a person filters; none if these are all. */
export function chosen(filter) {
  const statuses = statusesOf(filter);
  return statuses === STATUSES ? [] : statuses;
}

/** What a filter becomes if a person adds a status, or takes it away. */
export function toggled(filter, status) {
  const before = chosen(filter);
  const next = before.includes(status) ? before.filter((one) => one !== status) : [...before, status];
  const outcome = next.includes("terminated") ? filter.outcome : "";
  const isAll = next.length === STATUSES.length && outcome === "";
  return { status: isAll ? null : next, outcome };
}

/** The parameters of a list, count or stream of all statuses. Of terminated sessions, it has those with the outcome. */
export function withoutStatus(filter) {
  const params = {};
  // The children of a session are no roots.
  if (!filter.children && filter.subject !== "parent") params.root = "true";
  if (filter.subject) params[SUBJECTS[filter.subject].parameter] = filter.value;
  if (filter.since) {
    const after = Date.now() - RANGES[filter.since][1] * 1_000;
    params.created_after = new Date(after).toISOString();
  } else {
    if (filter.after) params.created_after = filter.after;
    if (filter.before) params.created_before = filter.before;
  }
  if (filter.outcome) Object.assign(params, { outcome: filter.outcome, status: STATUSES });
  return params;
}

/** The parameters of a list, count or stream. */
export function toParams(filter) {
  return { ...withoutStatus(filter), status: filter.status };
}
