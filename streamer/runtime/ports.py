"""What the runtime needs of the world, as narrow as it needs it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Protocol, runtime_checkable

from streamer import config
from streamer.core.feed import Delivery
from streamer.kafka.restore import LastFeed, Restored
from streamer.kafka.serde import Record
from streamer.observe.observer import Observer
from streamer.observe.tracing import UNTRACED, Span, Tracer
from streamer.vendor.session import Opener, Polled

__all__ = [
    "UNTRACED",
    "Clock",
    "Membership",
    "Observer",
    "Opens",
    "Sink",
    "Source",
    "Span",
    "Store",
    "Tracer",
    "Vendors",
]


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

    def spare(self) -> float:
        """Seconds until a poll beside the regular ones may be made, so that none of them has to wait for it."""
        ...

    def secrets(self) -> tuple[str, ...]:
        """What must appear in no record."""
        ...


@runtime_checkable
class Opens(Protocol):
    """A source that lets its answers be opened by `opener`: by who knows the last one and need not read all of them."""

    opener: Opener


class Vendors(Protocol):
    """Makes the way to each source's vendor."""

    def source(self, source: config.Source) -> Source:
        """The source as it is configured now."""
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
    async def check_slots(self) -> None: ...
    async def feeds(self) -> Mapping[str, LastFeed]: ...
    async def glance(self) -> Mapping[str, LastFeed]: ...


class Membership(Protocol):
    """Which slots are ours, by Kafka's word; see `streamer.kafka.membership`."""

    async def run(self, claims: Callable[[], Collection[int]], assigned: Callable[[frozenset[int]], None]) -> None:
        """Take part until cancelled: `claims` are the slots that we run, `assigned` is told those that are ours."""
        ...
