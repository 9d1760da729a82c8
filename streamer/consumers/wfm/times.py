"""Time in state per agent and span of time. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import msgspec

from streamer.consumers.wfm.ledger import Interval

QUARTER = 15 * 60_000
"""Milliseconds."""

NOT_KNOWN = "not_known"
"""Where events are missing, or a record was lost."""

NOT_YET = "not_known_yet"
"""After the moment up to which the source is complete."""

Span = tuple[int, int]
"""From, until (not included), in unix ms."""


class Times(msgspec.Struct, frozen=True):
    """One agent's time in each state within a span, in ms. `final`: nothing more will come to be known of it."""

    source: str
    name: str
    start: int
    end: int
    in_state: Mapping[str, int]
    final: bool


def day_of(day: date, zone: ZoneInfo) -> Span:
    """From midnight to midnight where the day is."""
    start, end = (datetime.combine(d, time(), zone).timestamp() for d in (day, day + timedelta(days=1)))
    return round(start * 1000), round(end * 1000)


def quarters(day: Span) -> list[Span]:
    """The day's intervals of 15 minutes, of which it has 92 to 100."""
    return [(at, min(at + QUARTER, day[1])) for at in range(day[0], day[1], QUARTER)]


def times(intervals: Iterable[Interval], complete: Mapping[str, int], spans: Sequence[Span]) -> list[Times]:
    """For each agent that is known in a span: the time in each state, by source and name, in the spans' order.

    An open interval counts until its source is complete, and no further. Who has several extensions has the sum of
    their times; who has no name goes by the extension. Where a change has the vendor's stamp, the middle of that second
    is where the one state ends and the other begins.
    """
    by_agent: dict[tuple[str, str], list[Interval]] = {}
    for interval in intervals:
        by_agent.setdefault((interval.source, interval.name), []).append(interval)
    found: list[Times] = []
    for (source, name), own in sorted(by_agent.items()):
        until = complete.get(source)
        pieces = [piece for interval in _centred(own) for piece in _known(interval, until)]
        for span in spans:
            in_state: dict[str, int] = {}
            for state, (start, end) in pieces:
                if (length := min(end, span[1]) - max(start, span[0])) > 0:
                    in_state[state] = in_state.get(state, 0) + length
            if in_state.keys() - {NOT_YET}:
                final = until is not None and until >= span[1]
                found.append(Times(source, name, *span, dict(sorted(in_state.items())), final))
    return found


HALF = 500
"""Milliseconds. A stamp names a second, and the change was anywhere in it: a state that begins with a stamp and ends
between two polls would be half a second too long, each time."""


def _centred(intervals: Sequence[Interval]) -> list[Interval]:
    line = sorted(intervals, key=lambda one: (one.extension, one.start, one.epoch, one.opened))
    for n in range(len(line) - 1):
        before, after = line[n : n + 2]
        if before.extension == after.extension and before.end == after.start and after.start % 1000 == 0:
            middle = after.start + (HALF if after.end is None else min(HALF, after.end - after.start))
            line[n] = msgspec.structs.replace(before, end=middle)
            line[n + 1] = msgspec.structs.replace(after, start=middle)
    return line


FOREVER = 2**62


def _known(interval: Interval, until: int | None) -> list[tuple[str, Span]]:
    """The pieces of an interval: what is known, and what is not known yet."""
    state = interval.state or NOT_KNOWN
    if interval.end is not None:
        return [(state, (interval.start, interval.end))]
    limit = max(interval.start, until) if until is not None else interval.start
    return [(state, (interval.start, limit)), (NOT_YET, (limit, FOREVER))]
