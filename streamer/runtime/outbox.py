"""What waits between polling and Kafka: numbered batches, how they are packed, and how many bytes they may take."""

from __future__ import annotations

import zlib
from collections import Counter
from typing import Annotated

import msgspec

from streamer.core.feed import Cursor
from streamer.core.model import SECOND, AgentState, AgentStateChanged, Offset
from streamer.kafka.serde import Record


class _Told(msgspec.Struct, frozen=True):
    """What observers are told once the batch is committed."""

    events: tuple[AgentStateChanged, ...]
    states: tuple[AgentState, ...]
    forgotten: tuple[str, ...]


class Load(msgspec.Struct, frozen=True):
    """What a batch carries: the records to write, and what observers are told of them."""

    records: tuple[Record, ...]
    events: tuple[AgentStateChanged, ...] = ()
    states: tuple[AgentState, ...] = ()
    forgotten: tuple[str, ...] = ()

    def told_after(self, offset: Offset | None, at: int) -> list[float]:
        """Seconds from when changes happened to `at` (unix ms), of those that its poll shows. `offset` is the vendor's
        clock against ours at that poll: its middle counts. Who is seen first may have been there for days.
        """
        ahead = (offset.low + offset.high) // 2 if offset else 0
        return [
            max(0, at - (event.when.at - ahead)) / SECOND
            for event in self.events
            if event.basis == "observed" and event.change != "first_seen"
        ]

    @property
    def bulk(self) -> int:
        """Bytes of its records in memory, about."""
        return sum(record.size for record in self.records)

    def packed(self) -> bytes:
        """The load in a fraction of the space: records are much alike, a busy floor's most of all."""
        told = _packer.encode(_Told(self.events, self.states, self.forgotten))
        return zlib.compress(_packer.encode((self.records, told)), 1)


_packer = msgspec.msgpack.Encoder()
_unpacker = msgspec.msgpack.Decoder(tuple[Annotated[tuple[Record, ...], msgspec.Meta(min_length=1)], bytes])
_told_unpacker = msgspec.msgpack.Decoder(_Told)


def unpack(data: bytes) -> Load:
    """The load that was packed; ValueError if it is none.

    The records are written in published formats. What observers are told is not: where another version has packed it,
    they are told nothing.
    """
    try:
        records, told = _unpacker.decode(zlib.decompress(data))
    except (zlib.error, msgspec.MsgspecError) as error:
        raise ValueError(str(error)) from error
    try:
        known = _told_unpacker.decode(told)
    except msgspec.MsgspecError:
        return Load(records)
    return Load(records, known.events, known.states, known.forgotten)


class Kept(msgspec.Struct, frozen=True):
    """A batch as it is kept on disk. It may follow only what `parent` names, or its own tenure's number before it.

    `complete_until` and `offset` are the source's when the batch is published, as in SourceState.
    """

    source: str
    cursor: Cursor
    parent: Cursor | None
    complete_until: int | None
    offset: Offset | None
    packed: bytes

    def follows(self, cursor: Cursor | None) -> bool:
        """May it be published when `cursor` is the last that was? Number 0 is a tenure's claim, without a batch."""
        return cursor in (self.parent, Cursor(self.cursor.writer, self.cursor.number - 1))

    def published_by(self, cursor: Cursor | None) -> bool:
        """Does `cursor` show that it was published already?"""
        return cursor is not None and cursor.writer == self.cursor.writer and cursor.number >= self.cursor.number


class Waiting:
    """A numbered batch that waits. Its number was given for good: it is published, or the tenure ends.

    `safe`: it may be published; False while it has yet to be written to disk. `size` is what it takes of the bound,
    `bulk` what it takes of a transaction, in bytes; `events` is how many it tells; `at` is its poll's moment, unix ms.
    """

    def __init__(self, kept: Kept, load: Load, *, safe: bool, packed: bool) -> None:
        self.kept = kept
        self.safe = safe
        self.bulk = load.bulk
        self.events = len(load.events)
        self.at = load.records[0].timestamp
        self.size = len(kept.packed) if packed else self.bulk
        self._load = None if packed else load

    @property
    def cursor(self) -> Cursor:
        """The source's cursor once this batch is published."""
        return self.kept.cursor

    def load(self) -> Load:
        """What it carries."""
        return self._load if self._load is not None else unpack(self.kept.packed)


class Room:
    """How many bytes the batches of all sources may take while they wait.

    Half of `most` is common; of the other half each source has its share, so that no source's backlog stops another's
    polls. Only one batch for each source can go beyond.
    """

    def __init__(self, most: int, sources: int) -> None:
        self._most = most
        self.sources = sources
        self._used: Counter[str] = Counter()

    @property
    def used(self) -> int:
        """Bytes that wait."""
        return self._used.total()

    def change(self, source: str, size: int) -> None:
        """`size` more bytes of `source` wait, or fewer."""
        self._used[source] += size

    def used_by(self, source: str) -> int:
        """Bytes of a source that wait."""
        return self._used[source]

    def clear(self, source: str) -> None:
        """Nothing of `source` waits any more."""
        del self._used[source]

    def has_room(self, source: str) -> bool:
        """May `source` be polled?"""
        half = self._most / 2
        return self.used < half or self._used[source] < half / max(1, self.sources)
