// Paragraphs with code in backticks, as the descriptions of the API have them.

import { h } from "../ui/lib/dom.js";

/** The paragraphs of a description. */
export function prose(text) {
  const paragraphs = text.split(/\n\s*\n/).filter((part) => part.trim() !== "");
  return paragraphs.map((part) => h("p", {}, inline(part)));
}

function inline(text) {
  // Every second part was between backticks.
  return text.split("`").map((part, at) => (at % 2 === 1 ? h("code", {}, part) : part.replaceAll("\n", " ")));
}
