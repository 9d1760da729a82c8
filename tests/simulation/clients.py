"""aiokafka's clients on the fake cluster, for the true code of streamer.kafka: same calls, same states, same errors.

Every call passes `Link.call`, where the fault plans have their say. Nothing here reads a clock but the loop's.
"""

from __future__ import annotations

import asyncio
import copy
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Literal, TypeVar

from aiokafka import TopicPartition, errors

from streamer.config import Kafka
from streamer.kafka.connection import Connection
from tests.simulation.cluster import Cluster, Draft, Grant, Range, Stored, Transaction
from tests.simulation.faults import Kind, Link, Plan, for_ever

T = TypeVar("T")

INIT_BACKOFF, ADD_BACKOFF, END_BACKOFF = 0.1, 0.02, 0.1
"""Seconds that aiokafka waits before it asks again after ConcurrentTransactions; here each time twice as long."""

APART = 0.25
"""Of the readings, how many see their partitions leader by leader rather than all in one moment."""

Sent = asyncio.Future[None]
Queue = dict[TopicPartition, list[tuple[Draft, Sent]]]
Fetched = dict[TopicPartition, list[Stored]]

FATAL = (errors.ProducerFenced, errors.InvalidProducerEpoch, errors.OutOfOrderSequenceNumber)


class _Inner:
    """What aiokafka's clients have inside, as far as streamer.kafka touches it."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self.sender_task: asyncio.Task[None] | None = None

    async def _wait_on_metadata(self, topic: str) -> set[int]:
        cluster = self._link.cluster
        return await self._link.call("metadata", lambda _: {tp.partition for tp in cluster.tps(topic)})

    async def close(self) -> None:
        """Nothing is open."""


class FakeProducer:
    """AIOKafkaProducer with a transactional.id. The futures that `send` gives have no result of interest."""

    def __init__(self, link: Link, transactional_id: str, transaction_timeout_ms: int) -> None:
        self._link = link
        self._cluster = link.cluster
        self._id = transactional_id
        self._timeout_ms = transaction_timeout_ms
        self._grant = Grant(transactional_id, 0)
        self._state: Literal["new", "ready", "open", "ending", "error", "fatal"] = "new"
        self._error: Exception | None = None
        self._transaction: Transaction | None = None
        self._known: dict[str, None] = {}
        self._queue: Queue = {}
        self.client = self._sender = _Inner(link)

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
        if topic not in self._known:
            await self._sender._wait_on_metadata(topic)  # pyright: ignore[reportPrivateUsage]
            self._known[topic] = None
        if self._state != "open":
            raise errors.IllegalOperation("Can't send messages while not in transaction")
        assert key is not None, "only keyed records are modelled"
        assert timestamp_ms is not None, "aiokafka would take the wall clock"
        tp = self._cluster.tp_of(topic, key)
        sent: Sent = asyncio.get_running_loop().create_future()
        self._queue.setdefault(tp, []).append(((key, value, timestamp_ms, tuple(headers or ())), sent))
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
        for tps in _by_leader(self._cluster, list(queue)):
            batches = {tp: [draft for draft, _ in queue[tp]] for tp in tps}
            await self._link.call("produce", partial(self._cluster.produce, self._grant, self._transaction, batches))
            for tp in tps:
                for _, sent in queue[tp]:
                    if not sent.done():
                        sent.set_result(None)


def _by_leader(cluster: Cluster, tps: Sequence[TopicPartition]) -> list[list[TopicPartition]]:
    groups: dict[int, list[TopicPartition]] = {}
    for tp in tps:
        groups.setdefault(cluster.partitions[tp].leader, []).append(tp)
    found = list(groups.values())
    cluster.random.shuffle(found)
    return found


class FakeConsumer:
    """AIOKafkaConsumer without a group."""

    def __init__(self, link: Link, committed: bool) -> None:
        self._link = link
        self._cluster = link.cluster
        self._committed = committed
        self._positions: dict[TopicPartition, int] = {}
        self._client = _Inner(link)

    async def start(self) -> None:
        """Connect."""
        await self._link.call("bootstrap", lambda _: None)

    async def stop(self) -> None:
        """At once, whatever hangs, as aiokafka's."""

    def assign(self, partitions: Sequence[TopicPartition]) -> None:
        """Read these."""
        self._positions = dict.fromkeys(sorted(partitions), 0)

    async def seek_to_beginning(self, *partitions: TopicPartition) -> bool:
        """Back to the first record."""
        await self._link.call("seek", lambda _: self._positions.update(dict.fromkeys(sorted(partitions), 0)))
        return True

    async def end_offsets(self, partitions: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
        """The LSO for read_committed, else the high watermark."""
        ends: dict[TopicPartition, int] = {}

        def ask(tps: list[TopicPartition], _: float) -> None:
            for tp in tps:
                ends[tp] = self._cluster.partitions[tp].end(self._committed)

        for tps in self._glances(sorted(partitions)):
            await self._link.call("end_offsets", partial(ask, tps))
        return ends

    async def getmany(self, *partitions: TopicPartition, timeout_ms: int = 0, max_records: int = 1000) -> Fetched:
        """What is there now, else what is there a while later: {} if there still is nothing. So many of each."""
        most = min(max_records, self._cluster.fetch_limit)
        wanted = sorted(partitions or self._positions)  # they may come from a set: its order must not show
        for tps in self._glances(wanted):
            if got := await self._link.call("fetch", partial(self._fetch, tps, most)):
                return got
        await asyncio.sleep(timeout_ms / 1000 * self._cluster.random.uniform(0.1, 1.0))
        return await self._link.call("fetch", partial(self._fetch, wanted, most))

    async def position(self, partition: TopicPartition) -> int:
        """The next offset: past markers and aborted records that were passed over."""
        return self._positions[partition]

    def _glances(self, tps: list[TopicPartition]) -> list[list[TopicPartition]]:
        return _by_leader(self._cluster, tps) if self._cluster.random.random() < APART else [tps]

    def _fetch(self, tps: list[TopicPartition], most: int, _: float) -> Fetched:
        got: Fetched = {}
        for tp in tps:
            at = self._positions[tp]
            found, self._positions[tp] = self._cluster.partitions[tp].fetch(at, most, self._committed)
            if found:
                got[tp] = found
        return got


class FakeConnection(Connection):
    """The true Connection, with fake clients. `host` names the instance whose link this is; `calls` counts by kind.

    `latency`: seconds of each way, at least and at most. `plans` may be shared between hosts.
    """

    latency: Range = (0.0005, 0.004)

    def __init__(self, cluster: Cluster, host: str, plans: Sequence[Plan] = (), config: Kafka | None = None) -> None:
        super().__init__(config or Kafka(), host)
        self.cluster = cluster
        self.host = host
        self.plans: Sequence[Plan] = tuple(plans)
        self.calls: Counter[Kind] = Counter()

    def producer(self, transactional_id: str | None, transaction_timeout_ms: int) -> Any:
        if transactional_id is None:
            raise NotImplementedError("only exactly_once is modelled")
        return FakeProducer(self._link(), transactional_id, transaction_timeout_ms)

    def consumer(self, *, committed: bool = True, group: str | None = None) -> Any:
        if group is not None:
            raise NotImplementedError("groups are not modelled")
        return FakeConsumer(self._link(), committed)

    def admin(self) -> Any:
        raise NotImplementedError("use KafkaStore(managed=False)")

    async def probe(self) -> None:
        await self.call(self._link().call("probe", lambda _: None), "connect")

    def _link(self) -> Link:
        return Link(self.cluster, self.host, self.plans, self.latency, self.calls)


async def settled(cluster: Cluster) -> None:
    """Wait until no transaction is open and every marker is written. Somebody must keep no new ones coming."""
    loop = asyncio.get_running_loop()
    cluster.advance(loop.time())
    while not cluster.settled:
        await asyncio.sleep(0.1)
        cluster.advance(loop.time())
