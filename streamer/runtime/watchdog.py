"""Ends an instance rather than let it sit still: in the event loop for one loop of ours, in a thread for all of it."""

from __future__ import annotations

import asyncio
import faulthandler
import os
import sys
import threading
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager, suppress

from streamer.errors import Wedged
from streamer.runtime.ports import Clock

LOOK = 5.0
"""Seconds between two looks."""

STILL = 60
"""Looks without any progress after which something is wedged: five minutes, well above the longest wait between two
turns (a refused source rests for a minute, each call to Kafka or a vendor has its own time-out)."""

BLOCKED = 60
"""Seconds after which an event loop that does not turn at all is given up."""


async def watch(turns: Callable[[], Mapping[str, int]], clock: Clock) -> None:
    """Raise Wedged when one of the counters has stood still for too long.

    Looks are counted, not seconds: a process that was stopped and goes on has not been wedged.
    """
    last: dict[str, tuple[int, int]] = {}
    while True:
        await clock.sleep(LOOK)
        now = turns()
        for name, count in now.items():
            before, still = last.get(name, (count, 0))
            last[name] = (count, still + 1 if count == before else 0)
            if last[name][1] >= STILL:
                raise Wedged(f"the {name} has made no progress for {LOOK * STILL:.0f} s", "start it again")
        last = {name: seen for name, seen in last.items() if name in now}


@contextmanager
def unblocked() -> Generator[None]:
    """End the process, with every thread's stack on standard error and exit code 1, if the loop stops turning."""
    beats = 0
    over = threading.Event()
    loop = asyncio.get_running_loop()

    def beat() -> None:
        nonlocal beats
        beats += 1

    def guard() -> None:
        missed, seen = 0, beats
        while not over.is_set():
            with suppress(RuntimeError):  # the loop is closed: then this is over, too
                loop.call_soon_threadsafe(beat)
            time.sleep(1.0)
            missed = missed + 1 if beats == seen else 0
            seen = beats
            if missed >= BLOCKED and not over.is_set():
                sys.stderr.write(f"the event loop has not turned for {BLOCKED} s; start it again\n")
                faulthandler.dump_traceback(all_threads=True)
                os._exit(Wedged.exit_code)

    thread = threading.Thread(target=guard, name="watchdog", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
