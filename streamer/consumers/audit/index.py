"""The store's SQLite file: entries that are not sealed yet, positions, checkpoints, names, and where to find what."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import msgspec

from streamer.client import Last
from streamer.client.records import AgentStateChanged
from streamer.consumers.audit.entries import Entry, key_of

INDEX = "index.sqlite"

APPLICATION = 0x53544155
"""`PRAGMA application_id` of our files: another program's database is not written to."""

TABLES = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
CREATE TABLE names (token TEXT PRIMARY KEY, source TEXT NOT NULL, agent TEXT, salt BLOB) STRICT;
CREATE TABLE heads (
    partition INTEGER PRIMARY KEY, count INTEGER NOT NULL, head BLOB NOT NULL, first INTEGER, last INTEGER) STRICT;
CREATE TABLE entries (
    partition INTEGER, number INTEGER, day TEXT NOT NULL, content BLOB NOT NULL, hash BLOB NOT NULL,
    PRIMARY KEY (partition, number)) STRICT;
CREATE INDEX entries_of_day ON entries (day);
CREATE TABLE positions (partition INTEGER PRIMARY KEY, next INTEGER NOT NULL) STRICT;
CREATE TABLE numbers (
    key TEXT PRIMARY KEY, epoch TEXT NOT NULL, sequence INTEGER NOT NULL, state TEXT NOT NULL) STRICT;
CREATE TABLE complete (source TEXT PRIMARY KEY, until TEXT NOT NULL) STRICT;
CREATE TABLE moments (
    key TEXT, epoch TEXT, sequence INTEGER, at TEXT NOT NULL, low TEXT, high TEXT NOT NULL,
    partition INTEGER NOT NULL, number INTEGER NOT NULL, PRIMARY KEY (key, epoch, sequence)) STRICT, WITHOUT ROWID;
CREATE TABLE spans (
    file TEXT, partition INTEGER, first INTEGER NOT NULL, last INTEGER NOT NULL,
    PRIMARY KEY (file, partition)) STRICT;
CREATE TABLE checkpoints (
    number INTEGER PRIMARY KEY, body TEXT NOT NULL, signature BLOB NOT NULL, published INTEGER NOT NULL) STRICT;
"""
"""Only `names` ever holds a person's name. `moments` and `spans` say where an extension's events are."""

Moment = tuple[str, str, int, str, str | None, str, int, int]
"""A row of `moments`."""


def token_of(salt: bytes, source: str, agent: str) -> str:
    """The pseudonym: it commits to the name, and without the salt, which goes with the name, it tells nothing of it."""
    return hashlib.sha256(salt + msgspec.json.encode([source, agent])).hexdigest()[:32]


def moment_of(event: AgentStateChanged, partition: int, number: int) -> Moment:
    """Where an event is found by its extension and time."""
    low = event.occurred_not_before
    return (
        key_of(event),
        event.epoch,
        event.sequence,
        event.occurred_at.isoformat(),
        None if low is None else low.isoformat(),
        event.occurred_not_after.isoformat(),
        partition,
        number,
    )


def reading(folder: Path) -> sqlite3.Connection:
    """A view of the index as it is now, for reading only; sqlite3.Error if it is damaged or not there."""
    db = sqlite3.connect(f"{(folder / INDEX).absolute().as_uri()}?mode=ro", uri=True, isolation_level=None)
    try:
        db.execute("BEGIN")
        db.execute("SELECT count(*) FROM meta").fetchone()
    except sqlite3.Error:
        db.close()
        raise
    return db


def meta(db: sqlite3.Connection, name: str) -> str:
    """One value of the table `meta`; empty if it is not there."""
    found = db.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
    return str(found[0]) if found else ""


def numbers(db: sqlite3.Connection) -> dict[str, Last]:
    """The last event of each extension."""
    rows = db.execute("SELECT key, epoch, sequence, state FROM numbers")
    return {key: Last(epoch, sequence, state) for key, epoch, sequence, state in rows}


def unsealed(db: sqlite3.Connection) -> Iterator[Entry]:
    """The entries that are in no file yet, in order for each partition."""
    for row in db.execute("SELECT partition, number, content, hash FROM entries ORDER BY partition, number"):
        yield Entry(*row)
