"""A floor whose truth is known at every moment, and the answers that were given of it."""

from __future__ import annotations

import asyncio
import random
from bisect import bisect_right
from collections.abc import Mapping, Sequence

import msgspec
import orjson

from streamer.core.envelope import Opened
from streamer.errors import VendorUnavailable
from streamer.vendor.session import Polled
from tests.runtime.fakes import VirtualClock, row
from tests.simulation.hosts import Host

STATES = {1213: "available", 1215: "talking", 1217: "paused", 1203: "busy", 1201: "idle"}
"""Codes that a row may show, and what they mean."""

CHANGES_EVERY = 1.0
"""Seconds between two changes of an extension, on average: with polls every second some come and go unseen."""


class Floor:
    """One source. What each extension's code is follows from the seed alone; from `until` on nothing changes."""

    def __init__(self, chance: random.Random, extensions: int, until: float) -> None:
        self._times: dict[str, list[float]] = {}
        self._codes: dict[str, list[int | None]] = {}
        for number in range(extensions):
            moment, code = 0.0, chance.choice([*STATES])
            times: list[float] = [0.0]
            codes: list[int | None] = [code]
            while (moment := moment + chance.expovariate(1 / CHANGES_EVERY)) < until:
                times.append(moment)
                codes.append(chance.choice([c for c in (*STATES, None) if c != codes[-1]]))
            self._times[str(number)], self._codes[str(number)] = times, codes
        self.failing: list[tuple[float, float]] = []
        """When the vendor gives no answer."""

    def codes(self, now: float) -> dict[str, int]:
        """Each extension that is signed in, with its code."""
        found: dict[str, int] = {}
        for extension, times in self._times.items():
            code = self._codes[extension][bisect_right(times, now) - 1]
            if code is not None:
                found[extension] = code
        return found

    def states(self, now: float) -> dict[str, str]:
        """The state of every extension that ever was there."""
        codes = self.codes(now)
        ever = {e for e, times in self._times.items() if any(self._codes[e][: bisect_right(times, now)])}
        return {e: STATES[codes[e]] if e in codes else "signed_out" for e in sorted(ever)}


class Answer(msgspec.Struct, frozen=True):
    """What a poll showed, once it was numbered: `writer` and `number` are the tenure's last batch by then."""

    source: str
    at: int
    states: Mapping[str, str]
    writer: str
    number: int


class FloorVendor:
    """A host's way to one source's vendor."""

    def __init__(self, floor: Floor, host: Host, chance: random.Random) -> None:
        self._floor = floor
        self._host = host
        self._random = chance

    async def poll(self) -> Polled:
        loop, clock = asyncio.get_running_loop(), VirtualClock()
        await self._host.gate()
        requested = clock.now_ms()
        await asyncio.sleep(self._random.uniform(0.001, 0.05))
        now = loop.time()
        if any(start <= now < end for start, end in self._floor.failing):
            raise VendorUnavailable("no answer")
        rows = [row(extension, code) for extension, code in self._floor.codes(now).items()]
        asked = requested // 1000
        await self._host.gate()
        return Polled(requested, clock.now_ms(), 200, b"", _opened(rows, asked))

    def spare(self) -> float:
        return 0.0

    def secrets(self) -> tuple[str, ...]:
        return ()


def _opened(rows: Sequence[Mapping[str, object]], second: int) -> Opened:
    return Opened(orjson.dumps(rows), second, second)
