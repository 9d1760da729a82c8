"""`wfm`: keep the ledger, export it, and say what it tells of times and schedules."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

import orjson
import structlog

from streamer.client import Batch, Finding, Rebalanced, Repeat
from streamer.commands.lines import Output, clean
from streamer.commands.serve import stopping_on_signals
from streamer.config import Config
from streamer.config.wfm import Wfm
from streamer.consumers.wfm.adherence import Adherence, adherence
from streamer.consumers.wfm.export import export, utc
from streamer.consumers.wfm.ledger import Interval
from streamer.consumers.wfm.outputs import Outputs
from streamer.consumers.wfm.schedule import read_schedule
from streamer.consumers.wfm.service import follow
from streamer.consumers.wfm.store import Store, moment, read
from streamer.consumers.wfm.times import Span, Times, day_of, quarters, times
from streamer.errors import ConfigError


def section(config: Config) -> Wfm:
    """`[wfm]`; ConfigError without it."""
    if config.wfm is None:
        raise ConfigError("wfm: missing", 'add [wfm] with path = "FILE", see docs/wfm.md')
    return config.wfm


async def run(config: Config) -> None:
    """Keep the ledger until SIGTERM or SIGINT: the batch in hand is finished."""
    settings, log = section(config), structlog.get_logger("streamer")
    complete: set[str] = set()

    def found(finding: Finding) -> None:
        tell = log.info if isinstance(finding, Rebalanced | Repeat) else log.warning
        tell("a finding in the record", finding=str(finding))

    def kept(batch: Batch) -> None:
        for source in batch.complete.keys() - complete:
            complete.add(source)
            log.info("the ledger is complete", source=source, until=utc(batch.complete[source]))

    store = Store(settings.path, config.kafka.events_topic)
    try:
        with stopping_on_signals() as stop:
            log.info("keeping the ledger", path=str(settings.path))
            outputs = Outputs(settings, settings.path)
            await follow(config.kafka, store, stop, on_finding=found, on_kept=kept, outputs=outputs)
    finally:
        store.close()


def export_day(config: Config, out: Output, day: date, path: Path) -> None:
    """Write the intervals of a day."""
    intervals, complete, span = _day(config, day)
    export(intervals, path)
    out.print(f"{len(intervals)} intervals in {clean(path)}")
    for source, until in sorted(complete.items()):
        if until < span[1]:
            out.print(f"{clean(source)} is complete until {utc(moment(until))} only: export the day again later")


def times_of(config: Config, out: Output, day: date, *, agent: str | None, json: bool) -> None:
    """Print the time in state of each 15 minutes and of the day."""
    intervals, complete, span = _day(config, day)
    chosen = [one for one in intervals if agent in (None, one.name, one.extension)]
    if agent is not None and not chosen:
        raise ConfigError(f"--agent: nothing is known of {agent!r} on {day}", "give the events' name, or the extension")
    for one in times(chosen, complete, [*quarters(span), span]):
        whole = (one.start, one.end) == span
        if json:
            out.write(orjson.dumps(_times_json(one, whole)))
        else:
            zone = section(config).zone
            when = "day  " if whole else moment(one.start).astimezone(zone).strftime("%H:%M")
            spent = "  ".join(f"{state} {length / 1000:.1f} s" for state, length in one.in_state.items())
            out.print(f"{when}  {_who(one)}  {clean(spent)}{'' if one.final else '  not final'}")


def adherence_of(config: Config, out: Output, day: date, schedule: Path, *, json: bool) -> None:
    """Print how each activity that is scheduled to begin on the day was adhered to."""
    settings = section(config)
    span = day_of(day, settings.zone)
    planned = [one for one in read_schedule(schedule, settings.activities) if span[0] <= one.start < span[1]]
    until = max([span[1], *(one.end for one in planned)])
    intervals, complete = read(settings.path, span[0], until)
    for one in adherence(planned, intervals, complete, settings.activities, round(settings.grace * 1000)):
        if json:
            out.write(orjson.dumps(_adherence_json(one)))
        else:
            _print(out, one, config)


def _day(config: Config, day: date) -> tuple[list[Interval], dict[str, int], Span]:
    settings = section(config)
    span = day_of(day, settings.zone)
    intervals, complete = read(settings.path, *span)
    return intervals, dict(complete), span


def _who(one: Times) -> str:
    return f"{clean(one.source)}/{clean(one.name)}"


def _times_json(one: Times, whole: bool) -> dict[str, Any]:
    return {
        "span": "day" if whole else "interval",
        "source": one.source,
        "agent": one.name,
        "start": utc(moment(one.start)),
        "end": utc(moment(one.end)),
        "seconds": {state: length / 1000 for state, length in one.in_state.items()},
        "final": one.final,
    }


def _adherence_json(one: Adherence) -> dict[str, Any]:
    plan = one.activity
    return {
        plan.kind: plan.who,
        "source": plan.source,
        "activity": plan.name,
        "start": utc(moment(plan.start)),
        "end": utc(moment(plan.end)),
        "in_s": one.in_ms / 1000,
        "out_s": one.out_ms / 1000,
        "unknown_s": one.unknown_ms / 1000,
        "percent": one.percent,
        "exceptions": [
            {"kind": d.kind, "start": utc(moment(d.start)), "end": utc(moment(d.end))} for d in one.deviations
        ],
    }


def _print(out: Output, one: Adherence, config: Config) -> None:
    zone, plan = section(config).zone, one.activity

    def clock(*moments: int) -> str:
        return "–".join(moment(ms).astimezone(zone).strftime("%H:%M:%S") for ms in moments)

    share = "not known" if one.percent is None else f"{one.percent:.2f} %"
    counts: Sequence[str] = [
        f"{word} {ms / 1000:.1f} s"
        for word, ms in (("in", one.in_ms), ("out", one.out_ms), ("unknown", one.unknown_ms))
    ]
    out.print(f"{clock(plan.start, plan.end)}  {clean(plan.who)}  {clean(plan.name)}  {share}  {'  '.join(counts)}")
    for deviation in one.deviations:
        out.print(f"    {deviation.kind}  {clock(deviation.start, deviation.end)}")
