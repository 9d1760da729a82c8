"""What the outputs keep in the ledger's SQLite file: the newest state of every extension, and what has to be sent.

The states are of all extensions, whoever is told of them: an output that is added later begins with the whole floor.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Sequence
from pathlib import Path

import msgspec

from streamer.consumers.wfm.outputs.agents import Place

SCHEMA = """
create table if not exists output_state (
    source text, extension text, epoch text, sequence integer, state text, since real, event_id text, basis text,
    primary key (source, extension)
) without rowid;
create table if not exists output_queue (
    id integer primary key autoincrement, output text, source text, extension text, item blob
);
create index if not exists output_queue_next on output_queue (output, id);
create index if not exists output_queue_agent on output_queue (output, source, extension);
"""


class Standing(msgspec.Struct, frozen=True):
    """The state of an extension; `since` is unix seconds on the vendor's clock."""

    source: str
    extension: str
    epoch: str
    sequence: int
    state: str
    since: float
    event_id: str
    basis: str


class Waiting(msgspec.Struct, frozen=True):
    """One thing to be sent: `id` orders them. `item` is empty where only the agent's newest state is sent; `extension`
    is empty where it is about a feed."""

    id: int
    source: str
    extension: str
    item: bytes

    @property
    def place(self) -> Place:
        """Whose it is."""
        return self.source, self.extension


def opened(database: Path) -> sqlite3.Connection:
    """A connection beside the ledger's; each statement is a transaction unless one is begun."""
    db = sqlite3.connect(database, timeout=5, isolation_level=None)
    db.execute("pragma journal_mode = wal")
    db.execute("pragma synchronous = full")
    return db


def standings(db: sqlite3.Connection, sources: Collection[str]) -> list[Standing]:
    """Every extension of these sources."""
    marks = ", ".join("?" * len(sources))
    rows = db.execute(f"select * from output_state where source in ({marks})", [*sources])  # noqa: S608 - only marks
    return [Standing(*row) for row in rows]


def standing(db: sqlite3.Connection, place: Place) -> Standing | None:
    """One extension's."""
    row = db.execute("select * from output_state where source = ? and extension = ?", place).fetchone()
    return None if row is None else Standing(*row)


def is_new(db: sqlite3.Connection, new: Standing) -> bool:
    """Keep a state, unless it or a later one is there: then it was read again."""
    row = db.execute(
        "insert into output_state values (?, ?, ?, ?, ?, ?, ?, ?) on conflict do update set (epoch, sequence, state,"
        " since, event_id, basis) = (excluded.epoch, excluded.sequence, excluded.state, excluded.since,"
        " excluded.event_id, excluded.basis) where (excluded.epoch, excluded.sequence) > (epoch, sequence)",
        msgspec.structs.astuple(new),
    )
    return row.rowcount > 0


def keep_only(db: sqlite3.Connection, outputs: Sequence[str]) -> None:
    """What waits for outputs that are no longer configured is deleted."""
    names = msgspec.json.encode(outputs).decode()
    db.execute("delete from output_queue where output not in (select value from json_each(?))", (names,))


def signed_in(db: sqlite3.Connection, source: str) -> int:
    """How many extensions of the source are there."""
    found = db.execute("select count(*) from output_state where source = ? and state <> 'signed_out'", (source,))
    return found.fetchone()[0]


def append(db: sqlite3.Connection, output: str, place: Place, item: bytes) -> None:
    """The last to be sent to this output."""
    db.execute("insert into output_queue (output, source, extension, item) values (?, ?, ?, ?)", (output, *place, item))


def replace(db: sqlite3.Connection, output: str, place: Place) -> None:
    """The agent's newest state is to be sent, and none that waited. It gets a new id: whoever is sending the older one
    at this moment must not take this for done."""
    db.execute("delete from output_queue where output = ? and source = ? and extension = ?", (output, *place))
    append(db, output, place, b"")


def waiting(db: sqlite3.Connection, output: str, parked: Collection[Place], most: int) -> list[Waiting]:
    """The oldest that wait for this output, but for those of `parked` agents."""
    rows = db.execute(
        "select id, source, extension, item from output_queue where output = ? and source || '/' || extension not in"
        " (select value from json_each(?)) order by id limit ?",
        (output, msgspec.json.encode([f"{source}/{extension}" for source, extension in parked]).decode(), most),
    )
    return [Waiting(*row) for row in rows]


def done(db: sqlite3.Connection, ids: Sequence[int]) -> None:
    """These need not be sent any more."""
    db.execute("delete from output_queue where id in (select value from json_each(?))", (str(list(ids)),))


def length(db: sqlite3.Connection, output: str) -> int:
    """How many wait for this output."""
    return db.execute("select count(*) from output_queue where output = ?", (output,)).fetchone()[0]


def shortened(db: sqlite3.Connection, output: str, by: int) -> tuple[int, list[bytes]]:
    """Drop the oldest of an output: an id for what tells of them, and their items.

    The id is none of theirs, for some may be on their way at this moment, and comes before all that are left.
    """
    rows = db.execute("select id, item from output_queue where output = ? order by id limit ?", (output, by)).fetchall()
    done(db, [row[0] for row in rows])
    return -abs(rows[-1][0]), [row[1] for row in rows]


def put_first(db: sqlite3.Connection, output: str, number: int, item: bytes) -> None:
    """Under an id from `shortened`."""
    db.execute("insert into output_queue values (?, ?, '', '', ?)", (number, output, item))
