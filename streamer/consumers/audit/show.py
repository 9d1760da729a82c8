"""What was an extension in at a moment, how do we know, how sure is it? An entry that is not proved says so."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime
from pathlib import Path

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from streamer.client.records import AgentStateChanged
from streamer.consumers.audit import index, sealed
from streamer.consumers.audit.entries import Entry, decoded, genesis, key_of, link
from streamer.consumers.audit.report import Verdict
from streamer.consumers.audit.verify import believed
from streamer.errors import CheckFailed, ConfigError


class Found(msgspec.Struct, frozen=True):
    """An event of the trail. `proof`: which signed checkpoint covers it; empty if none does."""

    event: AgentStateChanged
    partition: int
    number: int
    proof: str


class Answer(msgspec.Struct, frozen=True):
    """`last` is the last event at or before the moment, `next` the one after it; `unsure` are all whose change may lie
    on either side of the moment. `agent`: the name, or None if it was erased. `complete_until`: as the newest
    checkpoint signed it for the source. `broken`: events between `last` and `next` are missing."""

    key: str
    at: datetime
    last: Found | None
    next: Found | None
    unsure: list[Found]
    agent: str | None
    complete_until: datetime | None
    broken: bool


def show(folder: Path, key: Ed25519PublicKey, extension: str, source: str | None, at: datetime) -> Answer:
    """ConfigError: there is no such extension, or in several sources. CheckFailed: what is needed is damaged."""
    try:
        with closing(index.reading(folder)) as db:
            return _Look(folder, db, key).answer(_key(db, extension, source), at)
    except (sqlite3.Error, msgspec.MsgspecError, OSError, ValueError, TypeError) as error:
        raise CheckFailed(
            f"audit.path: the trail in {folder} cannot be read: {error}",
            "`streamer audit verify` tells what is damaged",
        ) from None


def _key(db: sqlite3.Connection, extension: str, source: str | None) -> str:
    known = [key for (key,) in db.execute("SELECT key FROM numbers") if key.partition("/")[2] == extension]
    found = [key for key in known if source in (None, key.partition("/")[0])]
    if not found:
        raise ConfigError(f"extension {extension}: the trail has no event of it", "is it written so, and the source?")
    if len(found) > 1:
        sources = ", ".join(sorted(key.partition("/")[0] for key in found))
        raise ConfigError(f"extension {extension} is in several sources: {sources}", "say which with --source")
    return found[0]


class _Look:
    """One look at a store."""

    def __init__(self, folder: Path, db: sqlite3.Connection, key: Ed25519PublicKey) -> None:
        self._folder = folder
        self._db = db
        self._bodies = [body for _, body in believed(db, key, Verdict())]

    def answer(self, key: str, at: datetime) -> Answer:
        rows = self._db.execute(
            "SELECT at, low, high, partition, number FROM moments WHERE key = ? ORDER BY epoch, sequence", (key,)
        ).fetchall()
        last = following = None
        unsure: list[tuple[int, int]] = []
        for when, low, high, partition, number in rows:
            if datetime.fromisoformat(when) <= at:
                last, following = (partition, number), None
            elif following is None:
                following = (partition, number)
            if datetime.fromisoformat(low or when) <= at <= datetime.fromisoformat(high) and low != high:
                unsure.append((partition, number))
        found = {place: self._found(key, *place) for place in {last, following, *unsure} if place}
        before = found[last] if last else None
        after = found[following] if following else None
        told = before or after
        until = self._bodies[-1].complete.get(key.partition("/")[0]) if self._bodies else None
        return Answer(
            key=key,
            at=at,
            last=before,
            next=after,
            unsure=[found[place] for place in unsure],
            agent=self._name(told.event.agent) if told else None,
            complete_until=datetime.fromisoformat(until) if until else None,
            broken=bool(before and after) and _broken(before, after),
        )

    def _found(self, key: str, partition: int, number: int) -> Found:
        entry, proof = self._entry(partition, number)
        return _event(key, entry, proof or self._chained(entry))

    def _entry(self, partition: int, number: int) -> tuple[Entry, str]:
        """An entry, and what proves it if it is sealed."""
        for body in self._bodies:
            for file in body.files:
                first, last = file.spans.get(str(partition), (1, 0))
                if first <= number <= last:
                    for entry in sealed.read(self._folder, file):
                        if (entry.partition, entry.number) == (partition, number):
                            return entry, f"checkpoint {body.number}, by the SHA-256 of {file.name}"
        found = next(self._from(partition, number), None)
        if found is None or found.number != number:
            raise ValueError(f"entry {number} of partition {partition} is not there")
        return found, ""

    def _chained(self, entry: Entry) -> str:
        """What proves an entry that is in no file: it follows from the one before, and leads to a head that is signed.

        That the one before is the true one need not be known: nobody finds another with the same hash after it.
        """
        if entry.number == 1:
            store, cluster, topic = (index.meta(self._db, name) for name in ("store", "cluster", "topic"))
            before = genesis(store, cluster, topic, entry.partition)
        else:
            before = self._entry(entry.partition, entry.number - 1)[0].hash
        heads = {
            head.count: (body.number, head.head)
            for body in reversed(self._bodies)
            if (head := body.partitions.get(str(entry.partition))) is not None
        }
        for number, following in enumerate(self._from(entry.partition, entry.number), entry.number):
            if following.number != number or link(before, following.content) != following.hash:
                return ""
            before = following.hash
            if number in heads:
                checkpoint, head = heads[number]
                return f"checkpoint {checkpoint}, by the chain" if head == before.hex() else ""
        return ""

    def _from(self, partition: int, number: int) -> Iterator[Entry]:
        rows = self._db.execute(
            "SELECT partition, number, content, hash FROM entries WHERE partition = ? AND number >= ? ORDER BY number",
            (partition, number),
        )
        for row in rows:
            yield Entry(*row)

    def _name(self, token: str) -> str | None:
        row = self._db.execute("SELECT source, agent, salt FROM names WHERE token = ?", (token,)).fetchone()
        if row is None or row[1] is None:
            return None
        if index.token_of(row[2], row[0], row[1]) != token:
            raise ValueError(f"the name that stands for {token} is not the one that was written")
        return str(row[1])


def _event(key: str, entry: Entry, proof: str) -> Found:
    content = decoded(entry.content)
    if content.event is None or key_of(content.event) != key:
        raise ValueError(f"entry {entry.number} of partition {entry.partition} is not of {key}")
    return Found(content.event, entry.partition, entry.number, proof)


def _broken(before: Found | None, after: Found | None) -> bool:
    if before is None or after is None:
        return False
    a, b = before.event, after.event
    if a.epoch == b.epoch:
        return b.sequence != a.sequence + 1
    return a.current.state != "signed_out" or b.sequence != 1
