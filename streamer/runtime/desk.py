"""Reads the record for all tenures that begin at about the same time, once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection

from streamer.kafka.restore import Restored
from streamer.runtime.ports import Clock, Store

GATHER = 0.05
"""Seconds that a reading waits for more tenures: slots that are gained together are fenced within milliseconds."""


class Desk:
    """Joins requests to read the record. A reading serves only those who asked before it began: they had fenced their
    slots by then. `found` is shown each reading.
    """

    def __init__(self, store: Store, clock: Clock, found: Callable[[Restored], None]) -> None:
        self._store = store
        self._clock = clock
        self._found = found
        self._sources: set[str] = set()
        self._next: asyncio.Task[Restored] | None = None
        self._reading = asyncio.Lock()

    async def restore(self, sources: Collection[str]) -> Restored:
        """What is recorded of `sources`; errors as of Store.restore."""
        self._sources |= set(sources)
        if self._next is None:
            self._next = asyncio.create_task(self._read())
            self._next.add_done_callback(_seen)
        # Others may wait for the same reading.
        return await asyncio.shield(self._next)

    async def _read(self) -> Restored:
        await self._clock.sleep(GATHER)
        async with self._reading:
            self._next = None
            sources, self._sources = self._sources, set()
            restored = await self._store.restore(sources)
        self._found(restored)
        return restored

    async def close(self) -> None:
        """Nobody waits any more."""
        if self._next is not None:
            self._next.cancel()
            await asyncio.gather(self._next, return_exceptions=True)


def _seen(reading: asyncio.Task[Restored]) -> None:
    # Those who waited may be gone; a failure is no news to anybody then.
    if not reading.cancelled():
        reading.exception()
