"""What happens next on the floor, in order of time; and the time, on the true clock and on the vendor's."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from math import floor
from typing import Any


class Agenda:
    """Things to do, each at its time in unix seconds; those for the same time keep their order."""

    __slots__ = ("_count", "_queue", "now", "skew")

    def __init__(self, now: float, skew: float) -> None:
        self.now = now
        self.skew = skew
        """Seconds that the vendor's clock is ahead of the true one."""
        self._queue: list[tuple[float, int, Callable[..., None], tuple[Any, ...]]] = []
        self._count = 0

    @property
    def stamp(self) -> int:
        """The vendor's clock as mod_callcenter writes it: whole seconds, rounded down."""
        return floor(self.now + self.skew)

    def at(self, time: float, act: Callable[..., None], *args: Any) -> None:
        """Call `act(*args)` when `time` has come; a time already past means as soon as possible."""
        self._count += 1
        heapq.heappush(self._queue, (max(time, self.now), self._count, act, args))

    def advance(self, to: float) -> None:
        """Do everything due up to and including `to`. A clock that went back waits until time catches up."""
        queue = self._queue
        while queue and queue[0][0] <= to:
            self.now, _, act, args = heapq.heappop(queue)
            act(*args)
        self.now = max(self.now, to)
