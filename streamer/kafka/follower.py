"""Reads states, feeds and the latest events as they are committed, without end: what the wallboard is made of."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from typing import Any

import msgspec
from aiokafka import TopicPartition

from streamer.kafka import topics
from streamer.kafka.connection import Connection
from streamer.kafka.restore import PORTION, Current, partitions_of


class News(msgspec.Struct, frozen=True):
    """Records of aiokafka's, in order for each key. `current`: all that was there at the beginning has been told."""

    records: Sequence[Any]
    current: bool


async def follow_all(connection: Connection, since: int, patience: float) -> AsyncGenerator[News]:
    """What is committed on the state and feed topics, and on the events topic since then (unix ms).

    Ends after `patience` seconds without a record: a feed tells at least a heartbeat, and a consumer may be stuck
    after its broker's restart. Begin anew then. TopicsWrong while a topic is missing.
    """
    config = connection.config
    names = [config.state_topic, config.feed_topic, config.events_topic]
    await topics.require(connection, names)
    consumer = connection.consumer()
    await connection.start(consumer)
    try:
        left = await _placed(connection, consumer, names, since)
        current = Current(consumer.assignment())
        now = asyncio.get_running_loop().time
        heard = now()
        while now() - heard < patience:
            reading = consumer.getmany(timeout_ms=200, max_records=PORTION)
            got: dict[Any, list[Any]] = await connection.call(reading, "read a topic")
            for tp, end in list(left.items()):
                if await connection.call(consumer.position(tp), "read a topic") >= end:
                    del left[tp]
            records = [record for some in got.values() for record in some if current.holds(record)]
            if records:
                heard = now()
            if records or not left:
                yield News(records, not left)
                # What was fetched already is given without a pause: polls and the rest of the process go on here.
                await asyncio.sleep(0)
    finally:
        await connection.discard(consumer)


async def _placed(connection: Connection, consumer: Any, names: Sequence[str], since: int) -> dict[TopicPartition, int]:
    """Assign the topics' partitions and go to where reading begins. The ends that have yet to be reached."""
    partitions = [tp for name in names for tp in await partitions_of(connection, consumer, name)]
    events = [tp for tp in partitions if tp.topic == names[-1]]
    ends: dict[TopicPartition, int] = await connection.call(consumer.end_offsets(partitions), "ask for a topic's end")
    recent: dict[TopicPartition, Any] = await connection.call(
        consumer.offsets_for_times(dict.fromkeys(events, since)), "ask for a moment's offset"
    )
    consumer.assign(partitions)
    await connection.call(consumer.seek_to_beginning(*(tp for tp in partitions if tp not in events)), "seek")
    for tp in events:
        consumer.seek(tp, recent[tp].offset if recent.get(tp) else ends[tp])
    return {tp: end for tp, end in ends.items() if end > 0}
