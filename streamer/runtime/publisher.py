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
from collections.abc import Callable, Mapping, Sequence

import msgspec

from streamer.core.feed import Cursor
from streamer.errors import Fenced, KafkaUnavailable
from streamer.kafka.restore import LastFeed
from streamer.kafka.serde import Record, encode_feed
from streamer.observe.observer import Written
from streamer.runtime.channel import Channel, Writing
from streamer.runtime.outbox import Load
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

Away = Callable[[KafkaUnavailable | Fenced | None], None]
"""Told that a slot does not reach Kafka, and why; None when it does again."""


class _Portion(msgspec.Struct, frozen=True):
    """What one transaction holds of a channel: its oldest batches, and the feed status that goes with them."""

    channel: Channel
    loads: Sequence[Load]
    cursor: Cursor
    written: Writing
    feed: Record


class Publisher:
    """Publishes for channels of one slot. The sink must be open, and the channels restored."""

    def __init__(
        self, sink: Sink, store: Store, clock: Clock, observer: Observer, rng: random.Random, away: Away
    ) -> None:
        self._channels: list[Channel] = []
        self._sink = sink
        self._store = store
        self._clock = clock
        self._observer = observer
        self._rng = rng
        self._tell_away = away
        self._news = asyncio.Event()
        self._finish = False
        self._away = False
        self.turns = 0
        """Counts what it gets done: it stands still only if the publisher does."""

    def add(self, channel: Channel) -> None:
        """Publish for this channel too."""
        self._channels.append(channel)
        self._news.set()

    def wake(self) -> None:
        """There is something to publish."""
        self._news.set()

    def finish(self) -> None:
        """Publish what waits and every feed status that is due, then return from `run`."""
        self._finish = True
        self._news.set()

    async def run(self) -> None:
        """Publish until `finish`; raises Fenced or KafkaRefused when this tenure is over."""
        while True:
            self.turns += 1
            portions = self._gather()
            if portions:
                await self._write(portions)
                continue
            self._let_go()
            if self._finish and not any(channel.waiting for channel in self._channels):
                return
            self._news.clear()
            try:
                async with asyncio.timeout(TICK):
                    await self._news.wait()
            except TimeoutError:
                pass

    def _let_go(self) -> None:
        """Channels whose last word is committed are not published for any longer."""
        for channel in [c for c in self._channels if c.ended]:
            self._channels.remove(channel)
            channel.over.set()

    def _gather(self) -> list[_Portion]:
        """The next transaction: the oldest batches, and every feed status that is due."""
        now = self._clock.now_ms()
        room = MOST_BYTES
        portions: list[_Portion] = []
        for channel in self._channels:
            loads: list[Load] = []
            for item in channel.publishable():
                if loads and item.bulk > room:
                    break
                loads.append(item.load())
                room -= item.bulk
            if not loads and (channel.waiting or not channel.feed_due(now)):
                continue
            feed = channel.feed(now, len(loads))
            assert feed.cursor is not None  # noqa: S101 - a channel's own feed always has one
            written = Writing(feed.status, feed.reason, feed.since, feed.at)
            portions.append(_Portion(channel, loads, feed.cursor, written, encode_feed(feed, channel.config.kafka)))
        return portions

    async def _write(self, portions: Sequence[_Portion]) -> None:
        records: list[Record] = []
        for portion in portions:
            records += [record for load in portion.loads for record in load.records]
            records.append(portion.feed)
        begun = self._clock.monotonic()
        try:
            await self._sink.write(records)
        except Fenced as error:
            self._written("fenced", begun)
            await self._told_apart(error)
            await self._settle(portions, error)
        except KafkaUnavailable as error:
            self._written("unknown", begun)
            await self._settle(portions, error)
        else:
            self._written("committed", begun)
            self._committed(portions)

    def _written(self, outcome: Written, begun: float) -> None:
        self._observer.written(outcome, self._clock.monotonic() - begun)

    def _committed(self, portions: Sequence[_Portion]) -> None:
        self._reached(None)
        now = self._clock.now_ms()
        for portion in portions:
            channel = portion.channel
            before, channel.written = channel.written, portion.written
            dropped = channel.drop_committed(len(portion.loads), portion.cursor)
            for load, batch in zip(portion.loads, dropped, strict=True):
                self._observer.committed(channel.name, load.events, load.states, load.forgotten, now)
                self._observer.told_after(channel.name, load.told_after(batch.offset, now))
            self._observer.outbox(channel.name, *channel.backlog())
            if before is None or before.status != portion.written.status:
                self._observer.feed(channel.name, portion.written.status, portion.written.reason)

    def _reached(self, error: KafkaUnavailable | Fenced | None) -> None:
        """Tell why Kafka is away, as it is found out, and when it is back."""
        if self._away or error is not None:
            self._away = error is not None
            self._tell_away(error)

    async def _settle(self, portions: Sequence[_Portion], error: KafkaUnavailable | Fenced) -> None:
        feeds = await self._reopened(error)
        found = {portion.channel.name: _cursor(feeds, portion.channel) for portion in portions}
        for portion in portions:
            if found[portion.channel.name] not in (portion.cursor, portion.channel.cursor):
                raise _another(portion.channel, "has published meanwhile")
        self._committed([p for p in portions if p.channel.cursor != p.cursor == found[p.channel.name]])

    async def _reopened(self, error: KafkaUnavailable | Fenced) -> Mapping[str, LastFeed]:
        """Rules 2 and 3: a new producer, then the cursors; as often as it takes."""
        attempt = 0
        reason: KafkaUnavailable | Fenced = error
        while True:
            self._reached(reason)
            attempt += 1
            self.turns += 1
            await self._clock.sleep(backoff(attempt, RETRY_BASE, RETRY_CAP, self._rng))
            try:
                # Whoever has taken over meanwhile is not to be fenced by us. Only a glance: our own transaction may be
                # open, and it is the new producer that ends it.
                self._look_for_another(await self._store.glance())
                await self._sink.open()
                return await self._store.feeds()
            except KafkaUnavailable as again:
                reason = again

    async def _told_apart(self, error: Fenced) -> None:
        """Rule 4: raises Fenced if another writer shows up within CLAIM_PATIENCE."""
        deadline = self._clock.monotonic() + CLAIM_PATIENCE
        while self._clock.monotonic() < deadline:
            self.turns += 1
            try:
                self._look_for_another(await self._store.glance())
            except KafkaUnavailable:
                return
            await self._clock.sleep(TICK)

    def _look_for_another(self, feeds: Mapping[str, LastFeed]) -> None:
        """Raises Fenced if a cursor is neither ours nor the one that we began with."""
        for channel in self._channels:
            found = _cursor(feeds, channel)
            if found is not None and found != channel.cursor and found.writer not in channel.writers:
                raise _another(channel, "has taken over")


def _cursor(feeds: Mapping[str, LastFeed], channel: Channel) -> Cursor | None:
    return feeds[channel.name].cursor if channel.name in feeds else None


def _another(channel: Channel, what: str) -> Fenced:
    return Fenced(f"source {channel.name}: another instance {what}", "run one instance for these topics, or a group")
