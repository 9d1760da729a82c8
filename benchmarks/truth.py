"""How much of what truly happened is told: invented floors polled in virtual time, beside a comparison of states alone.

    .venv/bin/python -m benchmarks.truth [--floors reference,brisk] [--seeds 3] [--minutes 15] [--docs docs]

A told transition matches a true one with the same new state, in order, whose time lies within its bounds ± 1 s. Every
floor is simulated once and polled at every interval; the truth is the simulator's, which shares no code with the core.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from itertools import product
from math import ceil, floor
from pathlib import Path
from random import Random
from typing import Any

import orjson

from streamer.core.decode import decode
from streamer.core.envelope import Opened, open_envelope
from streamer.core.model import Seat, Settings, SourceState
from streamer.core.step import step
from streamer.simulator import damage
from streamer.simulator.api import VendorApi
from streamer.simulator.floor import PRESETS, Floor
from streamer.simulator.states import busiest, row_state
from streamer.simulator.world import World
from tests.truth import Score, Told, Truth, score

START = 1_795_399_200.0
TICK = 0.5
"""Seconds between two looks at a floor: the shortest poll interval, of which the others are multiples."""
INTERVALS = (0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
LAST_SECONDS = 60.0
"""What happens so shortly before the end may be told only after it: neither side counts it."""

SHORT = Floor(
    agents=60,
    pause=2.0,
    ring=(1.0, 8.0),
    talk=10.0,
    wrapuptime=5,
    rejected=0.02,
    abandoned=0.01,
    break_every=3600.0,
    sign_out_every=14_400.0,
    offline_every=14_400.0,
)
FLOORS: dict[str, Floor] = {
    # Calls of a median of 10 s, rings of 1-8 s: the floor that the targets are for, without and with wrap-up.
    "reference": replace(SHORT, wrapuptime=0),
    "wrap-up": SHORT,
    "shared agents in several groups": replace(SHORT, groups=4, several_groups=0.8),
    "vendor faults": SHORT,
    "brisk": replace(PRESETS["brisk"], agents=40),
    "calm": replace(PRESETS["calm"], agents=200),
    "many breaks": replace(PRESETS["breaks"], agents=60),
    "an agent for each group": replace(PRESETS["groups"], agents=60),
}
FAULTY = "vendor faults"
"""The floor of which every tenth answer is partial, empty, null, cut short, HTML or an error."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One look at the floor: when it was asked for and answered (our clock, unix seconds), and the answer's bytes."""

    asked: float
    answered: float
    body: bytes


def look(place: Floor, seed: int, seconds: float) -> tuple[list[Answer], dict[str, list[tuple[float, str]]]]:
    """A floor's answers every TICK, and what truly happened: (vendor's time, new state) of each extension."""
    random = Random(seed)
    world = World(place, seed, START)
    api = VendorApi(world, {"app": "key"})
    login = {"service": "App.Sip_Auth.Login", "appid": "app", "accesskey": "key"}
    token = str(orjson.loads(api.answer(login, START).body)["data"]["result"]["token"])
    form = {"service": "App.Sip_Queue.GetQueueSipStatus", "token": token}
    answers: list[Answer] = []
    for turn in range(round(seconds / TICK)):
        asked = START + turn * TICK + random.uniform(0, 0.05)
        read = asked + random.uniform(0.01, 0.08)
        answers.append(Answer(asked, read + random.uniform(0.01, 0.08), api.answer(form, read).body))
    truth: dict[str, list[tuple[float, str]]] = defaultdict(list)
    for entry in world.take_truth():
        if entry.group is None:
            truth[entry.extension].append((entry.at, entry.state))
    return answers, truth


def damaged(answers: Sequence[Answer], seed: int) -> list[Answer]:
    """The answers, every tenth of them partial, empty, null, cut short, HTML or an error."""
    random = Random(seed)
    return [replace(one, body=_damage(one.body, random)) if n % 10 == 9 else one for n, one in enumerate(answers)]


def _damage(body: bytes, random: Random) -> bytes:
    answer = orjson.loads(body)
    rows = answer["data"]["result"]
    match random.choice(("partial", "empty", "null", "short", "html", "error")):
        case "short":
            return damage.truncate(body, random)
        case "html":
            return damage.HTML
        case "error":
            return orjson.dumps({"ret": 500, "data": [], "msg": "Server error"})
        case "null":
            answer["data"]["result"] = None
        case kind:
            answer["data"]["result"] = damage.ROWS[kind](rows, random, None)
    return orjson.dumps(answer)


def ours(answers: Iterable[Answer], settings: Settings) -> dict[str, list[Told]]:
    """What the core tells of these answers."""
    state, by_bytes = SourceState(agents={}), dict[bytes, Seat]()
    told: dict[str, list[Told]] = defaultdict(list)
    for answer in answers:
        opened = open_envelope(answer.body)
        if not isinstance(opened, Opened):
            continue
        asked, answered = floor(answer.asked * 1000), ceil(answer.answered * 1000)
        snapshot = decode(opened, asked, answered, settings, by_bytes)
        by_bytes = dict(snapshot.by_bytes)
        first = state.polled_at is None
        state, batch = step(state, snapshot, settings)
        for event in batch.events:
            if event.change == "groups" or first:
                continue
            when = event.when
            low = when.at if when.not_before is None else when.not_before
            told[event.after.extension].append(
                Told(event.after.state, low / 1000, when.at / 1000, when.not_after / 1000)
            )
    return told


