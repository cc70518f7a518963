// `<sl-chart>`: bars of opened sessions above a line, of ended ones below it. A table beside it has the numbers.

import { h, replace, setAttribute, svg } from "../lib/dom.js";
import { number } from "../lib/format.js";

const HEIGHT = 220;
const LEFT = 56;
const BOTTOM = 22;
const GAP = 0.25;

/** A round number that is not below the value: 1, 2 or 5 and zeros. */
function roundUp(value) {
  const power = 10 ** Math.floor(Math.log10(Math.max(1, value)));
  return [1, 2, 5, 10].map((digit) => digit * power).find((round) => value <= round);
}

function clock(ms, withDate) {
  const time = new Date(ms);
  const two = (value) => String(value).padStart(2, "0");
  const hour = `${two(time.getHours())}:${two(time.getMinutes())}`;
  return withDate ? `${two(time.getMonth() + 1)}-${two(time.getDate())} ${hour}` : hour;
}

/** Whether the steps cover more than a day, so that their marks need a date. */
const isLong = (steps) => steps.length > 1 && 86_400_000 < steps.at(-1).start - steps[0].start;

class Chart extends HTMLElement {
  #steps = [];
  #resized = new ResizeObserver(() => this.#draw());
  #drawing = svg("svg", { role: "img", "aria-label": "Sessions opened and ended" });
  #readout = h("p", { class: "readout mono", "aria-hidden": "true" });
  #body = h("tbody");

  connectedCallback() {
    if (this.firstChild) return;
    const legend = h(
      "p",
      { class: "legend" },
      h("span", { class: "key opened" }, "Opened"),
      h("span", { class: "key ended" }, "Ended"),
      this.#readout,
    );
    const heads = ["From", "Opened", "Ended", "Active at the end"];
    const table = h(
      "table",
      { class: "rows" },
      h("thead", {}, h("tr", {}, heads.map((label) => h("th", { scope: "col" }, label)))),
      this.#body,
    );
    this.#resized.observe(this);
    this.append(legend, this.#drawing, h("details", { class: "numbers" }, h("summary", {}, "Numbers"), table));
  }

  disconnectedCallback() {
    this.#resized.disconnect();
  }

  /** Shows steps: start, opened, ended, active. */
  show(steps) {
    this.#steps = steps;
    this.#draw();
    const withDate = isLong(steps);
    this.#read(steps.at(-1), withDate);
    const cell = (value) => h("td", { class: "count" }, number(value));
    const row = ({ start, opened, ended, active }) =>
      h("tr", {}, h("th", { scope: "row" }, clock(start, withDate)), [opened, ended, active].map(cell));
    this.#body.replaceChildren(...steps.toReversed().map(row));
  }

  /** Draws the steps as wide as the page is, so that texts keep their size. */
  #draw() {
    const steps = this.#steps;
    const all = this.clientWidth;
    if (steps.length === 0 || all === 0) return;
    setAttribute(this.#drawing, "viewBox", `0 0 ${all} ${HEIGHT}`);
    const withDate = isLong(steps);
    const most = roundUp(Math.max(...steps.map((step) => Math.max(step.opened, step.ended)), 1));
    const middle = (HEIGHT - BOTTOM) / 2;
    const scale = (middle - 6) / most;
    const width = (all - LEFT) / steps.length;
    const every = Math.ceil(steps.length / (all < 600 ? 4 : 8));
    const parts = [
      ...[most, most / 2, 0, -most / 2, -most].map((value) => this.#line(middle - value * scale, Math.abs(value), all)),
      ...steps.flatMap((step, at) => {
        const x = LEFT + at * width + (width * GAP) / 2;
        const tall = (count) => Math.max(count > 0 ? 1 : 0, count * scale);
        const bar = (kind, y, count) =>
          svg("rect", { class: kind, x, y, width: width * (1 - GAP), height: tall(count) });
        const area = svg("rect", { class: "hit", x: LEFT + at * width, y: 0, width, height: HEIGHT - BOTTOM });
        area.addEventListener("pointerenter", () => this.#read(step, withDate));
        return [bar("opened", middle - step.opened * scale, step.opened), bar("ended", middle, step.ended), area];
      }),
      ...steps.map((step, at) => at % every === 0 && this.#mark(LEFT + at * width, clock(step.start, withDate))),
    ];
    replace(this.#drawing, parts);
  }

  #line(y, value, all) {
    const label = Number.isInteger(value) ? number(value) : "";
    const line = svg("line", { class: "grid", x1: LEFT, x2: all, y1: y, y2: y });
    return svg("g", {}, line, svg("text", { x: LEFT - 8, y: y + 4, "text-anchor": "end" }, label));
  }

  #mark(x, label) {
    return svg("text", { x, y: HEIGHT - 5 }, label);
  }

  #read(step, withDate) {
    if (!step) return;
    const counts = `+${number(step.opened)}  -${number(step.ended)}  ${number(step.active)} active`;
    replace(this.#readout, `${clock(step.start, withDate)}  ${counts}`);
  }
}

customElements.define("sl-chart", Chart);
