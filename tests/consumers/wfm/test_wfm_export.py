"""Exports: the same bytes for the same ledger, whole files, types that a data frame takes."""

from __future__ import annotations

import csv
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from streamer.consumers.wfm.export import COLUMNS, export
from streamer.consumers.wfm.ledger import Interval
from streamer.errors import ConfigError
from tests.consumers.wfm.histories import Memory, Telephone


def line() -> list[Interval]:
    phone, ledger = Telephone(agent='Ann "the, voice"\nZoë'), Memory()
    told = [phone.first("available", 0), phone.to("ringing", 10.5), phone.to("talking", 14), phone.to("paused", 60)]
    ledger.take(told[0], told[3], phone.groups(("b", "a"), 61))
    return ledger.line


def test_csv(tmp_path: Path) -> None:
    """UTC with milliseconds, empty where nothing is known, and the same bytes again."""
    path = tmp_path / "day.csv"
    export(line(), path)
    first = path.read_bytes()
    export(line(), path)
    assert path.read_bytes() == first
    rows = list(csv.DictReader(first.decode().splitlines(keepends=True)))
    assert list(rows[0]) == list(COLUMNS)
    assert [(row["state"], row["basis"], row["start"], row["end"], row["duration_s"]) for row in rows] == [
        ("", "gap", "2026-11-23T02:00:00.000Z", "2026-11-23T02:00:14.000Z", "14.000"),
        ("talking", "previous", "2026-11-23T02:00:14.000Z", "2026-11-23T02:01:00.000Z", "46.000"),
        ("paused", "observed", "2026-11-23T02:01:00.000Z", "", ""),
    ]
    assert rows[2]["agent"] == 'Ann "the, voice"\nZoë'
    assert (rows[2]["groups"], rows[2]["opened"], rows[2]["revision"]) == ('["a", "b"]', "4", "2")
    assert [entry.name for entry in tmp_path.iterdir()] == ["day.csv"]


def test_parquet(tmp_path: Path) -> None:
    """The same rows, typed."""
    parquet: Any = pytest.importorskip("pyarrow.parquet")
    export(line(), tmp_path / "day.parquet")
    table = parquet.read_table(tmp_path / "day.parquet")
    assert table.column_names == list(COLUMNS)
    rows = table.to_pylist()
    assert [row["state"] for row in rows] == [None, "talking", "paused"]
    assert rows[0]["start"] == datetime(2026, 11, 23, 2, 0, tzinfo=UTC)
    assert (rows[2]["end"], rows[2]["groups"], rows[1]["duration_s"]) == (None, ["a", "b"], 46.0)
    export([], tmp_path / "empty.parquet")
    assert parquet.read_table(tmp_path / "empty.parquet").schema == table.schema


def test_what_cannot_be_written_leaves_what_was_there(tmp_path: Path) -> None:
    """And says which file."""
    with pytest.raises(ConfigError, match=r"day\.txt: neither \.csv nor \.parquet"):
        export(line(), tmp_path / "day.txt")
    with pytest.raises(ConfigError, match=r"nowhere/day\.csv: No such file"):
        export(line(), tmp_path / "nowhere" / "day.csv")
    (tmp_path / "taken.csv").mkdir()
    with pytest.raises(ConfigError, match=r"taken\.csv: Is a directory"):
        export(line(), tmp_path / "taken.csv")
    assert [entry.name for entry in tmp_path.iterdir()] == ["taken.csv"]
