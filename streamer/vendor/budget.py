"""How often the vendor is asked: token buckets for polls and log-ins, and the waits between failed attempts.

Pure: time comes in as monotonic seconds, waits go out as seconds.

                 capacity    refill                   so in any window of W seconds at most
polls            2           2 per poll_interval      2 + 2·W/poll_interval status calls of one source
log-ins          3           1 per 60 s               3 + W/60 log-ins of one session

Status calls are counted whatever caused them: the interval, a hint, or the repeat after a log-in. A steady poller
never waits. Nor does one that is given hints: a hint's poll is made only when the budget is full (`full_in`), that is
half an interval after the poll before. So it leaves its own repeat in the budget; and as the next regular poll is due a
whole interval after it, in which an empty budget fills up, that one and its repeat find their share whatever hints do.
"""

from __future__ import annotations

from random import Random
from typing import Final

POLLS: Final = 2
"""Status calls at once, and for each poll_interval: a poll and its repeat with a new token, or a poll and one
that a hint asked for."""

LOGINS: Final = 3
"""Log-ins at once: the first one, one after a revocation, one after 1003 or 1010."""

LOGIN_REFILL: Final = 60.0
"""Seconds for one more log-in. A log-in may revoke the token of somebody else with the same appid; two who do
that to each other must not do it at the rate of their polls."""

REFUSED_RETRY: Final = 60.0
"""Seconds between attempts while the vendor refuses (400, 601-604, wrong accesskey): only an operator can change
that, a minute is soon enough after he did, and a burst of refused log-ins looks like an attack."""

UNAVAILABLE_CAP: Final = 10.0
"""Seconds: the longest wait after an attempt without a usable answer. What happens meanwhile is inferred from
stamps, and these show only the last call of each extension: a longer wait loses calls."""

SHORTEST_WAIT: Final = 0.001
"""Seconds: the least that `take` asks for, so that whoever waits as told always gets on; timers are no finer."""

_ROUNDING: Final = 1e-9
"""Of one grant: what adding floats may lose; without it a wait of exactly the time asked for could fall short."""


class Budget:
    """A token bucket: `capacity` grants at once, then `per_second` more each second, never above `capacity`.

    In any window of W seconds it grants at most capacity + per_second·W. A clock that goes back refills nothing.
    """

    __slots__ = ("_capacity", "_left", "_per_second", "_seen")

    def __init__(self, capacity: float, per_second: float) -> None:
        """`capacity` in grants, at least 1; `per_second` in grants a second, above 0; starts full."""
        if capacity < 1 or per_second <= 0:
            raise ValueError("a budget needs a capacity of at least 1 and a positive rate")
        self._capacity = float(capacity)
        self._per_second = per_second
        self._left = self._capacity
        self._seen: float | None = None

    def take(self, now: float) -> float:
        """0 if granted, else the seconds after which to ask again (nothing is reserved meanwhile)."""
        self._refill(now)
        if self._left >= 1 - _ROUNDING:
            self._left -= 1
            return 0.0
        return max((1 - self._left) / self._per_second, SHORTEST_WAIT)

    def full_in(self, now: float) -> float:
        """Seconds until it is full, if nobody takes anything meanwhile; 0 if it is."""
        self._refill(now)
        return (self._capacity - self._left) / self._per_second

    def _refill(self, now: float) -> None:
        if self._seen is not None and now > self._seen:
            self._left = min(self._capacity, self._left + (now - self._seen) * self._per_second)
        self._seen = now if self._seen is None else max(self._seen, now)

    def give_back(self) -> None:
        """Return one grant that was not used: the request never left this machine."""
        self._left = min(self._capacity, self._left + 1)


def poll_budget(poll_interval: float) -> Budget:
    """The budget for one source's status calls; `poll_interval` in seconds, above 0."""
    return Budget(POLLS, POLLS / poll_interval)


def login_budget() -> Budget:
    """The budget for one session's log-ins, shared by all its sources."""
    return Budget(LOGINS, 1 / LOGIN_REFILL)


def backoff(attempt: int, base: float, cap: float, random: Random) -> float:
    """Seconds to wait after the `attempt`-th failure in a row (1 is the first).

    Doubles from `base` up to `cap`, and then takes a random part between half of that and all of it, so that
    many sources that failed together do not come back together.
    """
    full = min(cap, base * 2.0 ** min(max(attempt - 1, 0), 64))
    return full * (0.5 + 0.5 * random.random())
