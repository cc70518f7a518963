// Reads JSON so that every number keeps its digits when it is shown, copied or saved again.

/** What a text may have that a number of JavaScript cannot hold: many digits, or an exponent. */
const LONG = /[\d.]{16}|\d[eE][+-]?\d/;

/** The digits of a number without those that do not count: `-0.10e5` has 1. */
const digits = (text) => text.replace(/[eE].*|[-.]/g, "").replace(/^0+|0+$/g, "");

/** Browsers before 2025 have neither the source of a number nor `rawJSON`: there, such a number is rounded. */
function keep(name, value, context) {
  if (typeof value !== "number" || context === undefined) return value;
  return digits(context.source) === digits(String(value)) ? value : JSON.rawJSON(context.source);
}

const canKeep = typeof JSON.rawJSON === "function";

/** The value of a JSON text. A number that would lose digits is an object that `JSON.stringify` writes as it was. */
export function parse(text) {
  return canKeep && LONG.test(text) ? JSON.parse(text, keep) : JSON.parse(text);
}
