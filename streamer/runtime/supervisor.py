"""The life of an instance: reach Kafka, hold the slots that are ours, follow the configuration, stop in order.

1. Topics are created or verified; a broker that is away is waited for.
2. Outside a group all slots are ours; in a group those that Kafka assigns. What changes is acted on slot by slot: one
   that stays is not disturbed, one that is lost ends at once, one that is gained begins as tenure.py says.
3. Fenced: outside a group the instance ends; in a group only the tenure does, and begins anew while the slot is ours.
4. On `stop`: the polls in hand are finished and what waits is published. Only outside a group do the feeds then say
   `stopped`: in a group another instance goes on.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Collection, Coroutine, Mapping, Sequence
from typing import Any

from streamer.config import Config, Source
from streamer.errors import CheckFailed, Fenced, KafkaError, KafkaUnavailable
from streamer.kafka.restore import Restored
from streamer.kafka.store import slot_of
from streamer.runtime.channel import Channel
from streamer.runtime.desk import Desk
from streamer.runtime.differences import Differences
from streamer.runtime.journal import Journal
from streamer.runtime.outbox import Room
from streamer.runtime.ports import Clock, Membership, Observer, Store, Vendors
from streamer.runtime.publisher import RETRY_BASE, RETRY_CAP
from streamer.runtime.tenure import Tenure, World
from streamer.runtime.watchdog import watch
from streamer.vendor.budget import backoff

AGAIN = 2.0
"""Seconds until a slot from which we were fenced, but which is ours by Kafka's word, is begun anew."""


