"""What is old looks old and says so, whoever noticed first; what is right again looks right again."""

from __future__ import annotations

import pytest
from playwright.async_api import Page, expect

from tests.browser.fake_streamer import FakeStreamer, now, tile
from tests.browser.reader import Reader

pytestmark = pytest.mark.asyncio(loop_scope="session")


def two_feeds(streamer: FakeStreamer) -> None:
    streamer.seat([tile("100001", "talking"), tile("200001", "talking", ["night"], source="annex")])


async def looks_stale(page: Page, group: str = "sales") -> None:
    """Its section is marked, says of when it is, and its tiles have stopped."""
    section = page.locator(".group", has_text=group)
    await expect(section).not_to_have_attribute("data-health", "live")
    await expect(section.locator(".as-of")).to_contain_text("as of")
    stopped = await section.locator("time").text_content()
    clock = await page.locator("#clock time").text_content()
    await expect(page.locator("#clock time")).not_to_have_text(str(clock))
    await expect(section.locator("time")).to_have_text(str(stopped))


async def looks_live(page: Page) -> None:
    await expect(page.locator("#summary")).to_have_text("● live")
    await expect(page.locator("#banner")).to_be_hidden()
    await expect(page.locator(".group:not([data-health=live])")).to_have_count(0)


async def test_a_feed_that_says_it_is_not_live(reader: Reader, streamer: FakeStreamer) -> None:
    """Only its own tiles are marked; status, reason, age and watermark are in sight, and a screen reader is told."""
    two_feeds(streamer)
    await streamer.start()
    page = await reader.open(streamer)
    await looks_live(page)
    await expect(page.locator("#feeds li").first).to_contain_text("complete until")
    streamer.trouble["annex"] = {"status": "refused", "reason": "wrong access key", "confirmed_until": now() - 90_000}
    await streamer.tell_feeds()
    await looks_stale(page, "night")
    await expect(page.locator("#summary")).to_have_text("▲ 1 of 2 feeds live")
    await expect(page.locator("#banner")).to_contain_text("annex is refused. wrong access key.")
    await expect(page.locator("#news")).to_have_text("annex is refused.")
    await expect(page.locator("#feeds li", has_text="annex")).to_contain_text("✕ refusedwrong access key")
    await expect(page.locator(".group", has_text="sales")).to_have_attribute("data-health", "live")
    streamer.trouble["annex"] = {}
    await streamer.tell_feeds()
    await looks_live(page)
    await expect(page.locator("#news")).to_have_text("All feeds are live.")


async def test_a_record_that_is_too_old(reader: Reader, streamer: FakeStreamer) -> None:
    """A feed that calls itself live is stale when its newest record is older than three heartbeats."""
    two_feeds(streamer)
    await streamer.start()
    page = await reader.open(streamer)
    await looks_live(page)
    streamer.trouble["annex"] = {"at": now() - 26_000}
    await streamer.tell_feeds()
    await expect(page.locator("#feeds li", has_text="annex")).to_contain_text("newest record 0:2")
    await looks_live(page)
    streamer.trouble["annex"] = {"at": now() - 31_000}
    await streamer.tell_feeds()
    await looks_stale(page, "night")
    await expect(page.locator("#banner")).to_contain_text("no news of it for 0:3")


async def test_a_streamer_that_falls_silent(reader: Reader, streamer: FakeStreamer) -> None:
    """The connection stands and says nothing for 15 s: everything is old; its next word makes it right."""
    two_feeds(streamer)
    await streamer.start()
    page = await reader.blank()
    await page.clock.install()
    await page.goto(streamer.address)
    await looks_live(page)
    streamer.silent = True
    await page.clock.fast_forward(12_000)
    await looks_live(page)
    await page.clock.fast_forward(4_000)
    await looks_stale(page)
    await expect(page.locator("#banner")).to_contain_text("No connection to the streamer. The last word came at")
    await expect(page.locator("#summary")).to_have_text("▲ no connection")
    streamer.silent = False
    await looks_live(page)


