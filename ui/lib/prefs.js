// What a person prefers: the theme, and how times are shown. Nothing else is kept in the browser.

const PREFIX = "session-ledger.";

function stored(name, allowed) {
  try {
    const value = localStorage.getItem(PREFIX + name);
    return allowed.includes(value) ? value : allowed[0];
  } catch {
    return allowed[0];
  }
}

function store(name, value) {
  try {
    localStorage.setItem(PREFIX + name, value);
  } catch {
    // A browser that stores nothing shows the default after a reload.
  }
}

const ALLOWED = { theme: ["auto", "light", "dark"], times: ["relative", "absolute"] };
const chosen = { theme: stored("theme", ALLOWED.theme), times: stored("times", ALLOWED.times) };

export const get = (name) => chosen[name];

/** Takes the next value of a preference, and tells all that show it. */
export function next(name) {
  const values = ALLOWED[name];
  chosen[name] = values[(values.indexOf(chosen[name]) + 1) % values.length];
  store(name, chosen[name]);
  apply();
  dispatchEvent(new CustomEvent("preference"));
  return chosen[name];
}

export function apply() {
  document.documentElement.dataset.theme = chosen.theme;
}
