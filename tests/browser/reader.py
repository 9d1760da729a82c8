"""A person at the wallboard."""

from __future__ import annotations

from typing import Any

from playwright.async_api import Browser, BrowserContext, Page, expect

from tests.browser.fake_streamer import FakeStreamer


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
