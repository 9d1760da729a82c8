"""What the runtime needs of the world, as narrow as it needs it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

from streamer.core.feed import Cursor, Delivery
from streamer.kafka.restore import Restored
from streamer.kafka.serde import Record
from streamer.observe.observer import Observer, Observers, Silent
from streamer.vendor.session import Polled

__all__ = ["Clock", "Observer", "Observers", "Silent", "Sink", "Source", "Store"]


class Clock(Protocol):
    """Our clock: `now_ms` is unix milliseconds and may jump, `monotonic` is seconds and may not."""

    def now_ms(self) -> int: ...
    def monotonic(self) -> float: ...
    async def sleep(self, seconds: float) -> None: ...


class Source(Protocol):
    """One source at the vendor."""

    async def poll(self) -> Polled:
        """One good answer, or a VendorError."""
        ...

    def secrets(self) -> tuple[str, ...]:
        """What must appear in no record."""
        ...


class Sink(Protocol):
    """One slot's way into Kafka; see `streamer.kafka.sink`."""

    async def open(self) -> None: ...
    async def write(self, records: Sequence[Record]) -> None: ...
    async def close(self) -> None: ...


class Store(Protocol):
    """Kafka; see `streamer.kafka.store`."""

    @property
    def delivery(self) -> Delivery: ...
    async def prepare(self) -> object: ...
    def sink(self, slot: int) -> Sink: ...
    async def restore(self, sources: Collection[str]) -> Restored: ...
    async def cursors(self, sources: Collection[str]) -> Mapping[str, Cursor | None]: ...
