"""Reads the state and feed topics to their true end: what a start, and every unknown commit, is settled with.

The end is asked for with read_uncommitted, then the topics are read with read_committed until it is reached: asked for
with read_committed it would stop short while another slot's transaction is open.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Collection, Iterable, Mapping, Sequence
from contextlib import aclosing
from typing import Any

import msgspec
from aiokafka import TopicPartition
from aiokafka.partitioner import murmur2  # pyright: ignore[reportUnknownVariableType]

from streamer.core.feed import Cursor
from streamer.core.model import AgentState, Offset
from streamer.core.thaw import read_agent_state
from streamer.core.wire import milliseconds
from streamer.errors import KafkaUnavailable
from streamer.kafka.connection import Connection
from streamer.kafka.framing import body

NO_PROGRESS = 60.0
"""Seconds without a new record after which reading is given up: three times the longest transaction."""

PORTION = 1000
"""Records that are taken at once: a hundredth of a second, for which nothing else in this process goes on."""


class LastFeed(msgspec.Struct, frozen=True):
    """What others need of a source's last FeedStatus; times in unix ms."""

    cursor: Cursor | None
    confirmed_until: int | None
    offset: Offset | None
    instance: str
    status: str = ""
    at: int = 0
    heartbeat_s: float = 0.0
    config_digest: str = ""
    superseded: int = 0


class Restored(msgspec.Struct, frozen=True):
    """What Kafka holds: the states of the sources asked for, the feed of every source that has one. `problems` name
    the records that were skipped and have no newer one of ours after them, and why."""

    agents: dict[str, dict[str, AgentState]]
    feeds: dict[str, LastFeed]
    problems: tuple[str, ...]


async def restore(connection: Connection, sources: Collection[str]) -> Restored:
    """States and feeds of `sources`; a record that is not ours is skipped and named.

    The feeds first: if another instance takes over and publishes meanwhile, the cursor is the older one, and shows it.
    """
    broken: dict[str, str] = {}
    feeds = await last_feeds(connection, broken)
    agents: dict[str, dict[str, AgentState]] = {name: {} for name in sources}
    async for records in read_in_portions(connection, [connection.config.state_topic]):
        _take(records, agents, broken)
    return Restored(agents, feeds, tuple(broken.values()))


def _take(records: Sequence[Any], agents: Mapping[str, dict[str, AgentState]], broken: dict[str, str]) -> None:
    """Go on with one partition's next records."""
    # The newest of a key's records makes up for all before it, unless it is none of ours.
    newest = {record.key: record for record in records}
    doubtful = {record.key for record in newest.values() if not _takes(record, agents, broken)}
    for record in reversed(records if doubtful else ()):
        if record.key in doubtful and record is not newest[record.key] and _takes(record, agents, {}):
            doubtful.remove(record.key)


def _takes(record: Any, agents: Mapping[str, dict[str, AgentState]], broken: dict[str, str]) -> bool:
    """Take what a record says of its key; False, and named in `broken`, if that is nothing."""
    key = (record.key or b"").decode("utf-8", "replace")
    source, _, extension = key.partition("/")
    known = agents.get(source)
    if known is None:
        return True
    try:
        if record.value is None:
            known.pop(extension, None)
        else:
            agent = _state(record.value, source, extension)
            known[agent.extension] = agent
    except (ValueError, msgspec.MsgspecError) as error:
        broken[key] = f"{_place(record)}: not an AgentState: {error}"
        return False
    broken.pop(key, None)
    return True


def _state(value: bytes, source: str, extension: str) -> AgentState:
    agent = read_agent_state(body(value))
    if agent.extension != extension or agent.source != source:
        raise ValueError("its key names another extension")
    return agent


async def last_feeds(
    connection: Connection, broken: dict[str, str] | None = None, *, glance: bool = False
) -> dict[str, LastFeed]:
    """The newest FeedStatus of every source that has one; what came after it and is none is put into `broken`."""
    feeds: dict[str, LastFeed] = {}
    async for record in read_to_end(connection, [connection.config.feed_topic], glance=glance):
        source = (record.key or b"").decode("utf-8", "replace")
        if record.value is None:
            feeds.pop(source, None)
            continue
        try:
            feeds[source] = read_feed(record.value, source)
            if broken is not None:
                broken.pop(source, None)
        except (ValueError, msgspec.MsgspecError) as error:
            if broken is not None:
                broken[source] = f"{_place(record)}: not a FeedStatus: {error}"
    return feeds


class _Span(msgspec.Struct):
    min: float
    max: float


class _Feed(msgspec.Struct, tag_field="type", tag="FeedStatus"):
    source: str
    cursor: Cursor | None
    confirmed_until: str | None
    instance: str
    clock_offset_s: _Span | None = None
    status: str = ""
    at: str | None = None
    heartbeat_s: float = 0.0
    config_digest: str = ""
    superseded: int = 0


