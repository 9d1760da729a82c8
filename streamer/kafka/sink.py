"""Writes records to Kafka: all of a call in one transaction, or (for brokers without them) at least once.

After any error the outcome of a write is unknown and its producer is of no more use: `open` a new one, which fences the
old, and look at the commit cursor before writing again.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping, Sequence
from functools import lru_cache, partial
from typing import Any

from aiokafka.codec import lz4_encode
from aiokafka.errors import MessageSizeTooLargeError
from aiokafka.partitioner import murmur2  # pyright: ignore[reportUnknownVariableType]
from aiokafka.record.default_records import DefaultRecordBatchBuilder

from streamer.core.feed import Delivery
from streamer.kafka.connection import CALL_TIMEOUT, MOST_RECORD_BYTES, Connection
from streamer.kafka.framing import Framing, Framings, unframed
from streamer.kafka.serde import Record

TRANSACTION_TIMEOUT_MS = 20_000
"""How long a transaction that its producer left open holds up readers, and a take-over: above CALL_TIMEOUT, so that
the broker ends no transaction that we still wait for."""

KEYS_KEPT = 2**18
"""Keys whose hash is kept, about 220 bytes each: it is slow in pure Python, and the same extensions come for ever."""

LZ4_LEVEL = 2
"""Of 1 to 12. The client's own, 9, costs four times as much for batches that are a sixth smaller."""

# The client has no setting for it, and looks the function up there for every batch.
vars(sys.modules[DefaultRecordBatchBuilder.__module__])["lz4_encode"] = partial(lz4_encode, level=LZ4_LEVEL)

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
    """Send in rounds of at most one batch for each partition, each when the one before has arrived.

    So no record is on its way before all of the earlier rounds are there, and the cursor comes last. Nothing is lost by
    it: the client has one batch of a partition and one request to a broker on the way at a time in any case.
    """
    batches: dict[tuple[str, int], Any] = {}
    counts: dict[str, int] = {}
    for record in records:
        topic = record.topic
        count = counts.get(topic)
        if count is None:
            count = counts[topic] = len(await producer.partitions_for(topic))
        place = topic, _hashed(record.key) % count
        framing = UNFRAMED if record.value is None else framings.get(topic, UNFRAMED)
        batch = batches.get(place)
        if batch is not None:
            if _append(batch, record, framing):
                continue
            await _deliver(producer, batches)
            batches, counts = {}, {}  # the topic may have got more partitions meanwhile
        batch = batches[place] = producer.create_batch()
        _append(batch, record, framing)  # the first record fits, whatever its size
    await _deliver(producer, batches)


def _append(batch: Any, record: Record, framing: Framing) -> bool:
    """Whether the record had room in the batch."""
    value = record.value and framing.prefix + record.value
    headers: list[tuple[str, bytes | None]] = [*record.headers, *framing.headers]
    taken = batch.append(key=record.key, value=value, timestamp=record.timestamp, headers=headers)
    if taken is None:
        return False
    # `send` would look at each record's size; `append` does not, and an estimate is too dear for the small ones.
    if taken.size > MOST_RECORD_BYTES // 2:
        size = DefaultRecordBatchBuilder.estimate_size_in_bytes(record.key, value, headers)
        if size > MOST_RECORD_BYTES:
            raise MessageSizeTooLargeError(
                f"a record of {record.topic} takes {size} bytes, more than the {MOST_RECORD_BYTES} that are allowed"
            )
    return True


async def _deliver(producer: Any, batches: Mapping[tuple[str, int], Any]) -> None:
    sent: list[asyncio.Future[Any]] = []
    for (topic, partition), batch in batches.items():
        arrival: Any = await producer.send_batch(batch, topic, partition=partition)
        arrival.add_done_callback(_seen)
        sent.append(arrival)
    if sent:
        # Not `gather`: it passes a cancellation on to the futures, and what becomes of their batches is then read by
        # nobody, which asyncio would log.
        await asyncio.wait(sent, return_when=asyncio.FIRST_EXCEPTION)
    for arrival in sent:
        if arrival.done():
            arrival.result()


def _seen(arrival: asyncio.Future[Any]) -> None:
    # When one batch fails, the others' futures fail unawaited: their error is the one that is raised already.
    if not arrival.cancelled():
        arrival.exception()


@lru_cache(KEYS_KEPT)
def _hashed(key: bytes) -> int:
    hashed: int = murmur2(key)
    return hashed & 0x7FFFFFFF
