"""Where reading begins: at the group's offsets, at a moment, at an end, or where the last session was."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Literal

import msgspec
from aiokafka import ConsumerRebalanceListener, TopicPartition

from streamer.client.session import Ends, Session, same_topic
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
    connection: Connection,
    session: Session,
    partitions: Sequence[TopicPartition],
    start: Start,
    *,
    grouped: bool = False,
) -> dict[TopicPartition, Place]:
    """Where to begin; in a group at its offsets, and what came shortly before is looked at for its numbers.

    TopicsWrong where a partition ends before that: it is not the same topic.
    """
    consumer = session.consumer
    begins: Ends = await connection.call(consumer.beginning_offsets(partitions), "ask for a topic's beginning")
    firsts = await _firsts(connection, consumer, begins, start)
    found = {tp: Place(first, first, first == 0 and start != "end") for tp, first in firsts.items()}
    if grouped:
        for tp, begin in begins.items():
            offset = await connection.call(consumer.committed(tp), "ask for the group's offset")
            if offset is not None:
                back = max(begin, offset - RECALL)
                found[tp] = Place(back, max(offset, begin), back == 0)
    for tp, end in (await session.ends(partitions)).items():
        same_topic(tp, found[tp].give, end)
    return found


async def _firsts(connection: Connection, consumer: Any, begins: Ends, start: Start) -> Ends:
    if isinstance(start, Mapping):
        return {tp: start.get(tp.partition, begin) for tp, begin in begins.items()}
    if start == "beginning":
        return begins
    ends: Ends = await connection.call(consumer.end_offsets(list(begins)), "ask for a topic's end")
    if start == "end":
        return ends
    since = dict.fromkeys(begins, int(start.timestamp() * 1000))
    found: Mapping[TopicPartition, Any] = await connection.call(
        consumer.offsets_for_times(since), "ask for a moment's offset"
    )
    return {tp: hit.offset if (hit := found.get(tp)) else end for tp, end in ends.items()}


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
            found = (
                await places(self._connection, self._session, partitions, self._start, grouped=True)
                if partitions
                else {}
            )
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
