"""How long does the wallboard's main thread work with thousands of extensions?

    .venv/bin/python -m benchmarks.wallboard [--extensions 5000] [--groups 40] [--updates 200] [--changed 100]

Measured in the page, around each message's handler with the layout that it causes: the snapshot until the last tile,
each update of `--changed` extensions, and any task longer than 50 ms. Ends by itself; exit code 0 if p99 of an update
is at most 100 ms.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import statistics
import sys
from typing import Any

from playwright.async_api import Page

from tests.browser.chromium import launched
from tests.browser.fake_streamer import STATES, FakeStreamer, a_floor, now

LIMIT = 100.0
"""ms of the main thread for an update."""

WATCH = """
globalThis.measured = {snapshot: [], change: [], feeds: [], long: []};
const add = EventSource.prototype.addEventListener;
EventSource.prototype.addEventListener = function (name, take) {
  add.call(this, name, (message) => {
    const begun = performance.now();
    take(message);
    document.body.offsetHeight;
    measured[name]?.push(performance.now() - begun);
  });
};
new PerformanceObserver((list) => {
  for (const task of list.getEntries()) measured.long.push([task.startTime, task.duration]);
}).observe({type: "longtask", buffered: true});
addEventListener("DOMContentLoaded", () => {
  const floor = document.getElementById("floor");
  new MutationObserver(() => {
    if (floor.getAttribute("aria-busy") === "false") measured.built ??= performance.now();
  }).observe(floor, {attributes: true, attributeFilter: ["aria-busy"]});
});
"""

DRAWN = """(number) => new Promise((done) => {
  const look = () => (measured.built && measured.change.length >= number ? done() : requestAnimationFrame(look));
  look();
})"""


def spread(name: str, times: list[float]) -> float:
    """Print p50, p99 and the longest of times in ms; returns p99."""
    p99 = statistics.quantiles(times, n=100)[98] if len(times) > 1 else times[0]
    print(f"{name}: {len(times)} times, p50 {statistics.median(times):.1f} p99 {p99:.1f} max {max(times):.1f} ms")
    return p99


async def measure(asked: argparse.Namespace) -> float:
    """p99 of an update, in ms."""
    streamer = FakeStreamer(a_floor(asked.extensions, [f"group {n}" for n in range(asked.groups)]))
    await streamer.start()
    async with launched() as browser:
        page = await browser.new_page(viewport={"width": 1920, "height": 1080})
        await page.add_init_script(WATCH)
        await page.goto(streamer.address)
        await page.evaluate(DRAWN, 0)
        await updates(page, streamer, asked)
        measured: dict[str, Any] = await page.evaluate("measured")
    await streamer.stop()
    print(f"{asked.extensions} extensions in {asked.groups} groups; {asked.changed} of them change in an update")
    print(f"last tile {measured['built']:.0f} ms after the page's beginning; snapshot's own message:")
    spread("  snapshot", measured["snapshot"])
    spread("feeds, which tick", measured["feeds"])
    p99 = spread("update", measured["change"])
    for kind, tasks in (
        ("while building", [ms for at, ms in measured["long"] if at < measured["built"]]),
        ("afterwards", [ms for at, ms in measured["long"] if at >= measured["built"]]),
    ):
        print(f"tasks over 50 ms {kind}: {len(tasks)}" + (f", longest {max(tasks):.0f} ms" if tasks else ""))
    return p99


async def updates(page: Page, streamer: FakeStreamer, asked: argparse.Namespace) -> None:
    """One after the other, each drawn before the next."""
    chance = random.Random(1)
    for number in range(asked.updates):
        chosen = chance.sample([*streamer.agents.values()], asked.changed)
        await streamer.change(*(agent | {"state": chance.choice([*STATES]), "since": now()} for agent in chosen))
        await page.evaluate(DRAWN, number + 1)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--extensions", type=int, default=5000)
    parser.add_argument("--groups", type=int, default=40)
    parser.add_argument("--updates", type=int, default=200)
    parser.add_argument("--changed", type=int, default=100)
    sys.exit(asyncio.run(measure(parser.parse_args())) > LIMIT)
