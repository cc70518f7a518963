// `<sl-pager>`: first, previous, a page by its number, next.

import { button, h, setText } from "../lib/dom.js";
import { number } from "../lib/format.js";

class Pager extends HTMLElement {
  #page = 1;
  #pages = 1;
  #first = button("Newest", () => this.#go(1), { "aria-label": "First page" });
  #before = button("Previous", () => this.#go(this.#page - 1), { "aria-label": "Previous page" });
  #after = button("Next", () => this.#go(this.#page + 1), { "aria-label": "Next page" });
  #input = h("input", { type: "number", min: "1", inputmode: "numeric", "aria-label": "Page" });
  #of = h("span", { class: "of" });

  connectedCallback() {
    if (this.firstChild) return;
    const form = h(
      "form",
      { on: { submit: (event) => {
        event.preventDefault();
        this.#go(Math.max(1, this.#input.valueAsNumber || 1));
      } } },
      h("label", {}, "Page ", this.#input),
      this.#of,
    );
    this.setAttribute("role", "navigation");
    this.setAttribute("aria-label", "Pages");
    this.append(this.#first, this.#before, form, this.#after);
  }

  #go(page) {
    // From a page beyond the last one, which an address may name, the way back is the last one.
    this.dispatchEvent(new CustomEvent("page", { detail: Math.min(this.#pages, page) }));
  }

  show(page, pages) {
    this.#page = page;
    this.#pages = Math.max(1, pages);
    this.#input.max = String(this.#pages);
    if (document.activeElement !== this.#input) this.#input.value = String(page);
    setText(this.#of, `of ${number(this.#pages)}`);
    this.#first.disabled = page <= 1;
    this.#before.disabled = page <= 1;
    this.#after.disabled = this.#pages <= page;
  }
}

customElements.define("sl-pager", Pager);
