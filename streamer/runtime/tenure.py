"""A slot while it is ours: fence, restore, poll and publish, until it is stopped or lost.

1. The slot's producer is started: whoever held the slot before can write no more.
2. Only then is the record read, to its true end, and what is kept on disk beside it.
3. A first feed status names the new writer, with whatever of the disk continues the record; polling begins.
4. Stopped: the poll in hand is finished and what waits is published. Lost (cancelled): neither; it is another's now.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TypeVar

import msgspec

from streamer.config import Config, Source
from streamer.errors import KafkaUnavailable
from streamer.kafka.restore import Restored
from streamer.runtime.channel import Channel
from streamer.runtime.desk import Desk
from streamer.runtime.journal import Journal
from streamer.runtime.outbox import Room
from streamer.runtime.poller import Poller
from streamer.runtime.ports import Clock, Observer, Store, Tracer, Vendors
from streamer.runtime.publisher import RETRY_BASE, RETRY_CAP, Away, Publisher
from streamer.tasks import ended
from streamer.vendor.budget import backoff

T = TypeVar("T")


class World(msgspec.Struct, frozen=True):
    """What all tenures of an instance share."""

    store: Store
    vendors: Vendors
    desk: Desk
    room: Room
    journal: Journal | None
    clock: Clock
    observer: Observer
    tracer: Tracer
    rng: random.Random
    instance: str


class _Polling:
    """A source's poller at work."""

    def __init__(self, poller: Poller, name: str) -> None:
        self.poller = poller
        self.stop = asyncio.Event()
        self.task = asyncio.create_task(poller.run(self.stop), name=f"poll {name}")

    async def end(self, patience: float) -> None:
        """Finish the poll in hand, within `patience` seconds."""
        self.stop.set()
        await asyncio.wait([self.task], timeout=patience)
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)


