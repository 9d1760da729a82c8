"use strict";
const floor = document.getElementById("floor");
const latest = document.getElementById("latest");
const feeds = document.getElementById("feeds");
const totals = document.getElementById("totals");
const tiles = new Map();
const LATEST = 50;

const span = (ms) => {
  const s = Math.max(0, Math.floor(ms / 1000));
  const two = (n) => String(n).padStart(2, "0");
  return s >= 3600 ? `${Math.floor(s / 3600)}:${two(Math.floor(s / 60) % 60)}:${two(s % 60)}` : `${Math.floor(s / 60)}:${two(s % 60)}`;
};

function element(name, text) {
  const made = document.createElement(name);
  made.textContent = text;
  return made;
}

function show(agent) {
  const key = `${agent.source}/${agent.extension}`;
  let tile = tiles.get(key);
  if (!tile) {
    const box = document.createElement("article");
    tile = { box, name: element("b", ""), word: element("span", ""), more: element("small", "") };
    box.append(tile.name, tile.word, tile.more);
    tiles.set(key, tile);
    const after = [...tiles.entries()].find(([other, t]) => other > key && t.box.parentNode === floor);
    floor.insertBefore(box, after ? after[1].box : null);
  }
  tile.agent = agent;
  tile.box.className = `tile ${agent.state}`;
  tile.name.textContent = agent.extension;
  tile.more.textContent = [agent.groups.join(", "), agent.agent].filter(Boolean).join(" · ");
  tick(tile);
}

function tick(tile) {
  tile.word.textContent = `${tile.agent.state.replace("_", " ")} ${span(Date.now() - tile.agent.since)}`;
}

function forget([source, extension]) {
  const tile = tiles.get(`${source}/${extension}`);
  if (tile) {
    tile.box.remove();
    tiles.delete(`${source}/${extension}`);
  }
}

function line(event) {
  const moment = new Date(event.at).toLocaleTimeString();
  const basis = event.basis === "observed" ? "" : ` (${event.basis})`;
  const item = element("li", `${moment} ${event.extension} ${event.from ?? "·"} → ${event.to}${basis}`);
  latest.prepend(item);
  while (latest.children.length > LATEST) latest.lastChild.remove();
}

function health(state) {
  const names = Object.entries(state.sources);
  const bad = names.filter(([, feed]) => feed.status !== "live");
  const words = names.map(([name, feed]) => `${name}: ${feed.status}${feed.reason ? ` (${feed.reason})` : ""}`);
  if (state.kafka) words.unshift(`Kafka is away: ${state.kafka}`);
  const wrong = Boolean(state.kafka) || bad.length > 0 || names.length === 0;
  feeds.textContent = words.join(" · ") || "waiting for the first poll";
  feeds.className = wrong ? "bad" : "";
  document.body.classList.toggle("stale", wrong);
}

function count() {
  const counts = new Map();
  for (const { agent } of tiles.values()) counts.set(agent.state, (counts.get(agent.state) ?? 0) + 1);
  totals.textContent = `${tiles.size} extensions: ` + [...counts].map(([state, n]) => `${n} ${state.replace("_", " ")}`).join(", ");
}

const stream = new EventSource("events");
stream.addEventListener("snapshot", (message) => {
  const all = JSON.parse(message.data);
  tiles.clear();
  floor.replaceChildren();
  latest.replaceChildren();
  all.agents.sort((a, b) => (`${a.source}/${a.extension}` < `${b.source}/${b.extension}` ? -1 : 1)).forEach(show);
  all.events.forEach(line);
  health(all.feeds);
  count();
});
stream.addEventListener("change", (message) => {
  const change = JSON.parse(message.data);
  change.agents.forEach(show);
  change.forgotten.forEach(forget);
  change.events.forEach(line);
  count();
});
stream.addEventListener("feeds", (message) => health(JSON.parse(message.data)));
stream.onerror = () => {
  feeds.textContent = "no connection to the streamer; what is shown may be old";
  feeds.className = "bad";
  document.body.classList.add("stale");
};
setInterval(() => tiles.forEach(tick), 1000);
