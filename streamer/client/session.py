"""A consumer that is watched: it says so when it makes no progress although there is more to read."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from aiokafka import TopicPartition

from streamer.client.batches import Interrupted
from streamer.errors import KafkaError, KafkaUnavailable, TopicsWrong
from streamer.kafka.connection import Connection

WATCH = 10.0
"""Seconds without a record after which we ask whether there is more: as long as a heartbeat of the feed."""

STUCK = 30.0
"""Seconds without progress, with more to read, after which a consumer is given up. Longer than a transaction of ours
may stay open; a consumer of aiokafka's has been seen stuck for ever after a broker's restart (its issue 1154)."""

MOST = 250
"""Records in one look: more typed events do not fit into a processor's cache at once, and cost twice as much each."""

RETRY = (0.5, 10.0)
"""First and longest wait before Kafka is tried again, in seconds."""

Ends = dict[TopicPartition, int]


def same_topic(tp: TopicPartition, position: int, end: int) -> None:
    """TopicsWrong if a partition ends, or goes on, before a position that was read to: it holds something else now."""
    if position > end:
        raise TopicsWrong(
            f"topic {tp.topic}[{tp.partition}] stands at offset {end}, and {position} was reached before: "
            "it was deleted and made anew, or has lost records",
            "keep what was made of it as it was, and begin anew beside that",
        )


class Session:
    """One consumer of committed records, with another one to ask it where the topics truly end."""

    def __init__(self, connection: Connection, consumer: Any, asking: Any) -> None:
        self.consumer = consumer
        self._connection = connection
        self._asking = asking
        self._progress_at = self._asked_at = asyncio.get_running_loop().time()

    async def look(self, timeout: float) -> Mapping[TopicPartition, Sequence[Any]]:
        """Records, in order for each partition; none after `timeout` seconds. KafkaUnavailable once it is stuck."""
        call = self.consumer.getmany(timeout_ms=int(timeout * 1000), max_records=MOST)
        got = await self._connection.call(call, "read a topic", timeout + WATCH)
        now = asyncio.get_running_loop().time()
        if got:
            self._progress_at = now
        elif now - max(self._progress_at, self._asked_at) >= WATCH:
            self._asked_at = now
            partitions = self.consumer.assignment()
            if await self.reached(await self.checked(await self.ends(partitions))):
                self._progress_at = now
            elif now - self._progress_at >= STUCK:
                raise KafkaUnavailable(
                    f"Kafka at {self._connection.where}: no record for {STUCK:.0f} s although there are more",
                    "is a transaction of another program left open?",
                )
        return got

    async def ends(self, partitions: Collection[TopicPartition]) -> Ends:
        """Where the partitions end, open transactions included."""
        if not partitions:
            return {}
        return await self._connection.call(self._asking.end_offsets(list(partitions)), "ask for a topic's end")

    async def reached(self, ends: Ends) -> bool:
        """Has all that lies before `ends` been returned? Partitions that are not ours any more count as read."""
        for tp in self.consumer.assignment() & ends.keys():
            if ends[tp] > 0 and await self.position(tp) < ends[tp]:
                return False
        return True

    async def checked(self, ends: Ends) -> Ends:
        """`ends`; TopicsWrong if a partition ends before what was read of it: then it is not the same topic."""
        for tp in self.consumer.assignment() & ends.keys():
            same_topic(tp, await self.position(tp), ends[tp])
        return ends

    async def position(self, tp: TopicPartition) -> int:
        """The offset that is read next."""
        return await self._connection.call(self.consumer.position(tp), "read a topic")


class Retry:
    """Waits between attempts to reach Kafka; of each interruption only the first failure is told."""

    def __init__(self) -> None:
        self._wait = RETRY[0]
        self._told = False

    def succeeded(self) -> None:
        """Records can be read: what fails next is another interruption."""
        self._wait, self._told = RETRY[0], False

    def failed(self, error: KafkaError) -> list[Interrupted]:
        """What is to be told of it."""
        told, self._told = self._told, True
        return [] if told else [Interrupted(error.problem)]

    async def rest(self) -> None:
        """Wait, the longer the more attempts have failed."""
        await asyncio.sleep(self._wait)
        self._wait = min(2 * self._wait, RETRY[1])


@asynccontextmanager
async def opened(connection: Connection, group: str | None = None) -> AsyncGenerator[Session]:
    """A started session without partitions."""
    consumer, asking = connection.consumer(group=group), connection.consumer(committed=False)
    try:
        await connection.start(asking)
        await connection.start(consumer)
        yield Session(connection, consumer, asking)
    finally:
        await connection.discard(consumer)
        await connection.discard(asking)
