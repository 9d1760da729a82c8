"""The life of an instance: reach Kafka, fence, restore, poll and publish, stop in order.

1. Topics are created or verified; a broker that is away is waited for.
2. Every slot's producer is started: whoever held the slot before can write no more.
3. Only then is the record read, to its true end.
4. A first feed status names the new writer; then polling begins.
5. On `stop`: the poll in hand is finished, what waits is published, the feeds end with `stopped`.
"""

from __future__ import annotations

import asyncio
import random
from collections import defaultdict
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any

import msgspec

from streamer.config import Config
from streamer.errors import CheckFailed, KafkaUnavailable
from streamer.kafka.restore import Restored
from streamer.kafka.store import slot_of
from streamer.runtime.channel import Channel
from streamer.runtime.poller import Poller
from streamer.runtime.ports import Clock, Observer, Sink, Source, Store
from streamer.runtime.publisher import RETRY_BASE, RETRY_CAP, Publisher
from streamer.vendor.budget import backoff


class Supervisor:
    """Runs every source of `config`. `channels` may be looked at by the wallboard; `ready` once polling began."""

    def __init__(
        self,
        config: Config,
        store: Store,
        sources: Mapping[str, Source],
        clock: Clock,
        observer: Observer,
        rng: random.Random,
        instance: str,
    ) -> None:
        self._config = config
        self._store = store
        self._sources = sources
        self._clock = clock
        self._observer = observer
        self._rng = rng
        self.ready = False
        self.trouble = "Kafka has not been reached yet"
        now = clock.now_ms()
        self.writer = f"{instance}-{now:x}-{rng.getrandbits(32):08x}"
        self._publishers: dict[int, Publisher] = {}
        self.channels = {
            source.name: Channel(
                config,
                source,
                delivery=store.delivery,
                writer=self.writer,
                instance=instance,
                now=now,
                wake=self._wake(slot_of(source.name)),
            )
            for source in config.sources
        }

    def _wake(self, slot: int) -> Callable[[], None]:
        def wake() -> None:
            if slot in self._publishers:
                self._publishers[slot].wake()

        return wake

    async def run(self, stop: asyncio.Event) -> None:
        """Run until `stop`. Fenced, KafkaRefused, TopicsWrong end it; CheckFailed counts what a stop left undone."""
        slots: dict[int, list[Channel]] = defaultdict(list)
        for name, channel in self.channels.items():
            slots[slot_of(name)].append(channel)
        sinks = {slot: self._store.sink(slot) for slot in slots}
        try:
            restored = await _unless(stop, self._reach(sinks))
            if restored is None:
                return
            self._begin(restored)
            for slot, channels in slots.items():
                self._publishers[slot] = Publisher(
                    channels, sinks[slot], self._store, self._clock, self._observer, self._rng
                )
            await self._work(stop)
        finally:
            self.ready = False
            await asyncio.gather(*(sink.close() for sink in sinks.values()))

    async def _reach(self, sinks: Mapping[int, Sink]) -> Restored:
        """Steps 1 to 3, as often as it takes."""
        attempt = 0
        while True:
            try:
                await self._store.prepare()
                await asyncio.gather(*(sink.open() for sink in sinks.values()))
                return await self._store.restore(list(self.channels))
            except KafkaUnavailable as error:
                if attempt == 0:
                    self._observer.kafka(error)
                self.trouble = str(error)
            attempt += 1
            await self._clock.sleep(backoff(attempt, RETRY_BASE, RETRY_CAP, self._rng))

    def _begin(self, restored: Restored) -> None:
        for problem in restored.problems:
            self._observer.problem("skipped a record that is not ours", where=problem)
        now = self._clock.now_ms()
        for name, channel in self.channels.items():
            channel.restore(restored.agents[name], restored.feeds.get(name))
            channel.health = msgspec.structs.replace(channel.health, started_at=now)
            self._observer.restored(name, restored.agents[name])
        self._observer.kafka(None)
        self.ready, self.trouble = True, ""

    async def _work(self, stop: asyncio.Event) -> None:
        pollers = [
            asyncio.create_task(
                Poller(channel, self._sources[name], self._clock, self._observer, self._rng).run(stop),
                name=f"poll {name}",
            )
            for name, channel in self.channels.items()
        ]
        publishers = [asyncio.create_task(p.run(), name=f"publish {slot}") for slot, p in self._publishers.items()]
        stopping = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait([stopping, *pollers, *publishers], return_when=asyncio.FIRST_COMPLETED)
            for task in (*pollers, *publishers):
                if task.done():
                    task.result()
            await self._wind_down(pollers, publishers)
        finally:
            for task in (stopping, *pollers, *publishers):
                task.cancel()
            await asyncio.gather(stopping, *pollers, *publishers, return_exceptions=True)

    async def _wind_down(self, pollers: Sequence[asyncio.Task[None]], publishers: Sequence[asyncio.Task[None]]) -> None:
        """Step 5, within shutdown_timeout: half of it for the polls in hand, the rest for Kafka."""
        deadline = self._clock.monotonic() + self._config.shutdown_timeout
        _, hanging = await asyncio.wait(pollers, timeout=self._config.shutdown_timeout / 2)
        for task in hanging:
            task.cancel()
        for channel in self.channels.values():
            channel.health = msgspec.structs.replace(channel.health, stopped=True, trouble="the instance was shut down")
        for publisher in self._publishers.values():
            publisher.finish()
        done, _ = await asyncio.wait(publishers, timeout=max(0.1, deadline - self._clock.monotonic()))
        for task in done:
            task.result()
        left = sum(len(channel.waiting) for channel in self.channels.values())
        events = sum(len(item.events) for channel in self.channels.values() for item in channel.waiting)
        if left:
            raise CheckFailed(
                f"stopped with {left} batches ({events} events) unpublished: Kafka did not take them in time",
                "they are inferred again from the next poll as far as the vendor's books show them",
            )


async def _unless(stop: asyncio.Event, work: Coroutine[Any, Any, Restored]) -> Restored | None:
    """The result of `work`, or None if `stop` comes first."""
    task = asyncio.create_task(work)
    stopping = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait([task, stopping], return_when=asyncio.FIRST_COMPLETED)
        return task.result() if task.done() else None
    finally:
        for pending in (task, stopping):
            pending.cancel()
        await asyncio.gather(task, stopping, return_exceptions=True)
