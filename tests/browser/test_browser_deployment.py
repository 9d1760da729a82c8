"""The page of a real instance on a real Kafka: it keeps up with commits, and survives the restart of the instance."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser, expect

from streamer.kafka.connection import Connection
from streamer.kafka.restore import partitions_of
from tests.conftest import Topics
from tests.e2e.deployment import Deployment
from tests.topics import settings

pytestmark = pytest.mark.asyncio(loop_scope="session")

ENOUGH = 5
"""Transitions that are followed."""


async def test_what_is_committed_is_shown_within_a_second(
    browser: Browser, kafka: str, topics: Topics, tmp_path: Path
) -> None:
    """From when a consumer has it; the whole floor within two seconds of opening the page."""
    with Deployment(tmp_path, kafka, topics, extra="poll_interval = 3") as site:
        await asyncio.to_thread(site.simulate, agents=60, seed=2, floor="brisk")
        site.run()
        await asyncio.to_thread(site.wait_until_live)
        page = await browser.new_page()
        await page.goto(f"http://127.0.0.1:{site.port}/")
        await expect(page.locator(".tile").first).to_be_visible(timeout=2000)
        connection = Connection(settings(kafka, topics))
        consumer: Any = connection.consumer()
        await connection.start(consumer)
        partitions = await partitions_of(connection, consumer, topics.events)
        consumer.assign(partitions)
        await consumer.seek_to_end(*partitions)
        followed = 0
        async with asyncio.timeout(60):
            while followed < ENOUGH:
                got: dict[Any, list[Any]] = await consumer.getmany(timeout_ms=1000)
                events = [json.loads(record.value) for some in got.values() for record in some]
                # The last of each extension stays for three seconds, until the next poll.
                last = {event["extension"]: event["current"]["state"] for event in events}
                for extension, state in last.items():
                    if state != "signed_out":
                        tile = page.locator(".tile", has_text=extension).first
                        await expect(tile).to_contain_text(state.replace("_", " "), timeout=1000)
                        followed += 1
        await connection.discard(consumer)
        assert await asyncio.to_thread(site.stop) == 0
        await expect(page.locator("#banner")).to_contain_text("No connection to the streamer.")
        site.run()
        await expect(page.locator("#summary")).to_have_text("● live", timeout=30_000)
        await expect(page.locator("#banner")).to_be_hidden()
        await page.close()
