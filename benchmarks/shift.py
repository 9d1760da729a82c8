"""A shift's time in state, by the ledger and by a comparison of states, beside the truth; in virtual time.

    .venv/bin/python -m benchmarks.shift [--agents 500] [--hours 8] [--interval 5] [--seeds 1,2,3] [--floor calm]

Events go through the records that are published and the client's types into a ledger in SQLite. The difference of an
agent is the seconds that are counted in a wrong state: half the sum over all states of |told − true|. The total is
the sum over all agents, in percent of their time. Both begin with the first poll and end a minute before the last one.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from itertools import pairwise
from math import ceil, floor
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import orjson

from benchmarks.truth import START, Answer
from streamer.client import AgentStateChanged, Batch, Item, Last
from streamer.consumers.wfm.store import Store, read
from streamer.consumers.wfm.times import times
from streamer.core import wire
from streamer.core.decode import decode
from streamer.core.envelope import Opened, open_envelope
from streamer.core.model import Seat, Settings, SourceState
from streamer.core.step import step
from streamer.simulator.api import VendorApi
from streamer.simulator.floor import PRESETS, Floor, named_floor
from streamer.simulator.states import busiest, row_state
from streamer.simulator.world import World

LAST = 60.0
"""Seconds before the last poll that do not count: what happens there may be told after it."""

Spent = Mapping[str, Mapping[str, float]]
"""By extension and state: seconds."""


@dataclass(frozen=True)
class Result:
    """Of one way of telling: difference in percent of all time, of the worst agent in seconds."""

    percent: float
    worst_s: float


def polls(world: World, seed: int, interval: float, count: int) -> Iterator[Answer]:
    """The floor's answers, one each interval."""
    random, api = Random(seed), VendorApi(world, {"app": "key"})
    login = {"service": "App.Sip_Auth.Login", "appid": "app", "accesskey": "key"}

    def token(now: float) -> str:
        return str(orjson.loads(api.answer(login, now).body)["data"]["result"]["token"])

    held, until = "", START
    # Where in a second the polls begin is chance, and remains the same.
    phase = random.random()
    for turn in range(count):
        asked = START + phase + turn * interval + random.uniform(0, 0.05)
        if asked >= until:
            held, until = token(asked), asked + 600
        at = asked + random.uniform(0.01, 0.08)
        form = {"service": "App.Sip_Queue.GetQueueSipStatus", "token": held}
        yield Answer(asked, at + random.uniform(0.01, 0.08), api.answer(form, at).body)


def shift(place: Floor, seed: int, seconds: float, interval: float) -> tuple[Result, Result]:
    """The ledger's result, and that of a comparison of states."""
    world = World(place, seed, START)
    settings = Settings("floor", timezone=place.zone, poll_interval_ms=round(interval * 1000))
    state, by_bytes = SourceState(agents={}), dict[bytes, Seat]()
    naive = Naive()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "ledger.db"
        store = Store(path, "events")
        store.db.execute("pragma synchronous = off")
        for answer in polls(world, seed, interval, round(seconds / interval) + 1):
            opened = open_envelope(answer.body)
            if not isinstance(opened, Opened):
                raise ValueError(answer.body[:200])
            snapshot = decode(opened, floor(answer.asked * 1000), ceil(answer.answered * 1000), settings, by_bytes)
            by_bytes = dict(snapshot.by_bytes)
            state, told = step(state, snapshot, settings)
            if told.events:
                store.keep(_batch([wire.dumps(wire.event(event)) for event in told.events]))
            naive.see(answer)
        store.close()
        begin, end = round(START * 1000) + 2000, round((START + seconds - LAST) * 1000)
        intervals, _ = read(path, begin, end)
    # That it is complete until the end is what the feed would have said.
    found: dict[str, dict[str, float]] = {}
    by_extension = [msgspec.structs.replace(one, agent="") for one in intervals]
    for one in times(by_extension, {"floor": end}, [(begin, end)]):
        found[one.name] = {name: length / 1000 for name, length in one.in_state.items()}
    true = _true(world.take_truth(), begin / 1000, end / 1000)
    return _compared(found, true), _compared(naive.spent(begin / 1000, end / 1000), true)


