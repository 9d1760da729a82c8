"""Everything by keyboard, with few stops, and nobody's place is lost."""

from __future__ import annotations

import pytest
from playwright.async_api import Page, expect

from tests.browser.fake_streamer import FakeStreamer, tile
from tests.browser.reader import Reader

pytestmark = pytest.mark.asyncio(loop_scope="session")

FIRST = 100001


async def opened(reader: Reader, streamer: FakeStreamer) -> Page:
    """Two groups of forty; four tiles a row."""
    streamer.seat([tile(str(FIRST + n), "talking", ["a" if n < 40 else "b"]) for n in range(80)])
    await streamer.start()
    return await reader.open(streamer, viewport={"width": 1000, "height": 700})


async def stands_on(page: Page, extension: int) -> None:
    await expect(page.locator(".tile:focus b")).to_have_text(str(extension))


async def press(page: Page, *keys: str) -> None:
    for key in keys:
        await page.keyboard.press(key)


async def test_a_slash_goes_to_the_search(reader: Reader, streamer: FakeStreamer) -> None:
    """From anywhere; in the search itself it is a letter."""
    page = await opened(reader, streamer)
    await page.locator(".tile").first.focus()
    await press(page, "/", "1", "/")
    await expect(page.get_by_role("searchbox")).to_be_focused()
    await expect(page.get_by_role("searchbox")).to_have_value("1/")


async def test_tab_stops_are_few(reader: Reader, streamer: FakeStreamer) -> None:
    """A group is two: its heading and one tile. The skip link leads to the floor."""
    page = await opened(reader, streamer)
    await press(page, "Tab")
    await expect(page.locator(".skip")).to_be_focused()
    await press(page, "Enter", "Tab")
    await expect(page.locator(".group h3 button").first).to_be_focused()
    await press(page, "Tab")
    await stands_on(page, FIRST)
    await press(page, "Tab", "Tab")
    await stands_on(page, FIRST + 40)
    await expect(page.locator(".tile[tabindex='0']")).to_have_count(2)
    await press(page, "Tab")
    await expect(page.locator("#latest-title")).to_be_focused()


async def test_arrows_walk_the_floor(reader: Reader, streamer: FakeStreamer) -> None:
    """Along rows and columns, over the edge into the next group, to both ends; collapsed groups are passed over."""
    page = await opened(reader, streamer)
    columns = await page.evaluate(
        "getComputedStyle(document.querySelector('.tiles')).gridTemplateColumns.split(' ').length"
    )
    assert columns > 1
    await page.locator(".tile").first.focus()
    await press(page, "ArrowLeft")
    await stands_on(page, FIRST)
    await press(page, "ArrowRight", "ArrowDown", "ArrowDown", "ArrowUp", "ArrowLeft")
    await stands_on(page, FIRST + columns)
    await press(page, "End")
    await stands_on(page, FIRST + 39)
    await press(page, "ArrowRight")
    await stands_on(page, FIRST + 40)
    await press(page, "ArrowUp")
    await stands_on(page, FIRST + 39)
    await press(page, "Home")
    await stands_on(page, FIRST)
    await press(page, "Control+End")
    await stands_on(page, FIRST + 79)
    await expect(page.locator(".tile:focus")).to_be_in_viewport()
    await press(page, "Control+Home")
    await stands_on(page, FIRST)


async def test_a_group_folds_by_keyboard(reader: Reader, streamer: FakeStreamer) -> None:
    """Its heading tells whether it is open; a restart of the streamer does not open it."""
    page = await opened(reader, streamer)
    heading = page.locator(".group h3 button").last
    await heading.focus()
    await press(page, "Enter")
    await expect(heading).to_have_attribute("aria-expanded", "false")
    await expect(page.locator(".tiles").last).to_be_hidden()
    await page.locator(".tile").first.focus()
    await press(page, "Control+End")
    await stands_on(page, FIRST + 39)
    await streamer.tell("snapshot", streamer.snapshot())
    await streamer.change(tile(str(FIRST + 79), "paused", ["b"]))
    await expect(page.locator(".group").last).to_contain_text("1 paused")
    await expect(page.locator(".tiles").last).to_be_hidden()


async def test_who_stands_on_a_tile_that_goes_stands_on_its_neighbour(reader: Reader, streamer: FakeStreamer) -> None:
    """By a filter, by being forgotten; at last on the group's heading or the next thing that is there."""
    page = await opened(reader, streamer)
    await page.locator(".tile").first.focus()
    await streamer.change(tile(str(FIRST), "signed_out", ["a"]))
    await stands_on(page, FIRST + 1)
    await streamer.change(forgotten=(("floor", str(FIRST + 1)),))
    await stands_on(page, FIRST + 2)
    await expect(page.locator(".tile[tabindex='0']").first).to_contain_text(str(FIRST + 2))
    await press(page, "ArrowRight")
    await stands_on(page, FIRST + 3)


async def test_focus_can_be_seen(reader: Reader, streamer: FakeStreamer) -> None:
    """An outline of at least two pixels on whatever the keyboard stands on."""
    page = await opened(reader, streamer)
    for _ in range(22):
        await press(page, "Tab")
        seen = await page.evaluate(
            "(() => { const style = getComputedStyle(document.activeElement);"
            " return [style.outlineStyle, parseFloat(style.outlineWidth)]; })()"
        )
        assert seen[0] != "none"
        assert seen[1] >= 2
