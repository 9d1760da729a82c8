"""What a poll costs: `streamer run` beside bare minima and a stream processor, and each of its stages beside orjson.

    .venv/bin/python -m benchmarks.poll_cost [--peers DIR] [--out FILE.json] [--plot docs/poll-cost.svg]
        [--rows 500 5000 50000] [--shares 0 0.02 0.2] [--orders stable shuffled] [--reps 3] [--seconds 8]
        [--interval 0.1] [--only whole|stages] [--stage-rows 500 2000 5000 20000 50000] [--polls 50] [--kafka HOST:PORT]
    .venv/bin/python -m benchmarks.poll_cost --table FILE.json … [--plot docs/poll-cost.svg]

Whole processes (benchmarks.poll_cost_systems): each polls a stub of the vendor and publishes to a real Kafka, to topics
of 6 partitions. CPU is what the kernel accounts to the process, its own and the system's for it, divided by the polls
that the stub has counted; the stub's and the broker's are nobody's. All are measured at the same interval: 0.1 s, the
least that ours takes, or the shortest of INTERVALS at which each gets its polls done in time. The bare minima are also
measured without a rest between their polls, as ours cannot be: a process that sleeps finds the caches cold, and theirs
is then the least that a poll can cost at all. `wall` is a poll's time from its request to the commit of its events, by
ours' own metrics, and of the bare minima without a rest from one poll to the next.

Systems take turns, the order is turned round in every other repetition, and a ratio is of two figures of the same
repetition; printed are medians. Without `--peers DIR` (see benchmarks.poll_cost_systems) only ours is measured.

Stages: see benchmarks.poll_cost_stages.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.poll_cost_plot import plot
from benchmarks.poll_cost_systems import (
    BARE,
    LEAST_POLLS,
    OURS,
    PEER,
    Cell,
    Place,
    Running,
    sixfold,
    stubbed,
    took,
)
from benchmarks.poll_cost_table import tables
from benchmarks.used import memory
from tests.kafka_server import KafkaServer

INTERVALS = (0.1, 0.2, 0.3, 0.5, 0.7, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0)
"""Seconds between two polls."""

ROOM = {OURS: 2.5, PEER: 2.0}
"""An interval is long enough if it is so many times as long as the processor time of a poll: stub and broker have a
part of two cores, and a program that only just gets its polls done falls behind at the first disturbance, ours most, as
it does everything in one thread."""

HEAP = "1g"
"""Of the broker: a poll may bring 20,000 records."""


def fitting(place: Place, systems: list[str]) -> float:
    """The interval for a cell: the shortest at which the slow ones get their polls done in time, by the processor time
    that these take."""
    longest = 0.0
    for system, room in ROOM.items():
        if system in systems:
            with sixfold(place.kafka) as topics, Running(system, place, topics, INTERVALS[0]) as running:
                running.settle()
                cost = running.polled(LEAST_POLLS, 2.0)
            longest = max(longest, room * cost["cpu_ms"])
    return next((interval for interval in INTERVALS if interval * 1e3 >= longest), INTERVALS[-1])


def measure(system: str, place: Place, interval: float, seconds: float) -> dict[str, float]:
    """One system's polls: milliseconds of CPU of each, from one to the next and, where it is known, of the clock."""
    with sixfold(place.kafka) as topics, Running(system, place, topics, interval) as running:
        running.settle()
        before = running.histograms() if system == OURS else {}
        cost = running.polled(LEAST_POLLS, seconds)
        if system == OURS:
            cost["wall_ms"] = took(before, running.histograms())
        elif not interval:
            cost["wall_ms"] = cost["every_ms"]
        return cost | {"rss_mb": memory(running.process.pid, "VmHWM")}


def whole(asked: argparse.Namespace, kafka: str, cells: list[Cell], note: Any) -> None:
    """Every cell, `--reps` times."""
    intervals: dict[Cell, float] = {}
    for rep in range(asked.reps):
        for cell in cells:
            others = [PEER, *(bare for bare in BARE if not (bare.startswith("raw") and cell.shuffled))]
            systems = [OURS, *(others if asked.peers else [])]
            with stubbed(cell, kafka, asked.peers) as place:
                if cell not in intervals:
                    intervals[cell] = asked.interval or fitting(place, systems)
                runs = [(system, intervals[cell]) for system in systems]
                runs += [(system, 0.0) for system in systems if system in BARE]
                for system, interval in runs[:: -1 if rep % 2 else 1]:
                    cost = measure(system, place, interval, asked.seconds)
                    common = {"rows": cell.rows, "share": cell.share, "shuffled": cell.shuffled, "rep": rep}
                    note("whole", common | {"system": system, "interval": interval} | cost)
                    figures = "  ".join(f"{name} {value:.2f}" for name, value in cost.items())
                    tell(f"rep {rep}: {cell}: {system} at {interval:g} s: {figures}")


