// The form of an operation: a field for each parameter, and the body.

import { button, h, setText } from "../ui/lib/dom.js";
import { answerView } from "./answer.js";
import { prose } from "./prose.js";
import { curl, requestOf, send } from "./request.js";
import { openable, schemaView } from "./schema.js";

/** The page sends this header from its own field. */
const TENANT = "X-Tenant-ID";

/** The form. `caller` returns the key and the tenant. */
export function formOf(api, operation, caller) {
  const fields = operation.parameters
    .filter(({ name }) => name !== TENANT)
    .map((parameter) => field(api, operation, parameter));
  const body = bodyField(api, operation);
  const accept = acceptField(operation);
  const command = h("pre", { class: "curl", tabindex: "0", role: "group", "aria-label": "The request as a command line" });
  const answer = answerView();

  const request = () => {
    const values = new Map(fields.map(({ name, read }) => [name, read()]));
    return requestOf(operation, values, { ...body.read(), accept: accept.read() }, caller());
  };
  const update = () => setText(command, curl(request(), caller()));
  const copied = h("span", { role: "status" });
  const copy = button("Copy as curl", async () => {
    update();
    const done = await navigator.clipboard?.writeText(command.textContent).then(() => true, () => false);
    setText(copied, done ? "Copied." : "Select the text below, and copy it.");
  });
  const form = h(
    "form",
    {
      on: {
        input: update,
        submit: (event) => {
          event.preventDefault();
          update();
          answer.show((signal) => send(request(), caller(), signal));
        },
      },
    },
    fields.map(({ row }) => row),
    body.rows,
    accept.row,
    h("p", { class: "actions" }, h("button", { type: "submit", class: "primary" }, "Send"), copy, copied),
    command,
  );
  update();
  return { view: h("div", {}, form, answer.place), update };
}

/** A label, an input and a description. `notes` are words about the value. */
function row(label, input, notes, description) {
  const about = `${input.id}-about`;
  input.setAttribute("aria-describedby", about);
  return h(
    "div",
    { class: "field" },
    h("label", { for: input.id }, h("code", {}, label)),
    input,
    h("div", { id: about, class: "about" }, h("p", {}, notes.filter(Boolean).join(", ")), description),
  );
}

function field(api, operation, parameter) {
  const { name, required, description = "" } = parameter;
  const schema = api.resolve(parameter.schema);
  const id = `${operation.id}-${name}`;
  const words = api.words(schema);
  const isList = schema.type === "array";
  const notes = [
    required && "required",
    api.typeOf(schema),
    schema.default !== undefined && `default ${schema.default}`,
    isList && "one a line",
  ];
  let input;
  if (isList) {
    input = h("textarea", { id, rows: "2", spellcheck: "false" });
  } else if (0 < words.length || schema.type === "boolean") {
    const choices = 0 < words.length ? words : ["true", "false"];
    input = h("select", { id }, ["", ...choices].map((word) => h("option", { value: word }, word || "not sent")));
  } else {
    const type = schema.type === "integer" ? "number" : "text";
    input = h("input", { id, type, min: schema.minimum, spellcheck: "false", autocomplete: "off" });
  }
  if (required) input.required = true;
  const about = [prose(description), isList && 0 < words.length && h("p", {}, `One of ${words.join(", ")}.`)];
  const read = () => (isList ? input.value.split("\n").map((line) => line.trim()) : [input.value.trim()]);
  return { name, read, row: row(name, input, notes, about) };
}

/** The body, with a choice of media types if there are several. */
function bodyField(api, operation) {
  if (!operation.body) return { rows: null, read: () => ({ body: "", type: "" }) };
  const { contents, description, required } = operation.body;
  const exampleOf = ({ type, schema, example }) => {
    const value = example ?? api.example(schema);
    return type.endsWith("json") ? JSON.stringify(value, null, 2) : new URLSearchParams(value).toString();
  };
  const text = h("textarea", { id: `${operation.id}-body`, rows: "10", spellcheck: "false", value: exampleOf(contents[0]) });
  const types = contents.map(({ type }) => h("option", { value: type }, type));
  const type = h("select", { id: `${operation.id}-type` }, types);
  type.addEventListener("input", () => {
    text.value = exampleOf(contents.find((content) => content.type === type.value));
  });
  return {
    rows: [
      1 < contents.length && row("Content-Type", type, [], []),
      row("body", text, [required && "required"], prose(description)),
      openable("Members of the body", () => schemaView(api, contents[0].schema)),
    ],
    read: () => ({ body: text.value.trim(), type: type.value }),
  };
}

/** A choice of the media types of the answer if there are several. */
function acceptField(operation) {
  const types = operation.responses.find(({ status }) => status === "200")?.contents ?? [];
  if (types.length < 2) return { row: null, read: () => "" };
  const input = h(
    "select",
    { id: `${operation.id}-accept` },
    types.map(({ type }) => h("option", { value: type }, type)),
  );
  return { row: row("Accept", input, [], []), read: () => input.value };
}
