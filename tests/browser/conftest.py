"""A browser for all tests, and for each test its own streamer and pages."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import pytest
import pytest_asyncio
from playwright.async_api import Browser, expect

from tests.browser.chromium import MISSING, find, launched
from tests.browser.fake_streamer import FakeStreamer
from tests.browser.reader import Reader
from tests.conftest import without

expect.set_options(timeout=10_000)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser(request: pytest.FixtureRequest) -> AsyncGenerator[Browser]:
    """The system's Chromium; without one the tests are skipped, or fail where it is required."""
    if find() is None:
        without(request.config, "browser", MISSING)
    async with launched() as browser:
        yield browser


@pytest_asyncio.fixture(loop_scope="session")
async def reader(browser: Browser) -> AsyncGenerator[Reader]:
    """Someone who looks at the wallboard."""
    reader = Reader(browser)
    yield reader
    await reader.close()
    assert reader.errors == []


@pytest_asyncio.fixture(loop_scope="session")
async def streamer() -> AsyncGenerator[FakeStreamer]:
    """A streamer with nobody on its floor yet; the test starts it."""
    streamer = FakeStreamer([])
    yield streamer
    await streamer.stop()
