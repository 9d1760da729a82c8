"""Machines that are killed, stopped and cut off; what is on their disks outlives their processes."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from typing import Any, TypeVar

from streamer.config import Kafka
from streamer.core.feed import Cursor
from streamer.runtime.journal import Written
from streamer.runtime.outbox import Kept
from tests.runtime.fakes import VirtualClock
from tests.simulation.clients import FakeConnection
from tests.simulation.cluster import Cluster
from tests.simulation.faults import Link, Plan

T = TypeVar("T")

DISK = 0.004
"""Seconds that a write to a disk takes."""


class Host:
    """One machine. While it is `frozen` its processes get no answer and make no call, as after SIGSTOP."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.disk: list[Kept] = []
        self.disk_full = False
        self._running = asyncio.Event()
        self._running.set()

    @property
    def frozen(self) -> bool:
        """Is it stopped?"""
        return not self._running.is_set()

    def freeze(self) -> None:
        """SIGSTOP."""
        self._running.clear()

    def thaw(self) -> None:
        """SIGCONT."""
        self._running.set()

    async def gate(self) -> None:
        """Every call passes here, on its way out and on its way back."""
        if not self._running.is_set():
            await self._running.wait()


class HostClock(VirtualClock):
    """The host's clock; its timers do not go off while it is stopped."""

    def __init__(self, host: Host) -> None:
        self._host = host

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
        await self._host.gate()


class HostLink(Link):
    """A link whose calls wait while the host is stopped."""

    host: Host

    async def call(self, kind: Any, effect: Any) -> Any:
        await self.host.gate()
        try:
            return await super().call(kind, effect)
        finally:
            await self.host.gate()


class HostConnection(FakeConnection):
    """A host's way to the cluster."""

    def __init__(self, cluster: Cluster, host: Host, plans: Sequence[Plan]) -> None:
        super().__init__(cluster, host.name, (), Kafka())
        # The list itself: what is planned later counts, too.
        self.plans = plans
        self._machine = host

    def _link(self) -> Link:
        link = HostLink(self.cluster, self.host, self.plans, self.latency, self.calls)
        link.host = self._machine
        return link


class Disk:
    """The journal of one life: what it has written stays on the host."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._dead = False
        self._dropped: set[tuple[str, Cursor]] = set()

    def die(self) -> None:
        """Nothing is written any more."""
        self._dead = True

    async def load(self, source: str) -> tuple[Sequence[Kept], int]:
        await asyncio.sleep(DISK)
        return [batch for batch in self._host.disk if batch.source == source], 0

    async def count(self, sources: Collection[str]) -> int:
        return sum(batch.source in sources for batch in self._host.disk)

    def keep(self, batch: Kept, written: Written) -> None:
        asyncio.get_running_loop().call_later(DISK, self._write, batch, written)

    def _write(self, batch: Kept, written: Written) -> None:
        if self._dead or (batch.source, batch.cursor) in self._dropped:
            return
        if self._host.disk_full:
            asyncio.get_running_loop().call_later(1.0, self._write, batch, written)
            written("the outbox cannot be written: the disk is full")
            return
        self._host.disk.append(batch)
        written("")

    def drop(self, batch: Kept) -> None:
        if not self._dead:
            self._dropped.add((batch.source, batch.cursor))
            self._host.disk = [other for other in self._host.disk if other != batch]
