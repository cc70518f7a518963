// Asks before a command: says what it will do, takes a few fields, and shows the failure if there is one.

import { command, newKey } from "../lib/api.js";
import { announce, button, h, replace, setText } from "../lib/dom.js";

/** A field of a form. `options` makes it a choice. */
function input({ name, label, hint, required, options, value, maxlength }) {
  const props = { name, required, maxlength, autocomplete: "off", spellcheck: "false" };
  const control = options
    ? h("select", props, options.map(([word, text]) => h("option", { value: word }, text)))
    : h("input", { ...props, type: "text" });
  if (value) control.value = value;
  return h("label", { class: "stacked" }, h("span", {}, label), control, hint && h("small", { class: "muted" }, hint));
}

/**
 * Asks with a dialog, and sends a command if the answer is yes. `says` are paragraphs, which may be elements.
 * `request` gets the fields and returns method, path and body. Returns the answer, or null.
 */
export function ask({ title, says, fields = [], act, isDanger = false, request }) {
  return new Promise((done) => {
    // One key for all tries of one command, so that the ledger takes it once. Another command needs another key.
    const keys = new Map();
    const keyOf = (...sent) => {
      const text = JSON.stringify(sent);
      if (!keys.has(text)) keys.set(text, newKey());
      return keys.get(text);
    };
    const problem = h("p", { class: "problem", role: "alert" });
    const yes = h("button", { type: "submit", class: isDanger ? "danger" : "primary" }, act);
    const no = button("Cancel", () => dialog.close());
    const form = h(
      "form",
      { method: "dialog" },
      h("h2", { id: "dialog-title" }, title),
      says.map((text) => h("p", {}, text)),
      fields.map(input),
      problem,
      h("div", { class: "buttons" }, no, yes),
    );
    const dialog = h("dialog", { "aria-labelledby": "dialog-title" }, form);
    let answer = null;
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      const values = Object.fromEntries(new FormData(form));
      const { method, path, body } = request(values);
      // What is under way cannot be canceled.
      yes.disabled = no.disabled = true;
      setText(problem, "");
      try {
        answer = await command(method, path, body, keyOf(method, path, body));
        dialog.close();
      } catch (failed) {
        setText(problem, failed.text ?? failed.message);
        yes.disabled = no.disabled = false;
      }
    });
    dialog.addEventListener("cancel", (event) => no.disabled && event.preventDefault());
    dialog.addEventListener("close", () => {
      dialog.remove();
      if (answer) announce(`${act}: done`);
      done(answer);
    });
    document.body.append(dialog);
    dialog.showModal();
  });
}

/** A body without the fields that are empty; undefined if nothing is left. */
export function filled(values) {
  const entries = Object.entries(values).filter(([, value]) => value.trim?.() !== "");
  return entries.length > 0 ? Object.fromEntries(entries) : undefined;
}

/** Shows a short message about something that was done, until the next one. */
export function tell(place, text) {
  replace(place, h("p", { class: "done", role: "status" }, text));
}
