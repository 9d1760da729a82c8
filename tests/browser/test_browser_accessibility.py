"""No serious finding of axe, whatever is open and whatever the light; and a phone shows all of it."""

from __future__ import annotations

from importlib.resources import files
from typing import Any, Literal

import pytest
from playwright.async_api import Page, expect

from tests.browser.fake_streamer import FakeStreamer, a_floor, an_hour, now, tile
from tests.browser.reader import Reader

pytestmark = pytest.mark.asyncio(loop_scope="session")

AXE = (files("axe_playwright_python") / "axe.min.js").read_text("utf-8")
FITS = "part => part.scrollWidth <= part.clientWidth"
LONG = "an-extension-with-a-very-long-name-that-no-one-would-choose@voice.example.com"


async def findings(page: Page) -> list[str]:
    """axe's serious and critical findings."""
    await page.evaluate(AXE)
    answer: dict[str, Any] = await page.evaluate("axe.run({resultTypes: ['violations']})")
    assert answer["passes"]
    return [
        f"{found['id']}: {node['target']} {node['failureSummary']}"
        for found in answer["violations"]
        if found["impact"] in ("serious", "critical")
        for node in found["nodes"][:3]
    ]


def every_state(streamer: FakeStreamer) -> None:
    """All states, all bases, a group that is not live."""
    streamer.seat([*a_floor(120, ["sales", "support"]), *a_floor(30, ["night"], "annex", seed=2)])
    streamer.timelines["floor", "100003"] = an_hour("talking")
    streamer.seat([*streamer.agents.values(), tile("100999", "unknown", agent="Wang Lei")])


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_axe_has_nothing_serious_to_say(
    reader: Reader, streamer: FakeStreamer, scheme: Literal["light", "dark"]
) -> None:
    """The floor, with filters pressed, with stale and recovering feeds, without a connection, and the dialog."""
    every_state(streamer)
    await streamer.start()
    page = await reader.open(streamer, "#out", color_scheme=scheme, viewport={"width": 1280, "height": 3000})
    for basis in ("observed", "inferred", "derived"):
        await streamer.change(tile("100999", "unknown" if basis == "derived" else "idle"), basis=basis)
        await streamer.change(tile("100999", "talking"), basis=basis)
    await expect(page.locator("#latest li")).to_have_count(6)
    assert await findings(page) == []
    for button in await page.locator("#totals button").all():
        await button.click()
    await page.get_by_role("combobox", name="Group").focus()
    assert await findings(page) == []
    await page.get_by_role("button", name="Clear filters").click()
    for status in ("recovering", "stale"):
        streamer.trouble["annex"] = {"status": status, "reason": "answers are not believed yet"}
        await streamer.tell_feeds()
        await expect(page.locator("#banner")).to_contain_text(f"annex is {status}")
        assert await findings(page) == []
    await page.locator(".tile", has_text="100003").first.click()
    await expect(page.locator("#timeline table")).to_be_visible()
    assert await findings(page) == []
    await page.keyboard.press("Escape")
    await streamer.stop()
    await expect(page.locator("#banner")).to_contain_text("No connection")
    assert await findings(page) == []


async def test_a_phone_needs_no_sideways_scrolling(reader: Reader, streamer: FakeStreamer) -> None:
    """At 360 px, with long names of everything, with a banner, and with the dialog open."""
    every_state(streamer)
    streamer.seat([tile(LONG, "talking", [LONG], agent=LONG), *streamer.agents.values()])
    streamer.timelines["floor", LONG] = an_hour("talking")
    streamer.trouble["annex"] = {"status": "stale", "reason": LONG, "confirmed_until": now()}
    await streamer.start()
    page = await reader.open(streamer, viewport={"width": 360, "height": 740}, has_touch=True, is_mobile=True)
    await expect(page.locator("#latest")).to_be_hidden()
    await page.get_by_role("button", name="Latest transitions").click()
    await streamer.change(tile(LONG, "wrap_up", [LONG], agent=LONG), basis="derived")
    await expect(page.locator("#latest li").first).to_be_visible()
    wide = "document.documentElement.scrollWidth"
    assert await page.evaluate(wide) == 360
    assert await page.locator("#latest").evaluate(FITS)
    await page.locator(".tile", has_text=LONG).first.click()
    await expect(page.locator("#timeline table")).to_be_visible()
    assert await page.evaluate(wide) == 360
    for part in (".sheet", ".body"):
        assert await page.locator(f"#timeline {part}").evaluate(FITS)


@pytest.mark.parametrize("width", [900, 1280])
async def test_no_transition_is_cut_off(reader: Reader, streamer: FakeStreamer, width: int) -> None:
    """The longest states, beside the widest badge: they wrap."""
    streamer.seat([tile("100001", "available")])
    await streamer.start()
    page = await reader.open(streamer, viewport={"width": width, "height": 800})
    for state in ("signed_out", "available"):
        await streamer.change(tile("100001", state), basis="inferred")
    await expect(page.locator("#latest li")).to_have_count(2)
    assert await page.locator("#latest .what").evaluate_all(f"all => all.every({FITS})")


async def test_landmarks_and_headings(reader: Reader, streamer: FakeStreamer) -> None:
    """What a screen reader goes by; only a change of health is announced."""
    streamer.seat([tile("100001", "talking")])
    await streamer.start()
    page = await reader.open(streamer)
    for role in ("banner", "main", "complementary", "search"):
        await expect(page.get_by_role(role)).to_have_count(1)  # pyright: ignore[reportArgumentType]
    await expect(page.get_by_role("heading", level=1)).to_have_text("Wallboard")
    await expect(page.get_by_role("heading", level=3)).to_have_text("salesfloor")
    live = page.locator("[aria-live], [role=status], [role=alert], [role=log]")
    await expect(live).to_have_count(1)
    await expect(live).to_have_text("All feeds are live.")
