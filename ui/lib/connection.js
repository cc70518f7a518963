// What the head of the page says about the connection: one stream for each tab, so one state.

let listener = () => {};
const shown = { state: "idle", asOf: null };

/** Takes the function that shows the state. */
export function listen(act) {
  listener = act;
  act(shown);
}

/** "connecting", "live", "away", "stopped", "past", or "idle" for a page without a stream. */
export function show(state) {
  if (shown.state === state) return;
  shown.state = state;
  listener(shown);
}

/** The state of the ledger that the stream has reached. */
export function showPosition(asOf) {
  shown.asOf = asOf;
  listener(shown);
}
