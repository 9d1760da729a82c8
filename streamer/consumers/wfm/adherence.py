"""Was everybody in what the schedule says? Pure. The rules, with an example: docs/wfm.md."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Literal

import msgspec

from streamer.consumers.wfm.ledger import Interval
from streamer.consumers.wfm.schedule import Activity

Verdict = Literal["in", "out", "unknown"]


class Deviation(msgspec.Struct, frozen=True):
    """A time out of adherence, in unix ms: `late` at the beginning, `early` at the end, else `away`."""

    kind: Literal["late", "early", "away"]
    start: int
    end: int


class Adherence(msgspec.Struct, frozen=True):
    """One scheduled activity: milliseconds in adherence, out of it, and not known."""

    activity: Activity
    in_ms: int
    out_ms: int
    unknown_ms: int
    deviations: tuple[Deviation, ...]

    @property
    def percent(self) -> float | None:
        """Of what is known; None where nothing is."""
        known = self.in_ms + self.out_ms
        return round(100 * self.in_ms / known, 2) if known else None


def adherence(
    schedule: Iterable[Activity],
    intervals: Iterable[Interval],
    complete: Mapping[str, int],
    activities: Mapping[str, Collection[str]],
    grace_ms: int,
) -> list[Adherence]:
    """Each scheduled activity beside what was, in the schedule's order."""
    by_subject: dict[tuple[str, str], list[Interval]] = {}
    for interval in intervals:
        by_subject.setdefault(("agent", interval.agent), []).append(interval)
        by_subject.setdefault(("extension", interval.extension), []).append(interval)
    return [
        _judged(
            activity,
            [one for one in by_subject.get(activity.subject, ()) if activity.source in (None, one.source)],
            complete,
            activities[activity.name],
            grace_ms,
        )
        for activity in schedule
    ]


def _judged(
    activity: Activity,
    intervals: Sequence[Interval],
    complete: Mapping[str, int],
    adherent: Collection[str],
    grace_ms: int,
) -> Adherence:
    spent: dict[Verdict, int] = {"in": 0, "out": 0, "unknown": 0}
    out: list[tuple[int, int]] = []
    strict_from, strict_until = activity.start + grace_ms, activity.end - grace_ms
    pieces = [(one.start, _end(one, complete), _verdict(one, adherent)) for one in intervals]
    moments = {activity.start, activity.end, strict_from, strict_until}
    moments |= {moment for start, end, _ in pieces for moment in (start, end)}
    line = sorted(moment for moment in moments if activity.start <= moment <= activity.end)
    for start, end in pairwise(line):
        # With several extensions one that adheres is enough.
        found = {verdict for begin, until, verdict in pieces if begin <= start < until}
        verdict: Verdict = "in" if "in" in found else "out" if "out" in found else "unknown"
        if verdict == "out" and not strict_from <= start < strict_until:
            verdict = "in"
        spent[verdict] += end - start
        if verdict == "out":
            joined = out.pop()[0] if out and out[-1][1] == start else start
            out.append((joined, end))
    deviations = tuple(Deviation(_kind(one, strict_from, strict_until), *one) for one in out)
    return Adherence(activity, spent["in"], spent["out"], spent["unknown"], deviations)


def _end(interval: Interval, complete: Mapping[str, int]) -> int:
    if interval.end is not None:
        return interval.end
    return max(interval.start, complete.get(interval.source, interval.start))


def _verdict(interval: Interval, adherent: Collection[str]) -> Verdict:
    if interval.state is None:
        return "unknown"
    if interval.state in adherent:
        return "in"
    return "unknown" if interval.state == "unknown" else "out"


def _kind(span: tuple[int, int], strict_from: int, strict_until: int) -> Literal["late", "early", "away"]:
    late, early = span[0] == strict_from, span[1] == strict_until
    return "away" if late == early else "late" if late else "early"
