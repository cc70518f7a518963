// How many sessions opened and ended in each step of time, from exact counts of past states.

import { SESSIONS, get } from "./api.js";

/** How many counts are asked for at one time: a browser has six connections, and the stream needs one. */
const AT_ONCE = 4;
/** The log may be a little behind the clock of this page. A time that it has not reached is an error. */
const MARGIN_MS = 2_000;

/** Ranges of the chart: steps of so many seconds. */
export const RANGES = {
  "1h": ["60 minutes, by minute", 60, 60],
  "6h": ["6 hours, by 5 minutes", 300, 72],
  "24h": ["24 hours, by 30 minutes", 1_800, 48],
  "7d": ["7 days, by 3 hours", 10_800, 56],
};

/** How many sessions had opened and ended, and how many were active. */
function figures({ total, by_status: by }) {
  const active = by.active ?? 0;
  return { opened: total, ended: total - active, active };
}

/** Counts at the ends of steps, kept because the past does not change. */
export class Series {
  #counts = new Map();

  /** Steps from old to new: start, opened, ended, active at the end. The newest step is not complete. */
  async read(range, signal) {
    const [, seconds, steps] = RANGES[range];
    const stepMs = seconds * 1_000;
    const last = Math.floor((Date.now() - MARGIN_MS) / stepMs) * stepMs;
    const ends = Array.from({ length: steps }, (_, at) => last - (steps - 1 - at) * stepMs);
    const missing = ends.filter((end) => !this.#counts.has(end));
    const worker = async () => {
      for (let end = missing.pop(); end !== undefined; end = missing.pop()) {
        const count = await get(`${SESSIONS}/count`, { as_of: new Date(end).toISOString() }, signal);
        this.#counts.set(end, figures(count));
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, worker));
    const now = await get(`${SESSIONS}/count`, {}, signal);
    const counts = [...ends.map((end) => this.#counts.get(end)), figures(now)];
    return counts.slice(1).map((count, at) => ({
      start: ends[at],
      opened: count.opened - counts[at].opened,
      ended: count.ended - counts[at].ended,
      active: count.active,
    }));
  }
}
