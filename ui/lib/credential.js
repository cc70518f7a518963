// The credential of this page. It is in this module's memory only: a reload forgets it.

let held = null;
let known = null;

/** The headers that prove who calls. */
export function headers(candidate = held) {
  const sent = {};
  if (candidate?.credential) sent["Authorization"] = `Bearer ${candidate.credential}`;
  if (candidate?.tenant) sent["X-Tenant-ID"] = candidate.tenant;
  return sent;
}

/** Keeps a credential that the server has accepted, with what its status said about the caller and the server. */
export function keep(candidate, status) {
  held = candidate;
  known = {
    tenant: status.tenant,
    // A server before this member does not say. Then every button is shown, and the server decides.
    roles: status.caller?.roles ?? ["read", "write", "audit", "admin"],
    agent: status.caller?.agent_id ?? null,
    traceUrl: status.trace_url ?? null,
  };
}

export function forget() {
  held = null;
  known = null;
}

export const isSignedIn = () => held !== null;
export const tenant = () => known?.tenant ?? "";
export const roles = () => known?.roles ?? [];
/** Whether the credential has a role. */
export const may = (role) => roles().includes(role);
/** The agent to which the credential is bound, or null. */
export const boundAgent = () => known?.agent ?? null;
/** The URL of a trace, with `{trace_id}` in the place of its id; null if the server knows none. */
export const traceUrl = () => known?.traceUrl ?? null;