class Tenure:
    """One slot with its sources; `channels` by source name. `run` ends with Fenced when another has taken over."""

    def __init__(self, slot: int, config: Config, sources: Sequence[Source], world: World, away: Away) -> None:
        self.slot = slot
        self.channels: dict[str, Channel] = {}
        self._config = config
        self._world = world
        self._away = away
        self._sink = world.store.sink(slot)
        self._publisher = Publisher(self._sink, world.store, world.clock, world.observer, world.rng, away)
        self._pollers: dict[str, _Polling] = {}
        self._publishing: asyncio.Task[None] | None = None
        self._wanted = sources
        self._changed = asyncio.Event()
        self._failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        for source in sources:
            self._open(source)

    def _open(self, source: Source) -> Channel:
        world = self._world
        now = world.clock.now_ms()
        self.channels[source.name] = channel = Channel(
            self._config,
            source,
            delivery=world.store.delivery,
            # A source that goes and comes back within this tenure of the slot is another writer then.
            writer=f"{world.instance}-{now:x}-{world.rng.getrandbits(32):08x}",
            instance=world.instance,
            clock=world.clock,
            room=world.room,
            journal=world.journal,
            wake=self._publisher.wake,
        )
        return channel

    async def run(self) -> None:
        """Hold the slot until `finish`, or until it is lost."""
        tasks: list[asyncio.Task[None]] = []
        try:
            await self._sink_open()
            await self._begin(list(self.channels.values()))
            tasks += [
                asyncio.create_task(self._publisher.run(), name=f"publish {self.slot}"),
                asyncio.create_task(self._keep_up(), name=f"configure {self.slot}"),
            ]
            self._publishing = tasks[0]
            await asyncio.wait([*tasks, self._failed], return_when=asyncio.FIRST_COMPLETED)
            for over in (*tasks, self._failed):
                if over.done():
                    over.result()
        finally:
            await ended([polling.task for polling in self._pollers.values()] + tasks)
            await self._sink.close()
            for channel in self.channels.values():
                self._release(channel)

    async def _sink_open(self) -> None:
        """Step 1."""
        await self._insist(self._sink.open)

    async def _restored(self, sources: Sequence[str]) -> Restored:
        """Step 2. Nobody else can write in between: the producer of step 1 is the newest, or will find out that it is
        not.
        """
        restored = await self._insist(lambda: self._world.desk.restore(sources))
        self._away(None)
        return restored

    async def _insist(self, call: Callable[[], Awaitable[T]]) -> T:
        """What `call` gives, as often as it takes until Kafka is there."""
        attempt = 0
        while True:
            try:
                return await call()
            except KafkaUnavailable as error:
                attempt += 1
                self._away(error)
                await self._world.clock.sleep(backoff(attempt, RETRY_BASE, RETRY_CAP, self._world.rng))

    async def _keep_up(self) -> None:
        """Make each new configuration true."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            await self._adopt(self._config, {source.name: source for source in self._wanted})

    async def _adopt(self, config: Config, wanted: Mapping[str, Source]) -> None:
        gone = [channel for name, channel in self.channels.items() if name not in wanted]
        for name, source in wanted.items():
            channel = self.channels.get(name)
            if channel is None:
                continue
            before = channel.source
            channel.configure(config, source)
            if source != before:
                await self._pollers[name].end(config.shutdown_timeout / 2)
                self._poll(channel)
        await self._begin([self._open(source) for name, source in wanted.items() if name not in self.channels])
        await asyncio.gather(*(self._end(channel, "removed from the configuration") for channel in gone))
        if not self.channels:
            self._publisher.finish()

    async def _end(self, channel: Channel, reason: str) -> None:
        await self._pollers.pop(channel.name).end(self._config.shutdown_timeout / 2)
        channel.stop(reason)
        await channel.over.wait()
        del self.channels[channel.name]
        self._release(channel)

    def _release(self, channel: Channel) -> None:
        given_up = channel.close()
        if given_up:
            self._world.observer.problem("batches were given up", source=channel.name, batches=given_up)
        self._world.observer.released(channel.name)

    def update(self, config: Config, sources: Sequence[Source]) -> None:
        """Go on under this configuration, with these sources."""
        self._config, self._wanted = config, sources
        self._changed.set()

    async def _begin(self, channels: Sequence[Channel]) -> None:
        """Steps 2 and 3 for some channels of the slot, which is fenced."""
        if not channels:
            return
        restored = await self._restored([channel.name for channel in channels])
        for channel in channels:
            kept, broken = await self._world.journal.load(channel.name) if self._world.journal else ((), 0)
            superseded = channel.restore(restored.agents[channel.name], restored.feeds.get(channel.name), kept)
            self._tell_restored(channel, restored, superseded, broken)
            self._publisher.add(channel)
            self._poll(channel)

    def _tell_restored(self, channel: Channel, restored: Restored, superseded: int, broken: int) -> None:
        observer = self._world.observer
        lost = [place for place in restored.problems if place.startswith(f"{channel.config.kafka.state_topic}[")]
        channel.health = msgspec.structs.replace(
            channel.health,
            started_at=channel.moment(),
            lost=f"{len(lost)} records on the state topic could not be read" if lost else "",
        )
        observer.restored(channel.name, channel.state.agents)
        observer.outbox(channel.name, *channel.backlog())
        if channel.waiting:
            events = sum(item.events for item in channel.waiting)
            observer.resumed(channel.name, len(channel.waiting), events)
        if superseded or broken:
            observer.superseded(channel.name, superseded + broken)

    def _poll(self, channel: Channel) -> None:
        world = self._world
        source = world.vendors.source(channel.source)
        poller = Poller(channel, source, world.clock, world.observer, world.tracer, world.rng)
        polling = self._pollers[channel.name] = _Polling(poller, channel.name)
        polling.task.add_done_callback(self._poller_ended)

    def _poller_ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) and not self._failed.done():
            self._failed.set_exception(error)

    def prove(self) -> None:
        """Write now, even if there is nothing new: the slot may have been another's for a while without our knowing."""
        for channel in self.channels.values():
            channel.to_prove = True
        self._publisher.wake()

    def hint(self, source: str) -> bool:
        """Something has changed at a source; False if it is not polled here."""
        polling = self._pollers.get(source)
        if polling is not None:
            polling.poller.hint()
        return polling is not None

    @property
    def config(self) -> Config:
        """Under which it runs, or is about to."""
        return self._config

    @property
    def begun(self) -> bool:
        """Does it poll and publish yet?"""
        return self._publishing is not None

    @property
    def turns(self) -> dict[str, int]:
        """What its loops have got done, by their names; see `watchdog`."""
        turns = {f"publisher of slot {self.slot}": self._publisher.turns} if self.begun else {}
        return turns | {f"poller of source {name}": p.poller.turns for name, p in self._pollers.items()}

    async def finish(self, patience: float, reason: str) -> None:
        """Step 4: finish the polls in hand within `patience` seconds, then publish what waits. `run` returns when that
        is done. With a `reason` the feeds end with `stopped`.
        """
        await asyncio.gather(*(polling.end(patience) for polling in self._pollers.values()))
        if reason:
            for channel in self.channels.values():
                channel.stop(reason)
        self._publisher.finish()
