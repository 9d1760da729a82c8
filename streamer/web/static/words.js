/* How things are said: states, spans of time, moments. All text reaches the page as text, never as markup. */

export const STATES = [
  "talking", "ringing", "wrap_up", "available", "busy", "paused", "idle", "offline", "unknown", "signed_out",
];

export const word = (state) => state.replaceAll("_", " ");

const two = (n) => String(n).padStart(2, "0");

/** A span in milliseconds as 0:07, 12:05, 3:00:00 or 2 d 4 h. */
export function span(ms) {
  const s = Math.max(0, Math.floor(ms / 1000));
  const minutes = Math.floor(s / 60);
  const hours = Math.floor(s / 3600);
  if (hours >= 24) return `${Math.floor(hours / 24)} d ${hours % 24} h`;
  if (hours) return `${hours}:${two(minutes % 60)}:${two(s % 60)}`;
  return `${minutes}:${two(s % 60)}`;
}

const format = new Intl.DateTimeFormat(undefined, {
  hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23",
});

/** A moment (unix ms) as the reader's time of day. */
export const clock = (ms) => format.format(ms);

/** An element with attributes and children; a string is a text node. */
export function make(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

/** Write a text only where it differs: what is written is laid out again. */
export function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** `basis` as a badge: its word and its outline tell it, not its colour. */
export const badge = (basis) => make("span", { class: "basis", "data-basis": basis }, basis);

const collator = new Intl.Collator(undefined, { numeric: true });

/** Order of names as people count: 9 before 10. */
export const byName = collator.compare;