def states_alone(answers: Iterable[Answer]) -> dict[str, list[Told]]:
    """What a comparison of each extension's state from answer to answer tells."""
    told: dict[str, list[Told]] = defaultdict(list)
    last: dict[str, str] | None = None
    before = 0.0
    for answer in answers:
        rows = _rows(answer.body)
        if rows is None:
            continue
        seats: dict[str, list[str]] = defaultdict(list)
        for row in rows:
            seats[row["extnumber"]].append(row_state(int(row["status"]), int(row["state"])))
        now = {extension: busiest(states) for extension, states in seats.items()}
        for extension in now.keys() | (last or {}).keys() if last is not None else ():
            state = now.get(extension, "signed_out")
            if state != (last or {}).get(extension, "signed_out"):
                told[extension].append(Told(state, before, (before + answer.answered) / 2, answer.answered))
        last, before = now, answer.asked
    return told


def _rows(body: bytes) -> list[dict[str, Any]] | None:
    try:
        rows = orjson.loads(body)["data"]["result"]
    except (ValueError, KeyError, TypeError):
        return None
    return [row for row in rows or () if isinstance(row, dict)]


Key = tuple[str, float]
Scores = tuple[Score, Score]
"""A comparison of states alone, and ours."""


def measure(name: str, seed: int, seconds: float) -> dict[Key, Scores]:
    """One floor with one seed at every interval."""
    place = FLOORS[name]
    answers, truth = look(place, seed, seconds)
    settings = Settings("floor", timezone=place.zone)
    end = answers[-1].asked - LAST_SECONDS
    found: dict[Key, Scores] = {}
    for interval in INTERVALS:
        polls = answers[:: round(interval / TICK)]
        if name == FAULTY:
            polls = damaged(polls, seed)
        begin = polls[0].answered
        known = known_from(truth, polls[0].asked)
        found[name, interval] = (
            score(known, states_alone(polls), begin, end),
            score(known, ours(polls, settings), begin, end),
        )
    return found


def known_from(truth: Truth, begin: float) -> Truth:
    """The truth without the end of the wrap-up that an agent was in at the first answer: no row shows that one."""
    known: dict[str, Sequence[tuple[float, str]]] = {}
    for extension, entries in truth.items():
        number = sum(at <= begin for at, _ in entries)
        wrapping = number > 0 and entries[number - 1][1] == "wrap_up"
        known[extension] = [*entries[:number], *entries[number + wrapping :]]
    return known


def total(floors: Sequence[str], seeds: int, seconds: float) -> dict[Key, Scores]:
    """All floors with all seeds, on all processors."""
    totals: dict[Key, Scores] = {(name, interval): (Score(), Score()) for name in floors for interval in INTERVALS}
    work = list(product(floors, range(1, seeds + 1)))
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        for found in pool.map(measure, *zip(*work, strict=True), [seconds] * len(work)):
            for key, (alone, own) in found.items():
                totals[key][0].add(alone)
                totals[key][1].add(own)
    return totals


def table(totals: Mapping[Key, Scores]) -> str:
    """The figures as Markdown."""
    lines = [
        "| floor | polls every | true transitions | states alone: recall | precision | ours: recall | precision "
        "| within 1 s | bounds hold |",
        "| --- " * 9 + "|",
    ]
    for (name, interval), (alone, own) in totals.items():
        cells = [name, f"{interval:g} s", f"{own.true:,}", f"{alone.shares[0]:.1%}", f"{alone.shares[1]:.1%}"]
        lines.append(f"| {' | '.join([*cells, *(_percent(share) for share in own.shares)])} |")
    return "\n".join(lines) + "\n"


def _percent(share: float) -> str:
    return "100 %" if share == 1 else f"{floor(share * 1e5) / 1e3:.3f} %"


def main() -> int:
    """Print the table; with --docs also write it and the plot there."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--floors", default=",".join(FLOORS), help="some of: " + ", ".join(FLOORS))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--minutes", type=float, default=15)
    parser.add_argument("--docs", type=Path, help="a folder for truth-table.md and truth.svg")
    asked = parser.parse_args()
    floors = asked.floors.split(",")
    if unknown := [name for name in floors if name not in FLOORS]:
        parser.error(f"no floor is called {unknown[0]!r}; there are {', '.join(FLOORS)}")
    began = time.monotonic()
    totals = total(floors, asked.seeds, asked.minutes * 60)
    print(table(totals))
    if asked.docs:
        from benchmarks.truth_plot import plot  # a library that only the picture needs

        asked.docs.mkdir(parents=True, exist_ok=True)
        (asked.docs / "truth-table.md").write_text(table(totals), "utf-8")
        plot(totals, asked.docs / "truth.svg")
    print(f"{asked.seeds} seeds of {asked.minutes:g} minutes in {time.monotonic() - began:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
