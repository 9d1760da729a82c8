"""What a campaign holds its topics against: order as they are written; at a leg's end the truth and the outboxes."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

from benchmarks.campaign_outbox import KeptBatch, event_name, outbox_losses
from streamer.simulator.states import SIGNED_OUT
from tests.e2e.audit import Audit, transitions, true_transitions
from tests.truth import TOLERANCE, Score, Told, score

Record = dict[str, Any]
Timeline = Sequence[tuple[float, str]]
"""When (unix seconds) an extension entered which state, in order."""

STABLE = 2.0
"""Seconds before and after a watermark in which a state must truly last to be expected in the events."""

LOOKED = 1.0
"""Seconds from a watermark within which a poll must have told something for the watermark to be used."""

AHEAD = 1.0
"""Seconds that a watermark, or when an event happened at the earliest, may be ahead of the moment when it is read."""


FEW = 5
"""So many examples are given of what is counted."""


class Order:
    """Looks at records as a consumer reads them at `now` (unix seconds): none doubled, skipped, stale or foretold."""

    def __init__(self) -> None:
        self._wrong: list[str] = []
        self._foretold: list[str] = []
        self._last: dict[str, Record] = {}
        self._cursors: dict[str, tuple[str, int]] = {}
        self._over: dict[str, set[str]] = defaultdict(set)

    @property
    def violations(self) -> list[str]:
        """What was wrong."""
        count = len(self._foretold)
        if not count:
            return self._wrong
        few = ", ".join(self._foretold[:FEW])
        return [*self._wrong, f"{count} events were told before they can have happened: {few}"]

    def event(self, event: Record, now: float = math.inf) -> None:
        """The next event of its partition."""
        earliest = event["occurred_not_before"]
        if earliest is not None and _unix(earliest) > now + AHEAD:
            self._foretold.append(
                f"{event['event_id']} {event['current']['state']}: {_unix(earliest) - now:.1f} s ahead"
            )
        key = f"{event['source']}/{event['extension']}"
        before = self._last.get(key)
        self._last[key] = event
        number = 0 if before is None else before["sequence"]
        if event["sequence"] != number + 1 or (before is not None and event["epoch"] != before["epoch"]):
            self._wrong.append(f"{event['event_id']} follows {before['event_id'] if before else 'nothing'}")

    def feed(self, feed: Record, now: float = math.inf) -> None:
        """The next feed record of its source."""
        source = feed["source"]
        until = feed["confirmed_until"]
        if until is not None and _unix(until) > now + AHEAD:
            self._wrong.append(f"{source}: confirmed until {until}, {_unix(until) - now:.1f} s from now")
        if feed["cursor"] is None:
            return
        writer, number = feed["cursor"]["writer"], feed["cursor"]["number"]
        before = self._cursors.get(source)
        self._cursors[source] = (writer, number)
        if before is not None and before[0] != writer:
            self._over[source].add(before[0])
        elif before is not None and number < before[1]:
            self._wrong.append(f"{source}: cursor {writer} {number} after {before[1]}")
        if writer in self._over[source]:
            self._wrong.append(f"{source}: {writer} {number} after another writer had taken over")


def astray(truth: Mapping[str, Timeline], told: Mapping[str, Sequence[Told]], marks: Sequence[float]) -> Iterator[str]:
    """Each extension and moment at which the events do not tell the state that the extension was truly in.

    Only where that state lasted STABLE seconds before and after: then a poll near the moment has shown it.
    """
    for extension in sorted(truth.keys() | told.keys()):
        true, said = truth.get(extension, ()), told.get(extension, ())
        times = [at for at, _ in true]
        for mark in marks:
            first, last = bisect_right(times, mark - STABLE), bisect_right(times, mark + STABLE)
            if first != last:
                continue
            state = _public(true[first - 1][1]) if first else SIGNED_OUT
            found = told_at(said, mark)
            if state not in found:
                yield f"{extension} was {state} at {mark:.3f}, told is {' or '.join(sorted(found))}"
                break  # one for each extension says enough


def told_at(told: Sequence[Told], moment: float) -> set[str]:
    """The states that an extension may have been in at a moment, by its events and their bounds."""
    state, possible = SIGNED_OUT, set[str]()
    for one in told:
        if one.low > moment:
            break
        if one.high >= moment:
            possible.add(_public(state))
        else:
            possible.clear()
        state = one.state
    return possible | {_public(state)}


def _public(state: str) -> str:
    """Wrap-up shows in no row, so it may be told late or not at all after an outage."""
    return "available" if state == "wrap_up" else state


@dataclass
class Findings:
    """Of a leg's end: what is wrong, and figures."""

    violations: list[str] = field(default_factory=list[str])
    events: int = 0
    feeds: int = 0
    superseded: int = 0
    tenures: int = 0
    marks: int = 0
    overtaken: int = 0
    score: Score = field(default_factory=Score)


def judge(
    found: Audit, truths: Mapping[str, Path], kept: Iterable[KeptBatch], left: Collection[KeptBatch], ended: float
) -> Findings:
    """Hold what the topics say against each source's truth; `ended` (unix seconds) is when the instances had ended.

    `kept` and `left`: what the outboxes held after each kill, and hold at the end.
    """
    result = Findings(violations=list(found.violations), events=len(found.events), feeds=len(found.feeds))
    result.violations += [f"rejected: {record['source']} {record['reason']}" for record in found.rejected]
    order = Order()
    feeds: dict[str, list[Record]] = defaultdict(list)
    for feed in found.feeds:
        order.feed(feed)
        feeds[feed["source"]].append(feed)
    result.violations += order.violations
    result.violations += outbox_losses(kept, left, map(event_name, found.events), feeds)
    for source, truth in truths.items():
        if not feeds[source]:
            result.violations.append(f"{source}: nothing on the feed topic")
            continue
        result.superseded += feeds[source][-1]["superseded"]
        result.tenures += len({feed["cursor"]["writer"] for feed in feeds[source] if feed["cursor"]})
        result.violations += [f"{source}: {line}" for line in _judge_source(found, source, truth, feeds, result, ended)]
    return result


