"""Hints between the instances of a group: whoever hears of a source that it does not poll passes that on.

A hint is a record on the topic of the slots, in the partition that is the source's slot: the source is its key, and it
says nothing else. Every instance reads all of them from when it begins. It is fire and forget: a hint that is lost,
late or doubled does no harm, so nothing is retried, and what cannot be sent at once is dropped.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import KW_ONLY, dataclass, field
from typing import Any, Final

from aiokafka import AIOKafkaProducer

from streamer.errors import KafkaUnavailable
from streamer.kafka import topics
from streamer.kafka.connection import Connection
from streamer.kafka.restore import partitions_of
from streamer.kafka.store import slot_of

SPACING: Final = 0.2
"""Seconds between two records about one source: what is hinted meanwhile is the second one's."""

TOO_OLD: Final = 3.0
"""Seconds by a record's timestamp after which its hint is ignored: regular polls have seen what it told of."""

TIMEOUT: Final = 2.0
"""Seconds that sending may take."""

AGAIN: Final = 5.0
"""Seconds until the next attempt, where Kafka is not to be had or nothing is wanted of it."""

VALUE: Final = b'{"type":"Hint","schema_version":"1.0"}'


@dataclass
class Hints:
    """Passes hints on and hears those of others; `hint` is told the source of each that is heard.

    `wanted` tells whether there may be any: without callbacks no client is made. `problem` gets a sentence for the
    operator where Kafka refuses what this needs.
    """

    connection: Connection
    _: KW_ONLY
    slots: int
    hint: Callable[[str], object]
    wanted: Callable[[], bool]
    problem: Callable[[str], None]
    _told: str = field(default="", init=False)
    _waiting: set[str] = field(default_factory=set[str], init=False)
    _news: asyncio.Event = field(default_factory=asyncio.Event, init=False)

    def pass_on(self, source: str) -> None:
        """Tell the others that something has changed at a source that is configured; never waits."""
        self._waiting.add(source)
        self._news.set()

    async def run(self) -> None:
        """Until cancelled; whatever happens to Kafka ends nothing."""
        await asyncio.gather(self._again_and_again(self._send), self._again_and_again(self._listen))

    async def _again_and_again(self, work: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                if self.wanted():
                    await work()
            except KafkaUnavailable:
                pass  # those who need Kafka tell of it
            except Exception as error:  # a hint must break nothing
                if str(error) != self._told:
                    self._told = str(error)
                    self.problem(f"callbacks are not passed on in the group: {error}")
            await asyncio.sleep(AGAIN)

    async def _send(self) -> None:
        topic = self.connection.config.slots_topic
        await self._there(topic)
        options = self.connection.options()
        options["request_timeout_ms"] = round(1000 * TIMEOUT)
        producer = AIOKafkaProducer(**options, acks=1)
        await self.connection.start(producer)
        try:
            self._waiting.clear()
            while True:
                await self._news.wait()
                self._news.clear()
                await self.connection.call(self._sent(producer, topic), "pass a hint on", TIMEOUT)
                await asyncio.sleep(SPACING)
        finally:
            await self.connection.discard(producer)

    async def _sent(self, producer: Any, topic: str) -> None:
        sources, self._waiting = self._waiting, set()
        now = time.time_ns() // 1_000_000
        for source in sources:
            slot = slot_of(source, self.slots)
            await producer.send(topic, VALUE, key=source.encode(), partition=slot, timestamp_ms=now)
        await producer.flush()

    async def _listen(self) -> None:
        topic = self.connection.config.slots_topic
        await self._there(topic)
        consumer = self.connection.consumer()
        await self.connection.start(consumer)
        try:
            partitions = await partitions_of(self.connection, consumer, topic)
            consumer.assign(partitions)
            await self.connection.call(consumer.seek_to_end(*partitions), "seek")
            cluster = consumer._client.cluster
            # Where a partition has no leader, aiokafka would ask for one without any pause.
            while all(cluster.leader_for_partition(place) not in (None, -1) for place in partitions):
                got = await self.connection.call(consumer.getmany(timeout_ms=1000), "read a topic")
                self._hear({record.key for records in got.values() for record in records if fresh(record.timestamp)})
                await asyncio.sleep(SPACING / 4)
        finally:
            await self.connection.discard(consumer)

    async def _there(self, topic: str) -> None:
        """A client that asks for a topic may create it: that is for the group to do."""
        if topic not in await topics.existing(self.connection, [topic]):
            raise KafkaUnavailable(f"there is no topic {topic} yet")

    def _hear(self, keys: set[bytes | None]) -> None:
        for key in keys:
            self.hint((key or b"").decode("utf-8", "replace"))


def fresh(timestamp: int) -> bool:
    """Is a record of that time, unix ms, worth a poll?"""
    return time.time() - timestamp / 1000 < TOO_OLD
