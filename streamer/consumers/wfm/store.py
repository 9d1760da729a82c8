"""The ledger's file: intervals, positions, numbers and completeness, changed together or not at all."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Generator, Mapping
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

import msgspec

from streamer.client import AgentStateChanged, Batch, Last
from streamer.consumers.files import exclusive
from streamer.consumers.wfm.ledger import Interval, place
from streamer.errors import ConfigError

VERSION = 1
_TABLES = """
    create table about (topic text primary key) strict, without rowid;
    create table interval (  -- the fields of Interval, in its order
        source text not null, extension text not null, epoch text not null, opened integer not null,
        through integer not null, entered text not null, known text not null, change text not null,
        agent text not null, groups text not null, start integer not null, before_min_s real, before_max_s real,
        "end" integer, closed_epoch text, closed integer, min_s real, max_s real, lost text,
        revision integer not null,
        primary key (source, extension, epoch, opened)
    ) strict, without rowid;
    create index interval_end on interval ("end", start);
    create table position (partition integer primary key, next integer not null) strict;
    create table last (key text primary key, epoch text not null, sequence integer not null, state text not null)
        strict;
    create table complete (source text primary key, until integer not null) strict;
"""
_PUT = "replace into interval values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_BEFORE = """select * from interval where source = ? and extension = ? and (epoch, opened) < (?, ?)
    order by epoch desc, opened desc limit 1"""
_AFTER = """select * from interval where source = ? and extension = ? and (epoch, opened) >= (?, ?)
    order by epoch, opened limit 1"""
_WITHIN = """select * from interval where start < ?1 and ("end" > ?2 or "end" is null or start >= ?2)
    order by source, extension, epoch, opened"""

Take = Callable[[sqlite3.Connection, Batch], None]


class Store:
    """One writer's connection; nobody else may write to the file meanwhile. Not for two threads at once.

    ConfigError: the file cannot be used, is another writer's, or belongs to another topic.
    """

    def __init__(self, path: Path, topic: str) -> None:
        self._path = path
        self._lock = _locked(path)
        try:
            with _explained(path):
                self.db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
                self.db.execute("pragma journal_mode = wal")
                self.db.execute("pragma synchronous = full")
                self._prepare(topic, path)
        except BaseException:
            self.close()
            raise

    def _prepare(self, topic: str, path: Path) -> None:
        with self._transaction():
            found = _version(self.db, path)
            if found == 0:
                for statement in filter(str.strip, _TABLES.split(";")):
                    self.db.execute(statement)
                self.db.execute("insert into about values (?)", (topic,))
                self.db.execute(f"pragma user_version = {VERSION}")
            (kept,) = self.db.execute("select topic from about").fetchone()
        if kept != topic:
            raise ConfigError(f"wfm.path: {path} is the ledger of topic {kept}, not of {topic}", "give another path")

    @contextmanager
    def _transaction(self) -> Generator[None]:
        self.db.execute("begin immediate")
        try:
            yield
        except BaseException:
            self.db.execute("rollback")
            raise
        self.db.execute("commit")

    def resume(self) -> tuple[dict[int, int], dict[str, Last]]:
        """Positions and numbers to go on with."""
        positions = dict(self.db.execute("select partition, next from position").fetchall())
        rows = self.db.execute("select key, epoch, sequence, state from last")
        return positions, {key: Last(*last) for key, *last in rows}

    def keep(self, batch: Batch, *takers: Take) -> None:
        """Keep everything that a batch brings, and what the takers make of it, in one transaction.

        ConfigError: the file cannot be written.
        """
        with _explained(self._path), self._transaction():
            for item in batch.items:
                self._place(item.event)
            self.db.executemany("replace into position values (?, ?)", batch.positions.items())
            numbers = [(key, last.epoch, last.sequence, last.state) for key, last in batch.numbers.items()]
            self.db.executemany("replace into last values (?, ?, ?, ?)", numbers)
            self.db.executemany(
                "insert into complete values (?, ?) on conflict do update set until = max(until, excluded.until)",
                [(source, round(until.timestamp() * 1000)) for source, until in batch.complete.items()],
            )
            for take in takers:
                take(self.db, batch)

    def _place(self, event: AgentStateChanged) -> None:
        where = (event.source, event.extension, event.epoch, event.sequence)
        before, after = (self.db.execute(query, where).fetchone() for query in (_BEFORE, _AFTER))
        changed = place(_interval(before) if before else None, _interval(after) if after else None, event)
        self.db.executemany(_PUT, [_row(interval) for interval in changed])

    def close(self) -> None:
        """Close the file and let others write to it."""
        with suppress(AttributeError):
            self.db.close()
        self._lock.close()


def read(path: Path, begin: int, end: int) -> tuple[list[Interval], Mapping[str, int]]:
    """The intervals that share a moment with [begin, end) or begin in it (unix ms), and until when sources are known.

    In the order of their keys; all from one moment of the file. ConfigError where there is no ledger.
    """
    if not path.exists():
        raise ConfigError(f"wfm.path: {path}: there is no ledger yet", "let `streamer wfm run` make it")
    with _explained(path), closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as db:
        if _version(db, path) == 0:
            raise ConfigError(f"wfm.path: {path}: there is no ledger yet", "let `streamer wfm run` make it")
        db.execute("begin")
        complete = dict(db.execute("select source, until from complete").fetchall())
        rows = db.execute(_WITHIN, (end, begin))
        return [_interval(row) for row in rows], complete


def moment(ms: int) -> datetime:
    """Unix ms as a time."""
    return datetime.fromtimestamp(ms // 1000, UTC).replace(microsecond=ms % 1000 * 1000)


def _version(db: sqlite3.Connection, path: Path) -> int:
    (found,) = db.execute("pragma user_version").fetchone()
    tables = db.execute("select count(*) from sqlite_schema").fetchone()[0]
    if found != VERSION and (found or tables):
        raise ConfigError(f"wfm.path: {path} is no ledger of this version", "give another path")
    return found


def _row(interval: Interval) -> tuple[Any, ...]:
    values = msgspec.structs.astuple(interval)
    return tuple(json.dumps(v, ensure_ascii=False) if isinstance(v, tuple) else v for v in values)


_GROUPS = Interval.__struct_fields__.index("groups")


def _interval(row: tuple[Any, ...]) -> Interval:
    values = list(row)
    values[_GROUPS] = tuple(json.loads(values[_GROUPS]))
    return Interval(*values)


def _locked(path: Path) -> IO[bytes]:
    lock = path.with_name(path.name + ".lock")
    try:
        return exclusive(lock)
    except BlockingIOError:
        raise ConfigError(f"wfm.path: another `streamer wfm run` writes to {path}", "stop it first") from None
    except OSError as error:
        raise ConfigError(
            f"wfm.path: cannot write {lock}: {error.strerror}", "give a path in a folder of yours"
        ) from None


@contextmanager
def _explained(path: Path) -> Generator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise ConfigError(
            f"wfm.path: cannot use {path}: {error}", "see that it is a ledger of ours, and that its disk has room"
        ) from None
