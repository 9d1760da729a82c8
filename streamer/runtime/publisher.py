"""One slot's publisher: takes what waits in its channels to Kafka, in order, each batch once.

1. Events, states and the feed's cursor of one or more batches go in one transaction.
2. Whatever error comes back, its outcome is unknown. A new producer fences the old one, so that nothing of it can still
   arrive; then the cursor in Kafka tells whether the transaction was committed.
3. Cursor as intended: committed. Cursor as before: not committed, written again. Any other cursor: somebody else has
   taken over, and this tenure ends.
4. Fenced at once: if another writer's cursor shows up, it was a take-over. If none does, the broker had ended a slow
   transaction, and rule 2 applies.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping, Sequence

import msgspec

from streamer.core.feed import Cursor
from streamer.errors import Fenced, KafkaUnavailable
from streamer.kafka.serde import Record, encode_feed
from streamer.runtime.channel import Channel, Written
from streamer.runtime.ports import Clock, Observer, Sink, Store
from streamer.vendor.budget import backoff

MOST_BYTES = 8 * 2**20
"""Of one transaction, about: a long backlog is published in portions that commit well within the call's time-out."""

TICK = 0.5
"""Seconds between two looks at whether a feed's status changed by time alone."""

CLAIM_PATIENCE = 8.0
"""Seconds in which an instance that fenced us is expected to have written its first feed status."""

RETRY_BASE, RETRY_CAP = 0.2, 5.0
"""Seconds between attempts to reach Kafka again: soon at first, and soon enough after a long outage."""


class _Portion(msgspec.Struct, frozen=True):
    """What one transaction holds of a channel: `count` batches, and the feed status that goes with them."""

    channel: Channel
    count: int
    cursor: Cursor
    written: Written
    records: Sequence[Record]


class Publisher:
    """Publishes for `channels`, all of one slot. The sink must be open, and the channels restored."""

    def __init__(
        self,
        channels: Sequence[Channel],
        sink: Sink,
        store: Store,
        clock: Clock,
        observer: Observer,
        rng: random.Random,
    ) -> None:
        self._channels = channels
        self._sink = sink
        self._store = store
        self._clock = clock
        self._observer = observer
        self._rng = rng
        self._news = asyncio.Event()
        self._finish = False
        self._away = False

    def wake(self) -> None:
        """There is something to publish."""
        self._news.set()

    def finish(self) -> None:
        """Publish what waits and the last feed status, then return from `run`."""
        self._finish = True
        self._news.set()

    async def run(self) -> None:
        """Publish until `finish`; raises Fenced or KafkaRefused when this tenure is over."""
        while True:
            portions = self._gather()
            if portions:
                await self._write(portions)
                continue
            if self._finish:
                return
            self._news.clear()
            try:
                async with asyncio.timeout(TICK):
                    await self._news.wait()
            except TimeoutError:
                pass

    def _gather(self) -> list[_Portion]:
        """The next transaction: the oldest batches, and every feed status that is due."""
        now = self._clock.now_ms()
        room = MOST_BYTES
        portions: list[_Portion] = []
        for channel in self._channels:
            count = 0
            records: list[Record] = []
            for item in channel.waiting:
                if records and item.size > room:
                    break
                records.extend(item.records)
                room -= item.size
                count += 1
            if not count and not channel.feed_due(now):
                continue
            if not count and channel.waiting:
                continue
            feed = channel.feed(now, count)
            assert feed.cursor is not None  # noqa: S101 - a channel's own feed always has one
            records.append(encode_feed(feed, channel.config.kafka))
            written = Written(feed.status, feed.reason, feed.since, feed.at)
            portions.append(_Portion(channel, count, feed.cursor, written, records))
        return portions

    async def _write(self, portions: Sequence[_Portion]) -> None:
        try:
            await self._sink.write([record for portion in portions for record in portion.records])
        except Fenced as error:
            await self._told_apart(error)
            await self._settle(portions, error)
        except KafkaUnavailable as error:
            await self._settle(portions, error)
        else:
            self._committed(portions)

    def _committed(self, portions: Sequence[_Portion]) -> None:
        self._back()
        now = self._clock.now_ms()
        for portion in portions:
            channel = portion.channel
            before, channel.written = channel.written, portion.written
            done = channel.drop_committed(portion.count)
            channel.cursor = portion.cursor
            for item in done:
                self._observer.committed(channel.name, item.events, item.states, item.forgotten, now)
            if before is None or before.status != portion.written.status:
                self._observer.feed(channel.name, portion.written.status, portion.written.reason)

    async def _settle(self, portions: Sequence[_Portion], error: KafkaUnavailable | Fenced) -> None:
        cursors = await self._reopened(error)
        for portion in portions:
            found = cursors[portion.channel.name]
            if found not in (portion.cursor, portion.channel.cursor):
                raise Fenced(
                    f"source {portion.channel.name}: another instance has published meanwhile",
                    "run one instance for these topics",
                )
        committed = [p for p in portions if p.cursor == cursors[p.channel.name] and p.cursor != p.channel.cursor]
        self._committed(committed)

    def _back(self) -> None:
        if self._away:
            self._away = False
            self._observer.kafka(None)

    async def _reopened(self, error: KafkaUnavailable | Fenced) -> Mapping[str, Cursor | None]:
        """Rules 2 and 3: a new producer, then the cursors; as often as it takes."""
        attempt = 0
        reason: KafkaUnavailable | Fenced = error
        while True:
            if not self._away:
                self._away = True
                self._observer.kafka(reason)
            attempt += 1
            await self._clock.sleep(backoff(attempt, RETRY_BASE, RETRY_CAP, self._rng))
            try:
                await self._sink.open()
                return await self._store.cursors([channel.name for channel in self._channels])
            except KafkaUnavailable as again:
                reason = again

    async def _told_apart(self, error: Fenced) -> None:
        """Rule 4: raises Fenced if another writer shows up within CLAIM_PATIENCE."""
        deadline = self._clock.monotonic() + CLAIM_PATIENCE
        while self._clock.monotonic() < deadline:
            try:
                cursors = await self._store.cursors([channel.name for channel in self._channels])
            except KafkaUnavailable:
                return
            for channel in self._channels:
                found = cursors[channel.name]
                if found is not None and found != channel.cursor and found.writer != channel.writer:
                    raise Fenced(
                        f"source {channel.name}: another instance has taken over", "run one instance for these topics"
                    ) from error
            await self._clock.sleep(TICK)
