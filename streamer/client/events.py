"""`AgentEvents`: every event once, in order, with proof that none is missing."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager, suppress
from datetime import datetime
from types import TracebackType
from typing import Any

import msgspec
from aiokafka import TopicPartition
from aiokafka.errors import CommitFailedError

from streamer.client.batches import Batch, Finding, Interrupted, Item, Poison, Rebalanced
from streamer.client.feeds import Feeds, Now, is_live, poisoned, utc_now
from streamer.client.places import Assignments, Place, Start, places
from streamer.client.records import AgentStateChanged, FeedStatus
from streamer.client.sequences import Last, Repeat, check
from streamer.client.session import Retry, Session, opened, same_topic
from streamer.config import Kafka
from streamer.errors import KafkaError, KafkaUnavailable
from streamer.kafka import topics
from streamer.kafka.connection import Connection
from streamer.kafka.framing import body
from streamer.kafka.restore import partitions_of

IDLE = 0.2
"""Seconds that one look waits for events."""

TURN = 1.0
"""Seconds after which a batch is given out although there is nothing new, and a group's offsets are committed."""

SETTLE = 8.0
"""Seconds that a rebalance waits for the batch in hand; the group waits for ten."""


def warn(finding: Finding) -> None:
    """What becomes of findings if nobody takes them: a warning in the log `streamer.client`."""
    level = logging.INFO if isinstance(finding, Rebalanced) else logging.WARNING
    logging.getLogger("streamer.client").log(level, "%s", finding)


