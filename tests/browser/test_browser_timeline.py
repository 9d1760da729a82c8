"""The last hour of one extension, in a dialog."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from playwright.async_api import Page, expect

from tests.browser.fake_streamer import FakeStreamer, moment, now, tile
from tests.browser.reader import Reader

pytestmark = pytest.mark.asyncio(loop_scope="session")

ODD = "10/1 ?#é"


def hour(start: int) -> list[dict[str, object]]:
    """Available, rung, talked, wrapped up; one of each basis."""
    return [
        moment(start + 600_000, "available", "ringing", "observed", start + 600_000, start + 600_000),
        moment(start + 610_000, "ringing", "talking", "inferred", start + 609_000, start + 612_000),
        moment(start + 1_800_000, "talking", "wrap_up", "derived", None, start + 1_801_000),
    ]


async def opened(reader: Reader, streamer: FakeStreamer) -> Page:
    start = now() - 3_600_000
    streamer.seat([tile(ODD, "wrap_up", agent="Li Na", since=start + 1_800_000), tile("20")])
    streamer.timelines["floor", ODD] = hour(start)
    await streamer.start()
    return await reader.open(streamer)


async def test_enter_opens_it_and_escape_goes_back(reader: Reader, streamer: FakeStreamer) -> None:
    """The dialog has a name, keeps the focus inside, and gives it back to the tile."""
    page = await opened(reader, streamer)
    await page.get_by_role("button", name=ODD).focus()
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("dialog", name=f"{ODD} · Li Na")).to_be_visible()
    await expect(page.locator("#timeline table")).to_be_visible()
    for _ in range(6):
        assert await page.evaluate(
            "document.activeElement === document.body || !!document.activeElement.closest('dialog')"
        )
        await page.keyboard.press("Tab")
    await page.keyboard.press("Escape")
    await expect(page.get_by_role("dialog")).to_be_hidden()
    await expect(page.get_by_role("button", name=ODD)).to_be_focused()


async def test_focus_returns_although_the_tile_moved(reader: Reader, streamer: FakeStreamer) -> None:
    """To the extension's tile in its new group; to the search if it has none any more."""
    page = await opened(reader, streamer)
    await page.get_by_role("button", name=ODD).click()
    await streamer.change(tile(ODD, "wrap_up", ["support"]))
    await expect(page.locator(".group", has_text="support")).to_be_visible()
    await page.get_by_role("button", name="Close").click()
    await expect(page.locator(".group", has_text="support").locator(".tile")).to_be_focused()
    await page.keyboard.press("Enter")
    await streamer.change(forgotten=(("floor", ODD),))
    await expect(page.locator(".group", has_text="support")).to_have_count(0)
    await page.keyboard.press("Escape")
    await expect(page.get_by_role("searchbox")).to_be_focused()


async def test_the_bar_is_true_to_time(reader: Reader, streamer: FakeStreamer) -> None:
    """Spans as long as their states lasted; what is inferred or derived is marked."""
    page = await opened(reader, streamer)
    await page.get_by_role("button", name=ODD).click()
    spans = page.locator("#timeline .bar i")
    await expect(spans.nth(3)).to_be_attached()
    drawn = await spans.evaluate_all("all => all.map(i => [i.dataset.state, i.dataset.basis, i.style.flexGrow / 1000])")
    # What comes after the newest record, if anything, is not known.
    assert [(state, basis) for state, basis, _ in drawn[:4]] == [
        ("available", "observed"),
        ("ringing", "observed"),
        ("talking", "inferred"),
        ("wrap_up", "derived"),
    ]
    for (_, _, length), wanted in zip(drawn, (600, 10, 1190, 1800), strict=False):
        assert abs(length - wanted) < 5


async def test_the_table_says_the_same(reader: Reader, streamer: FakeStreamer) -> None:
    """Newest first, with lengths, bounds and basis."""
    page = await opened(reader, streamer)
    await page.get_by_role("button", name=ODD).click()
    rows = page.locator("#timeline tbody tr")
    await expect(rows).to_have_count(3)
    await expect(rows.nth(0)).to_contain_text("by ")
    await expect(rows.nth(0)).to_contain_text("wrap upafter talking30:")
    await expect(rows.nth(0).locator(".basis")).to_have_text("derived")
    await expect(rows.nth(1)).to_contain_text(" to ")
    await expect(rows.nth(1)).to_contain_text("talkingafter ringing19:50inferred")
    await expect(rows.nth(2)).to_contain_text("ringingafter available0:10observed")


async def test_it_follows_what_happens(reader: Reader, streamer: FakeStreamer) -> None:
    """A transition of the extension that is open is asked for and shown."""
    page = await opened(reader, streamer)
    await page.get_by_role("button", name=ODD).click()
    await expect(page.locator("#timeline tbody tr")).to_have_count(3)
    late = now()
    streamer.timelines["floor", ODD].append(moment(late, "wrap_up", "available", "observed", late, late))
    await streamer.change(tile(ODD, "available", since=late))
    await expect(page.locator("#timeline tbody tr")).to_have_count(4)
    await expect(page.locator("#timeline .present")).to_contain_text("available for 0:0")


async def test_without_a_transition(reader: Reader, streamer: FakeStreamer) -> None:
    """The whole hour is its present state, or not known before it began."""
    page = await opened(reader, streamer)
    await streamer.change(tile("20", "paused", since=now() - 1_200_000))
    await page.get_by_role("button", name="20").click()
    await expect(page.locator("#timeline .body")).to_contain_text("No transition since")
    states = await page.locator("#timeline .bar i").evaluate_all("all => all.map(i => i.dataset.state)")
    assert states[:2] == ["none", "paused"]


async def test_what_cannot_be_had_is_said(reader: Reader, streamer: FakeStreamer) -> None:
    """An extension that the streamer does not know, and a streamer that is gone."""
    page = await opened(reader, streamer)
    await page.route(f"**/timeline/floor/{quote(ODD, safe='')}", lambda route: route.fulfill(status=404))
    await page.get_by_role("button", name=ODD).click()
    await expect(page.locator("#timeline .wrong")).to_contain_text("The streamer knows nothing of this extension.")
    await page.keyboard.press("Escape")
    await streamer.stop()
    await page.get_by_role("button", name="20").click()
    await expect(page.locator("#timeline .wrong")).to_contain_text("No connection to the streamer.")
    await expect(page.locator("#timeline .present")).to_contain_text("feed stale, as of")
