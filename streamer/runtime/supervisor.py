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
from collections.abc import Collection, Coroutine, Mapping, Sequence, Set
from typing import Any

from streamer.config import Config, Source
from streamer.errors import CheckFailed, Fenced, KafkaError, KafkaUnavailable
from streamer.kafka.connection import STOP_TIMEOUT
from streamer.kafka.restore import Restored
from streamer.kafka.store import slot_of
from streamer.runtime.channel import Channel
from streamer.runtime.desk import Desk
from streamer.runtime.differences import SURVEY, Differences
from streamer.runtime.journal import Journal
from streamer.runtime.outbox import Room
from streamer.runtime.ports import UNTRACED, Clock, Membership, Observer, Store, Tracer, Vendors
from streamer.runtime.publisher import RETRY_BASE, RETRY_CAP
from streamer.runtime.tenure import Tenure, World
from streamer.runtime.watchdog import watch
from streamer.tasks import ended, unless
from streamer.vendor.budget import backoff

AGAIN = 2.0
"""Seconds until a slot from which we were fenced, but which is ours by Kafka's word, is begun anew."""

QUARREL = 120.0
"""Seconds within which being fenced again means that others, who are not of the group, want the slot too."""


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
        tracer: Tracer = UNTRACED,
    ) -> None:
        self.config = config
        self.membership = membership
        self._store = store
        self._clock = clock
        self._observer = observer
        self._rng = rng
        self._slots = config.slots
        self._differences = Differences(config, instance, observer, clock)
        room = Room(config.outbox.max_bytes, len(config.sources))
        self._world = World(
            store, vendors, Desk(store, clock, self._found), room, journal, clock, observer, tracer, rng, instance
        )
        self._assigned: frozenset[int] | None = None
        self._tenures: dict[int, Tenure] = {}
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._away: dict[int, KafkaError] = {}
        self._fenced: dict[int, tuple[float, int]] = {}
        self._skipped: set[str] = set()
        self._turn = asyncio.Event()
        self._failure: BaseException | None = None
        self._prepared = False
        self._trouble = "Kafka has not been reached yet"

    @property
    def channels(self) -> Mapping[str, Channel]:
        """The sources that this instance has now, by name."""
        return {name: channel for tenure in self._tenures.values() for name, channel in tenure.channels.items()}

    def hint(self, source: str) -> bool:
        """Something has changed at a source: it is polled soon. False if it is not polled here."""
        tenure = self._tenures.get(slot_of(source, self._slots))
        return tenure is not None and tenure.hint(source)

    @property
    def silent(self) -> Collection[str]:
        """Configured sources that no instance of the group polls."""
        return self._differences.silent

    @property
    def trouble(self) -> str:
        """What keeps this instance from working at all; empty if nothing does."""
        if not self._prepared:
            return self._trouble
        if self._assigned is None:
            return "the group has not assigned any slots yet"
        return "slots are about to begin" if self._to_begin() else ""

    async def run(self, stop: asyncio.Event) -> None:
        """Run until `stop`. Fenced, KafkaRefused, TopicsWrong, Wedged end it; CheckFailed counts what a stop left."""
        tasks: list[asyncio.Task[Any]] = []
        self._observer.configured([source.name for source in self.config.sources])
        try:
            if await unless(stop, self._reach()):
                self._prepared = True
                tasks += [self._guarded(watch(lambda: self._turns, self._clock)), self._guarded(self._take_part())]
                if self.membership is not None:
                    tasks.append(self._guarded(self._survey()))
                await self._reconcile_until(stop)
            await self._wind_down()
        finally:
            self._prepared, self._trouble = False, "stopping"
            await ended([*self._tasks.values(), *tasks])
            await self._world.desk.close()

    async def _reach(self) -> None:
        """Step 1, as often as it takes."""
        attempt = 0
        while True:
            try:
                await self._store.prepare()
            except KafkaUnavailable as error:
                self._observer.kafka(error)
                self._trouble = str(error)
            else:
                self._observer.kafka(None)
                return
            attempt += 1
            await self._clock.sleep(backoff(attempt, RETRY_BASE, RETRY_CAP, self._rng))

    async def _take_part(self) -> None:
        if self.membership is None:
            self._assign(frozenset(range(self._slots)))
            return
        await self.membership.run(lambda: self._tenures.keys(), self._assign)

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
        self.config = self._differences.config = config
        self._world.room.sources = len(config.sources)
        self._observer.configured([source.name for source in self.config.sources])
        self._turn.set()

    @property
    def busy(self) -> Set[int]:
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
                await ended(waits)
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
        for slot in self._to_begin():
            tenure = Tenure(slot, self.config, mine[slot], self._world, lambda error, s=slot: self._reached(s, error))
            self._tenures[slot] = tenure
            self._tasks[slot] = task = asyncio.create_task(tenure.run(), name=f"slot {slot}")
            task.add_done_callback(lambda task, s=slot: self._tenure_ended(s, task))
            self._observer.slots(len(self._tenures))

    def _to_begin(self) -> list[int]:
        """Slots of ours with sources that nothing has been begun for."""
        return sorted((self._assigned or frozenset()) & self.busy - self._tasks.keys())

    def _tenure_ended(self, slot: int, task: asyncio.Task[None]) -> None:
        tenure = self._tenures.pop(slot)
        self._observer.slots(len(self._tenures))
        if self._tenures:
            self._reached(slot, None)
        else:  # nobody knows whether Kafka is back
            self._away.clear()
        error = None if task.cancelled() else task.exception()
        if isinstance(error, Fenced) and self.membership is not None:
            self._observer.problem(
                "a slot was taken over",
                slot=slot,
                sources=", ".join(tenure.channels),
                why=error.problem,
                remedy="if it goes on, another group or instance uses these topics: give it topics of its own",
            )
            asyncio.get_running_loop().call_later(self._patience(slot), self._let_begin, slot)
            return
        if error is not None:
            self._failure = self._failure or error
        self._let_begin(slot)

    def _patience(self, slot: int) -> float:
        """Seconds until a slot from which we were fenced is begun anew: longer each time if that goes on."""
        now = self._clock.monotonic()
        last, times = self._fenced.get(slot, (now, 0))
        times = times + 1 if now - last < QUARREL else 0
        self._fenced[slot] = (now, times)
        return min(AGAIN * 2 ** max(0, times - 1), QUARREL / 2)

    def _let_begin(self, slot: int) -> None:
        del self._tasks[slot]
        self._turn.set()

    def _reached(self, slot: int, error: KafkaError | None) -> None:
        """Kafka is away as long as any slot does not reach it."""
        self._away.pop(slot, None)
        if error is not None:
            self._away[slot] = error
        self._observer.kafka(next(reversed(self._away.values()), None))

    def _found(self, restored: Restored) -> None:
        for problem in restored.problems:
            if problem not in self._skipped:
                self._skipped.add(problem)
                self._observer.problem("skipped a record that is not ours", where=problem)
        self._differences.look(restored.feeds, self.channels)

    async def _survey(self) -> None:
        while True:
            await self._clock.sleep(SURVEY)
            try:
                self._differences.look(await self._store.glance(), self.channels)
                await self._store.check_slots()
            except KafkaUnavailable:
                continue

    @property
    def _turns(self) -> dict[str, int]:
        return {name: turns for tenure in self._tenures.values() for name, turns in tenure.turns.items()}

    async def _wind_down(self) -> None:
        """Step 4, within shutdown_timeout: half of it for the polls in hand, the rest for Kafka."""
        timeout = self.config.shutdown_timeout
        # What hangs has to be closed within that time, too.
        deadline = self._clock.monotonic() + max(timeout / 2, timeout - STOP_TIMEOUT - 0.5)
        begun = [tenure for tenure in self._tenures.values() if tenure.begun]
        tasks = [self._tasks[tenure.slot] for tenure in begun]
        reason = "" if self.membership is not None else "the instance was shut down"
        await asyncio.gather(*(tenure.finish(timeout / 2, reason) for tenure in begun))
        if tasks:
            await asyncio.wait(tasks, timeout=max(0.1, deadline - self._clock.monotonic()))
        if self._failure is not None:
            raise self._failure
        await self._say_what_is_left(begun)

    async def _say_what_is_left(self, begun: Sequence[Tenure]) -> None:
        waiting = [item for tenure in begun for channel in tenure.channels.values() for item in channel.waiting]
        left, events = len(waiting), sum(item.events for item in waiting)
        what, remedy = f"{left} batches ({events} events)", "what the vendor's books show of it is inferred again"
        if (journal := self._world.journal) is not None:
            here = {name for tenure in begun for name in tenure.channels}
            mine = self.channels if self.membership is not None else {source.name for source in self.config.sources}
            left += await journal.count(set(mine) - here)
            what, remedy = f"{left} batches", "they are kept on disk for the next start"
        if left:
            raise CheckFailed(f"stopped with {what} unpublished: Kafka did not take them in time", remedy)
