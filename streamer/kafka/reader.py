"""Reads our own topics as a consumer does: committed records only."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from typing import Any, Literal, cast

import orjson

from streamer.kafka import topics
from streamer.kafka.connection import Connection
from streamer.kafka.framing import body
from streamer.kafka.restore import partitions_of, read_to_end


async def follow(connection: Connection, begin: Literal["beginning", "end"]) -> AsyncGenerator[Mapping[str, Any]]:
    """Every event from there on, for ever; a record that is none of ours comes as {"unreadable": place}."""
    topic = connection.config.events_topic
    await topics.require(connection, [topic])
    consumer = connection.consumer()
    await connection.start(consumer)
    try:
        partitions = await partitions_of(connection, consumer, topic)
        consumer.assign(partitions)
        if begin == "beginning":
            await connection.call(consumer.seek_to_beginning(*partitions), "seek")
        else:
            await connection.call(consumer.seek_to_end(*partitions), "seek")
        while True:
            got: dict[Any, list[Any]] = await connection.call(consumer.getmany(timeout_ms=1000), "read a topic")
            for records in got.values():
                for record in records:
                    yield _json(record, "AgentStateChanged")
            await asyncio.sleep(0)
    finally:
        await connection.discard(consumer)


async def states(connection: Connection) -> dict[str, Mapping[str, Any]]:
    """The current record of every extension, by key."""
    topic = connection.config.state_topic
    await topics.require(connection, [topic])
    found: dict[str, Mapping[str, Any]] = {}
    async for record in read_to_end(connection, [topic]):
        key = (record.key or b"").decode("utf-8", "replace")
        if record.value is None:
            found.pop(key, None)
        else:
            found[key] = _json(record, "AgentState")
    return found


def _json(record: Any, kind: str) -> Mapping[str, Any]:
    try:
        value: Any = orjson.loads(body(record.value or b""))
    except orjson.JSONDecodeError:
        value = None
    if isinstance(value, dict):
        found = cast(dict[str, Any], value)
        if found.get("type") == kind:
            return found
    return {"unreadable": f"{record.topic}[{record.partition}]@{record.offset}"}
