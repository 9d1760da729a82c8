"""aiokafka's producer on the fake cluster: same calls, same states, same errors, and its batches.

Every call passes `Link.call`, where the fault plans have their say. Nothing here reads a clock but the loop's.
"""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Callable, Sequence
from functools import partial
from typing import Literal, NamedTuple, TypeVar

from aiokafka import TopicPartition, errors

from tests.simulation.cluster import Cluster, Draft, Grant, Transaction
from tests.simulation.faults import Kind, Link, for_ever

T = TypeVar("T")

INIT_BACKOFF, ADD_BACKOFF, END_BACKOFF = 0.1, 0.02, 0.1
"""Seconds that aiokafka waits before it asks again after ConcurrentTransactions; here each time twice as long."""

BATCH_BYTES = 16_384
"""aiokafka's own limit, before compression."""

RECORD_BYTES = 21
"""What a record takes beside its key, value and headers, at most."""

Sent = asyncio.Future[None]
Queue = dict[TopicPartition, list[tuple[Draft, Sent]]]

FATAL = (errors.ProducerFenced, errors.InvalidProducerEpoch, errors.OutOfOrderSequenceNumber)


class Inner:
    """What aiokafka's clients have inside, as far as streamer.kafka touches it."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self.sender_task: asyncio.Task[None] | None = None

    async def _wait_on_metadata(self, topic: str) -> set[int]:
        cluster = self._link.cluster
        return await self._link.call("metadata", lambda _: {tp.partition for tp in cluster.tps(topic)})

    async def close(self) -> None:
        """Nothing is open."""


class Taken(NamedTuple):
    """What a batch tells of a record that it took."""

    size: int


class FakeBatch:
    """aiokafka's BatchBuilder: full at BATCH_BYTES, but the first record always has room."""

    def __init__(self) -> None:
        self.drafts: list[Draft] = []
        self._size = 0

    def append(
        self, *, timestamp: int, key: bytes, value: bytes | None, headers: Sequence[tuple[str, bytes]]
    ) -> Taken | None:
        """None: full."""
        size = len(key) + len(value or b"") + sum(len(name) + len(content) for name, content in headers) + RECORD_BYTES
        if self.drafts and self._size + size > BATCH_BYTES:
            return None
        self.drafts.append((key, value, timestamp, tuple(headers)))
        self._size += size
        return Taken(size)


