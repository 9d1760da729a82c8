"""The arguments of `streamer wfm …`."""

from __future__ import annotations

import argparse
from datetime import date
from pathlib import Path
from typing import Any

from streamer.cli.common import configured, finish, inner
from streamer.commands.lines import Output


def add_wfm(commands: Any) -> None:
    """Add `wfm` and its commands."""
    add = inner(commands, "wfm", "who was in which state from when to when, for workforce management")
    add("run", _run, "keep the interval ledger, until interrupted")
    p = add("export", _export, "write the intervals of a day to a file")
    _day(p)
    p.add_argument("--out", type=Path, required=True, metavar="FILE", help="that ends in .csv or .parquet")
    p = add("times", _times, "time in state per agent and 15 minutes")
    _day(p)
    p.add_argument("--agent", metavar="A", help="this one only: a name, or an extension")
    p.add_argument("--json", action="store_true", help="one object a line, for programs")
    p = add("adherence", _adherence, "compare what was with a schedule")
    _day(p)
    p.add_argument("--schedule", type=Path, required=True, metavar="FILE", help="CSV: agent,start,end,activity")
    p.add_argument("--json", action="store_true", help="one object a line, for programs")


def _day(made: argparse.ArgumentParser) -> None:
    made.add_argument("--day", type=day, required=True, metavar="YYYY-MM-DD", help="a day of wfm.timezone")


def day(text: str) -> date:
    """A day that has a day before and after it."""
    try:
        found = date.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no day like 2026-11-23") from None
    if not 1971 <= found.year <= 9000:
        raise argparse.ArgumentTypeError(f"{text!r} is not between the years 1971 and 9000")
    return found


def _run(parsed: argparse.Namespace, _: Output) -> int:
    from streamer.commands.wfm import run

    return finish(run(configured(parsed, ["kafka", "outputs"])))


def _export(parsed: argparse.Namespace, out: Output) -> int:
    from streamer.commands.wfm import export_day

    export_day(configured(parsed, []), out, parsed.day, parsed.out)
    return 0


def _times(parsed: argparse.Namespace, out: Output) -> int:
    from streamer.commands.wfm import times_of

    times_of(configured(parsed, []), out, parsed.day, agent=parsed.agent, json=parsed.json)
    return 0


def _adherence(parsed: argparse.Namespace, out: Output) -> int:
    from streamer.commands.wfm import adherence_of

    adherence_of(configured(parsed, []), out, parsed.day, parsed.schedule, json=parsed.json)
    return 0
