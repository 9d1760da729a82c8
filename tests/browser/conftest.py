"""A browser for all tests, and for each test its own streamer and pages."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, BrowserContext, Page, expect

from tests.browser.chromium import MISSING, find, launched
from tests.browser.fake_streamer import FakeStreamer

expect.set_options(timeout=10_000)


class Reader:
    """Opens the wallboard as a person would; whatever a script of it throws fails the test."""

    def __init__(self, browser: Browser) -> None:
        self._browser = browser
        self._contexts: list[BrowserContext] = []
        self.errors: list[str] = []

    async def blank(self, **options: Any) -> Page:
        """A page that has been nowhere."""
        context = await self._browser.new_context(locale="en-GB", **options)
        self._contexts.append(context)
        page = await context.new_page()
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        return page

    async def open(self, streamer: FakeStreamer, fragment: str = "", **options: Any) -> Page:
        """A page that shows the whole floor."""
        page = await self.blank(**options)
        await page.goto(streamer.address + fragment)
        await expect(page.locator("#floor")).to_have_attribute("aria-busy", "false")
        return page

    async def close(self) -> None:
        """Close every page."""
        for context in self._contexts:
            await context.close()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser(request: pytest.FixtureRequest) -> AsyncGenerator[Browser]:
    """The system's Chromium; without one the tests are skipped, or fail where it is required."""
    if find() is None:
        if request.config.getoption("--require-browser"):
            pytest.fail(f"a browser is required: {MISSING}", pytrace=False)
        pytest.skip(MISSING)
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
