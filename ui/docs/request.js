// Requests that a person fills in: as a value, as a call of `fetch`, and as a command line.

/** The address of the server: the folder above this page. */
const SERVER = new URL("../", document.baseURI);

/**
 * A request. `values` maps each parameter to its texts, and `sent` is the media type of the body, its text,
 * and the media type of the answer.
 */
export function requestOf(operation, values, sent, caller) {
  const filled = (place) =>
    operation.parameters
      .filter((parameter) => parameter.in === place)
      .flatMap(({ name }) => (values.get(name) ?? []).filter((text) => text !== "").map((text) => [name, text]));
  const path = operation.path.replace(/\{([^}]+)\}/g, (_, name) => encodeURIComponent(values.get(name)?.[0] ?? ""));
  const url = new URL(path.slice(1), SERVER);
  for (const [name, text] of filled("query")) url.searchParams.append(name, text);
  const headers = filled("header");
  if (sent.accept) headers.push(["Accept", sent.accept]);
  if (caller.tenant) headers.push(["X-Tenant-ID", caller.tenant]);
  const body = sent.body === "" ? undefined : sent.body;
  if (body !== undefined) headers.push(["Content-Type", sent.type]);
  return { method: operation.method, url, headers, body };
}

/** The command line that makes the same request. The key stays in a variable of the shell. */
export function curl({ method, url, headers, body }, caller) {
  const parts = ["curl -s -i"];
  if (method !== "GET") parts.push(`-X ${method}`);
  parts.push(quoted(url.href));
  if (caller.key) parts.push('-H "Authorization: Bearer $SESSION_LEDGER_KEY"');
  for (const [name, value] of headers) parts.push(`-H ${quoted(`${name}: ${value}`)}`);
  if (body !== undefined) parts.push(`--data-binary ${quoted(body)}`);
  return parts.join(" \\\n  ");
}

function quoted(text) {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

/** Sends the request. Throws if there is no answer. */
export function send({ method, url, headers, body }, caller, signal) {
  const all = new Headers(headers);
  if (caller.key) all.set("Authorization", `Bearer ${caller.key}`);
  return fetch(url, { method, headers: all, body, signal, cache: "no-store", credentials: "omit" });
}
