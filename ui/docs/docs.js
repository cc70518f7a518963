// The page `/docs`: every call of the server's own OpenAPI document, with a form that makes the call.

import { h, replace, setText } from "../ui/lib/dom.js";
import { decoded } from "../ui/lib/url.js";
import { ApiDocument } from "./document.js";
import { formOf } from "./form.js";
import { prose } from "./prose.js";
import { openable, schemaView } from "./schema.js";

const [key, tenant] = ["key", "tenant"].map((id) => document.getElementById(id));
const caller = () => ({ key: key.value.trim(), tenant: tenant.value.trim() });
/** The forms that are open show the caller in their command lines. */
const forms = [];

document.getElementById("caller").addEventListener("submit", (event) => event.preventDefault());
document.getElementById("caller").addEventListener("input", () => forms.forEach((form) => form.update()));

/** One operation. Its form is made when somebody opens it. */
function operationView(api, operation) {
  const { id, method, path, summary } = operation;
  const details = h(
    "details",
    { id, class: "operation" },
    h(
      "summary",
      {},
      h("span", { class: `method ${method.toLowerCase()}` }, method),
      " ",
      h("code", {}, path),
      " ",
      h("span", {}, summary),
    ),
  );
  details.addEventListener(
    "toggle",
    () => {
      const form = formOf(api, operation, caller);
      forms.push(form);
      details.append(h("div", { class: "inside" }, prose(operation.description), form.view, responses(api, operation)));
    },
    { once: true },
  );
  details.addEventListener("toggle", () => {
    // The address names the call that was opened last, without a step in the history.
    if (details.open) history.replaceState(null, "", `#${id}`);
  });
  return details;
}

function responses(api, operation) {
  const views = operation.responses.map(({ status, description, codes, contents }) =>
    h(
      "li",
      {},
      h("p", {}, h("strong", {}, status), " ", description),
      0 < codes.length && h("p", { class: "about" }, "Codes: ", codes.map((code, at) => [at ? ", " : "", h("code", {}, code)])),
      status.startsWith("2") &&
        contents.map(({ type, schema }) => openable(`Members of ${type}`, () => schemaView(api, schema))),
    ),
  );
  return [h("h3", {}, "Answers"), h("ul", { class: "answers" }, views)];
}

/** The list of all calls, with a filter. */
function contentsView(groups) {
  const filter = h("input", { id: "filter", type: "search", autocomplete: "off", spellcheck: "false" });
  const count = h("p", { role: "status" });
  const lists = groups.map(({ name, operations }) => ({
    heading: h("h2", {}, name),
    items: operations.map((operation) => {
      const text = `${operation.method} ${operation.path} ${operation.summary} ${operation.id}`.toLowerCase();
      return { text, item: h("li", {}, h("a", { href: `#${operation.id}` }, operation.summary)) };
    }),
  }));
  const apply = () => {
    const wanted = filter.value.toLowerCase().split(/\s+/);
    let shown = 0;
    for (const { heading, items } of lists) {
      for (const { text, item } of items) item.hidden = !wanted.every((word) => text.includes(word));
      const left = items.filter(({ item }) => !item.hidden).length;
      heading.hidden = left === 0;
      shown += left;
    }
    setText(count, `${shown} calls`);
  };
  filter.addEventListener("input", apply);
  apply();
  return [
    h("div", { class: "field" }, h("label", { for: "filter" }, "Find a call"), filter, count),
    lists.map(({ heading, items }) => [heading, h("ul", {}, items.map(({ item }) => item))]),
  ];
}

/** Opens the call that the address names. */
function openNamed() {
  const named = document.getElementById(decoded(location.hash.slice(1)));
  if (!named?.classList.contains("operation")) return;
  named.open = true;
  named.scrollIntoView();
  named.querySelector("summary").focus();
}

async function start() {
  const calls = document.getElementById("calls");
  try {
    const response = await fetch("../openapi.json", { credentials: "omit" });
    if (!response.ok) throw new Error(`the server answered ${response.status}`);
    const api = new ApiDocument(await response.json());
    const groups = api.groups();
    replace(document.getElementById("contents"), contentsView(groups));
    replace(
      calls,
      openable("About this API", () => h("div", {}, prose(api.about))),
      groups.map(({ name, description, operations }) =>
        h("section", { "aria-label": name }, h("h2", {}, name), prose(description), operations.map((it) => operationView(api, it))),
      ),
    );
    addEventListener("hashchange", openNamed);
    openNamed();
  } catch (error) {
    replace(calls, h("p", { class: "bad", role: "alert" }, `The description of the API did not load: ${error.message}.`));
  }
}

start();