class Supervisor:
    """Runs every source of `config`, or those of the slots that `membership` assigns."""

    def __init__(
        self,
        config: Config,
        store: Store,
        vendors: Vendors,
        clock: Clock,
        observer: Observer,
        rng: random.Random,
        instance: str,
        *,
        membership: Membership | None = None,
        journal: Journal | None = None,
    ) -> None:
        self.config = config
        self.membership = membership
        self._store = store
        self._clock = clock
        self._observer = observer
        self._rng = rng
        self._slots = config.slots
        self._differences = Differences(instance, observer, clock)
        room = Room(config.outbox.max_bytes, len(config.sources))
        self._world = World(
            store, vendors, Desk(store, clock, self._found), room, journal, clock, observer, rng, instance
        )
        self._assigned: frozenset[int] | None = None
        self._tenures: dict[int, Tenure] = {}
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._away: dict[int, KafkaError] = {}
        self._skipped: set[str] = set()
        self._turn = asyncio.Event()
        self._failure: BaseException | None = None
        self._prepared = False
        self._trouble = "Kafka has not been reached yet"

    @property
    def channels(self) -> Mapping[str, Channel]:
        """The sources that this instance has now, by name."""
        return {name: channel for tenure in self._tenures.values() for name, channel in tenure.channels.items()}

    @property
    def trouble(self) -> str:
        """What keeps this instance from working at all; empty if nothing does."""
        if not self._prepared:
            return self._trouble
        return "" if self._assigned is not None else "the group has not assigned any slots yet"

    async def run(self, stop: asyncio.Event) -> None:
        """Run until `stop`. Fenced, KafkaRefused, TopicsWrong, Wedged end it; CheckFailed counts what a stop left."""
        tasks: list[asyncio.Task[Any]] = []
        try:
            if await _unless(stop, self._reach()):
                self._prepared = True
                tasks += [self._guarded(watch(lambda: self._turns, self._clock)), self._guarded(self._take_part())]
                await self._reconcile_until(stop)
                await self._wind_down()
        finally:
            self._prepared, self._trouble = False, "stopping"
            await _ended([*self._tasks.values(), *tasks])
            await self._world.desk.close()

    async def _reach(self) -> bool:
        """Step 1, as often as it takes."""
        attempt = 0
        while True:
            try:
                await self._store.prepare()
            except KafkaUnavailable as error:
                if attempt == 0:
                    self._observer.kafka(error)
                self._trouble = str(error)
            else:
                self._observer.kafka(None)
                return True
            attempt += 1
            await self._clock.sleep(backoff(attempt, RETRY_BASE, RETRY_CAP, self._rng))

    async def _take_part(self) -> None:
        if self.membership is None:
            self._assign(frozenset(range(self._slots)))
            return
        survey = asyncio.create_task(self._differences.survey(self._store))
        try:
            await self.membership.run(lambda: self._tenures.keys(), self._assign)
        finally:
            await _ended([survey])

    def _assign(self, slots: frozenset[int]) -> None:
        self._assigned = slots
        for slot, tenure in self._tenures.items():
            if slot in slots:
                tenure.prove()
        self._turn.set()

    def _guarded(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """A task whose failure ends the instance."""
        task = asyncio.create_task(work)
        task.add_done_callback(self._ended_badly)
        return task

    def _ended_badly(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self._failure = self._failure or error
            self._turn.set()

    def reload(self, config: Config) -> None:
        """Go on under this configuration; its sources may be others, the rest of what is fixed at the start may not."""
        self.config = config
        self._world.room.sources = len(config.sources)
        self._turn.set()

    @property
    def busy(self) -> Collection[int]:
        """The slots that have sources."""
        return self._by_slot().keys()

    def _by_slot(self) -> dict[int, list[Source]]:
        slots: dict[int, list[Source]] = {}
        for source in self.config.sources:
            slots.setdefault(slot_of(source.name, self._slots), []).append(source)
        return slots

    async def _reconcile_until(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            self._turn.clear()
            self._reconcile()
            waits = [asyncio.create_task(stop.wait()), asyncio.create_task(self._turn.wait())]
            try:
                await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            finally:
                await _ended(waits)
            if self._failure is not None:
                raise self._failure

    def _reconcile(self) -> None:
        """Step 2."""
        mine = self._by_slot()
        for slot, tenure in list(self._tenures.items()):
            if slot not in (self._assigned or ()):
                self._tasks[slot].cancel()
            elif tenure.config is not self.config:
                tenure.update(self.config, mine.get(slot, ()))
        for slot in sorted((self._assigned or frozenset()) & mine.keys() - self._tasks.keys()):
            tenure = Tenure(slot, self.config, mine[slot], self._world, lambda error, s=slot: self._reached(s, error))
            self._tenures[slot] = tenure
            self._tasks[slot] = task = asyncio.create_task(tenure.run(), name=f"slot {slot}")
            task.add_done_callback(lambda task, s=slot: self._tenure_ended(s, task))

    def _tenure_ended(self, slot: int, task: asyncio.Task[None]) -> None:
        tenure = self._tenures.pop(slot)
        error = None if task.cancelled() else task.exception()
        if isinstance(error, Fenced) and self.membership is not None:
            self._observer.problem(
                "a slot was taken over", slot=slot, sources=", ".join(tenure.channels), why=error.problem
            )
            asyncio.get_running_loop().call_later(AGAIN, self._let_begin, slot)
            return
        if error is not None:
            self._failure = self._failure or error
        self._let_begin(slot)

    def _let_begin(self, slot: int) -> None:
        del self._tasks[slot]
        self._turn.set()

    def _reached(self, slot: int, error: KafkaError | None) -> None:
        """Kafka is away as long as any slot does not reach it."""
        before = bool(self._away)
        self._away.pop(slot, None)
        if error is not None:
            self._away[slot] = error
        if before != bool(self._away):
            self._observer.kafka(error)

    def _found(self, restored: Restored) -> None:
        for problem in restored.problems:
            if problem not in self._skipped:
                self._skipped.add(problem)
                self._observer.problem("skipped a record that is not ours", where=problem)
        self._differences.look(self.config, restored.feeds)

    @property
    def _turns(self) -> dict[str, int]:
        return {name: turns for tenure in self._tenures.values() for name, turns in tenure.turns.items()}

    async def _wind_down(self) -> None:
        """Step 4, within shutdown_timeout: half of it for the polls in hand, the rest for Kafka."""
        timeout = self.config.shutdown_timeout
        deadline = self._clock.monotonic() + timeout
        begun = [tenure for tenure in self._tenures.values() if tenure.begun]
        tasks = [self._tasks[tenure.slot] for tenure in begun]
        reason = "" if self.membership is not None else "the instance was shut down"
        await asyncio.gather(*(tenure.finish(timeout / 2, reason) for tenure in begun))
        if tasks:
            await asyncio.wait(tasks, timeout=max(0.1, deadline - self._clock.monotonic()))
        waiting = [item for tenure in begun for channel in tenure.channels.values() for item in channel.waiting]
        if self._failure is not None:
            raise self._failure
        if waiting:
            events = sum(len(item.load().events) for item in waiting)
            kept = self._world.journal is not None
            raise CheckFailed(
                f"stopped with {len(waiting)} batches ({events} events) unpublished: Kafka did not take them in time",
                "they are kept on disk for the next start"
                if kept
                else "they are inferred again from the next poll as far as the vendor's books show them",
            )


async def _ended(tasks: Sequence[asyncio.Task[Any]]) -> None:
    """Cancel tasks and wait until they have ended."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def _unless(stop: asyncio.Event, work: Awaitable[bool]) -> bool:
    """The result of `work`, or False if `stop` comes first."""
    task = asyncio.ensure_future(work)
    stopping = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait([task, stopping], return_when=asyncio.FIRST_COMPLETED)
        return task.done() and task.result()
    finally:
        for pending in (task, stopping):
            pending.cancel()
        await asyncio.gather(task, stopping, return_exceptions=True)
