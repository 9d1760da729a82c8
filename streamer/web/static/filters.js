/* What the reader asked to see. It is kept in the address (#state=talking,ringing&group=sales), so it can be bookmarked. */

import { STATES, byName, make, word, write } from "./words.js";

const controls = document.getElementById("controls");
const query = document.getElementById("query");
const group = document.getElementById("group");
const source = document.getElementById("source");
const out = document.getElementById("out");
const reset = document.getElementById("reset");
const totals = document.getElementById("totals");

const PAUSE = 120; // ms without a key before a search begins

/** `group` and `source` are null for all; the group "" is of those in none. */
export const asked = { states: new Set(), group: null, source: null, query: "", out: false };

/** Is this state to be seen? */
export const showsState = (state) => (asked.states.size ? asked.states.has(state) : state !== "signed_out" || asked.out);

/** Is this group of this source to be seen? */
export const showsGroup = (name, of) =>
  (asked.group === null || asked.group === name) && (asked.source === null || asked.source === of);

/** Does an extension answer the search? */
export const found = (agent) =>
  !asked.query || agent.extension.toLowerCase().includes(asked.query) || agent.agent.toLowerCase().includes(asked.query);

function read() {
  const said = new URLSearchParams(location.hash.slice(1));
  asked.states = new Set((said.get("state") ?? "").split(",").filter((state) => STATES.includes(state)));
  asked.group = said.get("group");
  asked.source = said.get("source");
  asked.query = (said.get("q") ?? "").trim().toLowerCase();
  asked.out = said.has("out");
  query.value = asked.query;
  out.checked = asked.out;
}

function remember() {
  const said = new URLSearchParams();
  if (asked.states.size) said.set("state", [...asked.states].join(","));
  if (asked.group !== null) said.set("group", asked.group);
  if (asked.source !== null) said.set("source", asked.source);
  if (asked.query) said.set("q", asked.query);
  if (asked.out) said.set("out", "");
  const hash = String(said);
  history.replaceState(null, "", hash ? `#${hash}` : location.pathname + location.search);
}

/* An option's value has a "=" before the name: a group may be called anything, also nothing. */
const chosen = (select) => (select.value ? select.value.slice(1) : null);

function choices(select, all, names, present) {
  const wanted = present === null || names.includes(present) ? names : [...names, present];
  const shown = [...select.options].slice(1).map((option) => option.value.slice(1));
  if (!select.options.length || shown.join("\n") !== wanted.join("\n")) {
    const options = wanted.map((name) => make("option", { value: `=${name}` }, name || "no task group"));
    select.replaceChildren(make("option", { value: "" }, all), ...options);
  }
  select.value = present === null ? "" : `=${present}`;
}

/** Offer these groups and sources. */
export function offer(groups, sources) {
  choices(group, "All groups", [...new Set(groups)].sort(byName), asked.group);
  choices(source, "All sources", sources, asked.source);
}

const buttons = new Map(
  ["", ...STATES].map((state) => {
    const count = make("b", {}, "0");
    const button = make("button", { type: "button", "data-state": state, "aria-pressed": "false" }, count, ` ${word(state) || "all"}`);
    totals.append(button);
    return [state, { button, count }];
  }),
);

/** Show how many extensions are in each state, of those that group, source and search leave. */
export function count(counts) {
  let all = 0;
  for (const state of STATES) {
    const n = counts.get(state) ?? 0;
    write(buttons.get(state).count, String(n));
    if (state !== "signed_out" || asked.out) all += n;
  }
  write(buttons.get("").count, String(all));
}

function press() {
  for (const [state, { button }] of buttons) {
    button.setAttribute("aria-pressed", String(state ? asked.states.has(state) : !asked.states.size));
  }
  reset.hidden = !(asked.states.size || asked.query || asked.out || asked.group !== null || asked.source !== null);
}

/** Begin: `changed` is called whenever something else is asked for. */
export function listen(changed) {
  const apply = () => {
    remember();
    press();
    changed();
  };
  const clear = () => {
    Object.assign(asked, { states: new Set(), group: null, source: null, query: "", out: false });
    query.value = group.value = source.value = "";
    out.checked = false;
    apply();
  };
  let typing;
  query.addEventListener("input", () => {
    clearTimeout(typing);
    typing = setTimeout(() => {
      asked.query = query.value.trim().toLowerCase();
      apply();
    }, PAUSE);
  });
  controls.addEventListener("change", () => {
    asked.group = chosen(group);
    asked.source = chosen(source);
    asked.out = out.checked;
    apply();
  });
  controls.addEventListener("submit", (event) => event.preventDefault());
  totals.addEventListener("click", (event) => {
    const state = event.target.closest("button")?.dataset.state;
    if (state === undefined) return;
    if (!state) asked.states.clear();
    else if (!asked.states.delete(state)) asked.states.add(state);
    apply();
  });
  reset.addEventListener("click", () => {
    clear();
    query.focus();
  });
  addEventListener("hashchange", () => {
    read();
    press();
    changed();
  });
  addEventListener("keydown", (event) => {
    const typed = event.target.closest?.("input, select, dialog[open]");
    if (event.key !== "/" || typed || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    query.select();
    query.focus();
  });
  read();
  press();
}
