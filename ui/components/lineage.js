// `<sl-lineage>`: which session opened which, as a tree with a bar for the time of each.

import { h, svg } from "../lib/dom.js";
import { absolute, span } from "../lib/format.js";
import { link } from "../lib/url.js";
import { badge } from "./parts.js";
import { timeOf } from "./time.js";

const BAR_WIDTH = 200;

/** When a session ended; null while it is active. */
function endOf(session) {
  if (session.status === "active") return null;
  if (session.status === "expired") return session.expires_at ?? session.updated_at;
  return session.terminated_at ?? session.updated_at;
}

/** The sessions of a lineage with their depth below its first ancestor. */
function nodes({ ancestors, session, descendants }) {
  const own = ancestors.length;
  return [
    ...ancestors.map((one, level) => ({ session: one, level, moreBelow: false })),
    { session, level: own, moreBelow: false, isOwn: true },
    ...descendants.map((one) => ({ session: one.session, level: own + one.depth, moreBelow: one.more_below })),
  ];
}

/** The span of time of all sessions. */
function range(all, nowMs) {
  const from = Math.min(...all.map(({ session }) => Date.parse(session.created_at)));
  const until = Math.max(...all.map(({ session }) => Date.parse(endOf(session) ?? new Date(nowMs).toISOString())));
  return { from, length: Math.max(1, until - from) };
}

function bar(session, { from, length }, nowMs) {
  const start = Date.parse(session.created_at);
  const end = Date.parse(endOf(session) ?? new Date(nowMs).toISOString());
  const x = ((start - from) / length) * BAR_WIDTH;
  const width = Math.max(2, ((Math.max(start, end) - start) / length) * BAR_WIDTH);
  const shape = { x: Math.min(x, BAR_WIDTH - 2), width: Math.min(width, BAR_WIDTH - x + 2) };
  const lasted = `${absolute(session.created_at)}, ${span((end - start) / 1_000)}`;
  return svg(
    "svg",
    { class: "bar", viewBox: `0 0 ${BAR_WIDTH} 10`, preserveAspectRatio: "none", role: "img", "aria-label": lasted },
    svg("rect", { class: "track", x: 0, y: 4, width: BAR_WIDTH, height: 2 }),
    svg("rect", { class: "span", ...shape, y: 1, height: 8, rx: 1 }),
  );
}

/** How a session came from its parent. */
function edge(session, parents) {
  const parent = parents.get(session.parent_session_id);
  if (parent?.handed_off_session_id === session.session_id) return "hand-off";
  return session.parent_session_id ? "opened" : "root";
}

class Lineage extends HTMLElement {
  /** Shows a lineage. Links lead to the same past state, if there is one. */
  show(lineage, asOf) {
    const to = (id) => link("sessions", id, { as_of: asOf });
    const nowMs = Date.now();
    const all = nodes(lineage);
    const scale = range(all, nowMs);
    const byId = new Map(all.map(({ session }) => [session.session_id, session]));
    const rows = all.map(({ session, level, moreBelow, isOwn }) => {
      const row = h(
        "tr",
        { "aria-current": isOwn ? "true" : null, data: { status: session.status } },
        h(
          "td",
          { class: "node" },
          h("span", { class: "visually-hidden" }, `Level ${level + 1} `),
          h("span", { class: "edge muted" }, edge(session, byId)),
          h("a", { class: "mono", href: to(session.session_id) }, session.session_id),
          moreBelow && h("span", { class: "muted" }, " (more below)"),
        ),
        h("td", {}, badge(session.status)),
        h("td", { class: "mono agent" }, session.agent_id),
        h("td", { class: "time" }, timeOf(session.created_at)),
        h("td", { class: "bar-cell", data: { status: session.status } }, bar(session, scale, nowMs)),
      );
      row.style.setProperty("--level", String(Math.min(level, 12)));
      return row;
    });
    const heads = ["Session", "Status", "Agent", "Created", "From creation to end"];
    this.replaceChildren(
      h(
        "table",
        { class: "rows lineage", "aria-label": "Lineage" },
        h("thead", {}, h("tr", {}, heads.map((label) => h("th", { scope: "col" }, label)))),
        h("tbody", {}, rows),
      ),
    );
    if (lineage.more_ancestors) this.prepend(h("p", { class: "muted" }, "More sessions are above the first one."));
    const { holder, session } = lineage;
    if (holder && holder.session_id !== session.session_id) {
      const anchor = h("a", { class: "mono", href: to(holder.session_id) }, holder.session_id);
      this.prepend(h("p", {}, "Held now by ", anchor, "."));
    }
  }
}

customElements.define("sl-lineage", Lineage);