def stages(asked: argparse.Namespace, kafka: str, cells: list[Cell], note: Any) -> None:
    """Every cell once, in a process of its own."""
    for cell in cells:
        options = [f"--rows={cell.rows}", f"--share={cell.share}", *["--shuffled"] * cell.shuffled]
        command = [sys.executable, "-m", "benchmarks.poll_cost_stages", f"--kafka={kafka}", f"--polls={asked.polls}"]
        done = subprocess.run([*command, *options], check=True, stdout=subprocess.PIPE, text=True)
        found = json.loads(done.stdout)
        note("stages", found)
        figures = "  ".join(f"{stage} {value:.2f}" for stage, value in found["cpu"].items())
        tell(f"{cell}: orjson.loads {found['orjson.loads']:.2f}  {figures}")


def tell(line: str) -> None:
    """How far it is, for who waits."""
    print(f"{time.strftime('%H:%M:%S')} {line}", file=sys.stderr, flush=True)


def arguments() -> argparse.Namespace:
    """What was asked for."""
    asking = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asking.add_argument("--rows", type=int, nargs="+", default=[500, 5000, 50_000])
    asking.add_argument("--stage-rows", type=int, nargs="+", default=[500, 2000, 5000, 20_000, 50_000])
    asking.add_argument("--shares", type=float, nargs="+", default=[0.0, 0.02, 0.2])
    asking.add_argument("--orders", choices=("stable", "shuffled"), nargs="+", default=["stable", "shuffled"])
    asking.add_argument("--reps", type=int, default=3)
    asking.add_argument("--seconds", type=float, default=8.0, help="of each measurement of a whole process, at least")
    asking.add_argument("--interval", type=float, help="seconds, the same for every cell, in time or not")
    asking.add_argument("--polls", type=int, default=50, help="that the stages' medians are of")
    asking.add_argument("--only", choices=("whole", "stages"))
    asking.add_argument("--peers", type=Path, help="the folder with the other programs, built")
    asking.add_argument("--kafka", help="a real Kafka's address; one is started without it")
    asking.add_argument("--out", type=Path, help="where the figures are kept")
    asking.add_argument("--plot", type=Path, help="where the picture is drawn")
    asking.add_argument(
        "--table", type=Path, nargs="+", help="print what was kept, and measure nothing; the last counts"
    )
    return asking.parse_args()


def run(asked: argparse.Namespace) -> dict[str, Any]:
    """Measure; the figures are kept after each one."""
    model = next((line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")), "")
    machine = f"{os.cpu_count()} × {model.partition(': ')[2] or platform.machine()}, Python {platform.python_version()}"
    data: dict[str, Any] = {"machine": machine, "seconds": asked.seconds, "whole": [], "stages": []}

    def note(kind: str, found: dict[str, Any]) -> None:
        data[kind].append(found)
        if asked.out:
            asked.out.write_text(json.dumps(data, indent=1) + "\n")

    if not asked.peers:
        tell("no --peers DIR: only ours is measured")
    with contextlib.ExitStack() as stack:
        kafka = asked.kafka or stack.enter_context(KafkaServer(heap=HEAP)).bootstrap
        if asked.only != "whole":
            stages(asked, kafka, _cells(asked, asked.stage_rows), note)
        if asked.only != "stages":
            whole(asked, kafka, _cells(asked, asked.rows), note)
    return data


def kept(files: list[Path]) -> dict[str, Any]:
    """The figures of several runs as those of one; where a cell was measured again, those of the last file."""
    data: dict[str, Any] = {}
    for file in files:
        found = json.loads(file.read_text())
        for kind in ("whole", "stages"):
            again = {_cell(one) for one in found[kind]}
            found[kind] = [one for one in data.get(kind, []) if _cell(one) not in again] + found[kind]
        data = found
    return data


def _cell(one: dict[str, Any]) -> Cell:
    return Cell(one["rows"], one["share"], one["shuffled"])


def _cells(asked: argparse.Namespace, sizes: list[int]) -> list[Cell]:
    return [
        Cell(rows, share, order == "shuffled") for rows in sizes for share in asked.shares for order in asked.orders
    ]


def main() -> None:
    """Measure, or read what was measured; print, draw."""
    asked = arguments()
    data = kept(asked.table) if asked.table else run(asked)
    print(tables(data))
    if asked.plot:
        plot(data, asked.plot)


if __name__ == "__main__":
    main()
