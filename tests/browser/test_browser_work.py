"""How much of the page an update touches: what changed, however large the floor."""

from __future__ import annotations

import pytest
from playwright.async_api import Page, expect

from tests.browser.fake_streamer import FakeStreamer, a_floor, now
from tests.browser.reader import Reader

pytestmark = pytest.mark.asyncio(loop_scope="session")

SIZE = 5000
GROUPS = 25
ALLOWED = 12
"""Nodes of a changed extension's tiles and their groups' totals that may be written."""
FIXED = 200
"""Nodes of the head, the totals and the list of fifty, whatever changed."""

COUNT = """
globalThis.touched = 0;
globalThis.tilesTouched = new Set();
new MutationObserver((all) => {
  for (const one of all) {
    touched += one.type === "childList" ? one.addedNodes.length + one.removedNodes.length : 1;
    const tile = one.target.closest?.(".tile");
    if (tile) tilesTouched.add(tile);
  }
}).observe(document.body, {childList: true, subtree: true, attributes: true, characterData: true});
"""


async def large(reader: Reader, streamer: FakeStreamer) -> Page:
    streamer.seat(a_floor(SIZE, [f"group {n}" for n in range(GROUPS)]))
    await streamer.start()
    page = await reader.blank()
    await page.goto(streamer.address)
    await page.evaluate(
        "new Promise(done => { const floor = document.getElementById('floor');"
        " const look = () => floor.getAttribute('aria-busy') === 'false' ? done() : setTimeout(look, 20); look(); })"
    )
    return page


async def touched(page: Page) -> tuple[int, int]:
    """Nodes and tiles that were touched since `COUNT`."""
    nodes, tiles = await page.evaluate("[touched, tilesTouched.size]")
    return nodes, tiles


async def test_an_update_touches_what_changed(reader: Reader, streamer: FakeStreamer) -> None:
    """Ten of 5,000 change: ten extensions' tiles, their groups' totals and the list are written, nothing else."""
    page = await large(reader, streamer)
    streamer.silent = True
    await page.evaluate("scrollTo(0, document.body.scrollHeight)")
    chosen = [agent for agent in streamer.agents.values() if agent["state"] == "talking"][:10]
    # What is in sight ticks: none of it is, while the body is hidden.
    await page.evaluate("document.getElementById('floor').style.display = 'none'")
    await page.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
    await page.evaluate(COUNT)
    await streamer.change(*(agent | {"state": "paused", "since": now()} for agent in chosen))
    await expect(page.locator("#latest li")).to_have_count(10)
    nodes, tiles = await touched(page)
    assert tiles == sum(len(agent["groups"]) for agent in chosen)
    assert nodes <= ALLOWED * len(chosen) + FIXED


async def test_a_second_touches_only_what_is_in_sight(reader: Reader, streamer: FakeStreamer) -> None:
    """Time in state ticks on the tiles that can be seen, and no others."""
    page = await large(reader, streamer)
    await expect(page.locator(".tile time").first).not_to_have_text("")
    await page.evaluate(COUNT)
    clock = str(await page.locator("#clock time").text_content())
    await expect(page.locator("#clock time")).not_to_have_text(clock)
    nodes, tiles = await touched(page)
    assert 0 < tiles < 250
    assert nodes < 250 + FIXED


async def test_the_same_again_touches_no_tile(reader: Reader, streamer: FakeStreamer) -> None:
    """A snapshot after a lost connection is compared, not built anew."""
    page = await large(reader, streamer)
    await page.evaluate("document.getElementById('floor').style.display = 'none'")
    await page.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
    await page.evaluate(COUNT)
    streamer.events = []
    await streamer.change()
    await streamer.tell("snapshot", streamer.snapshot())
    await streamer.change(next(iter(streamer.agents.values())) | {"state": "unknown"})
    await expect(page.locator("#latest li")).to_have_count(1)
    await expect(page.locator("#totals [data-state=unknown]")).to_have_text("1 unknown")
    _, tiles = await touched(page)
    assert tiles <= 2
