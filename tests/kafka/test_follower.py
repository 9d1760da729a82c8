"""What the wallboard reads: all that is committed, from the right place on, and anew when nothing comes any more."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

import pytest

from streamer.config import Kafka
from streamer.errors import TopicsWrong
from streamer.kafka import topics as ours
from streamer.kafka.connection import Connection
from streamer.kafka.embedded import embedded_broker
from streamer.kafka.follower import follow_all
from streamer.kafka.restore import read_to_end
from streamer.kafka.serde import Record
from streamer.kafka.sink import Sink
from tests.conftest import StartKafka, Topics
from tests.topics import settings, shown

AT = 1_795_399_205_000


async def ready(kafka: str, topics: Topics) -> Connection:
    """A connection to a Kafka that shows our topics."""
    config = settings(kafka, topics)
    connection = Connection(config)
    await ours.ensure(connection)
    await shown(connection, set(ours.wanted(config)))
    return connection


async def written(connection: Connection, *records: Record) -> None:
    sink = Sink(connection, f"{connection.config.state_topic}-slot-0")
    await sink.open()
    try:
        await sink.write(records)
    finally:
        await sink.close()
    # A commit is answered before all its partitions show it.
    async for _ in read_to_end(connection, list(ours.wanted(connection.config))):
        pass


async def test_everything_that_is_there_and_then_what_comes(kafka: str, topics: Topics) -> None:
    """States and feeds from the beginning, events since the given moment; told apart from what comes later."""
    connection = await ready(kafka, topics)
    await written(
        connection,
        *(Record(topics.state, f"floor/{n}".encode(), b"{}", AT - 1000) for n in range(20)),
        Record(topics.feed, b"floor", b"{}", AT - 1000),
        Record(topics.events, b"floor/1", b"old", AT - 1000),
    )
    await written(connection, Record(topics.events, b"floor/1", b"new", AT))
    early: list[tuple[str, bytes]] = []
    late: list[tuple[str, bytes]] = []
    current = False
    async with asyncio.timeout(30), aclosing(follow_all(connection, AT, 30)) as everything:
        async for news in everything:
            (late if current else early).extend((r.topic, r.value) for r in news.records)
            if news.current and not current:
                current = True
                await written(connection, Record(topics.events, b"floor/2", b"later", AT + 1))
            if late:
                break
    assert sorted(early) == sorted([*[(topics.state, b"{}")] * 20, (topics.feed, b"{}"), (topics.events, b"new")])
    assert late == [(topics.events, b"later")]


async def test_nothing_there_is_current_at_once(kafka: str, topics: Topics) -> None:
    """A floor that has yet to begin is an empty floor, not one that is being read for ever."""
    connection = await ready(kafka, topics)
    async with asyncio.timeout(30), aclosing(follow_all(connection, AT, 30)) as everything:
        news = await anext(everything)
    assert (news.records, news.current) == ([], True)


async def test_a_silence_ends_it(kafka: str, topics: Topics) -> None:
    """A consumer that is stuck looks the same as one that has nothing to read: both begin anew."""
    connection = await ready(kafka, topics)
    async with asyncio.timeout(30):
        told = [news async for news in follow_all(connection, AT, 0.5)]
    assert all(not news.records for news in told)


async def test_a_missing_topic_is_named_and_not_created(kafka: str, topics: Topics) -> None:
    """Reading must not create what `run` would create otherwise."""
    connection = Connection(settings(kafka, topics))
    with pytest.raises(TopicsWrong, match=topics.prefix):
        await anext(follow_all(connection, AT, 5))
    assert not await ours.existing(connection, [topics.events, topics.state, topics.feed])


async def test_another_begins_where_a_restart_of_the_broker_ended_one(own_kafka: StartKafka, topics: Topics) -> None:
    """Nothing is missing after it."""
    server = own_kafka()
    connection = await ready(server.bootstrap, topics)
    await written(connection, Record(topics.state, b"floor/1", b"{}", AT))
    found: set[bytes] = set()
    async with asyncio.timeout(60), aclosing(follow_all(connection, AT, 3)) as everything:
        async for news in everything:
            found |= {r.key for r in news.records}
            if news.current:
                await asyncio.to_thread(server.stop)
                await asyncio.to_thread(server.start)
                await written(connection, Record(topics.state, b"floor/2", b"{}", AT))
                break
    async with asyncio.timeout(60), aclosing(follow_all(connection, AT, 30)) as everything:
        async for news in everything:
            found |= {r.key for r in news.records}
            if news.current:
                break
    assert found == {b"floor/1", b"floor/2"}


async def test_the_embedded_broker_can_be_followed() -> None:
    """It cannot look a moment up: events are told from then on."""
    with embedded_broker() as address:
        config = Kafka(bootstrap_servers=address, delivery="at_least_once")
        connection = Connection(config)
        sink = Sink(connection, None)
        await sink.open()
        await sink.write([Record(topic, b"floor/1", b"{}", AT) for topic in ours.wanted(config)])
        async with asyncio.timeout(30), aclosing(follow_all(connection, AT, 30)) as everything:
            news = await anext(everything)
            while not news.current:
                news = await anext(everything)
            await sink.write([Record(config.events_topic, b"floor/1", b"later", AT)])
            while not (news := await anext(everything)).records:
                pass
        await sink.close()
    assert [record.value for record in news.records] == [b"later"]