class AgentEvents:
    """Reads the events topic, committed records only. Iterate over it for events, or over `batches()`.

    kafka: bootstrap servers, or a whole `[kafka]` section. group: members share the partitions and go on at the
    group's offsets; without one all partitions are read. start: where to begin where there is no offset of a group's:
    "beginning", "end", a moment (of observed_at), or the positions that were kept. numbers: the last event of each
    extension, as kept with the positions. on_finding: gets gaps, repeats, lost epochs, damaged records, interruptions
    and rebalances as they are found; without it each is a warning in the log.

    A Kafka that is away is waited for. KafkaRefused: wrong log-in or rights. TopicsWrong: there is no such topic, or it
    was made anew since the positions were kept: going on would leave out what is there now.
    """

    def __init__(
        self,
        kafka: str | Kafka,
        *,
        group: str | None = None,
        start: Start = "beginning",
        numbers: Mapping[str, Last] | None = None,
        on_finding: Callable[[Finding], None] = warn,
        now: Now = utc_now,
    ) -> None:
        config = kafka if isinstance(kafka, Kafka) else Kafka(bootstrap_servers=kafka)
        self._connection = Connection(config, client_id="streamer-client")
        self._group = group
        self._start: Start = start
        self._on_finding = on_finding
        self._now = now
        self._feeds = Feeds()
        self._handed = bool(numbers)
        self._numbers: dict[int | None, dict[str, Last]] = {None: dict(numbers or {})}
        self._positions: dict[int, int] = dict(start) if isinstance(start, Mapping) else {}
        self._places: Mapping[TopicPartition, Place] = {}
        self._given: dict[int, int] = {}
        self._next: dict[int, int] = {}
        self._decoder = msgspec.json.Decoder(AgentStateChanged)
        self._idle = asyncio.Event()
        self._session: Session | None = None
        self._running: AsyncGenerator[Any] | None = None

    async def __aenter__(self) -> AgentEvents:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(KafkaError):
            await self.commit()
        if self._running is not None:
            await self._running.aclose()

    @property
    def feeds(self) -> Mapping[str, FeedStatus]:
        """The newest status of each source's feed."""
        return self._feeds.statuses

    def live(self, source: str) -> bool:
        """Is the source's feed live, and said so within three heartbeats?"""
        return is_live(self._feeds.statuses.get(source), self._now())

    def complete_until(self, source: str) -> datetime | None:
        """The vendor's moment before which all that was seen has been given out; None while that is not known."""
        return self._feeds.complete.get(source)

    def __aiter__(self) -> AsyncIterator[AgentStateChanged]:
        self._running = running = self._events()
        return running

    async def _events(self) -> AsyncGenerator[AgentStateChanged]:
        async with aclosing(self._batches()) as batches:
            async for batch in batches:
                for finding in batch.findings:
                    self._on_finding(finding)
                for item in batch.items:
                    yield item.event
                    self._given[item.partition] = item.offset + 1

    def batches(self) -> AsyncGenerator[Batch]:
        """What each look at the topics brings; one without events about once a second.

        In a group a batch counts as done once the next one is asked for, and its offsets are committed within a second.
        """
        self._running = running = self._batches()
        return running

    async def commit(self) -> None:
        """Commit a group's offsets for the events that are done."""
        if self._group is None or self._session is None:
            return
        consumer = self._session.consumer
        if done := {tp: self._given[tp.partition] for tp in self._places.keys() & consumer.assignment()}:
            try:
                await self._connection.call(consumer.commit(done), "commit the group's offsets")
            except KafkaUnavailable as error:
                # Somebody joins or leaves at this moment: who is given the partitions begins where the last commit was.
                if not isinstance(error.__cause__, CommitFailedError):
                    raise

    async def _settle(self) -> None:
        """Before a rebalance: let the batch in hand be done, if it does not take long, and commit."""
        with suppress(TimeoutError, KafkaError):
            await asyncio.wait_for(self._idle.wait(), SETTLE)
            await self.commit()

    async def _batches(self) -> AsyncGenerator[Batch]:
        retry = Retry()
        while True:
            told: list[Interrupted] = []
            try:
                async with aclosing(self._read()) as batches:
                    async for batch in batches:
                        retry.succeeded()
                        yield batch
            except KafkaUnavailable as error:
                told = retry.failed(error)
            if told:
                yield self._batch([], told, [], {})
            await retry.rest()

    async def _read(self) -> AsyncGenerator[Batch]:
        """One session's batches."""
        now = asyncio.get_running_loop().time
        async with self._opened() as (events, feeds, group):
            turn = now()
            while True:
                got = await events.look(IDLE)
                told = await feeds.look(0)
                fresh, poison = self._feeds.take(record for records in told.values() for record in records)
                await self._feeds.claim(events, fresh, list(self._places))
                complete = await self._feeds.kept(events)
                # Nothing that can fail may come between here and the batch: what is taken counts as given out.
                findings = [*poison, *(self._regrouped(group) if group is not None else [])]
                items, numbers = self._taken(got, findings)
                if items or findings or fresh or complete or now() - turn >= TURN:
                    self._idle.clear()
                    yield self._batch(items, findings, fresh, numbers, complete)
                    self._idle.set()
                    self._given |= self._positions
                    if now() - turn >= TURN:
                        await self.commit()
                        turn = now()

    @asynccontextmanager
    async def _opened(self) -> AsyncGenerator[tuple[Session, Session, Assignments | None]]:
        """Sessions for the events and the feed, placed where reading begins."""
        connection, config = self._connection, self._connection.config
        wanted = [config.events_topic, config.feed_topic]
        await topics.require(connection, wanted)
        async with opened(connection, self._group) as events, opened(connection) as feeds:
            feeds.consumer.assign(await partitions_of(connection, feeds.consumer, config.feed_topic))
            group = None
            if self._group is None:
                partitions = await partitions_of(connection, events.consumer, config.events_topic)
                events.consumer.assign(partitions)
                self._place(await places(connection, events, partitions, self._positions or self._start))
                for tp, place in self._places.items():
                    events.consumer.seek(tp, place.read)
            else:
                group = Assignments(connection, events, self._start, self._settle)
                events.consumer.subscribe([config.events_topic], listener=group)
            self._feeds.forget_claims()
            self._session = events
            try:
                yield events, feeds, group
            finally:
                self._session = None

    def _place(self, found: Mapping[TopicPartition, Place]) -> None:
        self._places = dict(found)
        self._positions = {tp.partition: place.give for tp, place in found.items()}
        self._given = dict(self._positions)
        self._next = {tp.partition: place.read for tp, place in found.items()}

    def _regrouped(self, group: Assignments) -> list[Finding]:
        """Take over what the group's last rebalance gave us; what others had meanwhile is known no more."""
        group.check()
        if not group.news:
            self._places = {tp: place for tp, place in self._places.items() if tp in group.ours}
            return []
        group.news = False
        self._numbers = {}
        self._place(group.ours)
        return [Rebalanced(tuple(tp.partition for tp in self._places))]

    def _taken(
        self, got: Mapping[TopicPartition, Sequence[Any]], findings: list[Finding]
    ) -> tuple[list[Item], dict[str, Last]]:
        """New events of these records, and the numbers that changed; what else there is goes to `findings`."""
        items: list[Item] = []
        touched: dict[str, Last] = {}
        for tp, records in got.items():
            place = self._places.get(tp)
            if place is None:  # revoked, or not yet placed: it will be read again by whoever has it
                continue
            partition = tp.partition
            # Where its offset is out of range aiokafka begins at the beginning.
            same_topic(tp, self._next[partition], records[0].offset)
            self._next[partition] = records[-1].offset + 1
            numbers = self._numbers.setdefault(partition if self._group else None, {})
            whole = place.whole or self._handed
            for record in records:
                value = body(record.value or b"")
                event = self._read_event(record, value)
                if isinstance(event, Poison):
                    if record.offset >= place.give:
                        findings.append(event)
                    continue
                key = record.key.decode()
                found = check(numbers, key, event, partition, record.offset, whole=whole)
                if record.offset < place.give:
                    continue
                if found is not None:
                    findings.append(found)
                    if type(found) is Repeat:
                        continue
                items.append(Item(event, value, partition, record.offset, record.timestamp))
                touched[key] = numbers[key]
            self._positions[partition] = max(place.give, records[-1].offset + 1)
        return items, touched

    def _read_event(self, record: Any, value: bytes) -> AgentStateChanged | Poison:
        try:
            event = self._decoder.decode(value)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            return poisoned(record, str(error))
        if event.type != "AgentStateChanged" or not event.schema_version.startswith("1."):
            return poisoned(record, f"it is {event.type[:80]!r} {event.schema_version[:20]!r}, not AgentStateChanged 1")
        if not 0 < event.sequence < 2**63:
            return poisoned(record, f"its sequence is {event.sequence}")
        if record.key != f"{event.source}/{event.extension}".encode():
            return poisoned(record, f"its key is not {event.source}/{event.extension}")
        return event

    def _batch(
        self,
        items: Sequence[Item],
        findings: Sequence[Finding],
        feeds: Sequence[FeedStatus],
        numbers: Mapping[str, Last],
        complete: Mapping[str, datetime] | None = None,
    ) -> Batch:
        return Batch(items, findings, feeds, dict(self._positions), numbers, complete or {})
