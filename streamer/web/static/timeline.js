/* The last hour of one extension: a bar of its states and the same as a table. */

import { health, known, now, ours } from "./feeds.js";
import { badge, clock, make, span, word, write } from "./words.js";

const dialog = document.getElementById("timeline");
const REDRAW = 5000; // ms between two drawings of the bar, whose right end is now

const legend = () =>
  make("p", { class: "legend", "aria-hidden": "true" },
    make("span", {}, make("i", { "data-basis": "inferred" }), "inferred"),
    make("span", {}, make("i", { "data-basis": "derived" }), "derived"),
    make("span", {}, make("i", { "data-state": "none" }), "not known"));

let shown = null; // { extension, told, closed, parts … }

/** Open it for an extension; `closed` is called with its key when the reader is done. */
export function open(extension, closed) {
  const close = make("button", { type: "button", class: "close" }, "Close");
  close.addEventListener("click", () => dialog.close());
  const parts = {
    who: make("h2", { id: "timeline-title" }), present: make("p", { class: "present" }),
    bar: make("div", { class: "bar", "aria-hidden": "true" }), axis: make("div", { class: "axis", "aria-hidden": "true" }),
    body: make("div", { class: "body", tabindex: "0", role: "region", "aria-label": "Transitions" }, make("p", { role: "status" }, "Asking …")),
  };
  dialog.replaceChildren(make("div", { class: "sheet" }, make("div", { class: "top" }, parts.who, close), parts.present, parts.bar, parts.axis, legend(), parts.body));
  shown = { extension, parts, closed, told: null, asking: null, drawn: 0 };
  tick();
  dialog.showModal();
  ask();
}

/** News of some extensions: ask again if the one shown is among them. */
export function changed(keys) {
  if (shown && keys.has(shown.extension.key)) ask();
}

async function ask() {
  const mine = shown;
  const { source, extension } = mine.extension.agent;
  mine.asking?.abort();
  const asking = (mine.asking = new AbortController());
  try {
    const answer = await fetch(`timeline/${encodeURIComponent(source)}/${encodeURIComponent(extension)}`, { signal: asking.signal });
    if (answer.status === 404) throw new Error("The streamer knows nothing of this extension.");
    if (!answer.ok) throw new Error(`The streamer answered with ${answer.status}.`);
    mine.told = await answer.json();
    if (shown === mine) draw();
  } catch (error) {
    if (asking.signal.aborted || shown !== mine) return;
    const why = error instanceof TypeError ? "No connection to the streamer." : error.message;
    mine.parts.body.replaceChildren(make("p", { class: "wrong", role: "status" }, `${why} What is here may be old.`));
  }
}

/** The states one after the other: [{ from, to, state (null: not known), event }], on the streamer's clock. */
function spans({ from, state, since, events }, source, until, end) {
  const steps = events.filter((event) => event.from !== event.to);
  const at = (ms) => Math.min(Math.max(ours(source, ms), from), until);
  const found = [];
  const first = steps.length ? steps[0].from : ours(source, since) <= from || events.length ? state : null;
  let begin = from;
  let present = { state: first, event: null };
  const enter = (moment, next) => {
    if (moment > begin || present.event) found.push({ from: begin, to: moment, ...present });
    begin = moment;
    present = next;
  };
  for (const event of steps) enter(at(event.at), { state: event.to, event });
  if (!steps.length && first === null) enter(at(since), { state, event: null });
  enter(until, { state: null, event: null });
  if (end > until) enter(end, null);
  return found;
}

function drawBar() {
  const { told, parts, extension } = shown;
  const { source } = extension.agent;
  const end = Math.max(now(), told.from + 1);
  const until = Math.min(Math.max(ours(source, known(source)), told.from), end);
  const pieces = spans(told, source, until, end).map((piece) => {
    const basis = piece.event?.basis ?? "observed";
    const drawn = make("i", { "data-state": piece.state ?? "none", "data-basis": basis, title: `${word(piece.state ?? "not known")} ${span(piece.to - piece.from)}, ${basis}` });
    drawn.style.flexGrow = Math.max(piece.to - piece.from, 0);
    return drawn;
  });
  parts.bar.replaceChildren(...pieces);
  const third = (end - told.from) / 3;
  parts.axis.replaceChildren(...[0, 1, 2, 3].map((i) => make("span", {}, clock(told.from + i * third))));
  shown.drawn = performance.now();
}

function tableRow(event, next, source) {
  const { at, from, to, change, basis, not_before: early, not_after: late } = event;
  const when = make("td", {}, make("b", {}, clock(ours(source, at))));
  if (early !== at || late !== at) {
    const bounds = early === null ? `by ${clock(ours(source, late))}` : `${clock(ours(source, early))} to ${clock(ours(source, late))}`;
    when.append(make("small", {}, bounds));
  }
  const what = make("td", { "data-state": to }, make("b", {}, word(to)));
  if (change !== "state") what.append(make("small", {}, word(change)));
  else if (from) what.append(make("small", {}, `after ${word(from)}`));
  return make("tr", {}, when, what, make("td", {}, span(next - at)), make("td", {}, badge(basis)));
}

function drawTable() {
  const { told, parts, extension } = shown;
  const { source } = extension.agent;
  const known_ = known(source);
  const rows = told.events.map((event, i) => tableRow(event, told.events[i + 1]?.at ?? known_, source)).reverse();
  const head = make("tr", {}, ...["When", "State", "For", "Basis"].map((name) => make("th", { scope: "col" }, name)));
  const caption = `Since ${clock(told.from)}, newest first`;
  const table = make("table", {}, make("caption", {}, caption), make("thead", {}, head), make("tbody", {}, ...rows));
  parts.body.replaceChildren(rows.length ? table : make("p", {}, `No transition since ${clock(told.from)}.`));
}

function draw() {
  drawBar();
  drawTable();
}

/** A second went by. */
export function tick() {
  if (!shown) return;
  const { agent } = shown.extension;
  const { parts } = shown;
  write(parts.who, [agent.extension, agent.agent].filter(Boolean).join(" · "));
  const { status } = health(agent.source);
  const stale = status === "live" ? "" : ` · feed ${status}, as of ${clock(ours(agent.source, known(agent.source)))}`;
  write(parts.present, `${word(agent.state)} for ${span(known(agent.source) - agent.since)} · ${[agent.source, ...agent.groups].join(" · ")}${stale}`);
  parts.present.dataset.state = agent.state;
  if (shown.told && performance.now() - shown.drawn > REDRAW) drawBar();
}

dialog.addEventListener("click", (event) => {
  if (event.target === dialog) dialog.close();
});
dialog.addEventListener("close", () => {
  const { extension, closed, asking } = shown;
  asking?.abort();
  shown = null;
  closed(extension.key);
});
