"""Writes records to Kafka: all of a call in one transaction, or (for brokers without them) at least once.

After any error the outcome of a write is unknown and its producer is of no more use: `open` a new one, which fences the
old, and look at the commit cursor before writing again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from streamer.core.feed import Delivery
from streamer.kafka.connection import CALL_TIMEOUT, Connection
from streamer.kafka.framing import Framing, Framings, unframed
from streamer.kafka.serde import Record

TRANSACTION_TIMEOUT_MS = 20_000
"""How long a transaction that its producer left open holds up readers, and a take-over: above CALL_TIMEOUT, so that
the broker ends no transaction that we still wait for."""


UNFRAMED = Framing()


class Sink:
    """One slot's producer. `transactional_id` None: at least once."""

    def __init__(self, connection: Connection, transactional_id: str | None, framings: Framings = unframed) -> None:
        self._connection = connection
        self._transactional_id = transactional_id
        self._framings = framings
        self._producer: Any | None = None

    @property
    def delivery(self) -> Delivery:
        """What readers may rely on."""
        return "exactly_once" if self._transactional_id else "at_least_once"

    async def open(self) -> None:
        """Start a producer; a transactional one fences every earlier producer of this slot."""
        await self.close()
        producer = self._connection.producer(self._transactional_id, TRANSACTION_TIMEOUT_MS)
        await self._connection.start(producer)
        self._producer = producer

    async def write(self, records: Sequence[Record]) -> None:
        """Write all `records`, or none. On KafkaError the outcome is unknown: `open` anew and read the cursor.

        Where a registry is configured, nothing is written before it has our schemas; after that it is not needed.
        """
        producer = self._producer
        if producer is None:
            raise RuntimeError("open the sink first")
        framings = await self._framings()
        if self._transactional_id is None:
            await self._connection.call(_send(producer, records, framings), "write")
            return
        await self._connection.call(_transaction(producer, records, framings), "commit a transaction", CALL_TIMEOUT)

    async def close(self) -> None:
        """Close the producer, whatever state it is in. Nothing that was not committed will be."""
        producer, self._producer = self._producer, None
        if producer is not None:
            await self._connection.discard(producer)


async def _transaction(producer: Any, records: Sequence[Record], framings: Mapping[str, Framing]) -> None:
    await producer.begin_transaction()
    await _send(producer, records, framings)
    await producer.commit_transaction()


async def _send(producer: Any, records: Sequence[Record], framings: Mapping[str, Framing]) -> None:
    pending: list[asyncio.Future[Any]] = []
    for record in records:
        framing = UNFRAMED if record.value is None else framings.get(record.topic, UNFRAMED)
        sent: Any = await producer.send(
            record.topic,
            record.value and framing.prefix + record.value,
            key=record.key,
            timestamp_ms=record.timestamp,
            headers=[*record.headers, *framing.headers],
        )
        sent.add_done_callback(_seen)
        pending.append(sent)
    await asyncio.gather(*pending)


def _seen(sent: asyncio.Future[Any]) -> None:
    # When one record fails, the others' futures fail unawaited: their error is the one that is raised already.
    if not sent.cancelled():
        sent.exception()
