"""`streamer audit run`: batch after batch into the store; checkpoints when they are due, and out to Kafka."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Callable
from datetime import datetime

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from streamer.client import Batch
from streamer.consumers.audit.checkpoints import packed, unpacked
from streamer.consumers.audit.store import Store
from streamer.errors import CheckFailed, KafkaUnavailable
from streamer.kafka import anchor
from streamer.kafka.connection import Connection

RETRY = 5.0
"""Seconds until publishing is tried again where Kafka was away."""

LOOK = 1.0
"""Seconds between two looks at what is due."""

Now = Callable[[], datetime]
Tell = Callable[[str], object]


class Writer:
    """Writes a store from batches until it is told to stop."""

    def __init__(
        self, store: Store, key: Ed25519PrivateKey, interval: float, connection: Connection, topic: str, now: Now
    ) -> None:
        """`interval`: seconds between checkpoints; `topic`: where they are published."""
        self._store = store
        self._key = key
        self._interval = interval
        self._connection = connection
        self._topic = topic
        self._now = now
        self._looked = self._signed = -math.inf
        self._news = asyncio.Event()
        self._end: int | None = None

    async def compare(self) -> None:
        """CheckFailed if the topic has a checkpoint of this trail that the store has not: another copy of it is
        written, or this one is older than what was published."""
        end = await anchor.end(self._connection, self._topic)
        if end == self._end:
            return
        for record in await anchor.published(self._connection, self._topic):
            known = unpacked(record, self._key.public_key())
            if known is None:
                continue
            checkpoint, body = known
            if body.store == self._store.store and not self._store.holds(body.number, checkpoint):
                raise CheckFailed(
                    f"topic {self._topic} has a checkpoint {body.number} of this trail that is not in "
                    f"{self._store.folder}: that is an older copy, or another copy is written",
                    "go on with the copy that has them all, or begin a new trail: another folder, a new key",
                )
        self._end = end

    async def write(self, batches: AsyncIterator[Batch]) -> None:
        """Every batch, for ever."""
        self._news.set()
        async for batch in batches:
            self.take(batch)

    def take(self, batch: Batch) -> None:
        """One batch, and what is due after it."""
        now, clock = self._now(), asyncio.get_running_loop().time()
        if batch.items or batch.findings or batch.complete:
            self._store.append(batch, _ms(now))
        if clock - self._looked < LOOK:
            return
        self._looked = clock
        days = self._store.due(_ms(now))
        if days or clock - self._signed >= self._interval:
            self._signed = clock
            self._sign(days)

    def _sign(self, days: list[str]) -> None:
        if days or self._store.uncovered:
            self._store.checkpoint(self._key, self._now(), days)
            self._news.set()

    async def publish(self, tell: Tell) -> None:
        """Publish checkpoints as they come, for ever; `tell` hears once why that does not work, and "" when it does."""
        failing = False
        while True:
            try:
                await self._publish()
            except KafkaUnavailable as error:
                if not failing:
                    tell(str(error))
                failing = True
                await asyncio.sleep(RETRY)
                continue
            if failing:
                tell("")
            failing = False
            await self._news.wait()
            self._news.clear()

    async def _publish(self) -> None:
        while waiting := self._store.unpublished()[:100]:
            await self.compare()
            records = [packed(checkpoint) for _, checkpoint in waiting]
            await anchor.publish(self._connection, self._topic, self._store.store, records)
            self._store.published(waiting[-1][0])
            self._end = (self._end or 0) + len(records)

    async def finish(self) -> None:
        """The last checkpoint, and out with it; KafkaError if that must wait for the next start."""
        self._sign([])
        await self._publish()


def _ms(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)
