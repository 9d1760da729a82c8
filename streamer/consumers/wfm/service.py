"""Reads the events, keeps the ledger, and lets the outputs work beside it."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from contextlib import aclosing
from typing import Protocol

from streamer.client import AgentEvents, Batch, Finding
from streamer.config import Kafka
from streamer.consumers.wfm.store import Store
from streamer.tasks import unless


class Outputs(Protocol):
    """What is told of states in real time."""

    def take(self, db: sqlite3.Connection, batch: Batch) -> None:
        """Keep what is to be sent; within the transaction that keeps the batch, in a thread of its own."""
        ...

    async def run(self, live: Callable[[str], bool]) -> None:
        """Send it, until cancelled. `live(source)`: is the source's feed live?"""
        ...


async def follow(
    kafka: Kafka,
    store: Store,
    stop: asyncio.Event,
    *,
    on_finding: Callable[[Finding], None],
    on_kept: Callable[[Batch], None] = lambda _: None,
    outputs: Outputs | None = None,
) -> None:
    """Keep the ledger until `stop` is set; the batch in hand is finished. `on_kept` gets each batch that is kept.

    KafkaRefused, TopicsWrong: reading cannot go on. An error of the outputs ends it, too.
    """
    positions, numbers = store.resume()
    takers = () if outputs is None else (outputs.take,)
    async with AgentEvents(kafka, start=positions or "beginning", numbers=numbers) as events:

        async def work() -> None:
            async with aclosing(events.batches()) as batches:
                # Where batches come faster than they are kept, the next one is always there.
                while not stop.is_set() and (found := await unless(stop, anext(batches))) is not None:
                    batch = found.result()
                    await asyncio.to_thread(store.keep, batch, *takers)
                    for finding in batch.findings:
                        on_finding(finding)
                    on_kept(batch)

        try:
            async with asyncio.TaskGroup() as tasks:
                sending = tasks.create_task(outputs.run(events.live)) if outputs is not None else None
                await work()
                if sending is not None:
                    sending.cancel()
        except BaseExceptionGroup as group:
            raise group.exceptions[0] from None