class FakeProducer:
    """AIOKafkaProducer with a transactional.id. The futures that it gives have no result of interest."""

    def __init__(self, link: Link, transactional_id: str, transaction_timeout_ms: int) -> None:
        self._link = link
        self._cluster = link.cluster
        self._id = transactional_id
        self._timeout_ms = transaction_timeout_ms
        self._grant = Grant(transactional_id, 0)
        self._state: Literal["new", "ready", "open", "ending", "error", "fatal"] = "new"
        self._error: Exception | None = None
        self._transaction: Transaction | None = None
        self._known: dict[str, set[int]] = {}
        self._queue: Queue = {}
        self.client = self._sender = Inner(link)

    async def start(self) -> None:
        """Fence all earlier producers of the id, and wait until what they left is ended."""
        await self._link.call("bootstrap", lambda _: None)
        init = partial(self._cluster.init_producer, self._id, self._timeout_ms)
        self._grant = await self._insisting("init", init, INIT_BACKOFF)
        self._state = "ready"

    async def stop(self) -> None:
        """As aiokafka's: waits for what is under way, be it for ever."""
        if self._link.hung and self._state != "new":
            await for_ever()
        if self._sender.sender_task is not None and not self._sender.sender_task.done():
            await asyncio.wait([self._sender.sender_task])

    async def begin_transaction(self) -> None:
        """Asks nobody: the cluster hears of it with the first record."""
        assert self._state == "ready", f"Invalid state transition {self._state} -> open"
        self._state, self._transaction, self._error = "open", None, None

    async def send(
        self,
        topic: str,
        value: bytes | None = None,
        key: bytes | None = None,
        timestamp_ms: int | None = None,
        headers: Sequence[tuple[str, bytes]] | None = None,
    ) -> Sent:
        """Queue a record; all that are queued before the sender's turn go together."""
        await self.partitions_for(topic)
        assert key is not None, "only keyed records are modelled"
        assert timestamp_ms is not None, "aiokafka would take the wall clock"
        tp = self._cluster.tp_of(topic, key)
        return self._queued(tp, [(key, value, timestamp_ms, tuple(headers or ()))])

    async def partitions_for(self, topic: str) -> set[int]:
        """The numbers of its partitions; only the first time is a call."""
        if topic not in self._known:
            self._known[topic] = await self._sender._wait_on_metadata(topic)  # pyright: ignore[reportPrivateUsage]
        return self._known[topic]

    def create_batch(self) -> FakeBatch:
        """Empty, and known to nobody else."""
        return FakeBatch()

    async def send_batch(self, batch: FakeBatch, topic: str, *, partition: int) -> Sent:
        """Queue a batch; all that are queued before the sender's turn go together."""
        await self.partitions_for(topic)
        return self._queued(TopicPartition(topic, partition), batch.drafts)

    def _queued(self, tp: TopicPartition, drafts: Sequence[Draft]) -> Sent:
        if self._state != "open":
            raise errors.IllegalOperation("Can't send messages while not in transaction")
        sent: Sent = asyncio.get_running_loop().create_future()
        self._queue.setdefault(tp, []).extend((draft, sent) for draft in drafts)
        if self._sender.sender_task is None or self._sender.sender_task.done():
            self._sender.sender_task = asyncio.ensure_future(self._deliver())
        return sent

    async def commit_transaction(self) -> None:
        """Returns once it is decided; the markers come later. Given up, it goes on in the background."""
        if self._state == "error" and self._error is not None:
            raise self._error
        assert self._state == "open", f"Invalid state transition {self._state} -> committing"
        await self._end("commit")

    async def abort_transaction(self) -> None:
        """Undo all since begin_transaction, also after an error that is not fatal."""
        assert self._state in ("open", "error"), f"Invalid state transition {self._state} -> aborting"
        await self._end("abort")

    async def _end(self, kind: Literal["commit", "abort"]) -> None:
        failed = self._error
        self._state = "ending"
        if self._sender.sender_task is not None and not self._sender.sender_task.done():
            await asyncio.wait([self._sender.sender_task])
            if self._error is not failed and self._error is not None:
                raise self._error
        if self._transaction is not None:
            end = partial(self._cluster.end, self._grant, self._transaction, kind == "commit")
            try:
                await self._insisting(kind, end, END_BACKOFF)
            except Exception as error:
                self._state, self._error = "fatal", error
                raise
        self._state = "ready"

    async def _insisting(self, kind: Kind, effect: Callable[[float], T], backoff: float) -> T:
        while True:
            try:
                return await self._link.call(kind, effect)
            except errors.ConcurrentTransactions:
                await asyncio.sleep(backoff)
                backoff *= 2

    async def _deliver(self) -> None:
        """The sender: adds the partitions to the transaction, then produces to each leader, in a drawn order."""
        mine: list[Sent] = []
        try:
            while self._queue:
                queue, self._queue = self._queue, {}
                mine = [sent for batch in queue.values() for _, sent in batch]
                await self._add(list(queue))
                await self._produce(queue)
        except asyncio.CancelledError:
            for sent in mine:
                sent.cancel()
            raise
        except Exception as error:
            self._state, self._error = "fatal" if isinstance(error, FATAL) else "error", error
            mine += [sent for batch in self._queue.values() for _, sent in batch]
            self._queue.clear()
            for sent in mine:
                if not sent.done():
                    sent.set_exception(copy.copy(error))

    async def _add(self, tps: list[TopicPartition]) -> None:
        current = self._transaction
        if current is None or any(tp not in current.partitions for tp in tps):
            add = partial(self._cluster.add_partitions, self._grant, tps)
            self._transaction = await self._insisting("add_partitions", add, ADD_BACKOFF)

    async def _produce(self, queue: Queue) -> None:
        assert self._transaction is not None
        for tps in by_leader(self._cluster, list(queue)):
            batches = {tp: [draft for draft, _ in queue[tp]] for tp in tps}
            await self._link.call("produce", partial(self._cluster.produce, self._grant, self._transaction, batches))
            for tp in tps:
                for _, sent in queue[tp]:
                    if not sent.done():
                        sent.set_result(None)


def by_leader(cluster: Cluster, tps: Sequence[TopicPartition]) -> list[list[TopicPartition]]:
    """The partitions of each leader, in a drawn order."""
    groups: dict[int, list[TopicPartition]] = {}
    for tp in tps:
        groups.setdefault(cluster.partitions[tp].leader, []).append(tp)
    found = list(groups.values())
    cluster.random.shuffle(found)
    return found