_feed_decoder = msgspec.json.Decoder(_Feed)


def read_feed(value: bytes, source: str) -> LastFeed:
    """What a record on the feed topic says of `source`; ValueError, with the reason, if it says nothing of it."""
    try:
        record = _feed_decoder.decode(body(value))
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    if record.source != source:
        raise ValueError("its key names another source")
    offset = record.clock_offset_s
    return LastFeed(
        cursor=record.cursor,
        confirmed_until=None if record.confirmed_until is None else milliseconds(record.confirmed_until),
        offset=offset and Offset(round(offset.min * 1000), round(offset.max * 1000)),
        instance=record.instance,
        status=record.status,
        at=0 if record.at is None else milliseconds(record.at),
        heartbeat_s=record.heartbeat_s,
        config_digest=record.config_digest,
        superseded=record.superseded,
    )


def _place(record: Any) -> str:
    return f"{record.topic}[{record.partition}]@{record.offset}"


async def read_to_end(connection: Connection, topics: Sequence[str], *, glance: bool = False) -> AsyncIterator[Any]:
    """All committed records of `topics`, partition by partition in order, up to the end as it is now.

    That waits for transactions that are open. A `glance` does not: it may miss what was committed behind them.

    Where a topic was given more partitions later, a key's older records are in another partition than it belongs to
    now: they are left out once it has newer ones.
    """
    async with aclosing(read_in_portions(connection, topics, glance=glance)) as portions:
        async for records in portions:
            for record in records:
                yield record


async def read_in_portions(
    connection: Connection, topics: Sequence[str], *, glance: bool = False
) -> AsyncGenerator[Sequence[Any]]:
    """As `read_to_end`, but up to PORTION records of one partition at a time, for who need not look at each of them."""
    ends = await ends_of(connection, topics, committed=glance)
    partitions = list(ends)
    consumer = connection.consumer()
    await connection.start(consumer)
    try:
        consumer.assign(partitions)
        await connection.call(consumer.seek_to_beginning(*partitions), "seek")
        current = Current(partitions)
        now = asyncio.get_running_loop().time
        last_progress = now()
        left = {tp for tp in partitions if ends[tp] > 0}
        got: dict[Any, list[Any]] = {}
        while left:
            # After records there may be a transaction's end and nothing more: it moves positions, and wakes nobody.
            reading = consumer.getmany(*left, timeout_ms=0 if got else 200, max_records=PORTION)
            got = await connection.call(reading, "read a topic")
            for records in got.values():
                yield [record for record in records if current.holds(record)]
                # What was fetched already is given without a pause, and all else in this process has its turn here.
                await asyncio.sleep(0)
            reached = {tp for tp in left if await _position(connection, consumer, tp) >= ends[tp]}
            left -= reached
            if got or reached:
                last_progress = now()
            elif now() - last_progress > NO_PROGRESS:
                raise KafkaUnavailable(
                    f"reading {', '.join(sorted({tp.topic for tp in left}))} made no progress for {NO_PROGRESS:.0f} s",
                    'is a transaction left open on it? docs/operations.md, "A transaction that never ends"',
                )
    finally:
        await connection.discard(consumer)


async def ends_of(
    connection: Connection, topics: Iterable[str], *, committed: bool = False
) -> dict[TopicPartition, int]:
    """Where each partition of the topics ends now, open transactions included; `committed`: before the first one."""
    asking = connection.consumer(committed=committed)
    await connection.start(asking)
    try:
        partitions = [tp for topic in topics for tp in await partitions_of(connection, asking, topic)]
        return await connection.call(asking.end_offsets(partitions), "ask for the end of a topic")
    finally:
        await connection.discard(asking)


class Current:
    """Tells the records that count from those that a key left behind in another partition."""

    def __init__(self, partitions: Iterable[TopicPartition]) -> None:
        self._counts = Counter(tp.topic for tp in partitions)
        self._found: dict[str, dict[bytes, int]] = {topic: {} for topic in self._counts}

    def holds(self, record: Any) -> bool:
        """May this record stand for its key?"""
        key, partition, found = record.key or b"", record.partition, self._found[record.topic]
        if found.setdefault(key, partition) == partition:
            return True
        home = (murmur2(key) & 0x7FFFFFFF) % self._counts[record.topic]
        if partition == home:
            found[key] = home
        return partition == home


async def partitions_of(connection: Connection, consumer: Any, topic: str) -> list[TopicPartition]:
    """The partitions of a topic, once the cluster knows them: a topic just created may take a moment."""
    # The consumer's public methods know a topic only after it was subscribed to, which these never are.
    found: set[int] = await connection.call(consumer._client._wait_on_metadata(topic), f"find the topic {topic}")
    return [TopicPartition(topic, number) for number in sorted(found)]


async def _position(connection: Connection, consumer: Any, tp: TopicPartition) -> int:
    return await connection.call(consumer.position(tp), "read a topic")