async def test_a_connection_that_is_deaf_is_opened_anew(reader: Reader, streamer: FakeStreamer) -> None:
    """After 20 s without a word the page asks again, and gets everything anew."""
    two_feeds(streamer)
    await streamer.start()
    page = await reader.blank()
    await page.clock.install()
    await page.goto(streamer.address)
    await looks_live(page)
    streamer.silent = True
    streamer.agents["floor", "100001"] |= {"state": "paused"}
    await page.clock.fast_forward(21_000)
    await expect(page.locator(".group", has_text="sales").locator(".tile")).to_contain_text("paused")
    await looks_live(page)


async def test_kafka_is_away(reader: Reader, streamer: FakeStreamer) -> None:
    """Nothing new can come, whatever the feeds said last."""
    two_feeds(streamer)
    await streamer.start()
    page = await reader.open(streamer)
    streamer.kafka = "no broker answers"
    streamer.trouble = {source: {"at": now()} for source in streamer.trouble}  # no newer record can come
    await streamer.tell_feeds()
    await looks_stale(page)
    await expect(page.locator("#banner")).to_contain_text("The streamer cannot reach Kafka. no broker answers.")
    await expect(page.locator("#summary")).to_have_text("▲ Kafka is away")
    streamer.kafka = ""
    streamer.trouble = {source: {} for source in streamer.trouble}
    await streamer.tell_feeds()
    await looks_live(page)


async def test_a_restart_is_survived(reader: Reader, streamer: FakeStreamer) -> None:
    """The server goes, the page says so; it comes back at its port with other facts, and the page shows those."""
    streamer.seat([tile("100001", "talking"), tile("100002", "talking"), tile("100003", "idle")])
    await streamer.start()
    page = await reader.open(streamer)
    await looks_live(page)
    await page.get_by_role("button", name="100003").focus()
    await streamer.stop()
    await expect(page.locator("#banner")).to_contain_text("No connection to the streamer.")
    await expect(page.locator("#banner")).to_contain_text("ago")
    await expect(page.locator(".group")).to_have_attribute("data-health", "stale")
    del streamer.agents["floor", "100001"]
    streamer.agents["floor", "100002"] |= {"state": "paused"}
    await streamer.start()
    await looks_live(page)
    await expect(page.locator(".tile b")).to_have_text(["100002", "100003"])
    await expect(page.locator(".tile").first).to_contain_text("paused")
    await expect(page.locator("#totals [data-state='']")).to_have_text("2 all")
    await expect(page.get_by_role("button", name="100003")).to_be_focused()


async def test_a_refused_stream_is_tried_again(reader: Reader, streamer: FakeStreamer) -> None:
    """An answer that makes the browser give up is not the end of it: a proxy may say 503 for a while."""
    two_feeds(streamer)
    streamer.refusing = True
    await streamer.start()
    page = await reader.blank()
    await page.goto(streamer.address)
    await expect(page.locator("#summary")).to_have_text("▲ no connection")
    await expect(page.locator("#banner")).to_contain_text("No connection to the streamer.")
    streamer.refusing = False
    await looks_live(page)
    await expect(page.locator(".tile")).to_have_count(2)


async def test_a_floor_without_sources_waits(reader: Reader, streamer: FakeStreamer) -> None:
    """Nothing yet is neither well nor wrong."""
    await streamer.start()
    page = await reader.open(streamer)
    await expect(page.locator("#summary")).to_have_text("○ waiting for the first poll")
    await expect(page.locator("#empty")).to_have_text("No extension yet.")
    await expect(page.locator("#banner")).to_be_hidden()
    streamer.kafka = "no broker answers"
    await streamer.tell_feeds()
    await expect(page.locator("#summary")).to_have_text("▲ Kafka is away")
