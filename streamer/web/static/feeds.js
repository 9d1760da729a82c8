/* How fresh is what the page shows: each feed's health, the streamer's clock, and what is wrong in words. */

import { byName, clock, make, span, write } from "./words.js";

const SILENCE = 15_000; // the streamer speaks every 5 s
const NAMED = 3; // troubles told one by one; more are counted

const list = document.getElementById("feeds");
const banner = document.getElementById("banner");
const summary = document.getElementById("summary");
const news = document.getElementById("news");
const time = document.querySelector("#clock time");

const MARKS = { live: "●", recovering: "◐", stale: "▲", refused: "✕", stopped: "■" };

let feeds = null;
let connected = false;
let skew = Date.now() - performance.now(); // the streamer's clock minus the page's own, which never jumps
let heard = performance.now();
let told = "";
const rows = new Map();

/** The streamer's clock, unix ms. */
export const now = () => performance.now() + skew;

/** Milliseconds since the streamer's last word. */
export const silence = () => performance.now() - heard;

/** The connection is there, or gone. */
export function connection(open) {
  connected = open;
  render();
}

/** A message came, written at `at` by the streamer's clock. */
export function hear(at) {
  heard = performance.now();
  skew = at - heard;
  connected = true;
}

/** What the streamer says of its feeds. */
export function take(said) {
  feeds = said;
  render();
}

export const sources = () => (feeds ? Object.keys(feeds.sources).sort(byName) : []);

const lost = () => !connected || silence() > SILENCE;

/** A source's health as it is, whatever it says itself: a status and the reason. */
export function health(source) {
  const feed = feeds?.sources[source];
  if (lost()) return { status: "stale", reason: "no word from the streamer" };
  if (!feed) return { status: "stale", reason: "the streamer does not follow this source" };
  const age = now() - feed.at;
  if (age > 3000 * feed.heartbeat_s) {
    const last = feed.reason ? `${feed.status}, ${feed.reason}` : feed.status;
    return { status: "stale", reason: `no news of it for ${span(age)}; the last was: ${last}` };
  }
  if (feeds.kafka) return { status: "stale", reason: "Kafka cannot be reached" };
  return { status: feed.status, reason: feed.reason };
}

const offset = (feed) => (feed?.clock_offset ? (500 * (feed.clock_offset[0] + feed.clock_offset[1])) : 0);

/** A moment of the vendor's clock on the streamer's. */
export const ours = (source, at) => at - offset(feeds?.sources[source]);

/** The moment up to which a source's record is known, on the vendor's clock: now, unless its feed is not live. */
export function known(source) {
  const feed = feeds?.sources[source];
  const present = now() + offset(feed);
  if (health(source).status === "live") return present;
  return Math.min(present, feed?.confirmed_until ?? (feed ? feed.at + offset(feed) : present - silence()));
}

function row(source) {
  const made = {
    item: make("li"), status: make("strong"), reason: make("span", { class: "reason" }),
    age: make("span"), until: make("span"), size: make("span"),
  };
  made.item.append(make("b", {}, source), made.status, made.reason, made.age, made.until, made.size);
  list.append(made.item);
  return made;
}

function drawRow(source, feed) {
  if (!rows.has(source)) rows.set(source, row(source));
  const drawn = rows.get(source);
  const { status, reason } = health(source);
  drawn.item.dataset.health = status;
  write(drawn.status, `${MARKS[status]} ${status}`);
  write(drawn.reason, reason);
  write(drawn.age, `newest record ${span(now() - feed.at)} ago`);
  const until = feed.confirmed_until;
  write(drawn.until, until === null ? "complete until: not known" : `complete until ${clock(ours(source, until))}`);
  write(drawn.size, `${feed.extensions} extensions`);
}

/** What is wrong: [what is announced, what the banner adds to it as time goes by]. */
function troubles() {
  if (!feeds) return lost() && silence() > 2000 ? [["No connection to the streamer.", ` Trying for ${span(silence())}.`]] : [];
  if (lost()) {
    const when = `${clock(now() - silence())}, ${span(silence())} ago`;
    return [["No connection to the streamer.", ` The last word came at ${when}. What is shown may be old.`]];
  }
  if (feeds.kafka) return [["The streamer cannot reach Kafka.", ` ${feeds.kafka}. What is shown may be old.`]];
  const found = [];
  const all = sources();
  const bad = all.filter((source) => health(source).status !== "live");
  for (const source of bad.slice(0, NAMED)) {
    const { status, reason } = health(source);
    found.push([`${source} is ${status}.`, ` ${reason ? `${reason}. ` : ""}Shown as of ${clock(ours(source, known(source)))}.`]);
  }
  if (bad.length > NAMED) found.push([`${bad.length} of ${all.length} feeds are not live.`, ""]);
  return found;
}

/** One word for all of it, and how it is said beside the title. */
function verdict(wrong) {
  const all = sources();
  if (!feeds || !all.length) return wrong.length ? ["stale", "no connection"] : ["waiting", feeds ? "waiting for the first poll" : "connecting …"];
  if (lost()) return ["stale", "no connection"];
  if (feeds.kafka) return ["stale", "Kafka is away"];
  const states = all.map((source) => health(source).status);
  const live = states.filter((status) => status === "live").length;
  if (live === all.length) return ["live", "live"];
  const worst = states.some((status) => status !== "live" && status !== "recovering") ? "stale" : "recovering";
  return [worst, all.length === 1 ? worst : `${live} of ${all.length} feeds live`];
}

/** Draw everything anew, where it differs; called each second as well. */
export function render() {
  for (const source of sources()) drawRow(source, feeds.sources[source]);
  for (const [source, drawn] of rows) {
    if (feeds.sources[source]) continue;
    drawn.item.remove();
    rows.delete(source);
  }
  const wrong = troubles();
  const [worst, said] = verdict(wrong);
  summary.dataset.health = document.body.dataset.health = worst;
  write(summary, `${MARKS[worst] ?? "○"} ${said}`);
  write(time, clock(now()));
  document.title = worst === "live" ? "Wallboard" : `${said} – Wallboard`;
  banner.hidden = !wrong.length;
  while (banner.children.length > wrong.length) banner.lastChild.remove();
  wrong.forEach(([what, more], i) => {
    const line = banner.children[i] ?? banner.appendChild(make("p", {}, make("strong"), make("span")));
    write(line.firstChild, what);
    write(line.lastChild, more);
  });
  // Announced is what went wrong or right, not how many seconds ago.
  const tell = wrong.map(([what]) => what).join(" ") || (worst === "live" ? "All feeds are live." : "");
  if (tell !== told) news.textContent = told = tell;
}
