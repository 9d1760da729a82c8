"""The outbox on disk: batches in SQLite, so that a crash while Kafka is away loses nothing that was seen.

One thread writes, many batches at a time; nobody waits for it. A batch that cannot be written is tried again until it
is, or until it was published from memory.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Protocol

import msgspec

from streamer.errors import ConfigError
from streamer.runtime.outbox import Kept

APPLICATION = 0x5354524D
"""`PRAGMA application_id` of our files: another program's database is not written to."""

VERSION = 1
"""`PRAGMA user_version`: of the table and of how batches are packed."""

TABLE = """
CREATE TABLE IF NOT EXISTS batches (
    id INTEGER PRIMARY KEY, source TEXT, writer TEXT, number INTEGER, batch BLOB, UNIQUE (source, writer, number)
)"""

REMEDY = "give a file of its own that can be written; a damaged one can be moved away, with the batches that it held"

LOCK_TIMEOUT = 5.0
"""Seconds that a predecessor gets to let go of the file."""

RETRY = 1.0
"""Seconds until a failed write is tried again: soon after there is space again."""

Place = tuple[str, str, int]
"""Source, writer and number: what names a batch."""

Written = Callable[[str], None]
"""Told when a batch is on disk (empty), or why it is not (as often as it fails)."""


class Journal(Protocol):
    """Where batches are kept until they are published."""

    async def load(self, source: str) -> tuple[Sequence[Kept], int]:
        """What is kept of `source`, in order, and how many of its batches could not be read (they are dropped)."""
        ...

    def keep(self, batch: Kept, written: Written) -> None:
        """Begin to write a batch; `written` is told how it went."""
        ...

    def drop(self, batch: Kept) -> None:
        """The batch is published, or never will be."""
        ...

    async def count(self, sources: Collection[str]) -> int:
        """How many batches of `sources` are kept."""
        ...


