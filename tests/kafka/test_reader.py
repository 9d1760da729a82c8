"""What `tail` and `state` read: committed records of ours, and a name for everything else."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import Any

import orjson
import pytest

from streamer.errors import TopicsWrong
from streamer.kafka import topics as ours
from streamer.kafka.connection import Connection
from streamer.kafka.embedded import embedded_broker
from streamer.kafka.reader import follow, states
from streamer.kafka.serde import Record
from streamer.kafka.store import KafkaStore
from tests.conftest import Topics
from tests.topics import settings, shown

AT = 1_795_399_205_000


async def written(connection: Connection, *records: Record) -> None:
    sink = KafkaStore(connection).sink(0)
    await sink.open()
    try:
        await sink.write(records)
    finally:
        await sink.close()


def event(topic: str, extension: str) -> Record:
    value = orjson.dumps({"type": "AgentStateChanged", "extension": extension})
    return Record(topic, f"floor/{extension}".encode(), value, AT)


@pytest.fixture
async def connection(kafka: str, topics: Topics) -> Connection:
    """To a Kafka with our topics."""
    config = settings(kafka, topics)
    connection = Connection(config)
    await ours.ensure(connection)
    await shown(connection, set(ours.wanted(config)))
    return connection


async def test_events_are_followed_from_the_beginning(connection: Connection, topics: Topics) -> None:
    """Those that are there, then those that come; what is not ours is named, not shown."""
    await written(connection, event(topics.events, "1"), Record(topics.events, b"floor/1", b"junk\x1b", AT))
    await written(connection, Record(topics.events, b"floor/1", b'{"extension": "1"}', AT), event(topics.events, "1"))
    found: list[Any] = []
    async with asyncio.timeout(20), aclosing(follow(connection, "beginning")) as records:
        async for record in records:
            found.append(record)
            if len(found) == 4:
                await written(connection, event(topics.events, "1"))
            if len(found) == 5:
                break
    assert ["unreadable" in record for record in found] == [False, True, True, False, False]
    assert found[1]["unreadable"].startswith(f"{topics.events}[")


async def test_the_state_is_the_newest_record_of_each_key(connection: Connection, topics: Topics) -> None:
    """Without those that were forgotten."""

    def state(extension: str, name: str | None) -> Record:
        value = None if name is None else orjson.dumps({"type": "AgentState", "extension": extension, "agent": name})
        return Record(topics.state, f"floor/{extension}".encode(), value, AT)

    await written(connection, state("1", "a"), state("2", "b"), state("3", "c"))
    await written(connection, state("1", "d"), state("2", None))
    found = await states(connection)
    assert {key: record["agent"] for key, record in found.items()} == {"floor/1": "d", "floor/3": "c"}


async def test_a_topic_that_is_missing_is_named_at_once(kafka: str, topics: Topics) -> None:
    """Not after a time-out, and not by creating it."""
    connection = Connection(settings(kafka, topics))
    async with asyncio.timeout(5):
        with pytest.raises(TopicsWrong, match=f"no topic {topics.state}"):
            await states(connection)
        with pytest.raises(TopicsWrong, match=f"no topic {topics.events}"):
            await anext(follow(connection, "end"))


async def test_the_embedded_broker_takes_records_and_gives_them_back(topics: Topics) -> None:
    """At least once, with no Kafka installed."""
    with embedded_broker() as address:
        connection = Connection(settings(address, topics, delivery="at_least_once"))
        await written(connection, event(topics.events, "1"))
        async with asyncio.timeout(20), aclosing(follow(connection, "beginning")) as records:
            assert (await anext(records))["extension"] == "1"
