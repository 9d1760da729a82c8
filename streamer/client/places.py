"""Where reading begins: at the group's offsets, at a moment, at an end, or where the last session was."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Literal

import msgspec
from aiokafka import ConsumerRebalanceListener, TopicPartition

from streamer.client.session import Ends, Session, check
from streamer.errors import KafkaError
from streamer.kafka.connection import Connection

Start = Literal["beginning", "end"] | datetime | Mapping[int, int]
"""Where to begin; a mapping holds the next offset by partition, and what is not in it begins at the beginning."""

RECALL = 10_000
"""Records before a group's offset that are read again, silently, to know the numbers that came last. It takes a
fraction of a second, and holds the last event of every extension that is busy at all."""


class Place(msgspec.Struct, frozen=True):
    """A partition's first record to read, and the first to give out. `whole`: nothing is known to lie before."""

    read: int
    give: int
    whole: bool


async def places(
    connection: Connection, session: Session, partitions: Sequence[TopicPartition], start: Start
) -> dict[TopicPartition, Place]:
    """Where to begin without a group's offset."""
    consumer = session.consumer
    begins: Ends = await connection.call(consumer.beginning_offsets(partitions), "ask for a topic's beginning")
    if start == "end":
        ends: Ends = await connection.call(consumer.end_offsets(partitions), "ask for a topic's end")
        return {tp: Place(end, end, False) for tp, end in ends.items()}
    if isinstance(start, datetime):
        since = dict.fromkeys(partitions, int(start.timestamp() * 1000))
        ends = await connection.call(consumer.end_offsets(partitions), "ask for a topic's end")
        found: Mapping[TopicPartition, Any] = await connection.call(
            consumer.offsets_for_times(since), "ask for a moment's offset"
        )
        firsts = {tp: hit.offset if (hit := found.get(tp)) else ends[tp] for tp in partitions}
        return {tp: Place(first, first, first == 0) for tp, first in firsts.items()}
    known: Mapping[int, int] = start if isinstance(start, Mapping) else {}
    firsts = {tp: known.get(tp.partition, begins[tp]) for tp in partitions}
    ends = await session.ends(partitions) if known else {}
    for tp, end in ends.items():
        check(tp, firsts[tp], end)
    return {tp: Place(first, first, first == 0) for tp, first in firsts.items()}


async def recalled(
    connection: Connection, session: Session, partitions: Sequence[TopicPartition], start: Start
) -> dict[TopicPartition, Place]:
    """Where to begin in a group: at its offsets, and what came shortly before is looked at for its numbers."""
    consumer = session.consumer
    found = await places(connection, session, partitions, start)
    begins: Ends = await connection.call(consumer.beginning_offsets(partitions), "ask for a topic's beginning")
    ends = await session.ends(partitions)
    for tp in partitions:
        offset = await connection.call(consumer.committed(tp), "ask for the group's offset")
        if offset is not None:
            check(tp, offset, ends[tp])
            back = max(begins[tp], min(offset, offset - RECALL))
            found[tp] = Place(back, max(offset, begins[tp]), back == 0)
    return found


class Assignments(ConsumerRebalanceListener):
    """Keeps what the group gives us, and where to begin in each; nothing is given out of a partition before."""

    def __init__(
        self, connection: Connection, session: Session, start: Start, settle: Callable[[], Awaitable[None]]
    ) -> None:
        self.ours: dict[TopicPartition, Place] = {}
        self.news = False
        self.failure: KafkaError | None = None
        self._connection, self._session, self._settle = connection, session, settle
        self._start: Start = start

    # aiokafka awaits these where they are coroutines.
    async def on_partitions_revoked(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, revoked: set[TopicPartition]
    ) -> None:
        """They may be another's from now on: `settle` lets it begin behind what was done here."""
        if self.ours:
            self.ours = {}
            await self._settle()

    async def on_partitions_assigned(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, assigned: set[TopicPartition]
    ) -> None:
        """Go to where reading begins; aiokafka would only log what goes wrong here."""
        partitions = sorted(assigned)
        try:
            found = await recalled(self._connection, self._session, partitions, self._start) if partitions else {}
        except KafkaError as error:
            self.failure = error
            return
        for tp, place in found.items():
            self._session.consumer.seek(tp, place.read)
        self.ours = found
        self.news = True

    def check(self) -> None:
        """Raise what went wrong in the background."""
        if self.failure is not None:
            raise self.failure
