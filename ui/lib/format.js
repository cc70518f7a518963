// Words, numbers and times for people.

const NUMBER = new Intl.NumberFormat("en-US");
export const number = (value) => (value === null || value === undefined ? "-" : NUMBER.format(value));

/** A word of the API for people, such as `not active`. */
export const word = (text) => String(text ?? "").replaceAll("_", " ");

/** A word of the API at the beginning, such as `Not active`. */
export function title(text) {
  const words = word(text);
  return words.charAt(0).toUpperCase() + words.slice(1);
}

export const plural = (count, one, many = `${one}s`) => `${number(count)} ${count === 1 ? one : many}`;

/** Which rows of a listing a page has, such as `51-100 of 1,234`. */
export function rangeOf(offset, rows, total) {
  const shown = rows === 0 ? "0" : `${number(offset + 1)}-${number(offset + rows)}`;
  return `${shown} of ${number(total)}`;
}

/** What an active session is doing, or how a terminated one went. */
export const doing = (session) => word(session.status === "active" ? session.phase : session.outcome);

const two = (value) => String(value).padStart(2, "0");

/** A time of day by the clock of the reader, with the date if it is another day. */
export function absolute(iso) {
  const time = new Date(iso);
  if (Number.isNaN(time.getTime())) return String(iso);
  const clock = `${two(time.getHours())}:${two(time.getMinutes())}:${two(time.getSeconds())}`;
  return `${time.getFullYear()}-${two(time.getMonth() + 1)}-${two(time.getDate())} ${clock}`;
}

const UNITS = [
  [86_400, "d"],
  [3_600, "h"],
  [60, "m"],
  [1, "s"],
];

/** A span in its two largest units, such as `3h 20m`. */
export function span(seconds) {
  let rest = Math.max(0, Math.round(seconds));
  if (86_400 * 365 <= rest) return `${Math.floor(rest / (86_400 * 365))}y`;
  const parts = [];
  for (const [size, unit] of UNITS) {
    const count = Math.floor(rest / size);
    rest -= count * size;
    if (count > 0 || parts.length > 0) parts.push(`${count}${unit}`);
    if (parts.length === 2) break;
  }
  return parts.filter((part, at) => at === 0 || !part.startsWith("0")).join(" ") || "0s";
}

/** How long ago a time is, or in how long it comes. */
export function relative(iso, nowMs = Date.now()) {
  const seconds = (nowMs - Date.parse(iso)) / 1_000;
  if (Number.isNaN(seconds)) return String(iso);
  if (Math.abs(seconds) < 1) return "now";
  return seconds < 0 ? `in ${span(-seconds)}` : `${span(seconds)} ago`;
}

/** The value of an `<input type="datetime-local">` as a time of the API. */
export function fromInput(text) {
  const time = new Date(text);
  return text && !Number.isNaN(time.getTime()) ? time.toISOString() : "";
}

/** A time of the API as the value of an `<input type="datetime-local">`. */
export function toInput(iso) {
  const time = new Date(iso);
  if (!iso || Number.isNaN(time.getTime())) return "";
  return new Date(time.getTime() - time.getTimezoneOffset() * 60_000).toISOString().slice(0, 19);
}

/** Bytes as rows of offset, hexadecimal digits and printable characters. */
export function hexDump(bytes) {
  const rows = [];
  for (let at = 0; at < bytes.length; at += 16) {
    const row = bytes.subarray(at, at + 16);
    const digits = Array.from(row, (byte) => byte.toString(16).padStart(2, "0")).join(" ");
    const shown = Array.from(row, (byte) => (32 <= byte && byte < 127 ? String.fromCharCode(byte) : "."));
    rows.push(`${at.toString(16).padStart(8, "0")}  ${digits.padEnd(47)}  ${shown.join("")}`);
  }
  return rows.join("\n");
}

export function bytesOf(base64) {
  return Uint8Array.from(atob(base64), (char) => char.charCodeAt(0));
}
