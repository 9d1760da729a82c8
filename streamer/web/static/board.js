/* The wallboard: follows /events and keeps what is shown true, or says that it is not. */

import * as feeds from "./feeds.js";
import * as filters from "./filters.js";
import * as floor from "./floor.js";
import { Group } from "./group.js";
import * as timeline from "./timeline.js";
import { badge, clock, make, word } from "./words.js";

const LATEST = 50;
const RETRY = 3000; // ms before a stream that was closed for good is opened anew
const DEAF = 20_000; // ms of silence after which a stream that looks open is given up

const latest = document.getElementById("latest");
const title = document.getElementById("latest-title");
let stream = null;
let opened = 0;

function line(event) {
  const what = event.change === "state" ? make("span", {}, `${word(event.from ?? "not known")} → `) : make("span", {}, `${word(event.change)}: `);
  const to = make("b", { "data-state": event.to }, word(event.to));
  const who = make("span", { class: "who" }, make("b", {}, event.extension), event.agent ? ` ${event.agent}` : "");
  return make("li", {}, make("time", {}, clock(feeds.ours(event.source, event.at))), who, make("span", { class: "what" }, what, to), badge(event.basis));
}

function tell(events) {
  latest.prepend(...events.slice(-LATEST).map(line).reverse());
  while (latest.children.length > LATEST) latest.lastChild.remove();
}

function recount() {
  filters.offer(floor.groupNames(), feeds.sources());
  filters.count(floor.counts);
}

function tick() {
  feeds.render();
  floor.tick();
  Group.tickVisible();
  timeline.tick();
}

const heard = {
  snapshot({ at, agents, events, feeds: said }) {
    feeds.hear(at);
    feeds.take(said);
    latest.replaceChildren();
    tell(events);
    floor.replace(agents, recount);
    tick();
  },
  change({ at, agents, forgotten, events }) {
    feeds.hear(at);
    floor.change(agents, forgotten);
    tell(events);
    recount();
    timeline.changed(new Set(events.map((event) => floor.keyOf(event.source, event.extension))));
  },
  feeds(said) {
    feeds.hear(said.at);
    feeds.take(said);
    tick();
  },
};

/** Open the stream. The browser reopens one that breaks; one that is refused or deaf is replaced here. */
function follow() {
  stream?.close();
  stream = new EventSource("events");
  opened = performance.now();
  for (const [name, take] of Object.entries(heard)) {
    stream.addEventListener(name, (message) => take(JSON.parse(message.data)));
  }
  stream.addEventListener("error", () => {
    feeds.connection(false);
    tick();
  });
}

function watch() {
  const age = performance.now() - opened;
  const closed = stream.readyState === EventSource.CLOSED && age > RETRY;
  const deaf = stream.readyState === EventSource.OPEN && age > DEAF && feeds.silence() > DEAF;
  if (closed || deaf) follow();
  tick();
}

title.addEventListener("click", () => {
  latest.hidden = !latest.hidden;
  title.setAttribute("aria-expanded", String(!latest.hidden));
});
if (matchMedia("(max-width: 55rem)").matches) title.click();

filters.listen(() => {
  floor.refilter();
  recount();
});
floor.listen((extension) =>
  timeline.open(extension, (key) => floor.focus(key) || document.getElementById("query").focus()),
);
document.addEventListener("visibilitychange", tick);
setInterval(watch, 1000);
recount();
follow();