class DiskJournal:
    """A Journal in a SQLite file that one process has for itself. Close it after use."""

    def __init__(self, path: Path, tell: Callable[[str], None]) -> None:
        """`tell` is told why nothing can be written, and "" when it can again; ConfigError if `path` cannot be used."""
        self._path = path
        self._tell = tell
        self._failing = False
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="outbox")
        self._keep: dict[Place, tuple[Kept, Written]] = {}
        self._drop: list[Place] = []
        self._news = asyncio.Event()
        try:
            self._db = self._thread.submit(self._open).result()
        except (sqlite3.Error, OSError) as error:
            self._thread.shutdown()
            busy = "locked" in str(error)
            raise ConfigError(
                f"outbox.path: {path} cannot be used: {error}",
                "another instance has it: give each its own" if busy else REMEDY,
            ) from None
        self._work = asyncio.create_task(self._write_for_ever(), name="outbox")

    def _open(self) -> sqlite3.Connection:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        db = sqlite3.connect(self._path, timeout=LOCK_TIMEOUT, isolation_level=None, check_same_thread=False)
        db.execute("PRAGMA locking_mode = EXCLUSIVE")
        _refuse_foreign(db)
        db.execute("PRAGMA journal_mode = WAL")
        # A batch must survive the machine, not only the process.
        db.execute("PRAGMA synchronous = FULL")
        db.execute("BEGIN IMMEDIATE")
        db.execute(TABLE)
        db.execute(f"PRAGMA application_id = {APPLICATION}")
        db.execute(f"PRAGMA user_version = {VERSION}")
        db.execute("COMMIT")
        return db

    async def load(self, source: str) -> tuple[Sequence[Kept], int]:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, self._load, source)
        except sqlite3.Error as error:
            raise ConfigError(f"outbox.path: {self._path} cannot be read: {error}", REMEDY) from None

    def _load(self, source: str) -> tuple[Sequence[Kept], int]:
        found: list[Kept] = []
        broken: list[tuple[int]] = []
        for row, data in self._db.execute("SELECT id, batch FROM batches WHERE source = ? ORDER BY id", (source,)):
            try:
                found.append(_decoder.decode(data))
            except msgspec.MsgspecError:
                broken.append((row,))
        self._db.executemany("DELETE FROM batches WHERE id = ?", broken)
        return found, len(broken)

    async def count(self, sources: Collection[str]) -> int:
        query = f"SELECT count(*) FROM batches WHERE source IN ({','.join('?' * len(sources))})"  # noqa: S608 - only marks
        work = asyncio.get_running_loop().run_in_executor(
            self._thread, lambda: self._db.execute(query, tuple(sources)).fetchone()[0]
        )
        return await work

    def keep(self, batch: Kept, written: Written) -> None:
        self._keep[_place(batch)] = (batch, written)
        self._news.set()

    def drop(self, batch: Kept) -> None:
        if self._keep.pop(_place(batch), None) is None:
            self._drop.append(_place(batch))
            self._news.set()

    async def _write_for_ever(self) -> None:
        while True:
            await self._news.wait()
            self._news.clear()
            if await self._write():
                await asyncio.sleep(RETRY)
                self._news.set()

    async def _write(self) -> str:
        """Write what waits to be written, in one transaction; why it failed, if it did."""
        keep, drop = dict(self._keep), list(self._drop)
        batches = [batch for batch, _ in keep.values()]
        problem = ""
        try:
            await asyncio.get_running_loop().run_in_executor(self._thread, self._apply, batches, drop)
        except sqlite3.Error as error:
            problem = f"the outbox cannot be written: {error}"
        else:
            del self._drop[: len(drop)]
        if self._failing != bool(problem):
            self._failing = bool(problem)
            self._tell(problem)
        for place, (_, written) in keep.items():
            if place in self._keep:
                if not problem:
                    del self._keep[place]
                written(problem)
            elif not problem:
                self._drop.append(place)  # published from memory while it was being written
                self._news.set()
        return problem

    def _apply(self, keep: Sequence[Kept], drop: Sequence[Place]) -> None:
        db = self._db
        try:
            db.execute("BEGIN")
            db.executemany("DELETE FROM batches WHERE source = ? AND writer = ? AND number = ?", drop)
            rows = ((*_place(batch), _encoder.encode(batch)) for batch in keep)
            db.executemany("INSERT OR IGNORE INTO batches (source, writer, number, batch) VALUES (?, ?, ?, ?)", rows)
            db.execute("COMMIT")
        except sqlite3.Error:
            if db.in_transaction:
                db.execute("ROLLBACK")
            raise

    async def close(self) -> None:
        """Write what still waits to be written, and let go of the file."""
        self._work.cancel()
        await asyncio.gather(self._work, return_exceptions=True)
        if self._keep or self._drop:
            await self._write()
        await asyncio.get_running_loop().run_in_executor(self._thread, self._db.close)
        self._thread.shutdown(wait=False)


def _refuse_foreign(db: sqlite3.Connection) -> None:
    """OSError if the file is another program's, or of another version; it is only read."""
    kind = (db.execute("PRAGMA application_id").fetchone()[0], db.execute("PRAGMA user_version").fetchone()[0])
    empty = db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0
    if not empty and kind != (APPLICATION, VERSION):
        raise OSError("it is a database of another program or version")


def inspect(path: Path) -> str:
    """What would keep an instance from using `path`; empty if nothing would. Nothing is written."""
    if not path.exists():
        there = next(parent for parent in path.absolute().parents if parent.exists())
        return "" if there.is_dir() and os.access(there, os.W_OK) else f"nothing can be written in {there}"
    if not path.is_file() or not os.access(path, os.W_OK):
        return "it is no file that can be written"
    try:
        db = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=0.1)
        try:
            _refuse_foreign(db)
        finally:
            db.close()
    except (sqlite3.Error, OSError) as error:
        # Locked: a running instance has it, as it should.
        return "" if "locked" in str(error) else str(error)
    return ""


def _place(batch: Kept) -> Place:
    return batch.source, batch.cursor.writer, batch.cursor.number


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Kept)
