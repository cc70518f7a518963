// `<sl-shell>`: the head of every page, and the page that the address names.

import { button, h, replace, setAttribute, setText, setTitle } from "../lib/dom.js";
import { number } from "../lib/format.js";
import * as connection from "../lib/connection.js";
import * as credential from "../lib/credential.js";
import * as prefs from "../lib/prefs.js";
import * as url from "../lib/url.js";
import { message } from "./parts.js";

/** Pages: the word in the address, the title, the elements of the list and of one thing, and the role. A credential
 * that is bound to an agent may not see refused events: many of them concern no known agent. */
const PAGES = [
  { name: "sessions", title: "Sessions", list: "sl-page-sessions", one: "sl-page-session", role: "read" },
  { name: "agents", title: "Agents", list: "sl-page-agents", one: "sl-page-agent", role: "read" },
  { name: "refused", title: "Refused", list: "sl-page-refused", role: "audit", isOfAll: true },
  { name: "overview", title: "Overview", list: "sl-page-overview", role: "read" },
];

/** Why this credential may not see a page; null if it may. */
function refusal({ name, role, isOfAll }, { id, params }) {
  // The events of a session are there for audits as well.
  const isAudit = name === "sessions" && id && !params.get("as_of") && credential.may("audit");
  if (!credential.may(role) && !isAudit) {
    return `It needs the role ${role}. The key has: ${credential.roles().join(", ") || "none"}.`;
  }
  if (isOfAll && credential.boundAgent() !== null) return "The key is bound to an agent, and sees only its sessions.";
  return null;
}

/** What stands in the place of a page that would only fail. */
function refused(title, why) {
  connection.show("idle");
  return h("div", {}, h("h1", { tabindex: "-1" }, title), message("Not for this key", why));
}

const STATES = {
  idle: "Not live",
  connecting: "Connecting",
  live: "Live",
  away: "Server away, trying again",
  stopped: "Stopped",
  past: "Past state",
};

/** A preference: its label, and a word for each of its values. */
const WORDS = {
  theme: ["Theme: ", { auto: "system", light: "light", dark: "dark" }],
  times: ["Times: ", { relative: "relative", absolute: "absolute" }],
};

class Shell extends HTMLElement {
  #main = h("main", { id: "main" });
  #links = new Map();
  #state = h("span", { class: "connection" });
  // Only the word is read aloud: the position changes ten times a second.
  #word = h("span", { role: "status" });
  #position = h("span", { class: "mono position" });
  #shown = "";

  connectedCallback() {
    if (this.firstChild) return;
    const isAllowed = (page) => refusal(page, {}) === null;
    for (const { name, title } of PAGES.filter(isAllowed)) {
      this.#links.set(name, h("a", { href: url.link(name) }, title));
    }
    const docs = h("a", { href: "../docs", class: "outside" }, "API");
    this.#state.append(this.#word, this.#position);
    const brand = h(
      "a",
      { href: url.link("sessions"), class: "brand", "aria-label": "Session Ledger" },
      h("span", { class: "mark", "aria-hidden": "true" }),
      h("span", { class: "name" }, "Session Ledger"),
    );
    const agent = credential.boundAgent();
    const tenant = h(
      "span",
      { class: "tenant mono", title: `Roles: ${credential.roles().join(", ")}` },
      agent === null ? credential.tenant() : `${credential.tenant()} / ${agent}`,
    );
    this.append(
      h(
        "header",
        { class: "top" },
        brand,
        h("nav", { "aria-label": "Pages of the dashboard" }, [...this.#links.values()], docs),
        h("span", { class: "grow" }),
        this.#state,
        tenant,
        this.#preference("times"),
        this.#preference("theme"),
        button("Sign out", () => dispatchEvent(new CustomEvent("sign-out")), { class: "quiet" }),
      ),
      this.#main,
    );
    connection.listen(({ state, asOf }) => {
      this.#state.dataset.state = state;
      setText(this.#word, STATES[state]);
      setText(this.#position, asOf && state !== "past" ? number(asOf.position) : "");
    });
  }

  #preference(name) {
    const [label, words] = WORDS[name];
    const word = h("span", {}, words[prefs.get(name)]);
    const text = [h("span", { class: "label" }, label), word];
    return button(text, () => setText(word, words[prefs.next(name)]), { class: "quiet" });
  }

  /** Shows the page that the address names. */
  show({ page, id, params }) {
    const found = PAGES.find(({ name }) => name === page) ?? PAGES[0];
    const tag = id && found.one ? found.one : found.list;
    for (const [name, link] of this.#links) setAttribute(link, "aria-current", name === found.name ? "page" : null);
    // Another session or agent, or another state of it, is another page; other settings of a list are not.
    const key = tag === found.one ? `${tag} ${id} ${params.get("as_of")}` : tag;
    if (key === this.#shown) {
      this.#main.firstChild.route = { id, params };
      return;
    }
    const isFirst = this.#shown === "";
    this.#shown = key;
    setTitle(`${id ? `${id} - ` : ""}${found.title}`);
    const why = refusal(found, { id, params });
    const element = why === null ? document.createElement(tag) : refused(found.title, why);
    replace(this.#main, element);
    element.route = { id, params };
    if (isFirst) return;
    scrollTo({ top: 0 });
    element.querySelector("h1")?.focus({ preventScroll: true });
  }
}

customElements.define("sl-shell", Shell);
