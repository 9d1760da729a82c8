"""Hints between instances: they arrive, they are few, they are young, and nothing that happens to Kafka ends them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Any

from streamer.kafka.connection import Connection
from streamer.kafka.hints import TOO_OLD, VALUE, Hints
from streamer.kafka.restore import read_to_end
from streamer.kafka.topics import ensure_slots
from tests.conftest import StartKafka, Topics
from tests.topics import settings, shown

SLOTS = 4


class Instance:
    """One that passes hints on and hears them."""

    def __init__(self, connection: Connection, *, wanted: bool = True) -> None:
        self.heard: list[str] = []
        self.problems: list[str] = []
        self.hints = Hints(
            connection,
            slots=SLOTS,
            hint=self.heard.append,
            wanted=lambda: wanted,
            problem=self.problems.append,
        )

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[Instance]:
        task = asyncio.create_task(self.hints.run())
        try:
            yield self
        finally:
            task.cancel()
            await asyncio.wait([task])


async def until(condition: Callable[[], bool], again: Callable[[], object] = lambda: None) -> None:
    async with asyncio.timeout(60):
        while not condition():
            again()
            await asyncio.sleep(0.05)


async def ready(kafka: str, topics: Topics) -> Connection:
    connection = Connection(settings(kafka, topics))
    await ensure_slots(connection, connection.config.slots_topic, SLOTS)
    await shown(connection, {connection.config.slots_topic})
    return connection


async def records(connection: Connection) -> list[Any]:
    return [record async for record in read_to_end(connection, [connection.config.slots_topic])]


async def test_a_hint_is_heard_by_all_and_says_nothing_but_its_source(kafka: str, topics: Topics) -> None:
    """Many at once are few records: the poll that they ask for is one."""
    connection = await ready(kafka, topics)
    async with Instance(connection).running() as one, Instance(connection).running() as other:
        await until(lambda: bool(one.heard and other.heard), lambda: one.hints.pass_on("floor"))
        before = len(await records(connection))
        for _ in range(5000):
            other.hints.pass_on("north")
        await until(lambda: "north" in one.heard)
        found = await records(connection)
    assert len(found) - before <= 2
    assert {record.value for record in found} == {VALUE}
    assert {record.key for record in found} == {b"floor", b"north"}
    assert set(one.heard) == {"floor", "north"}
    assert one.problems == other.problems == []


async def test_an_old_hint_is_ignored(kafka: str, topics: Topics) -> None:
    """Of a machine whose clock is behind, or that was held up: regular polls have seen what it told of."""
    connection = await ready(kafka, topics)
    async with Instance(connection).running() as one:
        await until(lambda: "floor" in one.heard, lambda: one.hints.pass_on("floor"))
        producer = connection.producer(None, 0)
        await connection.start(producer)
        now = time.time_ns() // 1_000_000
        topic = connection.config.slots_topic
        for key, age in ((b"old", TOO_OLD * 1000 + 1), (b"young", 0)):
            await producer.send_and_wait(topic, VALUE, key=key, partition=0, timestamp_ms=now - int(age))
        await until(lambda: "young" in one.heard)
        await connection.discard(producer)
    assert "old" not in one.heard


async def test_where_no_source_has_callbacks_there_is_no_client(kafka: str, topics: Topics) -> None:
    """Nothing is asked of Kafka that the handbook's rights would not allow."""
    connection = await ready(kafka, topics)
    async with Instance(connection, wanted=False).running() as one, Instance(connection).running() as other:
        one.hints.pass_on("floor")
        await until(lambda: "north" in other.heard, lambda: other.hints.pass_on("north"))
        assert one.heard == []
        assert {record.key for record in await records(connection)} == {b"north"}


async def test_a_missing_topic_is_waited_for_and_not_created(kafka: str, topics: Topics) -> None:
    """It is for the group to make, with as many partitions as there are slots."""
    connection = Connection(settings(kafka, topics))
    async with Instance(connection).running() as one:
        one.hints.pass_on("floor")
        await ensure_slots(connection, connection.config.slots_topic, SLOTS)
        await until(lambda: "floor" in one.heard, lambda: one.hints.pass_on("floor"))
    assert len({record.partition for record in await records(connection)}) == 1


async def test_kafkas_restart_is_survived(own_kafka: StartKafka, topics: Topics) -> None:
    """Hints are lost meanwhile, and nothing else."""
    server = own_kafka()
    connection = await ready(server.bootstrap, topics)
    async with Instance(connection).running() as one:
        await until(lambda: "floor" in one.heard, lambda: one.hints.pass_on("floor"))
        await asyncio.to_thread(server.stop)
        one.hints.pass_on("lost")
        await asyncio.to_thread(server.start)
        one.heard.clear()
        await until(lambda: "floor" in one.heard, lambda: one.hints.pass_on("floor"))
    assert one.problems == []
