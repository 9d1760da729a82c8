"""Topics for tests: made, and waited for until the broker shows them."""

from __future__ import annotations

import asyncio
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from streamer.config import Kafka
from streamer.kafka import topics as ours
from streamer.kafka.connection import Connection
from streamer.kafka.restore import ends_of
from tests.conftest import Topics

PATIENCE = 15.0
"""Seconds until the broker shows a topic that was made."""


def settings(address: str, topics: Topics, **more: Any) -> Kafka:
    """A `[kafka]` section with a test's own topics."""
    return Kafka(
        bootstrap_servers=address,
        events_topic=topics.events,
        state_topic=topics.state,
        feed_topic=topics.feed,
        rejected_topic=topics.rejected,
        **more,
    )


def make(address: str, *new: NewTopic) -> None:
    """`made`, outside of a loop."""
    asyncio.run(made(address, *new))


async def made(address: str, *new: NewTopic) -> None:
    """Create topics as an operator would, and wait until they are shown."""
    admin: Any = AIOKafkaAdminClient(bootstrap_servers=address)
    await admin.start()
    try:
        answer = await admin.create_topics(list(new))
        assert [code for _, code, *_ in answer.topic_errors] == [0] * len(new)
    finally:
        await admin.close()
    await shown(Connection(Kafka(bootstrap_servers=address)), {topic.name for topic in new})


def create_ours(config: Kafka) -> None:
    """Create our four topics as `run` does, and wait until they are shown."""

    async def work() -> None:
        connection = Connection(config)
        await ours.ensure(connection)
        await shown(connection, set(ours.wanted(config)))

    asyncio.run(work())


def at_rest(address: str, topics: Topics) -> None:
    """Wait for one more transaction, until readers of committed records have all of it: the next is a poll away then.

    A broker that dies in the moment between a commit and its markers, and begins again, may never write them (Apache
    Kafka 4.4.0, KAFKA-20734): docs/operations.md, "A transaction that never ends". No client can help that.
    """
    names = (topics.events, topics.state, topics.feed)

    async def work() -> None:
        connection = Connection(settings(address, topics))
        begin = await ends_of(connection, names)
        async with asyncio.timeout(PATIENCE):
            while True:
                ends = await ends_of(connection, names)
                if ends != begin and ends == await ends_of(connection, names, committed=True):
                    return

    asyncio.run(work())


async def shown(connection: Connection, names: set[str]) -> None:
    """A broker shows new topics a moment after they were made."""
    async with asyncio.timeout(PATIENCE):
        while await ours.existing(connection, sorted(names)) != names:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.02)
