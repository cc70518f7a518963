// Shows a schema as a list of members. Nested members are made when somebody opens them.

import { h } from "../ui/lib/dom.js";
import { prose } from "./prose.js";

/** How many levels of members can be opened. */
const DEPTH_MAX = 8;

/** The members of a schema, or its type if it has none. */
export function schemaView(api, schema, depth = 0) {
  const members = depth < DEPTH_MAX ? api.members(schema) : [];
  if (members.length === 0) return h("p", {}, api.typeOf(schema));
  return h(
    "dl",
    { class: "members" },
    members.map(([name, member, required]) => {
      const words = api.words(member);
      return [
        h("dt", {}, h("code", {}, name), ` ${api.typeOf(member)}`, required && h("strong", {}, " required")),
        h(
          "dd",
          {},
          prose(api.resolve(member).description ?? ""),
          0 < words.length && h("p", {}, "One of ", words.map((word, at) => [at ? ", " : "", h("code", {}, String(word))])),
          0 < api.members(member).length && openable(`Members of ${name}`, () => schemaView(api, member, depth + 1)),
        ),
      ];
    }),
  );
}

/** A part of the page that is made when somebody opens it. */
export function openable(title, make) {
  const details = h("details", {}, h("summary", {}, title));
  details.addEventListener("toggle", () => details.append(make()), { once: true });
  return details;
}
