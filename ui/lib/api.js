// Calls of the public API, and their failures.

import * as credential from "./credential.js";
import { pause } from "./dom.js";
import * as json from "./json.js";

const TRIES_MAX = 4;
const WAIT_S_MAX = 10;

/** The address of the server: the folder above this page, so that it also works below a path of a proxy. */
export const SERVER = new URL("../", document.baseURI);

/** A request that the server answered with a problem, or did not answer (`status` 0). */
export class Problem extends Error {
  constructor(status, document, retryAfterS = 0) {
    super(document.detail ?? document.title ?? `the server answered ${status}`);
    this.status = status;
    this.code = document.code ?? "";
    this.errors = document.errors ?? [];
    this.currentStatus = document.current_status ?? null;
    this.request = document.instance ?? "";
    this.retryAfterS = retryAfterS;
  }

  /** What went wrong, with the fields. */
  get text() {
    const fields = this.errors.map((error) => `${error.field}: ${error.message}`);
    return [this.message, ...fields].join("\n");
  }
}

/** A query string of the members that have a value. An array repeats its name. */
export function query(params) {
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(params ?? {})) {
    for (const one of Array.isArray(value) ? value : [value]) {
      if (one !== null && one !== undefined && one !== "") search.append(name, one);
    }
  }
  const text = search.toString();
  return text ? `?${text}` : "";
}

export function address(path, params) {
  return new URL(path + query(params), SERVER);
}

/** What the server says if it has no past states at the moment, or would take too long to read one. */
const NO_PAST = ["history_off", "not_caught_up", "too_many_entries"];

/** Whether a read of the present may succeed where this one of a past state has failed. */
export const isOfPast = (problem) => NO_PAST.includes(problem.code);

/** A path with one segment that a client chose. */
export const of = (family, id, rest = "") => `${family}/${encodeURIComponent(id)}${rest}`;

export const SESSIONS = "v1/agent-sessions";
export const AGENTS = "v1/agents";

/** Sends a request, and returns the answer if it is a success. */
export async function send(path, { method = "GET", params, body, signal, extra, as } = {}) {
  const headers = { Accept: "application/json", ...credential.headers(as), ...extra };
  if (body !== undefined) headers["Content-Type"] = "application/json";
  const request = { method, headers, signal, cache: "no-store", credentials: "omit" };
  if (body !== undefined) request.body = JSON.stringify(body);
  let response;
  try {
    response = await fetch(address(path, params), request);
  } catch (error) {
    if (signal?.aborted) throw error;
    const detail = "The server does not answer. Check that it runs, and the network.";
    throw new Problem(0, { detail, code: "unreachable" });
  }
  if (response.ok) return response;
  const text = await response.text().catch(() => "");
  const problem = new Problem(response.status, parsed(text), Number(response.headers.get("Retry-After")) || 0);
  // Only the credential that the page keeps: the form shows a failure of a new one itself.
  if (response.status === 401 && as === undefined && credential.isSignedIn()) {
    dispatchEvent(new CustomEvent("credential-refused", { detail: problem }));
  }
  throw problem;
}

function parsed(text) {
  try {
    const value = JSON.parse(text);
    return value && typeof value === "object" ? value : {};
  } catch {
    return {};
  }
}

/** Reads JSON. Tries again if the server is busy for a moment, or the credential has used up its requests. */
export async function get(path, params, signal) {
  for (let tries = 1; ; tries += 1) {
    try {
      return json.parse(await (await send(path, { params, signal })).text());
    } catch (problem) {
      const isBusy = problem.status === 429 || problem.status === 503;
      if (!isBusy || tries === TRIES_MAX || WAIT_S_MAX < problem.retryAfterS) throw problem;
      await pause((problem.retryAfterS || 1) * 1_000, signal);
    }
  }
}

/** A key for `Idempotency-Key`. `crypto.randomUUID` exists on secure origins only. */
export function newKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Sends a command. With one key, it may be sent again safely. */
export async function command(method, path, body, key) {
  const response = await send(path, { method, body, extra: { "Idempotency-Key": key } });
  return response.json();
}

/** The command line that makes the same request. The key stays in a variable of the shell. */
export function curl(path, params) {
  const quoted = `'${address(path, params).href.replaceAll("'", "%27")}'`;
  const sent = credential.headers();
  const parts = ["curl -s", quoted];
  if (sent["Authorization"]) parts.push('-H "Authorization: Bearer $SESSION_LEDGER_KEY"');
  if (sent["X-Tenant-ID"]) parts.push(`-H 'X-Tenant-ID: ${sent["X-Tenant-ID"].replaceAll("'", "")}'`);
  return parts.join(" ");
}
