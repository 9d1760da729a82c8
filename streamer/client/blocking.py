"""For programs without an event loop: batches from an ordinary `for`."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Generator

from streamer.client.batches import Batch
from streamer.client.events import AgentEvents


def blocking(events: AgentEvents) -> Generator[Batch]:
    """`events.batches()`, without end. A thread of its own reads, so that a group does not miss us while a batch is
    worked on. Close the iterator, or let it go, to end it."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="streamer-client", daemon=True)
    thread.start()
    reading = _Reading(events)
    try:
        while True:
            yield asyncio.run_coroutine_threadsafe(reading.next(), loop).result()
    finally:
        asyncio.run_coroutine_threadsafe(reading.close(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


class _Reading:
    def __init__(self, events: AgentEvents) -> None:
        self._events = events
        self._batches = events.batches()
        self._task: asyncio.Task[object] | None = None

    async def next(self) -> Batch:
        self._task = asyncio.current_task()
        return await anext(self._batches)

    async def close(self) -> None:
        """Ctrl-C may have come while the next batch was waited for."""
        if self._task is not None and not self._task.done():
            self._task.cancel()
            await asyncio.wait([self._task])
        await self._events.__aexit__(None, None, None)
