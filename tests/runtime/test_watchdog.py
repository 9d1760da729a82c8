"""Nothing sits still for ever: a loop of ours, or the whole event loop, ends the process instead."""

from __future__ import annotations

import asyncio
import subprocess
import sys

import pytest

from streamer.errors import Wedged
from streamer.runtime.watchdog import LOOK, STILL, watch
from tests.runtime.fakes import FakeKafka, FakeVendor, Instance, VirtualClock, alternating, config, virtually


def test_a_loop_without_progress_is_named() -> None:
    """After five minutes, and not because another one goes on."""

    async def work() -> None:
        began = asyncio.get_running_loop().time()
        counts = {"poller of source floor": 1, "publisher of slot 3": 1}

        def turns() -> dict[str, int]:
            counts["poller of source floor"] += 1
            return counts

        with pytest.raises(Wedged, match="publisher of slot 3"):
            await watch(turns, VirtualClock())
        assert asyncio.get_running_loop().time() - began == pytest.approx(LOOK * STILL, abs=LOOK)

    virtually(work)


def test_a_publisher_that_hangs_ends_the_instance() -> None:
    """A call to Kafka that never returns, whatever its time-out promised."""

    async def work() -> None:
        kafka = FakeKafka()
        instance = Instance(config(), kafka, {"floor": FakeVendor(alternating)})
        await asyncio.sleep(5)

        async def never(_: object) -> None:
            await asyncio.get_running_loop().create_future()

        kafka.sinks[0].write = never  # type: ignore[method-assign]
        with pytest.raises(Wedged, match="made no progress for 300 s"):
            await instance.task

    virtually(work)


def test_an_ordinary_instance_is_never_taken_for_wedged() -> None:
    """Neither with a vendor that refuses nor while Kafka is away for an hour."""

    async def work() -> None:
        kafka = FakeKafka()
        instance = Instance(config(outbox={"max_bytes": 20_000}), kafka, {"floor": FakeVendor(alternating)})
        await asyncio.sleep(60)
        kafka.away = True
        await asyncio.sleep(3600)
        kafka.away = False
        await asyncio.sleep(60)
        await instance.end()

    virtually(work)


def test_a_blocked_event_loop_ends_the_process_with_its_stack() -> None:
    """Exit code 1, and standard error shows where it stood."""
    program = """
import asyncio, time
from streamer.runtime import watchdog
watchdog.BLOCKED = 1
async def main():
    with watchdog.unblocked():
        await asyncio.sleep(0.1)
        time.sleep(60)
asyncio.run(main())
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, timeout=50, check=False)
    assert done.returncode == 1
    assert b"has not turned for 1 s" in done.stderr
    assert b"in main" in done.stderr
