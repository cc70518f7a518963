// `<sl-sign-in>`: takes a key, or the tenant on a server without credentials. It sends `signed-in` once the server
// has accepted it. The key stays in the memory of the page.

import { Problem, SERVER, send } from "../lib/api.js";
import { h, setText } from "../lib/dom.js";
import * as credential from "../lib/credential.js";

const STATUS = "v1/status";
const HINT =
  "The key stays in the memory of this page: a reload forgets it. What the pages show depends on its roles.";

/** Asks the server whether a credential is good, and for what. */
async function check(candidate) {
  return (await send(STATUS, { as: candidate })).json();
}

/** Exchanges a one-time code of a link. */
async function exchange(code) {
  if (!/^[0-9a-f]{64}$/.test(code)) {
    throw new Error("The code of this link is not complete. `session-ledger ui` prints another link.");
  }
  const response = await send("sign-in", { method: "POST", extra: { "X-Sign-In-Code": code }, as: {} });
  const answer = await response.json();
  return { credential: answer.credential ?? null, tenant: answer.tenant_id ?? null };
}

class SignIn extends HTMLElement {
  #key = h("input", {
    type: "password",
    name: "key",
    autocomplete: "off",
    spellcheck: "false",
    placeholder: "slk_...",
  });
  #tenant = h("input", { type: "text", name: "tenant", autocomplete: "off", spellcheck: "false" });
  #keyField = h("label", { class: "stacked" }, h("span", {}, "API key, or token of an identity provider"), this.#key);
  #tenantField = h("label", { class: "stacked", hidden: true }, h("span", {}, "Tenant"), this.#tenant);
  #problem = h("p", { class: "problem", role: "alert" });
  #enter = h("button", { type: "submit", class: "primary" }, "Sign in");
  #hint = h("p", { class: "muted" }, HINT);
  #needsNoKey = false;

  connectedCallback() {
    if (this.firstChild) return;
    const form = h(
      "form",
      { on: { submit: (event) => {
        event.preventDefault();
        this.#submit();
      } } },
      h("h1", { tabindex: "-1" }, "Session Ledger"),
      h("p", { class: "muted mono" }, SERVER.host),
      this.#keyField,
      this.#tenantField,
      this.#problem,
      this.#enter,
      this.#hint,
    );
    this.append(h("main", { id: "main" }, form));
  }

  /** Begins with a code of a link, or a reason why the page asks again. */
  async start({ code = null, reason = "" } = {}) {
    setText(this.#problem, reason);
    if (code !== null) {
      const done = await this.#try(async () => exchange(code));
      if (done) return;
    }
    await this.#probe();
    (this.#needsNoKey ? this.#tenant : this.#key).focus();
  }

  /** A server without credentials asks for a tenant instead of a key. */
  async #probe() {
    try {
      await send(STATUS, { as: {} });
    } catch (problem) {
      if (problem.code === "tenant_required") this.#ask(false);
      else if (problem.status === 0) setText(this.#problem, problem.text);
    }
  }

  #ask(forKey) {
    this.#needsNoKey = !forKey;
    this.#keyField.hidden = !forKey;
    this.#tenantField.hidden = false;
    if (!forKey) setText(this.#hint, "This server accepts every caller and needs no key. It asks only for the tenant.");
  }

  #submit() {
    const key = this.#key.value.trim();
    const tenant = this.#tenant.value.trim();
    if (!this.#needsNoKey && key === "") return setText(this.#problem, "Enter a key.");
    // Headers take ASCII only, and fetch throws for anything else.
    if (/[^\x21-\x7e]/.test(key + tenant)) {
      return setText(this.#problem, "A key and a tenant have visible ASCII characters only.");
    }
    this.#try(async () => ({ credential: this.#needsNoKey ? null : key, tenant: tenant || null }));
  }

  async #try(find) {
    this.#enter.disabled = true;
    setText(this.#problem, "");
    try {
      const candidate = await find();
      const status = await check(candidate);
      credential.keep(candidate, status);
      this.#key.value = "";
      this.dispatchEvent(new CustomEvent("signed-in"));
      return true;
    } catch (problem) {
      if (problem.code === "tenant_required") this.#ask(!this.#needsNoKey);
      setText(this.#problem, problem instanceof Problem ? problem.text : problem.message);
      return false;
    } finally {
      this.#enter.disabled = false;
    }
  }
}

customElements.define("sl-sign-in", SignIn);
