/* One task group of one source: its heading, its totals, its tiles in order. */

import { health, known, ours } from "./feeds.js";
import { STATES, byName, clock, make, span, word, write } from "./words.js";

const tiles = new WeakMap(); // box → { group, tile }
const visible = new Set(); // of all groups: only these tick

const eye = new IntersectionObserver(
  (entries) => {
    for (const { target, isIntersecting } of entries) {
      const at = tiles.get(target);
      if (!at) continue;
      if (!isIntersecting) visible.delete(at.tile);
      else {
        visible.add(at.tile);
        at.group.time(at.tile);
      }
    }
  },
  { rootMargin: "200px" },
);

let made = 0;

export class Group {
  constructor(source, name) {
    Object.assign(this, { source, name, tiles: [], counts: new Map(), shown: 0, stop: null });
    const id = `group-${made++}`;
    this.grid = make("div", { class: "tiles", id, role: "group", "aria-labelledby": `${id}-title`, "aria-describedby": "keys" });
    this.button = make("button", { type: "button", id: `${id}-title`, "aria-expanded": "true", "aria-controls": id }, name || "no task group", make("small", {}, source));
    this.sum = make("b");
    this.sums = make("p", { class: "sums" }, this.sum);
    this.stale = make("p", { class: "as-of" });
    this.bar = make("div", { class: "share", "aria-hidden": "true" });
    this.box = make("section", { class: "group", "aria-labelledby": `${id}-title` }, make("h3", {}, this.button), this.stale, this.sums, this.bar, this.grid);
    this.parts = new Map();
    this.button.addEventListener("click", () => {
      this.grid.hidden = !this.grid.hidden;
      this.button.setAttribute("aria-expanded", String(!this.grid.hidden));
    });
    this.tick();
  }

  static tileOf(node) {
    return tiles.get(node.closest?.(".tile"));
  }

  /** A tile for an extension, in its place. */
  add(extension) {
    const { agent } = extension;
    const box = make("button", { type: "button", class: "tile", tabindex: "-1", "aria-haspopup": "dialog" });
    const tile = { box, extension, time: make("time"), state: make("span"), agent: make("small"), shown: true, counted: null, since: null };
    box.append(make("b", {}, agent.extension), " ", tile.time, " ", tile.state, " ", tile.agent);
    tiles.set(box, { group: this, tile });
    let low = 0;
    for (let high = this.tiles.length; low < high; ) {
      const middle = (low + high) >> 1;
      if (byName(this.tiles[middle].extension.agent.extension, agent.extension) < 0) low = middle + 1;
      else high = middle;
    }
    this.grid.insertBefore(box, this.tiles[low]?.box ?? null);
    this.tiles.splice(low, 0, tile);
    this.shown += 1;
    eye.observe(box);
    return tile;
  }

  remove(tile) {
    this.count(tile, null);
    this.show(tile, false);
    eye.unobserve(tile.box);
    visible.delete(tile);
    this.leave(tile);
    tile.box.remove();
    this.tiles.splice(this.tiles.indexOf(tile), 1);
  }

  /** Show a tile as it now is. */
  draw(tile, agent, isCounted, isShown) {
    if (tile.box.dataset.state !== agent.state) {
      tile.box.dataset.state = agent.state;
      write(tile.state, word(agent.state));
    }
    write(tile.agent, agent.agent);
    this.count(tile, isCounted ? agent.state : null);
    this.show(tile, isShown);
    if (visible.has(tile) || tile.since !== agent.since) this.time(tile);
    tile.since = agent.since;
  }

  count(tile, state) {
    if (tile.counted === state) return;
    if (tile.counted) this.counts.set(tile.counted, this.counts.get(tile.counted) - 1);
    if (state) this.counts.set(state, (this.counts.get(state) ?? 0) + 1);
    tile.counted = state;
  }

  show(tile, isShown) {
    if (tile.shown === isShown) return;
    tile.shown = isShown;
    this.shown += isShown ? 1 : -1;
    if (!isShown) this.leave(tile);
    tile.box.hidden = !isShown;
  }

  /** Whoever stands on a tile that goes away stands on its neighbour. */
  leave(tile) {
    if (this.stop === tile) {
      tile.box.tabIndex = -1;
      this.stop = null;
    }
    if (document.activeElement !== tile.box) return;
    const i = this.tiles.indexOf(tile);
    const next = this.tiles.find((other, j) => j > i && other.shown) ?? this.tiles.findLast((other, j) => j < i && other.shown);
    if (!next || !this.focus(next)) this.button.focus();
  }

  time(tile) {
    write(tile.time, span(known(this.source) - tile.extension.agent.since));
  }

  /** The totals, and whether there is anything to be seen; after a batch of changes. */
  settle(isAsked) {
    this.box.hidden = !isAsked || !this.shown;
    let all = 0;
    for (const state of STATES) {
      const n = this.counts.get(state) ?? 0;
      all += state === "signed_out" ? 0 : n;
      if (n || this.parts.has(state)) this.part(state, n);
    }
    write(this.sum, `${all} ${all === 1 ? "extension" : "extensions"}`);
    if (!this.stop && this.shown) this.rove(this.tiles.find((tile) => tile.shown));
  }

  part(state, n) {
    let part = this.parts.get(state);
    if (!part) {
      part = { text: make("span", { "data-state": state }), share: make("i", { "data-state": state }), n: -1 };
      this.parts.set(state, part);
      const after = STATES.slice(STATES.indexOf(state) + 1).map((later) => this.parts.get(later)).find(Boolean);
      this.sums.insertBefore(part.text, after?.text ?? null);
      if (state !== "signed_out") this.bar.insertBefore(part.share, after?.share.parentNode ? after.share : null);
    }
    if (part.n === n) return;
    part.n = n;
    part.text.hidden = !n;
    part.text.textContent = `${n} ${word(state)}`;
    part.share.style.flexGrow = n;
  }

  /** A second went by: what is in sight shows it, and how old it is if the feed is not live. */
  tick() {
    const { status } = health(this.source);
    if (this.box.dataset.health !== status) this.box.dataset.health = status;
    this.stale.hidden = status === "live";
    write(this.stale, status === "live" ? "" : `${status}: as of ${clock(ours(this.source, known(this.source)))}`);
  }

  /** Can a tile of it be gone to? */
  reachable() {
    return !this.box.hidden && !this.grid.hidden && this.shown > 0;
  }

  columns() {
    return getComputedStyle(this.grid).gridTemplateColumns.split(" ").length;
  }

  rove(tile) {
    if (this.stop) this.stop.box.tabIndex = -1;
    this.stop = tile;
    tile.box.tabIndex = 0;
  }

  focus(tile) {
    if (!tile.shown || !this.reachable()) return false;
    this.rove(tile);
    tile.box.focus();
    return true;
  }

  /** Focus the tile so many places on; false at the edge. */
  move(tile, far) {
    const shown = this.tiles.filter((other) => other.shown);
    const to = Number.isFinite(far) ? shown.indexOf(tile) + far : far < 0 ? 0 : shown.length - 1;
    return to in shown && this.focus(shown[to]);
  }

  /** Come in from before (1) or after (-1). */
  enter(step) {
    const shown = this.tiles.filter((tile) => tile.shown);
    this.focus(shown.at(step > 0 ? 0 : -1));
  }

  static tickVisible() {
    for (const tile of visible) tiles.get(tile.box).group.time(tile);
  }
}