def _judge_source(
    found: Audit, source: str, truth: Path, feeds: Mapping[str, Sequence[Record]], result: Findings, ended: float
) -> Iterator[str]:
    events = [event for event in found.events if event["source"] == source]
    told = transitions(Audit(events, {}, [], []))
    plain = {name: as_shown(line, told.get(name, ())) for name, line in true_transitions(truth).items()}
    true = {name: overtaken(line, told.get(name, ())) for name, line in plain.items()}
    result.overtaken += sum(len(true[name]) - len(line) for name, line in plain.items())
    whole = score(true, told, begin=0.0, end=math.inf)
    if whole.right != whole.told:
        yield f"{whole.told - whole.right} of {whole.told} told transitions never happened"
    if whole.held != whole.found:
        yield f"{whole.found - whole.held} of {whole.found} transitions happened outside their bounds"
    live = list(_rising(feeds[source]))
    if not live:
        yield "never live"
        return
    polls = sorted({_unix(event["observed_at"]) for event in events})
    begin = polls[0] + 2 * STABLE
    # What came before the first poll or after the last watermark could not be told; all that was told must be true.
    due = score(true, told, begin=begin, end=max(live))
    result.score.add(Score(true=due.true, found=due.found, told=whole.told, right=whole.right, held=whole.held))
    # A watermark may lie in an outage: where nobody has looked, nothing can be expected.
    marks = [mark for mark in sorted(live) if mark > begin and _near(mark, polls)]
    result.marks += len(marks)
    yield from astray(true, _lines(events), marks)
    yield from _finally_astray(found, source, true, max(live), ended)


def as_shown(true: Timeline, told: Sequence[Told]) -> Timeline:
    """The truth, but for wrap-ups that nobody can know of, and that are told as the `available` that rows show.

    Such is one that shows after something else than its call, a phone that was away for instance.
    """
    shown = list(true)
    for place, ((_, before), (at, state)) in enumerate(pairwise(true), start=1):
        if state == "wrap_up" and before != "talking":
            near = [one.state for one in told if one.low - TOLERANCE <= at <= one.high + TOLERANCE]
            if "available" in near and "wrap_up" not in near:
                shown[place] = (at, "available")
    return shown


def overtaken(true: Timeline, told: Sequence[Told]) -> Timeline:
    """The truth, with the ends of wrap-ups that were told by estimate and that something else forestalled by less than
    their bounds: which of the two comes first within them, nobody can know.
    """
    shown: list[tuple[float, str]] = []
    for (_, before), (at, state) in pairwise([(0.0, SIGNED_OUT), *true]):
        if before == "wrap_up" and state != "available":
            estimates = [one for one in told if one.state == "available" and one.low <= at <= one.high]
            shown += [(at, "available")] * bool(estimates)
        shown.append((at, state))
    return shown


def _rising(feeds: Sequence[Record]) -> Iterator[float]:
    """The watermarks of a live feed. One that goes back, by a jump of a clock, says nothing new of where it is then."""
    highest = 0.0
    for feed in feeds:
        if feed["status"] == "live" and feed["confirmed_until"] and _unix(feed["confirmed_until"]) > highest:
            highest = _unix(feed["confirmed_until"])
            yield highest


def _near(moment: float, polls: Sequence[float]) -> bool:
    place = bisect_right(polls, moment - LOOKED)
    return place < len(polls) and polls[place] <= moment + LOOKED


def _lines(events: Iterable[Record]) -> dict[str, list[Told]]:
    """What is told of each extension, from the first sighting on."""
    lines: dict[str, list[Told]] = defaultdict(list)
    for event in events:
        low, at, high = (event[f"occurred_{name}"] for name in ("not_before", "at", "not_after"))
        told = Told(event["current"]["state"], _unix(low or at), _unix(at), _unix(high))
        if event["change"] == "first_seen":
            # Its stamp may be older than the sign-in: nothing is said of whether it was signed in before it was seen.
            seen = _unix(event["observed_at"])
            told = replace(told, low=min(told.low, seen), high=max(told.high, seen))
        lines[event["extension"]].append(told)
    return lines


def _finally_astray(
    found: Audit, source: str, true: Mapping[str, Timeline], confirmed: float, ended: float
) -> Iterator[str]:
    """Each extension whose state record is none of the states that it was in since the last watermark."""
    final = {
        key.partition("/")[2]: state["state"] for key, state in found.states.items() if key.startswith(f"{source}/")
    }
    if ended - confirmed > 30:
        yield f"its last watermark is {ended - confirmed:.0f} s older than the end"
    for extension, line in true.items():
        place = bisect_right([at for at, _ in line], confirmed - 0.5)
        since = {line[place - 1][1] if place else SIGNED_OUT} | {state for at, state in line[place:] if at <= ended}
        state = _public(final.get(extension, SIGNED_OUT))
        if state not in {_public(one) for one in since}:
            yield f"{extension} ends as {state}, truly {' or '.join(sorted(since))}"


def _unix(moment: str) -> float:
    return datetime.fromisoformat(moment).timestamp()