def _batch(values: Iterable[bytes]) -> Batch:
    events = [msgspec.json.decode(value, type=AgentStateChanged) for value in values]
    items = [Item(event, b"", 0, 0, 0) for event in events]
    last = {f"{e.source}/{e.extension}": Last(e.epoch, e.sequence, e.current.state) for e in events}
    return Batch(items, [], [], {}, last, {})


class Naive:
    """Each poll's state counts until the next poll that shows another one."""

    def __init__(self) -> None:
        self._entries: dict[str, list[tuple[float, str]]] = defaultdict(list)

    def see(self, answer: Answer) -> None:
        """One poll."""
        seats: dict[str, list[str]] = defaultdict(list)
        rows: list[dict[str, Any]] = orjson.loads(answer.body)["data"]["result"] or []
        for row in rows:
            seats[row["extnumber"]].append(row_state(int(row["status"]), int(row["state"])))
        for extension in seats.keys() | self._entries.keys():
            state = busiest(seats[extension]) if extension in seats else "signed_out"
            if not self._entries[extension] or self._entries[extension][-1][1] != state:
                self._entries[extension].append((answer.asked, state))

    def spent(self, begin: float, end: float) -> Spent:
        """Time in state."""
        return {name: _spent(entries, begin, end) for name, entries in self._entries.items()}


def _true(entries: Iterable[Any], begin: float, end: float) -> Spent:
    by_extension: dict[str, list[tuple[float, str]]] = defaultdict(list)
    for entry in entries:
        if entry.group is None:
            by_extension[entry.extension].append((entry.at, entry.state))
    return {name: _spent(own, begin, end) for name, own in by_extension.items()}


def _spent(entries: Sequence[tuple[float, str]], begin: float, end: float) -> dict[str, float]:
    found: dict[str, float] = defaultdict(float)
    for (start, state), (until, _) in pairwise([*entries, (end, "")]):
        found[state] += max(0.0, min(until, end) - max(start, begin))
    return found


def _compared(told: Spent, true: Spent) -> Result:
    """An agent that only one of them knows counts in full, unless she was signed out all the time."""
    off: dict[str, float] = {}
    for name in told.keys() | true.keys():
        ours, theirs = dict(told.get(name, {})), dict(true.get(name, {}))
        # Before somebody is first seen nothing is told of her; the truth has her signed out.
        theirs["signed_out"] = max(0.0, theirs.get("signed_out", 0) - max(0, sum(theirs.values()) - sum(ours.values())))
        off[name] = sum(abs(ours.get(state, 0) - theirs.get(state, 0)) for state in ours.keys() | theirs.keys()) / 2
    total = sum(sum(states.values()) for states in true.values())
    return Result(100 * sum(off.values()) / total, max(off.values()))


def main() -> int:
    """Print a line of the table for each seed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--agents", type=int, default=500)
    parser.add_argument("--hours", type=float, default=8)
    parser.add_argument("--interval", type=float, default=5)
    parser.add_argument("--seeds", default="1,2,3")
    parser.add_argument("--floor", default="calm", choices=sorted(PRESETS))
    asked = parser.parse_args()
    seeds = [int(seed) for seed in asked.seeds.split(",")]
    place = replace(named_floor(asked.floor), agents=asked.agents)
    began = time.monotonic()
    print("| seed | ledger: total | worst agent | states alone: total | worst agent |\n| --- | --- | --- | --- | --- |")
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        work = [pool.submit(shift, place, seed, asked.hours * 3600, asked.interval) for seed in seeds]
        for seed, future in zip(seeds, work, strict=True):
            ours, alone = future.result()
            cells = [f"{r.percent:.3f} % | {r.worst_s:.1f} s" for r in (ours, alone)]
            print(f"| {seed} | {cells[0]} | {cells[1]} |", flush=True)
    print(
        f"{asked.agents} agents, {asked.hours:g} h, polls every {asked.interval:g} s: {time.monotonic() - began:.0f} s"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
