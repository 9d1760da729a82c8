"""Real-time outputs of workforce management: each receiver is told of states as they change (docs/realtime.md)."""

from __future__ import annotations

import asyncio
import random
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from streamer.client import Batch
from streamer.config.wfm import Wfm
from streamer.consumers.wfm.outputs import tables
from streamer.consumers.wfm.outputs.sender import Sender
from streamer.consumers.wfm.outputs.sight import Sight
from streamer.consumers.wfm.outputs.tables import Standing


class Outputs:
    """All outputs of `settings`; what they have to send is kept in `database`, the ledger's file.

    Make one also where no output is configured: it keeps the states that a later one begins with. `now` is unix
    seconds. ConfigError: a file of agents or certificates cannot be used.
    """

    def __init__(
        self,
        settings: Wfm,
        database: Path,
        *,
        now: Callable[[], float] = time.time,
        rng: random.Random | None = None,
    ) -> None:
        self._database = database
        self._sight = Sight(now)
        spread = rng or random.Random()  # noqa: S311 - spreads retries
        self._senders = [Sender(output, self._sight, now, spread) for output in settings.outputs]
        self._loop: asyncio.AbstractEventLoop | None = None
        with closing(tables.opened(database)) as db:
            db.executescript(tables.SCHEMA)
            tables.keep_only(db, [output.name for output in settings.outputs])

    def take(self, db: sqlite3.Connection, batch: Batch) -> None:
        """Keep what the batch brings, within the caller's transaction. A batch that is read again adds nothing."""
        for event in (item.event for item in batch.items):
            new = Standing(
                event.source,
                event.extension,
                event.epoch,
                event.sequence,
                event.current.state,
                event.current.since.timestamp(),
                event.event_id,
                event.basis,
            )
            if tables.is_new(db, new):
                for sender in self._senders:
                    sender.queue(db, event)
        if batch.items:
            for sender in self._senders:
                sender.limit(db)
        self._sight.take(db, batch)
        if self._loop:
            self._loop.call_soon_threadsafe(self._wake)

    def _wake(self) -> None:
        for sender in self._senders:
            sender.wake.set()

    async def run(self, live: Callable[[str], bool]) -> None:
        """Send until cancelled; receivers that know of such a thing are then told, within 3 s, that we shut down.

        `live` tells of a source whether its feed is.
        """
        self._sight.live = live
        self._loop = asyncio.get_running_loop()
        try:
            async with asyncio.TaskGroup() as group:
                for sender in self._senders:
                    group.create_task(sender.run(self._database))
                await asyncio.Event().wait()
        finally:
            self._loop = None
