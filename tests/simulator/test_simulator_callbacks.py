"""The simulator calls back as the vendor would: of each call, unreliably, and never at the floor's expense."""

from __future__ import annotations

import asyncio
import json
from collections import Counter

from aiohttp import web

from streamer.simulator.callbacks import MOST, Caller, status_of
from streamer.simulator.server import serve
from streamer.simulator.world import Truth


def truth(state: str, previous: str | None = "available", group: str | None = None) -> Truth:
    return Truth(1_795_399_205.5, "100001", "100001_100001_queue-1-9026", group, state, previous)


def test_calls_are_told_and_nothing_else() -> None:
    """Of the extension, not of each of its seats; and not what it was in before anybody looked."""
    assert status_of(truth("ringing")) == "ring"
    assert status_of(truth("talking", "ringing")) == "answer"
    assert status_of(truth("available", "talking")) == status_of(truth("paused", "ringing")) == "hangup"
    assert status_of(truth("paused")) is None
    assert status_of(truth("ringing", None)) is None
    assert status_of(truth("ringing", group="queue-1")) is None


def test_deliveries_are_lost_and_repeated_now_and_then() -> None:
    """From a seed."""

    def sent(seed: int) -> list[str]:
        caller = Caller("http://127.0.0.1:1", seed)
        caller.tell(Truth(float(n), str(n), "", None, "ringing", "idle") for n in range(500))
        return [detail["extnumber"] for detail in caller._waiting]  # pyright: ignore[reportPrivateUsage]

    counts = Counter(sent(7))
    assert 470 < len(counts) < 500
    assert set(counts.values()) == {1, 2}
    assert sent(7) == sent(7) != sent(8)


def test_what_waits_is_bounded() -> None:
    """A receiver that is away costs no memory."""
    caller = Caller("http://127.0.0.1:1", 1)
    caller.tell([truth("ringing")] * (3 * MOST))
    assert len(caller._waiting) == MOST  # pyright: ignore[reportPrivateUsage]


async def test_a_floor_calls_back_over_http() -> None:
    """A form with one field `detail`, a JSON string; its extensions are the floor's."""
    got: asyncio.Queue[dict[str, str]] = asyncio.Queue()

    async def take(request: web.Request) -> web.Response:
        form = await request.post()
        assert set(form) == {"detail"}
        got.put_nowait(json.loads(str(form["detail"])))
        return web.Response(status=204)

    app = web.Application()
    app.router.add_post("/callbacks/floor", take)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    address = f"http://127.0.0.1:{runner.addresses[0][1]}/callbacks/floor"
    simulator = await serve(agents=50, seed=1, floor="brisk", callback=address)
    try:
        async with asyncio.timeout(30):
            details = [await got.get() for _ in range(5)]
    finally:
        await simulator.close()
        await runner.cleanup()
    assert {detail["status"] for detail in details} <= {"ring", "answer", "hangup"}
    assert all(detail["extnumber"].startswith("1000") for detail in details)


async def test_a_receiver_that_is_away_ends_nothing() -> None:
    """Nor one that refuses."""
    simulator = await serve(agents=50, seed=1, floor="brisk", callback="http://127.0.0.1:1/callbacks/floor")
    try:
        caller = simulator._caller  # pyright: ignore[reportPrivateUsage]
        assert caller is not None
        async with asyncio.timeout(30):
            caller.tell([truth("ringing")] * 20)
            while caller._waiting:  # noqa: ASYNC110 # pyright: ignore[reportPrivateUsage]
                await asyncio.sleep(0.01)
        assert caller.delivered == 0
    finally:
        await simulator.close()
