"""How an answer looks when something went wrong with it: rows that are damaged, bodies that are.

Pure: the dice are given. Rows are shared with the floor and never changed in place.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any, TypeAlias

from streamer.simulator.books import Row

Damage: TypeAlias = Callable[[list[Any], Random, float | None], list[Any]]

BOM = b"\xef\xbb\xbf"
HTML = b"<html><head><title>502 Bad Gateway</title></head><body><h1>502 Bad Gateway</h1></body></html>"
LONG_AGO = "2001-01-01 00:00:00"
"""Older than any stamp of a floor, so that a row with it is plainly the staler one."""


def _partial(rows: list[Any], random: Random, share: float | None) -> list[Any]:
    """Some rows and never all, in their order."""
    kept = share if share is not None else random.uniform(0.2, 0.8)
    count = min(round(len(rows) * kept), len(rows) - 1)
    return [rows[index] for index in sorted(random.sample(range(len(rows)), max(0, count)))]


def _garbage(rows: list[Any], random: Random, _number: float | None) -> list[Any]:
    """One thing that is not a row, instead of one or besides them all."""
    place = random.randrange(len(rows) + 1)
    row: Row = dict(rows[place % len(rows)]) if rows else {}
    without = {name: value for name, value in row.items() if name != "extnumber"}
    thing = random.choice(
        (
            None,
            1213,
            "queue-1,100001,1213",
            [],
            {},
            without,
            row | {"extnumber": None},
            row | {"state": {"code": 1213}},
            row | {"state": "talking"},
            row | {"lastassigntime": "2026-13-45 99:99:99"},
            row | {"callsanswered": "many"},
        )
    )
    replaced = random.randrange(2)
    return [*rows[:place], thing, *rows[place + replaced :]]


def _unknown_code(rows: list[Any], random: Random, code: float | None) -> list[Any]:
    """One row whose state is a code that no table holds."""
    chosen = random.randrange(max(1, len(rows)))
    return [row | {"state": int(code or 0)} if index == chosen else row for index, row in enumerate(rows)]


def _strings(rows: list[Any], _random: Random, _number: float | None) -> list[Any]:
    """Every number as text and the extension as a number: how other clients have seen it."""
    return [
        {name: str(value) if isinstance(value, int) else value for name, value in row.items()}
        | {"extnumber": int(row["extnumber"])}
        for row in rows
    ]


def _duplicate(rows: list[Any], random: Random, _number: float | None) -> list[Any]:
    """One to three rows twice, anywhere; every other copy differs, with older stamps and another state."""
    stale = {
        "state": 1213,
        "lastassigntime": LONG_AGO,
        "lastanswertime": LONG_AGO,
        "seatschangetime": LONG_AGO,
    }
    twice = list(rows)
    for row in random.sample(rows, min(len(rows), random.randint(1, 3))):
        copy = row | stale if random.random() < 0.5 else dict(row)
        twice.insert(random.randrange(len(twice) + 1), copy)
    return twice


def _shuffle(rows: list[Any], random: Random, _number: float | None) -> list[Any]:
    return random.sample(rows, len(rows))


def _empty(_rows: list[Any], _random: Random, _number: float | None) -> list[Any]:
    return []


ROWS: dict[str, Damage] = {
    "strings": _strings,
    "unknown_code": _unknown_code,
    "duplicate": _duplicate,
    "partial": _partial,
    "empty": _empty,
    "shuffle": _shuffle,
    "garbage_row": _garbage,
}
"""What damages rows, by kind, in the order to apply it: whatever came after garbage would stumble."""


def truncate(body: bytes, random: Random) -> bytes:
    """The body up to somewhere before its end."""
    return body[: random.randrange(1, len(body))]
