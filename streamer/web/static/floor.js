/* The floor: a section for each task group, a tile for each extension in it. Only what changed is touched. */

import { asked, found, showsGroup, showsState } from "./filters.js";
import { Group } from "./group.js";
import { byName } from "./words.js";

const SLICE = 12; // ms of building before the page may do something else

const root = document.getElementById("floor");
const empty = document.getElementById("empty");

const extensions = new Map(); // key → { agent, found, counted, tiles: Group → tile }
const groups = new Map(); // source and name → Group
const waiting = new Map(); // key → agent, of a snapshot: not built yet
const dirty = new Set();

/** Extensions of each state, of those that group, source and search leave. */
export const counts = new Map();

export const keyOf = (source, extension) => `${source}/${extension}`;
export const size = () => extensions.size;
export const groupNames = () => [...groups.values()].map((group) => group.name);

/** In the order in which they are shown. */
const inOrder = () => [...groups.values()].sort((a, b) => !a.name - !b.name || byName(a.name, b.name) || byName(a.source, b.source));

function groupOf(source, name) {
  const key = `${source}/${name}`;
  let group = groups.get(key);
  if (!group) {
    group = new Group(source, name);
    groups.set(key, group);
    const ordered = inOrder();
    root.insertBefore(group.box, ordered[ordered.indexOf(group) + 1]?.box ?? null);
  }
  return group;
}

function count(extension) {
  const { agent } = extension;
  const inGroup = asked.group === null || (agent.groups.length ? agent.groups : [""]).includes(asked.group);
  const counted = extension.found && inGroup && (asked.source === null || asked.source === agent.source) ? agent.state : null;
  if (counted === extension.counted) return;
  if (extension.counted) counts.set(extension.counted, counts.get(extension.counted) - 1);
  if (counted) counts.set(counted, (counts.get(counted) ?? 0) + 1);
  extension.counted = counted;
}

const isShown = (extension) => extension.found && showsState(extension.agent.state);

function draw(extension, group, tile) {
  group.draw(tile, extension.agent, extension.found, isShown(extension));
  dirty.add(group);
}

function drop(extension, group, tile) {
  group.remove(tile);
  extension.tiles.delete(group);
  if (group.tiles.length) dirty.add(group);
  else {
    group.box.remove();
    groups.delete(`${group.source}/${group.name}`);
    dirty.delete(group);
  }
}

function set(agent) {
  const key = keyOf(agent.source, agent.extension);
  let extension = extensions.get(key);
  if (!extension) extensions.set(key, (extension = { key, tiles: new Map(), counted: null }));
  extension.agent = agent;
  extension.found = found(agent);
  count(extension);
  const names = new Set(agent.groups.length ? agent.groups : [""]);
  const kept = new Set([...names].map((name) => groupOf(agent.source, name)));
  for (const [group, tile] of extension.tiles) if (!kept.has(group)) drop(extension, group, tile);
  for (const group of kept) {
    if (!extension.tiles.has(group)) extension.tiles.set(group, group.add(extension));
    draw(extension, group, extension.tiles.get(group));
  }
}

function forget(key) {
  waiting.delete(key);
  const extension = extensions.get(key);
  if (!extension) return;
  extension.found = false;
  count(extension);
  for (const [group, tile] of extension.tiles) drop(extension, group, tile);
  extensions.delete(key);
}

function settle() {
  for (const group of dirty) group.settle(showsGroup(group.name, group.source));
  dirty.clear();
  empty.hidden = [...groups.values()].some((group) => !group.box.hidden);
  empty.textContent = extensions.size ? "No extension answers these filters." : "No extension yet.";
}

/** What changed. */
export function change(agents, forgotten) {
  for (const agent of agents) {
    const key = keyOf(agent.source, agent.extension);
    if (waiting.has(key)) waiting.set(key, agent);
    else set(agent);
  }
  for (const [source, extension] of forgotten) forget(keyOf(source, extension));
  settle();
}

/** All there is; `step` is called after each slice of it. What is there already is only compared. */
export function replace(agents, step) {
  const building = waiting.size > 0;
  waiting.clear();
  const rank = (agent) => agent.groups[0] ?? "\uffff";
  const sorted = agents.toSorted((a, b) => byName(rank(a), rank(b)) || byName(a.extension, b.extension));
  for (const agent of sorted) waiting.set(keyOf(agent.source, agent.extension), agent);
  for (const key of [...extensions.keys()]) if (!waiting.has(key)) forget(key);
  if (!building) build(step);
}

function build(step) {
  const until = performance.now() + SLICE;
  for (const [key, agent] of waiting) {
    waiting.delete(key);
    set(agent);
    if (performance.now() > until) break;
  }
  settle();
  root.setAttribute("aria-busy", String(waiting.size > 0));
  step();
  if (waiting.size) setTimeout(build, 0, step);
}

/** Something else is asked for. */
export function refilter() {
  for (const extension of extensions.values()) {
    extension.found = found(extension.agent);
    count(extension);
    for (const [group, tile] of extension.tiles) draw(extension, group, tile);
  }
  for (const group of groups.values()) dirty.add(group);
  settle();
}

/** A second went by. */
export function tick() {
  for (const group of groups.values()) group.tick();
}

/** Put the focus on an extension's tile; false if none can be seen. */
export function focus(key) {
  for (const [group, tile] of extensions.get(key)?.tiles ?? []) if (group.focus(tile)) return true;
  return false;
}

const STEPS = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -1, ArrowDown: 1, Home: -Infinity, End: Infinity };

root.addEventListener("keydown", (event) => {
  const at = Group.tileOf(event.target);
  const step = STEPS[event.key];
  if (!at || !step || event.altKey || event.metaKey) return;
  event.preventDefault();
  const open = inOrder().filter((group) => group.reachable());
  if (event.ctrlKey && !Number.isFinite(step)) return void (step < 0 ? open[0].enter(1) : open.at(-1).enter(-1));
  const far = event.key === "ArrowUp" || event.key === "ArrowDown" ? step * at.group.columns() : step;
  if (!at.group.move(at.tile, far)) open[open.indexOf(at.group) + step]?.enter(step);
});

/** `opened` is called with an extension whose tile was pressed. */
export function listen(opened) {
  root.addEventListener("click", (event) => {
    const at = Group.tileOf(event.target);
    if (at) opened(at.tile.extension);
  });
}
