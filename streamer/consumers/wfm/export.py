"""A day of the ledger as CSV or Parquet. A file is there as a whole, or as it was before."""

from __future__ import annotations

import csv
import io
import json
import os
import tempfile
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

from streamer.consumers.files import sync
from streamer.consumers.wfm.ledger import Interval
from streamer.consumers.wfm.store import moment
from streamer.errors import ConfigError

COLUMNS = (
    "source",
    "extension",
    "epoch",
    "opened",
    "revision",
    "agent",
    "state",
    "start",
    "end",
    "duration_s",
    "duration_min_s",
    "duration_max_s",
    "basis",
    "change",
    "groups",
    "closed_epoch",
    "closed",
)


def export(intervals: Sequence[Interval], path: Path) -> None:
    """Write the intervals, in the order given, to a file that ends in .csv or .parquet.

    ConfigError: another ending, no pyarrow, or a place that cannot be written.
    """
    write = {".csv": _csv, ".parquet": _parquet}.get(path.suffix)
    if write is None:
        raise ConfigError(f"--out {path}: neither .csv nor .parquet", "give a file that ends in one of them")
    rows = [_row(interval) for interval in intervals]
    try:
        _replace(path, lambda file: write(rows, file))
    except OSError as error:
        raise ConfigError(f"--out {path}: {error.strerror or error}", "give a file in a folder of yours") from None


def _row(one: Interval) -> dict[str, Any]:
    end = None if one.end is None else moment(one.end)
    values = (
        one.source,
        one.extension,
        one.epoch,
        one.opened,
        one.revision,
        one.agent,
        one.state,
        moment(one.start),
        end,
        None if one.end is None else (one.end - one.start) / 1000,
        one.min_s,
        one.max_s,
        one.basis,
        one.change,
        list(one.groups),
        one.closed_epoch,
        one.closed,
    )
    return dict(zip(COLUMNS, values, strict=True))


def _csv(rows: Sequence[dict[str, Any]], file: IO[bytes]) -> None:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for row in rows:
        writer.writerow([_text(value) for value in row.values()])
    file.write(text.getvalue().encode("utf-8", "replace"))


def _text(value: Any) -> str:
    match value:
        case None:
            return ""
        case float():
            return f"{value:.3f}"
        case list():
            return json.dumps(value, ensure_ascii=False)
        case str() | int():
            return str(value)
        case _:
            return utc(value)


def utc(when: datetime) -> str:
    """A time in UTC with milliseconds, as in the events."""
    return when.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _parquet(rows: Sequence[dict[str, Any]], file: IO[bytes]) -> None:
    try:
        import pyarrow
        from pyarrow import parquet
    except ModuleNotFoundError:
        raise ConfigError(
            "Parquet needs pyarrow, which is not installed", "pip install 'streamer[consumers]'"
        ) from None
    pa: Any = pyarrow  # neither has types
    pq: Any = parquet
    kinds: dict[str, Any] = {
        **dict.fromkeys(COLUMNS, pa.string()),
        **dict.fromkeys(("opened", "revision", "closed"), pa.int64()),
        **dict.fromkeys(("start", "end"), pa.timestamp("ms", "UTC")),
        **dict.fromkeys(("duration_s", "duration_min_s", "duration_max_s"), pa.float64()),
        "groups": pa.list_(pa.string()),
    }
    schema = pa.schema([(name, kinds[name]) for name in COLUMNS])
    pq.write_table(pa.Table.from_pylist(list(rows), schema), file)


def _replace(path: Path, write: Callable[[IO[bytes]], None]) -> None:
    """Written beside it, to the disk, and then given its name."""
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}-", delete=False) as file:
        try:
            write(file)
            file.flush()
            os.fsync(file.fileno())
            os.chmod(file.name, 0o640)
            os.replace(file.name, path)
        except BaseException:
            os.unlink(file.name)
            raise
    sync(path.parent)
