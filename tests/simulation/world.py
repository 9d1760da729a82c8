"""A deployment: hosts and the lives of their instances, one cluster, one floor for each source."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from streamer.config import Config, Kafka, Source
from streamer.configure import build
from streamer.core.feed import Status
from streamer.core.model import Snapshot
from streamer.errors import CheckFailed, Fenced
from streamer.kafka.store import KafkaStore, slot_of
from streamer.observe.observer import Observer
from streamer.runtime.supervisor import Supervisor
from tests.simulation.checker import violations
from tests.simulation.cluster import Cluster
from tests.simulation.faults import Plan
from tests.simulation.floor import STATES, Answer, Floor, FloorVendor
from tests.simulation.group import FakeMembership, Group
from tests.simulation.hosts import Disk, Host, HostClock, HostConnection

PATIENCE = 240.0
"""Virtual seconds after the last fault in which everything must be right again."""

SLOTS = 2
"""`floor` and `north` are in the one, `south` in the other."""


@dataclass
class Setting:
    """What a run is made of. `grouped`: the hosts are a group; `disk`: each has an outbox on disk; `partitions` of each
    topic; `seconds` until the floors stand still and no fault begins any more.
    """

    hosts: Sequence[str] = ("a", "b")
    sources: Sequence[str] = ("floor", "south")
    extensions: int = 2
    grouped: bool = True
    disk: bool = False
    partitions: int = 3
    seconds: float = 15.0


class Memory(Observer):
    """Keeps what the polls of one life showed, as far as they were numbered."""

    def __init__(self, answers: list[Answer]) -> None:
        self._answers = answers
        self.supervisor: Supervisor | None = None
        self.problems: list[str] = []
        self.dead = False

    def polled(self, source: str, snapshot: Snapshot, seconds: float) -> None:
        assert self.supervisor is not None
        channel = self.supervisor.channels[source]
        states = {seat.extension: STATES[seat.state_code or 0] for seat in snapshot.seats}
        self._answers.append(Answer(source, snapshot.requested_at, states, channel.writer, channel.number))

    def problem(self, what: str, **details: object) -> None:
        self.problems.append(f"{what} {details}")


@dataclass
class Life:
    """One process."""

    task: asyncio.Task[None]
    supervisor: Supervisor
    memory: Memory
    stop: asyncio.Event
    disk: Disk | None


@dataclass
class World:
    """Everything that a schedule acts upon."""

    setting: Setting
    random: random.Random
    cluster: Cluster
    floors: dict[str, Floor]
    hosts: dict[str, Host]
    plans: list[Plan] = field(default_factory=list[Plan])
    lives: dict[str, Life] = field(default_factory=dict[str, Life])
    answers: list[Answer] = field(default_factory=list[Answer])
    problems: list[str] = field(default_factory=list[str])
    ending: set[asyncio.Task[None]] = field(default_factory=set[asyncio.Task[None]])

    def __post_init__(self) -> None:
        self.config = _config(self.setting.sources)
        busy = {slot_of(source, SLOTS) for source in self.setting.sources}
        self.group = Group(SLOTS, busy, lambda _: None)

    def start(self, name: str) -> None:
        """Start the instance of a host, unless it runs."""
        if name in self.lives:
            return
        host = self.hosts[name]
        connection = HostConnection(self.cluster, host, self.plans)
        memory = Memory(self.answers)
        disk = Disk(host) if self.setting.disk else None
        membership = FakeMembership(self.group, host, lambda: self._reaches(name)) if self.setting.grouped else None
        supervisor = Supervisor(
            self.config,
            KafkaStore(connection, managed=False, slots=SLOTS),
            _Vendors(self, host),
            HostClock(host),
            memory,
            random.Random(self.random.random()),
            name,
            membership=membership,
            journal=disk,
        )
        memory.supervisor = supervisor
        stop = asyncio.Event()
        task = asyncio.create_task(supervisor.run(stop))
        self.lives[name] = Life(task, supervisor, memory, stop, disk)
        task.add_done_callback(lambda task: self._ended(name, task))

    def _reaches(self, name: str) -> bool:
        now = asyncio.get_running_loop().time()
        return not any(plan.swallows(name, now) for plan in self.plans)

    def kill(self, name: str) -> None:
        """kill -9: nothing that was in hand is finished."""
        life = self.lives.pop(name, None)
        if life is None:
            return
        self.hosts[name].thaw()
        life.memory.dead = True
        if life.disk is not None:
            life.disk.die()
        life.task.cancel()
        self.ending.add(life.task)

    def reload(self, name: str, sources: Sequence[str], interval: float = 1.0) -> None:
        """SIGHUP after the host's file was changed to have these sources."""
        if name in self.lives:
            self.lives[name].supervisor.reload(_config(sources, interval))

    def _ended(self, name: str, task: asyncio.Task[None]) -> None:
        life = self.lives.get(name)
        if life is not None and life.task is task:
            del self.lives[name]
        self.ending.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None and not isinstance(error, Fenced | CheckFailed):
            self.problems.append(f"{name} ended with {error!r}")

    async def calm(self) -> None:
        """Let everything recover: all hosts run, nothing fails, the floors stand still; wait until all is published."""
        for host in self.hosts.values():
            host.thaw()
            host.disk_full = False
        for name in self.hosts:
            self.reload(name, self.setting.sources)
        loop = asyncio.get_running_loop()
        deadline = loop.time() + PATIENCE
        self.group.outage_ended(loop.time())
        quiet = 0
        while quiet < 3:
            for name in self.hosts if self.setting.grouped else [next(iter(self.hosts))]:
                if self.setting.grouped or not self.lives:
                    self.start(name)
            await asyncio.sleep(1.0)
            quiet = quiet + 1 if self._all_published() else 0
            if loop.time() > deadline:
                self.problems.append(f"not recovered within {PATIENCE:.0f} s: {self._troubles()}")
                return

    def _all_published(self) -> bool:
        live: set[str] = set()
        for life in self.lives.values():
            for name, channel in life.supervisor.channels.items():
                if channel.waiting:
                    return False
                if channel.status()[0] == "live" and _told(channel.written and channel.written.status):
                    live.add(name)
        return live == set(self.setting.sources)

    def _troubles(self) -> list[str]:
        return [
            f"{host} {name} {channel.status()} {len(channel.waiting)} waiting"
            for host, life in self.lives.items()
            for name, channel in life.supervisor.channels.items()
        ] or [f"lives: {list(self.lives)}"]

    async def close(self) -> list[str]:
        """Stop all, and say what promise was broken."""
        now = asyncio.get_running_loop().time()
        alive = {
            (channel.name, channel.writer): channel.number
            for life in self.lives.values()
            for channel in life.supervisor.channels.values()
        }
        left = [str(batch.cursor) for host in self.hosts.values() if host.name in self.lives for batch in host.disk]
        truth = {source: floor.states(now) for source, floor in self.floors.items()}
        for life in self.lives.values():
            life.stop.set()
        tasks = [life.task for life in self.lives.values()] + list(self.ending)
        if tasks:
            await asyncio.wait(tasks)
        self.cluster.settle()
        found = list(self.problems)
        if left and not self.problems and len(self.hosts) == 1:
            found.append(f"left on disk: {left}")
        return found + violations(self.cluster, truth, self.answers, alive)


class _Vendors:
    """A host's ways to all sources."""

    def __init__(self, world: World, host: Host) -> None:
        self._world = world
        self._host = host

    def source(self, source: Source) -> FloorVendor:
        return FloorVendor(self._world.floors[source.name], self._host, self._world.random)


def _told(status: Status | None) -> bool:
    return status == "live"


def _config(names: Sequence[str], interval: float = 1.0) -> Config:
    source = {"url": "http://vendor:1", "token": "sesame", "poll_interval": interval}
    return build({"sources": [{"name": name, **source} for name in names], "cluster": {"slots": SLOTS}}, {})


def made(setting: Setting, seed: int) -> World:
    """A world that follows from its seed alone."""
    chance = random.Random(seed)
    topics = Kafka()
    names = (topics.events_topic, topics.state_topic, topics.feed_topic, topics.rejected_topic)
    cluster = Cluster(chance, dict.fromkeys(names, setting.partitions), check_delay=(0.0, 5.0))
    floors: Mapping[str, Floor] = {
        source: Floor(chance, setting.extensions, setting.seconds) for source in setting.sources
    }
    return World(setting, chance, cluster, dict(floors), {name: Host(name) for name in setting.hosts})
