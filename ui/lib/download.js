// Downloads a listing of sessions as CSV or NDJSON: all pages of one state.

import { SESSIONS, get, isOfPast } from "./api.js";

/** More rows do not belong into the memory of a page: `session-ledger list` and the API have no such limit. */
export const ROWS_MAX = 100_000;
const PAGE_ROWS = 200;
const ROWS_PER_PART = 2_000;

const COLUMNS = [
  "session_id", "status", "outcome", "phase", "agent_id", "agent_name", "project_id", "user_id",
  "parent_session_id", "handed_off_to", "handed_off_session_id", "scopes", "created_at", "recorded_at",
  "updated_at", "last_activity_at", "refreshed_at", "expires_at", "terminated_at", "deleted_at", "time_adjusted",
  "machine_id", "caller_role", "caller_origin", "ip_address", "user_agent", "metadata",
];

/** How a formula begins, also in the wide forms that spreadsheets of East Asia read. */
const FORMULA = /^[=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20]/;

/** A cell of CSV. A spreadsheet would run a text that begins like a formula, so such a text gets an apostrophe. */
export function cell(value) {
  if (value === null || value === undefined) return "";
  const text = typeof value === "object" ? JSON.stringify(value) : String(value);
  const safe = FORMULA.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}

const FORMATS = {
  csv: {
    type: "text/csv",
    head: `${COLUMNS.join(",")}\r\n`,
    line: (session) => `${COLUMNS.map((name) => cell(session[name])).join(",")}\r\n`,
  },
  ndjson: {
    type: "application/x-ndjson",
    head: "",
    line: (session) => `${JSON.stringify(session)}\n`,
  },
};

/**
 * Reads all pages, and gives the browser the file. `state` has the past state to read (empty for the present one) and
 * whether that must be it. `progress` gets the rows so far and the total.
 */
export async function download(format, params, state, progress, signal) {
  const { type, head, line } = FORMATS[format];
  const parts = [head];
  let lines = [];
  let rows = 0;
  let cursor = null;
  let first = null;
  let pages = 0;
  do {
    const page = await firstOrNext(params, state, cursor, signal);
    first ??= page;
    pages += 1;
    for (const session of page.sessions) lines.push(line(session));
    rows += page.sessions.length;
    cursor = page.next_cursor;
    if (ROWS_PER_PART <= lines.length || cursor === null) {
      parts.push(lines.join(""));
      lines = [];
    }
    progress(rows, page.total);
  } while (cursor !== null && rows < ROWS_MAX);
  parts.push(lines.join(""));
  // One page is always of one state.
  const isOfOneState = !first.isOfPresent || pages === 1;
  save(new Blob(parts, { type }), `sessions-${isOfOneState ? "" : "from-"}${first.as_of.position}.${format}`);
  return { rows, isWhole: cursor === null, isOfOneState };
}

/** A page of one state. A server that has no past state has only the present, where rows move between pages. */
async function firstOrNext(params, { asOf, mustBe }, cursor, signal) {
  const asked = { ...params, limit: PAGE_ROWS };
  if (cursor !== null) return get(SESSIONS, { ...asked, cursor }, signal);
  try {
    return await get(SESSIONS, { ...asked, as_of: asOf || "now" }, signal);
  } catch (problem) {
    if (mustBe || !isOfPast(problem)) throw problem;
    return { ...(await get(SESSIONS, asked, signal)), isOfPresent: true };
  }
}

export function save(blob, name) {
  const address = URL.createObjectURL(blob);
  const anchor = document.createElement("a");
  anchor.href = address;
  anchor.download = name;
  document.body.append(anchor);
  anchor.click();
  anchor.remove();
  setTimeout(() => URL.revokeObjectURL(address), 60_000);
}
