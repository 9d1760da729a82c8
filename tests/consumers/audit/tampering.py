"""Ways to tamper with a signed store, each at a random place: what somebody with all rights but no key can do."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from shutil import copytree, rmtree
from typing import Any

import msgspec
import pyarrow.parquet as pq
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from streamer.consumers.audit import sealed
from streamer.consumers.audit.checkpoints import Body, Sealed, sign
from streamer.consumers.audit.entries import Entry, genesis, link
from streamer.consumers.audit.index import INDEX, meta

Tamper = Callable[[Path, random.Random], None]
Rows = list[tuple[Any, ...]]

_pq: Any = pq

COVERED = {
    "meta": "*",
    "names": "*",
    "heads": "*",
    "entries": "partition, number, content, hash",
    "numbers": "*",
    "moments": "*",
    "spans": "*",
    "checkpoints": "number, body, signature",
}
"""What verification vouches for; the rest (positions, what is published) tells the writer where to go on."""


def contents(folder: Path) -> dict[str, Rows] | None:
    """What the index holds of what is covered; None if it cannot be read."""
    try:
        with closing(sqlite3.connect(folder / INDEX)) as db:
            asked = {table: f"SELECT {what} FROM {table}" for table, what in COVERED.items()}  # noqa: S608 - our tables
            return {table: sorted(db.execute(query), key=repr) for table, query in asked.items()}
    except (sqlite3.Error, UnicodeDecodeError):
        return None


def flip(raw: bytes, rng: random.Random) -> bytes:
    """One bit changed."""
    bit = rng.randrange(8 * len(raw))
    changed = bytearray(raw)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def _edit(folder: Path, work: Callable[[sqlite3.Connection], None]) -> None:
    with closing(sqlite3.connect(folder / INDEX)) as db, db:
        work(db)


def _file(folder: Path, rng: random.Random) -> Path:
    return rng.choice(sorted(folder.glob("*.parquet")))


def bit_of_a_file(folder: Path, rng: random.Random) -> None:
    path = _file(folder, rng)
    path.write_bytes(flip(path.read_bytes(), rng))


def bit_of_the_index(folder: Path, rng: random.Random) -> None:
    path = folder / INDEX
    path.write_bytes(flip(path.read_bytes(), rng))


def cut_file(folder: Path, rng: random.Random) -> None:
    path = _file(folder, rng)
    raw = path.read_bytes()
    path.write_bytes(raw[: rng.randrange(len(raw))])


def cut_index(folder: Path, rng: random.Random) -> None:
    path = folder / INDEX
    raw = path.read_bytes()
    path.write_bytes(raw[: rng.randrange(len(raw))])


def lost_file(folder: Path, rng: random.Random) -> None:
    _file(folder, rng).unlink()


def bit_of_a_value(folder: Path, rng: random.Random) -> None:
    """Of an entry, a checkpoint, a name, or of what is kept to look them up."""
    table, column = rng.choice(
        [
            *[("entries", name) for name in ("content", "hash")] * 3,
            *[("checkpoints", name) for name in ("body", "signature")],
            *[("names", name) for name in ("agent", "salt", "token")],
            *[("moments", name) for name in ("key", "at", "high", "number")],
            *[("heads", name) for name in ("count", "head", "last")],
            *[("numbers", name) for name in ("sequence", "state")],
            ("spans", "last"),
            ("meta", "value"),
        ]
    )

    def work(db: sqlite3.Connection) -> None:
        keys = ", ".join(row[1] for row in db.execute(f"PRAGMA table_info({table})") if row[5])
        rows = db.execute(f"SELECT {keys}, {column} FROM {table}").fetchall()  # noqa: S608 - our tables
        *key, value = rng.choice(rows)
        if isinstance(value, int):
            changed: Any = value ^ 1 << rng.randrange(16)
        elif isinstance(value, str):
            place = rng.randrange(len(value))
            changed = value[:place] + chr(ord(value[place]) ^ 1 << rng.randrange(7)) + value[place + 1 :]
        else:
            changed = flip(value, rng)
        where = " AND ".join(f"{name} = ?" for name in keys.split(", "))
        db.execute(f"UPDATE OR REPLACE {table} SET {column} = ? WHERE {where}", (changed, *key))  # noqa: S608 - our tables

    _edit(folder, work)


def _chain(db: sqlite3.Connection, rng: random.Random) -> tuple[int, list[tuple[int, bytes, bytes]]]:
    partition = rng.choice([row[0] for row in db.execute("SELECT DISTINCT partition FROM entries ORDER BY 1")])
    rows = db.execute("SELECT number, content, hash FROM entries WHERE partition = ? ORDER BY number", (partition,))
    return partition, rows.fetchall()


def lost_entry(folder: Path, rng: random.Random) -> None:
    def work(db: sqlite3.Connection) -> None:
        partition, rows = _chain(db, rng)
        db.execute("DELETE FROM entries WHERE partition = ? AND number = ?", (partition, rng.choice(rows)[0]))

    _edit(folder, work)


def lost_tail(folder: Path, rng: random.Random) -> None:
    """The last entries of a chain, and its head set back."""

    def work(db: sqlite3.Connection) -> None:
        partition, rows = _chain(db, rng)
        kept = rng.choice(rows)[0] - 1
        db.execute("DELETE FROM entries WHERE partition = ? AND number > ?", (partition, kept))
        found = db.execute("SELECT hash FROM entries WHERE partition = ? AND number = ?", (partition, kept)).fetchone()
        if found:
            db.execute("UPDATE heads SET count = ?, head = ? WHERE partition = ?", (kept, found[0], partition))

    _edit(folder, work)


def swapped_entries(folder: Path, rng: random.Random) -> None:
    """With or without their hashes."""

    def work(db: sqlite3.Connection) -> None:
        partition, rows = _chain(db, rng)
        (a, content_a, hash_a), (b, content_b, hash_b) = rng.sample(rows, 2)
        both = rng.random() < 0.5
        change = "UPDATE entries SET content = ?, hash = ? WHERE partition = ? AND number = ?"
        db.execute(change, (content_b, hash_b if both else hash_a, partition, a))
        db.execute(change, (content_a, hash_a if both else hash_b, partition, b))

    _edit(folder, work)


def _forged(content: bytes, rng: random.Random) -> bytes:
    states = [b"available", b"ringing", b"talking", b"wrap_up", b"paused"]
    (state,) = [state for state in states if b'"current":{"since"' in content and b'"state":"' + state in content][:1]
    other = rng.choice([word for word in states if word != state])
    return content.replace(b'"state":"' + state, b'"state":"' + other)


def restamped(folder: Path, rng: random.Random) -> None:
    """An entry changed, lost or added, and every hash, number and head after it made to fit."""

    def work(db: sqlite3.Connection) -> None:
        partition, rows = _chain(db, rng)
        first = rng.randrange(len(rows))
        contents = [content for _, content, _ in rows]
        how = rng.choice(("changed", "lost", "added", "swapped"))
        if how == "changed":
            contents[first] = _forged(contents[first], rng)
        elif how == "lost":
            del contents[first]
        elif how == "added":
            contents.insert(first, contents[first])
        else:
            other = rng.choice([n for n in range(len(rows)) if n != first])
            contents[first], contents[other] = contents[other], contents[first]
        before = _before(folder, db, partition, rows[0][0])
        db.execute("DELETE FROM entries WHERE partition = ?", (partition,))
        for number, content in enumerate(contents, rows[0][0]):
            value = msgspec.json.decode(content)
            content = msgspec.json.encode(value | {"number": number}, order="sorted")
            before = link(before, content)
            row = (partition, number, "2026-11-24", content, before)
            db.execute("INSERT INTO entries VALUES (?, ?, ?, ?, ?)", row)
        count = rows[0][0] + len(contents) - 1
        db.execute("UPDATE heads SET count = ?, head = ? WHERE partition = ?", (count, before, partition))

    _edit(folder, work)


def _before(folder: Path, db: sqlite3.Connection, partition: int, number: int) -> bytes:
    for file in _files(db):
        for entry in sealed.read(folder, file):
            if (entry.partition, entry.number) == (partition, number - 1):
                return entry.hash
    return genesis(meta(db, "store"), meta(db, "cluster"), meta(db, "topic"), partition)


def _files(db: sqlite3.Connection) -> list[Sealed]:
    bodies = [msgspec.json.decode(body, type=Body) for (body,) in db.execute("SELECT body FROM checkpoints")]
    return [file for body in bodies for file in body.files]


def replaced_file(folder: Path, rng: random.Random) -> None:
    """A sealed file written anew, one entry of it changed and all hashes made to fit; its checkpoint, too, but for the
    key: the old signature stays, or it is signed with another key."""

    def work(db: sqlite3.Connection) -> None:
        file = rng.choice(_files(db))
        entries = list(sealed.read(folder, file))
        place = rng.randrange(len(entries))
        entries[place] = msgspec.structs.replace(entries[place], content=_forged(entries[place].content, rng))
        heads: dict[int, bytes] = {}
        fitting: list[Entry] = []
        for entry in entries:
            if entry.partition not in heads:
                heads[entry.partition] = _before(folder, db, entry.partition, entry.number)
            heads[entry.partition] = link(heads[entry.partition], entry.content)
            fitting.append(msgspec.structs.replace(entry, hash=heads[entry.partition]))
        new = sealed.write(folder, file.name, fitting)
        if rng.random() < 0.3:
            return
        for number, text, signature in db.execute("SELECT number, body, signature FROM checkpoints").fetchall():
            body = msgspec.json.decode(text, type=Body)
            if file in body.files:
                body = msgspec.structs.replace(body, files=[new if one == file else one for one in body.files])
                forged = sign(Ed25519PrivateKey.generate(), body)
                signature = rng.choice((signature, forged.signature))
                change = "UPDATE checkpoints SET body = ?, signature = ? WHERE number = ?"
                db.execute(change, (forged.body, signature, number))

    _edit(folder, work)


def checkpoints_changed(folder: Path, rng: random.Random) -> None:
    """One is lost, the last ones are, or two change places."""

    def work(db: sqlite3.Connection) -> None:
        numbers = [number for (number,) in db.execute("SELECT number FROM checkpoints ORDER BY number")]
        how = rng.choice(("one", "tail", "swap"))
        if how == "one":
            db.execute("DELETE FROM checkpoints WHERE number = ?", (rng.choice(numbers),))
        elif how == "tail":
            db.execute("DELETE FROM checkpoints WHERE number >= ?", (rng.choice(numbers),))
        else:
            a, b = rng.sample(numbers, 2)
            for old, new in ((a, -1), (b, a), (-1, b)):
                db.execute("UPDATE checkpoints SET number = ? WHERE number = ?", (new, old))

    _edit(folder, work)


def rolled_back(snapshots: Sequence[Path]) -> Tamper:
    """The whole store as it was at an earlier checkpoint: in itself it is in perfect order."""

    def tamper(folder: Path, rng: random.Random) -> None:
        rmtree(folder)
        copytree(rng.choice(snapshots), folder)

    return tamper


def ways(snapshots: Sequence[Path]) -> dict[str, Tamper]:
    """All of them, by name; `snapshots` are the store at earlier checkpoints."""
    return {
        "one bit of a sealed file": bit_of_a_file,
        "one bit of the index file": bit_of_the_index,
        "one bit of a value in the index": bit_of_a_value,
        "sealed file cut off": cut_file,
        "index file cut off": cut_index,
        "sealed file deleted": lost_file,
        "entry deleted": lost_entry,
        "last entries deleted": lost_tail,
        "entries swapped": swapped_entries,
        "entries restamped": restamped,
        "sealed file replaced": replaced_file,
        "checkpoints deleted or swapped": checkpoints_changed,
        "older store put back": rolled_back(snapshots),
    }


def trial(pristine: Path, folder: Path, tamper: Tamper, rng: random.Random) -> bool:
    """Tamper with a fresh copy in `folder`; False if nothing of what is covered was changed by it."""
    rmtree(folder, ignore_errors=True)
    copytree(pristine, folder)
    tamper(folder, rng)
    return tamper is not bit_of_the_index or contents(folder) != contents(pristine)


def entries_of(path: Path) -> list[Entry]:
    """What a sealed file holds, whether or not it was signed."""
    names = ["partition", "number", "content", "hash"]
    return [Entry(*(row[name] for name in names)) for row in _pq.read_table(path, columns=names).to_pylist()]
