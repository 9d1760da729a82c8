"""One tenure of a source, from its poller to its publisher: what waits to be published, and how its feed stands."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice, takewhile

import msgspec

from streamer.config import Config, Source
from streamer.core.feed import Cursor, Delivery, FeedStatus, Health, Status, judge
from streamer.core.model import SECOND, AgentState, Batch, SourceState
from streamer.core.quick.door import Quick
from streamer.core.rejected import Told
from streamer.core.thaw import read_agent_state
from streamer.kafka.restore import LastFeed
from streamer.kafka.serde import Headers, encode
from streamer.runtime.journal import Journal
from streamer.runtime.outbox import Kept, Load, Room, Waiting, unpack
from streamer.runtime.ports import Clock

FULL = "the outbox is full"

UNPACKED = 3
"""Batches that wait as they are: so many are on their way to Kafka, or next, while polls go on at their best pace."""


class Writing(msgspec.Struct, frozen=True):
    """The last FeedStatus that was committed: when (unix ms) and what it said."""

    status: Status
    reason: str
    since: int
    at: int


class Channel:
    """Poller and publisher of one source share this; all run in one event loop.

    `cursor` is the last batch committed; `writer` names this tenure; `wake` is called when there is something to
    publish. `superseded` counts the batches that were not published because another instance had gone on.
    """

    def __init__(
        self,
        config: Config,
        source: Source,
        *,
        delivery: Delivery,
        writer: str,
        instance: str,
        clock: Clock,
        room: Room,
        journal: Journal | None,
        wake: Callable[[], None],
    ) -> None:
        self.delivery: Delivery = delivery
        self.writer = writer
        self.instance = instance
        self.wake = wake
        self.configure(config, source)
        self.state = SourceState(agents={})
        self.clock = clock
        self.health = Health(started_at=self.moment())
        self.told = Told()
        self.waiting: deque[Waiting] = deque()
        self.cursor: Cursor | None = None
        self.number = 0
        self.superseded = 0
        self.written: Writing | None = None
        self.to_prove = False
        """A feed status must be written whatever it says: whether that succeeds tells whether the slot is ours."""
        self.over = asyncio.Event()
        """Set when its last feed status, `stopped`, is committed."""
        self._newest: Cursor | None = None
        self._room = room
        self._journal = journal
        self._unwritten = ""

    def configure(self, config: Config, source: Source) -> None:
        """Go on under this configuration, which may be another one than before."""
        self.config = config
        self.source = source
        self.quick = Quick(config.settings(source))

    @property
    def name(self) -> str:
        """The source's name."""
        return self.source.name

    def restore(self, agents: Mapping[str, AgentState], feed: LastFeed | None, kept: Sequence[Kept]) -> int:
        """Begin where the record ends, and go on with what is `kept` on disk as far as it continues the record.

        What does not is dropped; returns how many of those were never published: another instance has gone on.
        """
        self.cursor = self._newest = feed and feed.cursor
        complete, offset = (feed.confirmed_until, feed.offset) if feed else (None, None)
        known = dict(agents)
        superseded = 0
        for batch in kept:
            load = self._continuing(batch)
            if load is None:
                superseded += not batch.published_by(self._newest)
                self._forget(batch)
                continue
            self._wait(Waiting(batch, load, safe=True, packed=True))
            self._fold(load, known)
            complete, offset = batch.complete_until, batch.offset
        self.state = SourceState(agents=known, complete_until=complete, offset=offset)
        self.superseded = superseded + (feed.superseded if feed else 0)
        return superseded

    def _continuing(self, batch: Kept) -> Load | None:
        if not batch.follows(self._newest):
            return None
        try:
            return unpack(batch.packed)
        except ValueError:
            return None

    def _fold(self, load: Load, agents: dict[str, AgentState]) -> None:
        for record in load.records:
            if record.topic == self.config.kafka.state_topic:
                extension = record.key.decode().partition("/")[2]
                if record.value is None:
                    agents.pop(extension, None)
                else:
                    agents[extension] = read_agent_state(record.value)

    def take(self, batch: Batch, secrets: Sequence[str], trace: Headers = ()) -> None:
        """Number the batch and let it wait, unless it is empty. `trace` goes with its events: see `encode`."""
        batch = msgspec.structs.replace(batch, rejected=self.told.only_new(batch.rejected))
        if batch.empty:
            return
        records = encode(batch, self.config.kafka, self.told, secrets, trace)
        load = Load(records, batch.events, batch.states, batch.forgotten)
        self.number += 1
        # What is published soon is not worth packing.
        packed = len(self.waiting) >= UNPACKED or self._journal is not None
        kept = Kept(
            source=self.name,
            cursor=Cursor(self.writer, self.number),
            parent=self._newest,
            complete_until=self.state.complete_until,
            offset=self.state.offset,
            packed=load.packed() if packed else b"",
        )
        item = Waiting(kept, load, safe=self._journal is None, packed=packed)
        self._wait(item)
        if self._journal is None:
            self.wake()
        else:
            self._journal.keep(kept, lambda problem: self._kept(item, problem))

    def _wait(self, item: Waiting) -> None:
        self._newest = item.cursor
        self.waiting.append(item)
        self._room.change(self.name, item.size)

    def _kept(self, item: Waiting, problem: str) -> None:
        """The batch is on disk; or it is not, and may be published all the same: it waits in memory only."""
        item.safe = True
        self._unwritten = problem
        self.wake()

    @property
    def writers(self) -> set[str]:
        """Whose cursors are this tenure's: its own, and of those whose batches it found on disk."""
        return {self.writer, *(item.cursor.writer for item in self.waiting)}

    @property
    def ended(self) -> bool:
        """Is its last feed status committed, and nothing left to publish?"""
        return self.written is not None and self.written.status == "stopped" and not self.waiting

    def blocked(self) -> str:
        """Why nothing more should be polled for now: there is no room for it, or no safe place. Empty if there is."""
        if not self._room.has_room(self.name):
            return FULL
        return self._unwritten if self.waiting else ""

    def publishable(self) -> Iterator[Waiting]:
        """What may be published now, oldest first."""
        return takewhile(lambda item: item.safe, self.waiting)

    def drop_committed(self, count: int, cursor: Cursor) -> list[Kept]:
        """The oldest `count` batches were committed, with this cursor; returns them."""
        dropped: list[Kept] = []
        for _ in range(count):
            item = self.waiting.popleft()
            self._room.change(self.name, -item.size)
            self._forget(item.kept)
            dropped.append(item.kept)
        self.cursor = cursor
        self.to_prove = False
        return dropped

    def _forget(self, batch: Kept) -> None:
        if self._journal is not None:
            self._journal.drop(batch)

    def backlog(self) -> tuple[int, int, int | None]:
        """How many batches wait, their bytes, and the moment of the oldest one's poll (unix ms)."""
        return len(self.waiting), self._room.used_by(self.name), self.waiting[0].at if self.waiting else None

    def stop(self, reason: str) -> None:
        """Its feed ends; what waits is published before that."""
        self.health = msgspec.structs.replace(self.health, stopped=True, trouble=reason)
        self.wake()

    def close(self) -> int:
        """The tenure is over. What waits stays on disk until the next tenure knows what became of it; without a disk it
        is given up: returns how many batches.
        """
        count = len(self.waiting)
        self._room.clear(self.name)
        self.waiting.clear()
        return 0 if self._journal is not None else count

    def report(self, health: Health) -> None:
        """The poller's news about its source; wakes the publisher if the feed's status is another one now."""
        before, self.health = self.health, health
        if (before.refused, before.doubted, before.blocked) != (health.refused, health.doubted, health.blocked) or (
            before.good_at is None and health.good_at is not None
        ):
            self.wake()

    def moment(self) -> int:
        """Now, in milliseconds of a clock that does not jump: what the feed is judged by."""
        return round(self.clock.monotonic() * SECOND)

    def status(self) -> tuple[Status, str]:
        """The feed's status now, and why."""
        return judge(self.health, self.moment(), round(self.source.poll_interval * SECOND))

    def feed_due(self, now: int) -> bool:
        """Must a FeedStatus be written: another status, a proof, or the heartbeat's time?"""
        last = self.written
        if last is None or self.to_prove or self.status()[0] != last.status:
            return True
        return abs(now - last.at) >= self.config.feed.heartbeat * SECOND

    def feed(self, now: int, including: int) -> FeedStatus:
        """The FeedStatus to commit together with the oldest `including` waiting batches."""
        status, reason = self.status()
        last = self.written
        since = last.since if last is not None and last.status == status else now
        left = len(self.waiting) - including
        if left == 0:
            complete, cursor = self.state.complete_until, Cursor(self.writer, self.number)
        elif including:
            newest = self.waiting[including - 1]
            complete, cursor = newest.kept.complete_until, newest.cursor
        else:
            raise ValueError("a feed is written with the oldest waiting batch, not past it")
        return FeedStatus(
            source=self.name,
            status=status,
            since=since,
            reason=reason,
            at=now,
            confirmed_until=complete,
            poll_interval_s=self.source.poll_interval,
            heartbeat_s=self.config.feed.heartbeat,
            extensions=self.quick.seated(self.state),
            delivery=self.delivery,
            cursor=cursor,
            outbox_batches=left,
            outbox_bytes=sum(item.size for item in islice(self.waiting, including, None)),
            superseded=self.superseded,
            clock_offset=self.state.offset,
            config_digest=self.config.digest,
            instance=self.instance,
        )
