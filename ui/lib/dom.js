// Makes elements. Text from the server becomes text nodes and attributes only: nothing here parses markup.

const SVG = "http://www.w3.org/2000/svg";
// Characters that nobody sees, or that reorder the text around them: controls, separators of lines, annotations, and
// all that Unicode says a program may leave out, such as marks of direction, fillers and tags.
const HIDDEN =
  /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u2028\u2029\ufff9-\ufffb\p{Default_Ignorable_Code_Point}]/gu;

function escaped(char) {
  const digits = char.codePointAt(0).toString(16).padStart(4, "0");
  return digits.length > 4 ? `\\u{${digits}}` : `\\u${digits}`;
}

/** Text with hidden characters as escapes, so that two ids that look alike are alike. */
export function visible(text) {
  return String(text).replace(HIDDEN, escaped);
}

/** An HTML element. `on` holds listeners, `data` holds data attributes, all other members are attributes. */
export function h(tag, props, ...children) {
  return fill(document.createElement(tag), props, children);
}

/** An SVG element. */
export function svg(tag, props, ...children) {
  return fill(document.createElementNS(SVG, tag), props, children);
}

function fill(element, props, children) {
  for (const [name, value] of Object.entries(props ?? {})) {
    if (name === "on") {
      for (const [event, listener] of Object.entries(value)) element.addEventListener(event, listener);
    } else if (name === "data") {
      Object.assign(element.dataset, value);
    } else if (name === "value" || name === "checked" || name === "disabled") {
      element[name] = value;
    } else if (value !== null && value !== undefined && value !== false) {
      element.setAttribute(name, value === true ? "" : visible(value));
    }
  }
  append(element, children);
  return element;
}

/** Appends elements and texts; leaves out null, undefined and false. */
export function append(element, children) {
  for (const child of children.flat(Infinity)) {
    if (child === null || child === undefined || child === false) continue;
    element.append(child instanceof Node ? child : visible(child));
  }
}

/** Replaces everything in an element. */
export function replace(element, ...children) {
  element.replaceChildren();
  append(element, children);
}

/** Sets the text of an element, if it differs. Browsers lay out again even if a text is set to itself. */
export function setText(element, text) {
  const shown = visible(text);
  if (element.textContent !== shown) element.textContent = shown;
}

/** Sets or removes an attribute, if it differs. */
export function setAttribute(element, name, value) {
  if (value === null || value === undefined) {
    if (element.hasAttribute(name)) element.removeAttribute(name);
  } else if (element.getAttribute(name) !== visible(value)) {
    element.setAttribute(name, visible(value));
  }
}

/** Names the page in the browser. */
export function setTitle(text) {
  document.title = visible(`${text} - Session Ledger`);
}

/** A button with a text, that does something. */
export function button(label, act, props) {
  return h("button", { type: "button", ...props, on: { click: act } }, label);
}

/** Says something to screen readers, without moving the focus. */
export function announce(text) {
  const region = document.getElementById("announcements");
  if (region) setText(region, text);
}

/** Calls a function at most once for each frame of the screen. */
export function oncePerFrame(act) {
  let asked = 0;
  return () => {
    asked ||= requestAnimationFrame(() => {
      asked = 0;
      act();
    });
  };
}

/** Calls a function at once, and then at most once in so many milliseconds. */
export function atMostEvery(ms, act) {
  let last = -Infinity;
  let timer = 0;
  const run = () => {
    timer = 0;
    last = performance.now();
    act();
  };
  return () => {
    timer ||= setTimeout(run, Math.max(0, last + ms - performance.now()));
  };
}

/** Calls a function when it has not been asked for so many milliseconds. */
export function whenQuiet(ms, act) {
  let timer = 0;
  return (...args) => {
    clearTimeout(timer);
    timer = setTimeout(() => act(...args), ms);
  };
}

/** Waits, or until the signal is aborted. */
export function pause(ms, signal) {
  return new Promise((done) => {
    const timer = setTimeout(end, ms);
    signal?.addEventListener("abort", end, { once: true });
    function end() {
      clearTimeout(timer);
      signal?.removeEventListener("abort", end);
      done();
    }
  });
}
