"""Make the pictures of the wallboard from an invented floor: docs/screenshots/*.png.

    .venv/bin/python -m benchmarks.screenshots [--out docs/screenshots]

Needs Chromium. Ends by itself.
"""

from __future__ import annotations

import argparse
import asyncio
import random
from pathlib import Path
from typing import Any, Literal

from playwright.async_api import Page, ViewportSize, expect

from tests.browser.chromium import launched
from tests.browser.fake_streamer import FakeStreamer, a_floor, an_hour, line, now

WIDE: ViewportSize = {"width": 1280, "height": 800}
PHONE: ViewportSize = {"width": 360, "height": 740}
TALKER = ("berlin", "100007")


def invented() -> FakeStreamer:
    """Two sites; one agent's hour in full."""
    agents = a_floor(96, ["Billing", "Sales", "Service hotline"], "berlin")
    streamer = FakeStreamer([*agents, *a_floor(44, ["Night line", "Sales"], "shenzhen", seed=7)])
    talker = streamer.agents[TALKER]
    talker |= {"state": "talking", "since": now() - 45_000, "agent": "Amara Okafor", "groups": ["Sales"]}
    streamer.timelines[TALKER] = an_hour("talking")
    streamer.events = latest(streamer)
    return streamer


def latest(streamer: FakeStreamer) -> list[dict[str, Any]]:
    """The newest transitions of the floor as it stands."""
    chance = random.Random(3)
    newest = sorted(streamer.agents.values(), key=lambda agent: agent["since"])[-40:]
    before = {"ringing": "available", "talking": "ringing", "wrap_up": "talking", "available": "wrap_up"}
    return [
        line(agent, before.get(agent["state"], "available"), "state", basis(agent["state"], chance)) for agent in newest
    ]


def basis(state: str, chance: random.Random) -> str:
    """What such a transition mostly rests on."""
    if state == "wrap_up":
        return "derived"
    return chance.choice(["observed", "observed", "observed", "inferred"])


async def opened(page: Page, streamer: FakeStreamer) -> None:
    await page.goto(streamer.address)
    await expect(page.locator("#floor")).to_have_attribute("aria-busy", "false")
    await expect(page.locator("#summary")).to_contain_text("live")


async def main(out: Path) -> None:
    """Each picture by its name."""
    streamer = invented()
    await streamer.start()

    async with launched() as browser:

        async def page(scheme: Literal["light", "dark"], size: ViewportSize) -> Page:
            page = await browser.new_page(viewport=size, color_scheme=scheme, reduced_motion="reduce", locale="en-GB")
            await opened(page, streamer)
            return page

        for scheme in ("light", "dark"):
            await (await page(scheme, WIDE)).screenshot(path=out / f"{scheme}.png")
        await (await page("light", PHONE)).screenshot(path=out / "phone.png")
        timeline = await page("light", WIDE)
        await timeline.locator(".tile", has_text=TALKER[1]).click()
        await expect(timeline.locator("#timeline table")).to_be_visible()
        await timeline.screenshot(path=out / "timeline.png")
        stale = await page("light", WIDE)
        streamer.trouble["shenzhen"] = {"status": "stale", "reason": "no good poll for 42 s: connection refused"}
        streamer.trouble["shenzhen"] |= {"confirmed_until": now() - 42_000}
        await streamer.tell_feeds()
        await expect(stale.locator("#banner")).to_contain_text("shenzhen is stale")
        await stale.evaluate("document.querySelector('.group[data-health=stale]').scrollIntoView({block: 'center'})")
        await stale.screenshot(path=out / "stale.png")
    await streamer.stop()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("docs/screenshots"))
    asked = parser.parse_args()
    asyncio.run(main(asked.out))
    for path in sorted(asked.out.glob("*.png")):
        print(f"{path}: {path.stat().st_size // 1000} kB")
