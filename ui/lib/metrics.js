// Reads `/metrics`, the figures of the whole server, from their text.

import { send } from "./api.js";

const LINE = /^([a-z_:][a-z0-9_:]*)(?:\{(.*)\})? (\S+)/i;
const LABEL = /([a-z_]+)="((?:[^"\\]|\\.)*)"/gi;

/** The samples of all metrics without the prefix of their names: name, labels, value. */
export function parse(text) {
  const samples = [];
  for (const line of text.split("\n")) {
    const found = line.startsWith("#") ? null : LINE.exec(line);
    if (!found) continue;
    const labels = Object.fromEntries(Array.from((found[2] ?? "").matchAll(LABEL), ([, name, value]) => [name, value]));
    samples.push({ name: found[1].replace(/^session_ledger_/, ""), labels, value: Number(found[3]) });
  }
  const named = (name) => samples.filter((sample) => sample.name === name);
  return {
    /** The value of a metric without labels; null if there is none. */
    one: (name) => named(name)[0]?.value ?? null,
    /** The sum over the samples whose labels `fits` accepts. */
    sum: (name, fits = () => true) =>
      named(name).reduce((sum, { labels, value }) => (fits(labels) ? sum + value : sum), 0),
  };
}

/** The metrics; null if something keeps them from this page, such as a proxy. */
export async function read(signal) {
  try {
    return parse(await (await send("metrics", { signal, extra: { Accept: "text/plain" } })).text());
  } catch {
    return null;
  }
}

/** Whether the server is ready, and why not. */
export async function ready(signal) {
  try {
    await send("readyz", { signal });
    return { isReady: true, text: "ready" };
  } catch (problem) {
    return { isReady: false, text: problem.message };
  }
}
