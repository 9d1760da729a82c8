"""The runtime with one of its guards removed: what a simulation that is worth anything must notice."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any
from weakref import WeakKeyDictionary

import msgspec
import pytest

from streamer.config import Source
from streamer.errors import Fenced, KafkaUnavailable
from streamer.kafka import store
from streamer.kafka.connection import Connection
from streamer.kafka.restore import Restored, last_feeds
from streamer.runtime.channel import Channel
from streamer.runtime.outbox import Kept
from streamer.runtime.publisher import Publisher, _Portion  # pyright: ignore[reportPrivateUsage]
from streamer.runtime.tenure import Tenure
from tests.simulation.clients import FakeConnection


def without_fence_before_restore(patch: pytest.MonkeyPatch) -> None:
    """The record is read first, and only then is the slot's producer started."""
    fence: Any = Tenure._sink_open  # pyright: ignore[reportPrivateUsage]
    read: Any = Tenure._restored  # pyright: ignore[reportPrivateUsage]

    async def nothing(_: Tenure) -> None:
        pass

    async def read_then_fence(self: Tenure, sources: Sequence[str]) -> Restored:
        restored: Restored = await read(self, sources)
        await fence(self)
        return restored

    patch.setattr(Tenure, "_sink_open", nothing)
    patch.setattr(Tenure, "_restored", read_then_fence)


def without_the_uncommitted_end(patch: pytest.MonkeyPatch) -> None:
    """The end is asked for as a read_committed consumer sees it."""
    consumer = FakeConnection.consumer

    def committed_only(self: FakeConnection, **_: bool) -> Any:
        return consumer(self, committed=True)

    patch.setattr(FakeConnection, "consumer", committed_only)


def without_the_parent_check(patch: pytest.MonkeyPatch) -> None:
    """Whatever is on disk is published."""

    def always(*_: object) -> bool:
        return True

    patch.setattr(Kept, "follows", always)


def taken_for_lost(patch: pytest.MonkeyPatch) -> None:
    """A commit of unknown outcome is written again without a look at the cursor."""

    async def again(self: Any, _: Sequence[_Portion], error: KafkaUnavailable | Fenced) -> None:
        await self._reopened(error)

    patch.setattr(Publisher, "_settle", again)


def taken_for_committed(patch: pytest.MonkeyPatch) -> None:
    """A commit of unknown outcome is believed to have succeeded without a look at the cursor."""

    async def done(self: Any, portions: Sequence[_Portion], error: KafkaUnavailable | Fenced) -> None:
        await self._reopened(error)
        self._committed(portions)

    patch.setattr(Publisher, "_settle", done)


def without_cursors_first(patch: pytest.MonkeyPatch) -> None:
    """The cursors are read after the states: they may be those of another instance that has published in between."""
    read = store.restore

    async def states_first(connection: Connection, sources: Collection[str]) -> Restored:
        restored = await read(connection, sources)
        return msgspec.structs.replace(restored, feeds=await last_feeds(connection))

    patch.setattr(store, "restore", states_first)


def one_writer_for_a_slot(patch: pytest.MonkeyPatch) -> None:
    """A source that is removed and comes back counts from the beginning under the same name."""
    opened: Any = Tenure._open  # pyright: ignore[reportPrivateUsage]
    writers: WeakKeyDictionary[Tenure, str] = WeakKeyDictionary()

    def same_writer(self: Tenure, source: Source) -> Channel:
        channel: Channel = opened(self, source)
        channel.writer = writers.setdefault(self, channel.writer)
        return channel

    patch.setattr(Tenure, "_open", same_writer)


REMOVED: Mapping[str, Callable[[pytest.MonkeyPatch], None]] = {
    "fence before restore": without_fence_before_restore,
    "reading to the uncommitted end": without_the_uncommitted_end,
    "parent check": without_the_parent_check,
    "unknown commit looked up, taken for lost": taken_for_lost,
    "unknown commit looked up, taken for committed": taken_for_committed,
    "a writer for each tenure of a source": one_writer_for_a_slot,
}
