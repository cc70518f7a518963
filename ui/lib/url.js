// The state of the page in its address. It is in the fragment, which browsers send to no server and no proxy.

/** A page, the id of what it shows, and its settings. */
export function read() {
  const [path, search = ""] = location.hash.replace(/^#\/?/, "").split("?", 2);
  const [page = "", id = ""] = path.split("/").map(decoded);
  return { page: page || "sessions", id, params: new URLSearchParams(search) };
}

/** A part of an address; as it is, if a person has typed what is no escape. */
export function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** The address of a page. `params` is an object; members without a value are left out. */
export function link(page, id, params) {
  const search = params instanceof URLSearchParams ? params : new URLSearchParams();
  if (params && search !== params) {
    for (const [name, value] of Object.entries(params)) set(search, name, value);
  }
  const text = search.toString();
  return `#/${page}${id ? `/${encodeURIComponent(id)}` : ""}${text ? `?${text}` : ""}`;
}

function set(search, name, value) {
  search.delete(name);
  for (const one of Array.isArray(value) ? value : [value]) {
    if (one !== null && one !== undefined && one !== "") search.append(name, one);
  }
}

/** The address of this page with other settings. */
export function changed(changes) {
  const { page, id, params } = read();
  const next = new URLSearchParams(params);
  for (const [name, value] of Object.entries(changes)) set(next, name, value);
  return link(page, id, next);
}

/** Goes to this page with other settings, as a step in the history of the browser. */
export function change(changes) {
  location.hash = changed(changes);
}

/** Changes settings without a step in the history. */
export function amend(changes) {
  history.replaceState(null, "", changed(changes));
  dispatchEvent(new HashChangeEvent("hashchange"));
}

/** Notes settings that are shown already. */
export function note(changes) {
  history.replaceState(null, "", changed(changes));
}

/** Names the first page, if the address names none. */
export function home(page) {
  history.replaceState(null, "", link(page));
}

const CODE = "#code=";

/** Takes a one-time code for signing in, or what stands in its place, out of the address. It does not stay in the
 * history. Returns null if there is none. */
export function takeCode() {
  const { hash, pathname, search } = location;
  if (!hash.startsWith(CODE)) return null;
  history.replaceState(null, "", pathname + search);
  return hash.slice(CODE.length);
}
