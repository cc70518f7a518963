// Follows a stream of the API by `fetch`, because an EventSource cannot send a credential.

import { Problem, send } from "./api.js";
import { pause } from "./dom.js";

/** The server says something every 5 s. After so long without a word, the connection is dead. */
const SILENCE_MS = 15_000;
/** How long a page that nobody sees keeps its stream: a browser has six connections for all its tabs. */
const HIDDEN_MS = 30_000;
const RETRY_MS = [500, 10_000];
const LINE_CHARS_MAX = 16 * 1024 * 1024;

/**
 * Follows a stream until the returned function is called. `frame` gets each frame, `state` gets
 * "connecting", "live", "away" or "stopped" and the problem. `resume` gives the parameters of the next
 * connection.
 */
export function follow(path, { params, resume, frame, state }) {
  const stopped = new AbortController();
  let connection = null;
  let failures = 0;
  let hiddenTimer = 0;

  const seen = () => {
    clearTimeout(hiddenTimer);
    if (document.hidden) hiddenTimer = setTimeout(() => connection?.abort("hidden"), HIDDEN_MS);
  };
  document.addEventListener("visibilitychange", seen);
  seen();

  const run = async () => {
    while (!stopped.signal.aborted) {
      if (document.hidden && connection) await once(document, "visibilitychange", stopped.signal);
      connection = new AbortController();
      const signal = AbortSignal.any([stopped.signal, connection.signal]);
      let waitMs = 0;
      try {
        state(failures === 0 ? "connecting" : "away");
        waitMs = await read(signal);
      } catch (problem) {
        if (stopped.signal.aborted) return;
        if (problem instanceof Problem && [400, 401, 403].includes(problem.status)) {
          state("stopped", problem);
          return;
        }
        if (connection.signal.reason !== "hidden") {
          const backoffMs = Math.min(RETRY_MS[1], RETRY_MS[0] * 2 ** failures);
          waitMs = Math.max(backoffMs, (problem.retryAfterS || 0) * 1_000);
          failures += 1;
          state("away", problem);
        }
      }
      // Spread, so that all pages do not come back to a restarted server at once.
      await pause(waitMs * (1 + Math.random() / 2), stopped.signal);
    }
  };

  const read = async (signal) => {
    const silence = watchdog(SILENCE_MS, () => connection.abort("silent"));
    try {
      const asked = { ...params, ...resume?.() };
      const response = await send(path, { params: asked, signal, extra: { Accept: "application/x-ndjson" } });
      for await (const line of lines(response.body, silence.heard)) {
        // Lines of the last chunk may follow the end.
        signal.throwIfAborted();
        const value = JSON.parse(line);
        if (value.frame === "bye") return value.retry_ms;
        if (value.frame === "synced") {
          failures = 0;
          state("live");
        }
        frame(value);
      }
      throw new Error("the stream broke off");
    } finally {
      silence.end();
    }
  };

  run();
  return () => {
    stopped.abort();
    clearTimeout(hiddenTimer);
    document.removeEventListener("visibilitychange", seen);
  };
}

/** The lines of a body. */
async function* lines(body, heard) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      heard();
      const parts = (rest + value).split("\n");
      rest = parts.pop();
      if (LINE_CHARS_MAX < rest.length) throw new Error("a line is too long");
      for (const part of parts) if (part !== "") yield part;
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

function watchdog(ms, act) {
  let timer = setTimeout(act, ms);
  return {
    heard: () => {
      clearTimeout(timer);
      timer = setTimeout(act, ms);
    },
    end: () => clearTimeout(timer),
  };
}

function once(target, event, signal) {
  return new Promise((done) => {
    target.addEventListener(event, done, { once: true });
    signal.addEventListener("abort", done, { once: true });
  });
}

/** The rows of a followed listing. Frames change `next`; a `synced` makes them the rows to show. */
export class FollowedRows {
  constructor() {
    this.rows = [];
    this.next = [];
  }

  /** Takes a frame. Returns whether the rows and totals of a position are complete. */
  take(frame) {
    switch (frame.frame) {
      case "reset":
        this.next = [];
        return false;
      case "upsert": {
        const id = frame.session.session_id;
        const at = this.next.findIndex((row) => row.session_id === id);
        if (at >= 0) this.next.splice(at, 1);
        this.next.splice(frame.index, 0, frame.session);
        return false;
      }
      case "leave":
        this.next = this.next.filter((row) => row.session_id !== frame.session_id);
        return false;
      case "synced":
        this.rows = [...this.next];
        this.total = frame.total;
        this.byStatus = frame.by_status;
        this.asOf = frame.as_of;
        return true;
      default:
        return false;
    }
  }
}
