"""The store's folder: one process writes it, its index is made whole or not at all, its errors are in our words."""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import msgspec

from streamer.consumers.audit import index
from streamer.consumers.files import exclusive, sync
from streamer.errors import CheckFailed, ConfigError

REMEDY = "is its disk full? if it is damaged, `streamer audit verify` tells where"


def locked(folder: Path, create: bool) -> IO[bytes]:
    try:
        if create:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        elif not (folder / index.INDEX).exists():
            raise ConfigError(f"audit.path: there is no trail in {folder}", "`streamer audit run` makes one")
        return exclusive(folder / "lock")
    except BlockingIOError:
        raise ConfigError(f"audit.path: another process writes {folder}", "end it first: SIGTERM is enough") from None
    except OSError as error:
        raise ConfigError(
            f"audit.path: {folder} cannot be used: {error.strerror}", "give a folder of its own"
        ) from None


def connected(folder: Path, cluster: str, topic: str) -> sqlite3.Connection:
    path = folder / index.INDEX
    db = sqlite3.connect(path, isolation_level=None)
    try:
        for pragma in ("secure_delete = ON", "temp_store = MEMORY", "journal_mode = WAL", "synchronous = FULL"):
            db.execute(f"PRAGMA {pragma}").fetchall()
        (application,) = db.execute("PRAGMA application_id").fetchone()
        if application == index.APPLICATION:
            return db
        if application or db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
            raise ConfigError(f"audit.path: {path} is another program's", "give a folder of its own")
        # A script commits on its own: the transaction is part of it, so that a crash leaves all of it or nothing.
        rows = {"store": secrets.token_hex(16), "cluster": cluster, "topic": topic}
        db.execute("BEGIN IMMEDIATE")
        for statement in filter(str.strip, index.TABLES.split(";")):
            db.execute(statement)
        db.executemany("INSERT INTO meta VALUES (?, ?)", list(rows.items()))
        db.execute(f"PRAGMA application_id = {index.APPLICATION}")
        db.execute("COMMIT")
    except BaseException:
        db.close()
        raise
    sync(folder)
    return db


@contextmanager
def understood(folder: Path) -> Generator[None]:
    try:
        yield
    except (sqlite3.Error, msgspec.MsgspecError, OSError) as error:
        raise CheckFailed(f"audit.path: the trail in {folder} cannot be used: {error}", REMEDY) from None
