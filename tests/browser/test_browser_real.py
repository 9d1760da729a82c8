"""The page on the streamer's own pages and board, fed with records as they stand on the topics."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest
from playwright.async_api import Browser, expect
from prometheus_client import CollectorRegistry
from pydantic import SecretStr

from streamer.config import Http
from streamer.observe.troubles import Troubles
from streamer.web.app import make_app, serving
from streamer.web.board import Board
from tests.web.floor import agent, event, feed, floor_of, records

WITH_TOKEN = Http(listen="0.0.0.0:8080", token=SecretStr("s3cret"))

pytestmark = pytest.mark.asyncio(loop_scope="session")


def now() -> int:
    return time.time_ns() // 1_000_000


@asynccontextmanager
async def served(http: Http) -> AsyncGenerator[tuple[str, Board]]:
    """A board that shows one extension of a live feed."""
    board = Board(Troubles())
    board.show(floor_of(records(states=[agent("100001", since=now())], feeds=[feed(at=now())])), now())
    app = make_app(board, CollectorRegistry(), lambda: ({}, {}), http, now)
    async with serving(app, "127.0.0.1", 0) as address:
        yield address, board


@pytest.mark.parametrize(
    "http", [Http(), Http(listen="0.0.0.0:8080", token=SecretStr("s3cret"))], ids=["open", "token"]
)
async def test_the_floor_a_transition_and_the_last_hour(browser: Browser, http: Http) -> None:
    """Within two seconds, within one of its commit, and when asked for; also for whoever logs in with the token."""
    async with served(http) as (address, board):
        page = await browser.new_page(http_credentials={"username": "anyone", "password": "s3cret"})
        await page.goto(address)
        tile = page.locator(".tile", has_text="100001")
        await expect(tile).to_contain_text("available", timeout=2000)
        talking = agent("100001", state="talking", since=now())
        board.floor.take(records([event(talking, now())], [talking]), board.changes)
        board.beat(now())
        await expect(tile).to_contain_text("talking", timeout=1000)
        await tile.click()
        await expect(page.locator("#timeline tbody tr")).to_have_count(1)
        await page.close()


async def test_without_the_token_there_is_no_page(browser: Browser) -> None:
    """Nor anything else of it."""
    async with served(WITH_TOKEN) as (address, _):
        page = await browser.new_page(http_credentials={"username": "anyone", "password": "wrong"})
        answer = await page.goto(address)
        assert answer is not None
        assert answer.status == 401
        await page.close()
