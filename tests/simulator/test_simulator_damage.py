"""What damage does to rows: each kind what it says, and nothing to the rows it was given."""

from __future__ import annotations

import copy
from random import Random
from typing import Any

import pytest

from streamer.simulator import damage
from streamer.simulator.world import World, named_floor

SEEDS = range(40)


@pytest.fixture(scope="module")
def rows() -> list[Any]:
    """Rows of a small floor."""
    return list(World(named_floor("default", agents=8), 0, 1795399205.0).rows())


def damaged(kind: str, rows: list[Any], number: float | None = None) -> list[list[Any]]:
    """The rows after this damage, for each of many seeds."""
    return [damage.ROWS[kind](rows, Random(seed), number) for seed in SEEDS]


@pytest.mark.parametrize("kind", sorted(damage.ROWS))
def test_damage_leaves_the_floors_rows_alone(kind: str, rows: list[Any]) -> None:
    """Rows are shared with the floor: a fault must not last longer than its answer."""
    before = copy.deepcopy(rows)
    damaged(kind, rows)
    assert rows == before


@pytest.mark.parametrize("kind", sorted(damage.ROWS))
def test_damage_takes_an_empty_floor(kind: str) -> None:
    """Nobody signed in is no reason to fall over."""
    for result in damaged(kind, []):
        assert len(result) <= 1


def test_partial_keeps_some_rows_in_their_order(rows: list[Any]) -> None:
    """Rows are missing, at least one; a share can be given."""
    for result in damaged("partial", rows):
        assert 0 < len(result) < len(rows)
        assert result == [row for row in rows if row in result]
    assert all(len(result) == 3 for result in damaged("partial", rows[:6], 0.5))
    assert all(result == [] for result in damaged("partial", rows, 0.0))


def test_garbage_is_one_thing_that_is_not_a_row(rows: list[Any]) -> None:
    """All other rows are as they were, but for at most one that made place."""
    for result in damaged("garbage_row", rows):
        assert len([row for row in result if row not in rows]) == 1
        assert len([row for row in rows if row not in result]) <= 1


def test_garbage_has_many_shapes(rows: list[Any]) -> None:
    """Not even an object, a field missing, a field of another type, a date that is none."""
    things = [row for result in damaged("garbage_row", rows) for row in result if row not in rows]
    assert {type(thing) for thing in things} >= {dict, list, str, int, type(None)}
    assert len({text for text in map(repr, things) if text.startswith("{")}) > 2


def test_an_unknown_code_is_in_one_row(rows: list[Any]) -> None:
    """Only the state of one row is another."""
    for result in damaged("unknown_code", rows, 1777):
        changed = [(old, new) for old, new in zip(rows, result, strict=True) if old != new]
        assert len(changed) == 1
        assert changed[0][1] == changed[0][0] | {"state": 1777}


def test_strings_turn_types_around(rows: list[Any]) -> None:
    """Numbers come as text, the extension as a number, with the same values."""
    for old, new in zip(rows, damage.ROWS["strings"](rows, Random(0), None), strict=True):
        assert new["extnumber"] == int(old["extnumber"])
        assert new["state"] == str(old["state"])
        assert {name: str(value) for name, value in new.items()} == {name: str(value) for name, value in old.items()}


def test_duplicates_are_the_same_or_staler(rows: list[Any]) -> None:
    """Every row is still there; copies are equal, or differ with older stamps."""
    kinds: set[bool] = set()
    for result in damaged("duplicate", rows):
        assert len(result) > len(rows)
        assert all(row in result for row in rows)
        staler = [row for row in result if row not in rows]
        assert all(row["lastassigntime"] == damage.LONG_AGO for row in staler)
        kinds.add(bool(staler))
    assert kinds == {True, False}


def test_shuffle_keeps_every_row(rows: list[Any]) -> None:
    """Only the order differs."""
    results = damaged("shuffle", rows)
    assert all(sorted(map(repr, result)) == sorted(map(repr, rows)) for result in results)
    assert any(result != rows for result in results)


def test_a_truncated_body_is_a_beginning() -> None:
    """Something is there, something is missing."""
    body = b'{"ret":200}'
    for seed in SEEDS:
        short = damage.truncate(body, Random(seed))
        assert body.startswith(short)
        assert 0 < len(short) < len(body)
