"""Sealed files: the entries of a day in Parquet, for verification and for whoever analyses them."""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from streamer.consumers.audit.checkpoints import Sealed
from streamer.consumers.audit.entries import Entry, decoded, key_of
from streamer.consumers.files import sync

# pyarrow ships no types: its values are `Any` from here on.
_pa: Any = pa
_pq: Any = pq

_SCHEMA = _pa.schema(
    [
        ("partition", _pa.int32()),
        ("number", _pa.int64()),
        ("offset", _pa.int64()),
        ("timestamp", _pa.timestamp("ms", tz="UTC")),
        ("kind", _pa.string()),
        ("key", _pa.string()),
        ("content", _pa.binary()),
        ("hash", _pa.binary(32)),
    ]
)


def write(folder: Path, name: str, entries: Sequence[Entry]) -> Sealed:
    """Write a file that is there whole or not at all, also after a crash."""
    rows: list[dict[str, Any]] = []
    spans: dict[str, tuple[int, int]] = {}
    for entry in entries:
        content = decoded(entry.content)
        rows.append(
            {
                "partition": entry.partition,
                "number": entry.number,
                "offset": content.offset,
                "timestamp": content.timestamp,
                "kind": content.kind,
                "key": key_of(content.event) if content.event else None,
                "content": entry.content,
                "hash": entry.hash,
            }
        )
        first, last = spans.get(str(entry.partition), (entry.number, entry.number))
        spans[str(entry.partition)] = (min(first, entry.number), max(last, entry.number))
    buffer = io.BytesIO()
    _pq.write_table(_pa.Table.from_pylist(rows, schema=_SCHEMA), buffer, compression="zstd")
    raw = buffer.getvalue()
    part = folder / f"{name}.part"
    with part.open("wb") as file:
        file.write(raw)
        file.flush()
        os.fsync(file.fileno())
    part.rename(folder / name)
    sync(folder)
    return Sealed(name, hashlib.sha256(raw).hexdigest(), len(rows), len(raw), spans)


def read(folder: Path, sealed: Sealed) -> Iterator[Entry]:
    """The entries of a file; ValueError if it is not the one that was sealed, OSError if it cannot be read."""
    raw = (folder / sealed.name).read_bytes()
    if hashlib.sha256(raw).hexdigest() != sealed.sha256:
        raise ValueError(f"{sealed.name} was changed: its SHA-256 is not the one that was signed")
    file = _pq.ParquetFile(io.BytesIO(raw))
    if file.metadata.num_rows != sealed.rows:
        raise ValueError(f"{sealed.name} holds {file.metadata.num_rows} entries, not {sealed.rows}")
    for batch in file.iter_batches(columns=["partition", "number", "content", "hash"]):
        for row in zip(*(column.to_pylist() for column in batch.columns), strict=True):
            yield Entry(*row)
