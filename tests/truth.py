"""Told transitions beside those that truly happened: who was right, how exactly, and what was missed."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

TOLERANCE = 1.0
"""Seconds by which a told transition may miss the true one and still be meant: stamps are whole seconds."""

Truth = Mapping[str, Sequence[tuple[float, str]]]
"""By extension: when (unix seconds of the vendor's clock) it entered which state."""


@dataclass(frozen=True, slots=True)
class Told:
    """A told transition: its new state, its bounds and its best estimate (unix seconds of the vendor's clock)."""

    state: str
    low: float
    at: float
    high: float


@dataclass(slots=True)
class Score:
    """Counts of one floor at one interval, for one way of telling."""

    true: int = 0
    found: int = 0
    told: int = 0
    right: int = 0
    near: int = 0
    held: int = 0

    def add(self, other: Score) -> None:
        for name in Score.__slots__:
            setattr(self, name, getattr(self, name) + getattr(other, name))

    @property
    def shares(self) -> tuple[float, float, float, float]:
        """Recall, precision, within 1 s of the truth, bounds that hold it (both of the matched)."""
        return (
            self.found / max(1, self.true),
            self.right / max(1, self.told),
            self.near / max(1, self.found),
            self.held / max(1, self.found),
        )


def score(
    truth: Mapping[str, Sequence[tuple[float, str]]], told: Mapping[str, Sequence[Told]], begin: float, end: float
) -> Score:
    """Match in order, each told transition with the first true one that fits."""
    total = Score()
    for extension in truth.keys() | told.keys():
        total.add(_score(truth.get(extension, ()), told.get(extension, ()), begin, end))
    return total


def _score(truth: Sequence[tuple[float, str]], told: Sequence[Told], begin: float, end: float) -> Score:
    found = Score()
    truth = [entry for entry in truth if entry[0] > begin - TOLERANCE]
    times = [at for at, _ in truth]
    found.true = bisect_left(times, end) - bisect_left(times, begin)
    free = 0
    for one in told:
        counts = one.at < end
        found.told += counts
        place = max(free, bisect_left(times, one.low - TOLERANCE))
        while place < len(truth) and times[place] <= one.high + TOLERANCE and truth[place][1] != one.state:
            place += 1
        if place == len(truth) or times[place] > one.high + TOLERANCE:
            continue
        # Of two that fit, within the tolerance, the one that is within the bounds is meant.
        better = next(
            (p for p in range(place, bisect_left(times, one.high)) if truth[p][1] == one.state and times[p] >= one.low),
            place,
        )
        place = better if times[place] < one.low else place
        at, free = times[place], place + 1
        found.right += counts
        if begin <= at < end:
            found.found += 1
            found.near += abs(one.at - at) <= 1.0
            found.held += one.low <= at <= one.high
    return found
