"""The floor as a reader sees it: there at once, true a moment later, and inert whatever it is called."""

from __future__ import annotations

import pytest
from playwright.async_api import expect

from tests.browser.fake_streamer import FakeStreamer, a_floor, now, tile
from tests.browser.reader import Reader

pytestmark = pytest.mark.asyncio(loop_scope="session")

HOSTILE = "<img src=x onerror=alert(1)>"


async def test_the_floor_is_there_within_two_seconds(reader: Reader, streamer: FakeStreamer) -> None:
    """From opening the page to every tile, and its feed's health."""
    streamer.seat(a_floor(300, ["sales", "support"]))
    await streamer.start()
    page = await reader.blank()
    before = now()
    await page.goto(streamer.address)
    signed_in = [agent for agent in streamer.agents.values() if agent["state"] != "signed_out"]
    wanted = sum(len(agent["groups"]) for agent in signed_in)
    await expect(page.locator(".tile:not([hidden])")).to_have_count(wanted, timeout=2000)
    await expect(page.locator("#summary")).to_have_text("● live", timeout=2000)
    assert now() - before < 2000


async def test_an_extension_is_in_each_of_its_groups(reader: Reader, streamer: FakeStreamer) -> None:
    """State in words, time in state, totals of the group and of the floor."""
    both = tile("100001", "wrap_up", ["sales", "support"], agent="Li Na", since=now() - 3_725_000)
    streamer.seat([both, tile("100002", "talking", ["support"]), tile("99", "talking", ["support"])])
    await streamer.start()
    page = await reader.open(streamer)
    sections = page.locator(".group")
    await expect(sections).to_have_count(2)
    await expect(sections.nth(0)).to_contain_text("1 extension1 wrap up")
    await expect(sections.nth(1)).to_contain_text("3 extensions2 talking1 wrap up")
    await expect(sections.nth(1).locator(".tile b")).to_have_text(["99", "100001", "100002"])
    await expect(page.get_by_role("button", name="100001")).to_have_count(2)
    await expect(page.locator(".tile").first).to_contain_text("1:02:0")
    await expect(page.locator("#totals [data-state=talking]")).to_have_text("2 talking")
    await expect(page.locator("#totals [data-state='']")).to_have_text("3 all")


async def test_a_transition_is_there_within_a_second(reader: Reader, streamer: FakeStreamer) -> None:
    """On the tile, in the totals and in the list, with its basis."""
    streamer.seat([tile("100001", "available")])
    await streamer.start()
    page = await reader.open(streamer)
    await streamer.change(tile("100001", "talking", since=now() - 4000), basis="inferred")
    await expect(page.locator(".tile")).to_contain_text("talking", timeout=1000)
    await expect(page.locator(".tile time")).to_have_text("0:04", timeout=1000)
    await expect(page.locator(".group")).to_contain_text("1 talking", timeout=1000)
    await expect(page.locator("#totals [data-state=talking]")).to_have_text("1 talking", timeout=1000)
    first = page.locator("#latest li").first
    await expect(first).to_contain_text("100001available → talkinginferred", timeout=1000)
    await expect(page.locator(".tile time")).to_have_text("0:06")


async def test_extensions_and_groups_come_and_go(reader: Reader, streamer: FakeStreamer) -> None:
    """One that moves to another group leaves the first; an empty group goes; what is forgotten is gone."""
    streamer.seat([tile("100001", groups=["a"]), tile("100003", groups=["b"])])
    await streamer.start()
    page = await reader.open(streamer)
    titles = page.locator(".group h3 button")
    await expect(titles).to_have_text(["afloor", "bfloor"])
    await streamer.change(tile("100001", groups=["b"]), tile("100002", groups=["c"]))
    await expect(titles).to_have_text(["bfloor", "cfloor"])
    await expect(page.locator(".group").first.locator(".tile b")).to_have_text(["100001", "100003"])
    await streamer.change(forgotten=(("floor", "100002"),))
    await expect(titles).to_have_text(["bfloor"])
    await expect(page.locator("#totals [data-state='']")).to_have_text("2 all")
    await expect(page.locator("#group option")).to_have_text(["All groups", "b"])


async def test_time_in_state_is_by_the_vendors_clock(reader: Reader, streamer: FakeStreamer) -> None:
    """The reader's clock and the vendor's may both be off: the streamer's and the known offset decide."""
    hour = 3_600_000
    streamer.seat([tile("100001", "talking", since=now() + hour + 300_000 - 60_000)])
    streamer.ahead = hour
    streamer.trouble["floor"] = {"clock_offset": [299.0, 301.0]}
    await streamer.start()
    page = await reader.open(streamer)
    await expect(page.locator("#summary")).to_have_text("● live")
    await expect(page.locator(".tile time")).to_contain_text("1:0")


async def test_hostile_names_are_inert(reader: Reader, streamer: FakeStreamer) -> None:
    """An agent, a group, a source's reason or Kafka's trouble that looks like markup is shown as it is written."""
    streamer.seat([tile("100001", "talking", [HOSTILE], agent=HOSTILE), tile(HOSTILE, groups=[HOSTILE])])
    streamer.trouble["floor"] = {"status": "stale", "reason": HOSTILE}
    streamer.timelines["floor", HOSTILE] = []
    await streamer.start()
    page = await reader.open(streamer)
    await streamer.change(tile("100001", "ringing", [HOSTILE], agent=HOSTILE + "!"))
    await expect(page.locator(".tile").last).to_contain_text(HOSTILE + "!")
    await expect(page.locator("#latest")).to_contain_text(HOSTILE)
    await expect(page.locator("#banner")).to_contain_text(HOSTILE)
    await expect(page.locator("#group")).to_contain_text(HOSTILE)
    await page.locator(".tile", has_text=HOSTILE).first.click()
    await expect(page.locator("#timeline")).to_contain_text(HOSTILE)
    await expect(page.locator("#timeline .body")).to_contain_text("No transition")
    streamer.kafka = HOSTILE
    await streamer.tell_feeds()
    await expect(page.locator("#banner")).to_contain_text(f"Kafka. {HOSTILE}")
    assert await page.locator("img").count() == 0


async def test_names_may_be_hidden(reader: Reader, streamer: FakeStreamer) -> None:
    """Without agents' names nothing is left of them, not even a separator."""
    streamer.seat([tile("100001", "talking")])
    await streamer.start()
    page = await reader.open(streamer)
    await page.locator(".tile").click()
    await expect(page.locator("#timeline h2")).to_have_text("100001")
