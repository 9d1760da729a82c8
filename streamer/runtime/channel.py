"""One source's line from its poller to its publisher: what waits to be published, and how its feed stands."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping, Sequence

import msgspec

from streamer.config import Config, Source
from streamer.core.feed import Cursor, Delivery, FeedStatus, Health, Status, judge
from streamer.core.model import SECOND, AgentState, AgentStateChanged, Batch, Seat, SourceState
from streamer.core.rejected import Told
from streamer.kafka.restore import LastFeed
from streamer.kafka.serde import Record, encode


class Waiting(msgspec.Struct, frozen=True):
    """A numbered batch that waits. Its number was given for good: it is published, or the tenure ends."""

    number: int
    records: tuple[Record, ...]
    size: int
    events: Sequence[AgentStateChanged]
    states: Sequence[AgentState]
    forgotten: Sequence[str]
    complete_until: int | None


class Written(msgspec.Struct, frozen=True):
    """The last FeedStatus that was committed: when (unix ms) and what it said."""

    status: Status
    reason: str
    since: int
    at: int


class Channel:
    """Poller and publisher of one source share this; both run in one event loop.

    `cursor` is the last batch committed; `writer` names this tenure; `wake` is called when there
    is something to publish.
    """

    def __init__(
        self,
        config: Config,
        source: Source,
        *,
        delivery: Delivery,
        writer: str,
        instance: str,
        now: int,
        wake: Callable[[], None],
    ) -> None:
        self.config = config
        self.source = source
        self.settings = config.settings(source)
        self.delivery: Delivery = delivery
        self.writer = writer
        self.instance = instance
        self.wake = wake
        self.state = SourceState(agents={})
        self.by_bytes: Mapping[bytes, Seat] = {}
        self.health = Health(started_at=now)
        self.told = Told()
        self.waiting: deque[Waiting] = deque()
        self.waiting_bytes = 0
        self.cursor: Cursor | None = None
        self.number = 0
        self.written: Written | None = None
        self.room = asyncio.Event()
        self.room.set()
        self._digest = config.digest()

    @property
    def name(self) -> str:
        """The source's name."""
        return self.source.name

    def restore(self, agents: Mapping[str, AgentState], feed: LastFeed | None) -> None:
        """Begin where the record ends. The next batch's parent is the restored cursor."""
        self.state = SourceState(
            agents=agents,
            complete_until=feed and feed.confirmed_until,
            offset=feed and feed.offset,
        )
        self.cursor = feed and feed.cursor

    def take(self, batch: Batch, secrets: Sequence[str]) -> None:
        """Number the batch and let it wait, unless it is empty."""
        batch = msgspec.structs.replace(batch, rejected=self.told.only_new(batch.rejected))
        if batch.empty:
            return
        records = encode(batch, self.config.kafka, self.told, secrets)
        self.number += 1
        item = Waiting(
            number=self.number,
            records=records,
            size=sum(record.size for record in records),
            events=batch.events,
            states=batch.states,
            forgotten=batch.forgotten,
            complete_until=self.state.complete_until,
        )
        self.waiting.append(item)
        self.waiting_bytes += item.size
        if self.waiting_bytes >= self.config.outbox.max_bytes:
            self.room.clear()
        self.wake()

    def drop_committed(self, count: int) -> list[Waiting]:
        """The oldest `count` batches were committed: forget and return them, move the cursor."""
        done = [self.waiting.popleft() for _ in range(count)]
        self.waiting_bytes -= sum(item.size for item in done)
        if done:
            self.cursor = Cursor(self.writer, done[-1].number)
        if self.waiting_bytes < self.config.outbox.max_bytes:
            self.room.set()
        return done

    def report(self, health: Health) -> None:
        """The poller's news about its source; wakes the publisher if the feed's status is another one now."""
        before, self.health = self.health, health
        if (before.refused, before.doubted, before.full) != (health.refused, health.doubted, health.full) or (
            before.good_at is None and health.good_at is not None
        ):
            self.wake()

    def status(self, now: int) -> tuple[Status, str]:
        """The feed's status as of `now` (unix ms), and why."""
        return judge(self.health, now, round(self.source.poll_interval * SECOND))

    def feed_due(self, now: int) -> bool:
        """Must a FeedStatus be written: another status, or the heartbeat's time?"""
        last = self.written
        if last is None or self.status(now)[0] != last.status:
            return True
        return abs(now - last.at) >= self.config.feed.heartbeat * SECOND

    def feed(self, now: int, including: int) -> FeedStatus:
        """The FeedStatus to commit together with the oldest `including` waiting batches."""
        status, reason = self.status(now)
        last = self.written
        since = last.since if last is not None and last.status == status else now
        left = len(self.waiting) - including
        if left == 0:
            complete, cursor = self.state.complete_until, Cursor(self.writer, self.number)
        elif including:
            newest = self.waiting[including - 1]
            complete, cursor = newest.complete_until, Cursor(self.writer, newest.number)
        else:
            raise ValueError("a feed is written with the oldest waiting batch, not past it")
        size = self.waiting_bytes - sum(self.waiting[i].size for i in range(including))
        return FeedStatus(
            source=self.name,
            status=status,
            since=since,
            reason=reason,
            at=now,
            confirmed_until=complete,
            poll_interval_s=self.source.poll_interval,
            heartbeat_s=self.config.feed.heartbeat,
            extensions=sum(1 for agent in self.state.agents.values() if agent.groups),
            delivery=self.delivery,
            cursor=cursor,
            outbox_batches=left,
            outbox_bytes=size,
            superseded=0,
            clock_offset=self.state.offset,
            config_digest=self._digest,
            instance=self.instance,
        )
