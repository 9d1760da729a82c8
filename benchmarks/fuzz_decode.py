"""Throws bytes at what reads the vendor's answers, guided by the branches they reach.

    .venv/bin/python -m benchmarks.fuzz_decode --minutes 60 [--corpus DIR]

Whatever the bytes are: nothing is raised; a usable answer decodes to the same snapshot twice, with and without the
last one's rows at hand, and in the reverse order to the same seats; every rejected row makes a valid record; the core
takes it, and its records are valid. Every other mutation is one of a row's field, the rest are libFuzzer's own.
A finding is written to crash-… in the corpus' folder, and becomes a case in tests/core.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from random import Random

import atheris
import orjson

with atheris.instrument_imports(include=["streamer.core"]):
    from streamer.core import rejected, wire
    from streamer.core.decode import decode
    from streamer.core.envelope import Opened, open_envelope
    from streamer.core.loose import split
    from streamer.core.model import Settings, Snapshot, SourceState
    from streamer.core.step import step

from streamer.simulator import damage
from streamer.simulator.floor import PRESETS
from streamer.simulator.world import World
from tests.validation import validate

AT = 1_795_399_200_000
SETTINGS = Settings("floor")
LONGEST = 8192
"""Bytes of an input: a few rows have every shape."""


def one_input(data: bytes) -> None:
    """The properties above, for one answer."""
    opened = open_envelope(data)
    if not isinstance(opened, Opened):
        return
    first = decode(opened, AT, AT + 90, SETTINGS, {})
    assert decode(opened, AT, AT + 90, SETTINGS, first.by_bytes) == first
    rows = [bytes(row) for row in split(opened.result)]
    turned = Opened(b"[" + b",".join(reversed(rows)) + b"]", opened.reqtime, opened.rsptime)
    assert _seats(decode(turned, AT, AT + 90, SETTINGS, {})) == _seats(first)
    for row in first.rejected:
        validate(wire.dumps(rejected.record(row, "floor", f"floor/{AT}", AT, ())))
    state, batch = step(SourceState(agents={}), first, SETTINGS)
    _, again = step(state, decode(opened, AT + 1000, AT + 1090, SETTINGS, first.by_bytes), SETTINGS)
    for event in (*batch.events, *again.events):
        validate(wire.dumps(wire.event(event)))
    for agent in (*batch.states, *again.states):
        validate(wire.dumps(wire.agent_state(agent)))


def _seats(snapshot: Snapshot) -> tuple[object, ...]:
    return frozenset(snapshot.seats), snapshot.unread, snapshot.anonymous


ODD = (
    *(None, True, "", " ", "0", 0, -1, 1.0, 0.5, 1e300, 2**53, 2**53 + 1, 10**30, [], {}, [1213], {"code": 1213}),
    *("1213", " 1215 ", "1214.0", "-7", "+3", "many", "talking", 1203, 1204, 1217, 1299, "100001", 100001, 100001.0),
    *("0000-00-00 00:00:00", "1970-01-01 08:00:00", "2026-11-23 10:00:00", "2026-11-23T10:00:01"),
    *("9999-12-31 23:59:59", "2026-02-30 10:00:00", "2026-11-23 10:00", "\x00", "\u202e9026", "\ud83d\ude00"),
    *("q" * 300, "a/b", "100001\n", "\uff11\uff12\uff11\uff13", "\ud83d"),
)
"""Values that a field has been seen with, might have, or should never have."""


def mutate(data: bytes, longest: int, seed: int) -> bytes:
    """Another input: a row with another value, twice, or gone; or whatever libFuzzer makes of the bytes."""
    random = Random(seed)
    try:
        answer = orjson.loads(data)
        rows = answer["data"]["result"]
        row = random.choice([row for row in rows if isinstance(row, dict) and row])
    except (ValueError, LookupError, TypeError):
        return bytes(atheris.Mutate(data, longest))
    if not isinstance(rows, list) or random.random() < 0.5:
        return bytes(atheris.Mutate(data, longest))
    field = random.choice([*row])
    match random.randrange(6):
        case 0:
            rows.append(dict(row))
        case 1:
            rows.remove(row)
        case 2:
            del row[field]
        case _:
            row[field] = random.choice(ODD)
    return json.dumps(answer).encode()[:longest]


def seeds(folder: Path) -> None:
    """Answers of invented floors, whole and damaged, to start from."""
    for number, place in enumerate(PRESETS.values()):
        world = World(place, number, AT / 1000)
        for kind, harm in damage.ROWS.items():
            rows = harm(world.rows()[:4], world._random, None)
            answer = {"ret": 200, "data": {"status": 0, "result": rows, "reqtime": AT // 1000}, "msg": ""}
            (folder / f"{number}-{kind}").write_bytes(orjson.dumps(answer))


def main() -> None:
    """Fuzz for as long as asked; libFuzzer prints what it found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--corpus", type=Path, help="kept between runs; a new one without it")
    asked = parser.parse_args()
    folder = asked.corpus or Path(tempfile.mkdtemp(prefix="fuzz-decode-"))
    folder.mkdir(parents=True, exist_ok=True)
    seeds(folder)
    options = [
        sys.argv[0],
        str(folder),
        f"-max_total_time={round(asked.minutes * 60)}",
        f"-max_len={LONGEST}",
        f"-artifact_prefix={folder}/",
        "-timeout=10",
        "-print_final_stats=1",
    ]
    atheris.Setup(options, one_input, custom_mutator=mutate)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
