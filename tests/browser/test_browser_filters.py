"""What a reader asks to see, and that the address keeps it."""

from __future__ import annotations

import pytest
from playwright.async_api import Page, expect

from tests.browser.fake_streamer import FakeStreamer, tile
from tests.browser.reader import Reader

pytestmark = pytest.mark.asyncio(loop_scope="session")

FLOOR = [
    tile("100001", "talking", ["sales"], agent="Li Na"),
    tile("100002", "available", ["sales", "a&b=c"], agent="Wang Lei"),
    tile("100003", "signed_out", [], agent="Li Min"),
    tile("200001", "talking", ["sales"], source="annex", agent="Chen Hao"),
]


async def opened(reader: Reader, streamer: FakeStreamer, fragment: str = "") -> Page:
    streamer.seat([dict(agent) for agent in FLOOR])
    await streamer.start()
    return await reader.open(streamer, fragment)


async def shows(page: Page, *extensions: str) -> None:
    """Exactly these, in order."""
    await expect(page.locator(".group:not([hidden]) .tile:not([hidden]) b")).to_have_text(list(extensions))


async def test_signed_out_ones_are_hidden_unless_asked_for(reader: Reader, streamer: FakeStreamer) -> None:
    """By the box all with them, by their total only them."""
    page = await opened(reader, streamer)
    await shows(page, "100002", "200001", "100001", "100002")
    await expect(page.locator("#totals [data-state='']")).to_have_text("3 all")
    await page.get_by_label("Show signed out").check()
    await shows(page, "100002", "200001", "100001", "100002", "100003")
    await expect(page.locator("#totals [data-state='']")).to_have_text("4 all")
    await page.locator("#totals [data-state=signed_out]").click()
    await shows(page, "100003")


async def test_totals_filter_by_state(reader: Reader, streamer: FakeStreamer) -> None:
    """Several at once; a tile that enters or leaves such a state comes and goes; `all` ends it."""
    page = await opened(reader, streamer)
    talking = page.locator("#totals [data-state=talking]")
    await talking.click()
    await expect(page.locator("#totals [data-state=talking]")).to_have_attribute("aria-pressed", "true")
    await shows(page, "200001", "100001")
    await streamer.change(tile("100001", "paused", ["sales"]), tile("100002", "talking", ["sales"]))
    await shows(page, "200001", "100002")
    await page.locator("#totals [data-state=paused]").click()
    await shows(page, "200001", "100001", "100002")
    await page.locator("#totals [data-state='']").click()
    await shows(page, "200001", "100001", "100002")
    await expect(page).to_have_url(streamer.address)


async def test_group_and_source_filter_and_their_totals_follow(reader: Reader, streamer: FakeStreamer) -> None:
    """The totals count what these leave."""
    page = await opened(reader, streamer)
    await page.get_by_role("combobox", name="Group").select_option("sales")
    await shows(page, "200001", "100001", "100002")
    await page.get_by_role("combobox", name="Source").select_option("floor")
    await shows(page, "100001", "100002")
    await expect(page.locator("#totals [data-state=talking]")).to_have_text("1 talking")
    await streamer.change(tile("100002", "talking", ["a&b=c"]))
    await shows(page, "100001")
    await expect(page.locator("#totals [data-state=talking]")).to_have_text("1 talking")


@pytest.mark.parametrize(
    ("typed", "left"), [("li", ["100001"]), ("WANG", ["100002", "100002"]), ("0001", ["200001", "100001"])]
)
async def test_search_by_extension_or_agent(
    reader: Reader, streamer: FakeStreamer, typed: str, left: list[str]
) -> None:
    """Any part, any case."""
    page = await opened(reader, streamer)
    await page.get_by_role("searchbox").fill(typed)
    await shows(page, *left)


async def test_no_match_says_so_and_can_be_undone(reader: Reader, streamer: FakeStreamer) -> None:
    """A button clears all filters and leaves the reader at the search."""
    page = await opened(reader, streamer)
    await page.get_by_role("searchbox").fill("nobody")
    await expect(page.locator("#empty")).to_have_text("No extension answers these filters.")
    await page.get_by_role("button", name="Clear filters").click()
    await shows(page, "100002", "200001", "100001", "100002")
    await expect(page.get_by_role("searchbox")).to_be_focused()
    await expect(page.get_by_role("button", name="Clear filters")).to_be_hidden()


async def test_the_address_keeps_the_filters(reader: Reader, streamer: FakeStreamer) -> None:
    """Also a group of a strange name; opened again, it shows the same; going back in history is followed."""
    page = await opened(reader, streamer)
    await page.get_by_role("combobox", name="Group").select_option("a&b=c")
    await page.locator("#totals [data-state=available]").click()
    await page.get_by_role("searchbox").fill("wang")
    await shows(page, "100002")
    await expect(page).to_have_url(streamer.address + "#state=available&group=a%26b%3Dc&q=wang")
    again = await reader.open(streamer, "#state=available&group=a%26b%3Dc&q=wang")
    await shows(again, "100002")
    await expect(again.get_by_role("combobox", name="Group")).to_have_value("=a&b=c")
    await expect(again.get_by_role("searchbox")).to_have_value("wang")
    await again.goto(streamer.address + "#state=talking&source=annex")
    await shows(again, "200001")
    await expect(again.get_by_role("searchbox")).to_have_value("")
    await expect(again.get_by_role("combobox", name="Source")).to_have_value("=annex")


async def test_nonsense_in_the_address_is_harmless(reader: Reader, streamer: FakeStreamer) -> None:
    """Unknown states are ignored; an unknown group shows nothing and is named."""
    page = await opened(reader, streamer, "#state=dancing,&group=nowhere&x=%zz")
    await shows(page)
    await expect(page.locator("#group option:checked")).to_have_text("nowhere")
    await page.get_by_role("button", name="Clear filters").click()
    await shows(page, "100002", "200001", "100001", "100002")


async def test_those_in_no_group_can_be_asked_for(reader: Reader, streamer: FakeStreamer) -> None:
    """They have a section of their own, the last."""
    page = await opened(reader, streamer)
    await page.get_by_label("Show signed out").check()
    await expect(page.locator(".group h3 button").last).to_have_text("no task groupfloor")
    await page.get_by_role("combobox", name="Group").select_option("no task group")
    await shows(page, "100003")
