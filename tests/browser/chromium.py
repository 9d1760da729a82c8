"""The browser that tests, pictures and measurements share: the system's own Chromium."""

from __future__ import annotations

import shutil
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from playwright.async_api import Browser, async_playwright

MISSING = "Chromium is not installed: apt-get install chromium"


def find() -> str | None:
    """Where Chromium is, or None."""
    return shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@asynccontextmanager
async def launched() -> AsyncGenerator[Browser]:
    """A browser without a window. RuntimeError where there is none."""
    path = find()
    if not path:
        raise RuntimeError(MISSING)
    async with async_playwright() as playwright:
        # A container's root has no sandbox to give, and its /dev/shm is small.
        flags = ["--no-sandbox", "--disable-dev-shm-usage"]
        browser = await playwright.chromium.launch(executable_path=path, args=flags)
        try:
            yield browser
        finally:
            await browser.close()
