"""A campaign's legs as figures and tables: on the terminal and as a page."""

from __future__ import annotations

import os
import platform
from collections import Counter, defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime
from statistics import median
from typing import Any

import msgspec

from benchmarks.campaign_faults import TAKE_OVER
from tests.kafka_distribution import KAFKA_VERSION

SHOWN = 50
"""Violations that are listed; all are counted."""


class Leg(msgspec.Struct):
    """What is kept of a leg, as one line of legs.jsonl. Seconds and counts."""

    number: int
    seed: int
    agents: int
    sources: int
    seconds: float = 0.0
    ended: str = ""
    counts: dict[str, int] = {}
    names: dict[str, int] = {}
    gaps: dict[str, list[float]] = {}
    worst: dict[str, list[float]] = {}
    take_overs: list[float] = []
    notes: dict[str, dict[str, int]] = {}
    violations: list[str] = []
    events: int = 0
    feeds: int = 0
    superseded: int = 0
    tenures: int = 0
    marks: int = 0
    overtaken: int = 0
    true: int = 0
    found: int = 0
    told: int = 0
    right: int = 0
    held: int = 0


def page(legs: Sequence[Leg]) -> str:
    """The page for docs/."""
    first, ended = legs[0], max(leg.ended for leg in legs)
    minutes = _total(legs, "seconds") / 60
    faults = sum(sum(leg.names.values()) for leg in legs)
    return f"""# The campaign

Two instances of `streamer run` in one group share {first.sources} sources with {first.agents} simulated agents each.
Kafka and every source are reached through proxies that can fail. Faults come one after another, drawn from a seed; a
consumer reads along. At the end of each leg all that was published is held against the simulators' truth.

`python -m benchmarks.campaign --folder DIR --seed {_seeds(legs)}` draws the same faults again.

{faults} faults in {len(legs)} legs, {minutes:.0f} minutes in all; ended on {ended[:10]}. Apache Kafka {KAFKA_VERSION},
Python {platform.python_version()}, {os.cpu_count()} shared cores.

{_violations(legs)}

## Faults, and how long nothing was published

{_faults(legs)}

The silence is the longest stretch of a source, in seconds, without an event or a live feed record, from the fault to
the first one after it was over: over all sources, also those that the fault did not touch, and for the most silent
source of each fault. It holds the fault's own length. Nothing was measured where the next fault came before the
recovery.

## Take-over

{_take_overs(legs)}

Of instances that were stopped for a minute and went on: {_noted(legs, "zombie")}. Of instances whose files could
hardly grow, while Kafka was out of their reach: {_noted(legs, "full disk")}.

## What was published

{_published(legs)}

Violations would be: an event doubled, missing or out of order; an invalid record; a state that the events do not fold
to; a writer that goes on after another took over; a batch in a killed instance's outbox that neither arrived nor was
rightly superseded; a told transition that never happened, or that happened outside its bounds; an extension whose
state by the events at a watermark (`confirmed_until`), or whose last state, is not the true one; a watermark in the
future, or an event told before it can have happened; an instance that ended unasked; a source that was not live two
minutes after a fault. No violation, for a wrap-up shows in no row: {_total(legs, "overtaken")} of its ends were told
by estimate and forestalled, within their bounds, by a break or a sign-out. What came and went in an outage may leave no
trace in the vendor's books: it is not told, and shows in the share of true transitions told.
"""


def _total(legs: Sequence[Leg], name: str) -> Any:
    return sum(getattr(leg, name) for leg in legs)


def _seeds(legs: Sequence[Leg]) -> str:
    return ", ".join(sorted({str(leg.seed) for leg in legs}))


def _violations(legs: Sequence[Leg]) -> str:
    found = [f"leg {leg.number}: {line}" for leg in legs for line in leg.violations]
    if not found:
        return "**Violations: 0.**"
    lines = "\n".join(f"- {line}" for line in found[:SHOWN])
    return f"**Violations: {len(found)}.**\n\n{lines}"


def _faults(legs: Sequence[Leg]) -> str:
    counts: Counter[str] = Counter()
    gaps: dict[str, list[float]] = defaultdict(list)
    worst: dict[str, list[float]] = defaultdict(list)
    for leg in legs:
        counts.update(leg.names)
        for name, seconds in leg.gaps.items():
            gaps[name] += seconds
        for name, seconds in leg.worst.items():
            worst[name] += seconds
    rows = [
        "| fault | count | median | median of the most silent source | longest |",
        "| --- | --- | --- | --- | --- |",
    ]
    for name in sorted(counts):
        figures = [f"{figure:.1f}" for figure in _middle(gaps[name]) + _middle(worst[name])]
        longest = f"{max(gaps[name]):.1f}" if gaps[name] else ""
        rows.append(f"| {name} | {counts[name]} | {' | '.join(figures) or '|'} | {longest} |")
    return "\n".join(rows)


def _middle(seconds: Sequence[float]) -> list[float]:
    return [median(seconds)] if seconds else []


def _take_overs(legs: Sequence[Leg]) -> str:
    seconds = sorted(second for leg in legs for second in leg.take_overs)
    if not seconds:
        return "None was measured."
    late = sum(second > TAKE_OVER for second in seconds)
    return (
        f"{len(seconds)} times an instance was killed and stayed away until the other had written for each of its\n"
        f"sources. From the kill to the last of them: median {median(seconds):.1f} s, longest {seconds[-1]:.1f} s; "
        f"{late} took longer than\nthe session time-out and 2 s, which is {TAKE_OVER:.0f} s."
    )


def _noted(legs: Sequence[Leg], kind: str) -> str:
    counts: Counter[str] = Counter()
    for leg in legs:
        counts.update(leg.notes.get(kind, {}))
    return ", ".join(f"{count} {note}" for note, count in sorted(counts.items())) or "none"


def _published(legs: Sequence[Leg]) -> str:
    true, found, told = (_total(legs, name) for name in ("true", "found", "told"))
    return "\n".join(
        (
            "| events | feed records | tenures | batches superseded | watermarks compared | true transitions "
            "| of them told | told in all | of them true |",
            "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
            f"| {_total(legs, 'events'):,} | {_total(legs, 'feeds'):,} | {_total(legs, 'tenures'):,} "
            f"| {_total(legs, 'superseded'):,} | {_total(legs, 'marks'):,} | {true:,} "
            f"| {found:,} ({found / max(1, true):.2%}) | {told:,} | {_total(legs, 'right'):,} |",
        )
    )


def today() -> str:
    """Now, in UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")
