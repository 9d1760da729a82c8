"""aiokafka's clients on the fake cluster, for the true code of streamer.kafka: same calls, same states, same errors.

Every call passes `Link.call`, where the fault plans have their say. Nothing here reads a clock but the loop's.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from functools import partial
from typing import Any

from aiokafka import TopicPartition

from streamer.config import Kafka
from streamer.kafka.connection import Connection
from tests.simulation.cluster import Cluster, Range, Stored
from tests.simulation.faults import Kind, Link, Plan
from tests.simulation.producer import FakeProducer, Inner, by_leader

APART = 0.25
"""Of the readings, how many see their partitions leader by leader rather than all in one moment."""

Fetched = dict[TopicPartition, list[Stored]]


class FakeConsumer:
    """AIOKafkaConsumer without a group."""

    def __init__(self, link: Link, committed: bool) -> None:
        self._link = link
        self._cluster = link.cluster
        self._committed = committed
        self._positions: dict[TopicPartition, int] = {}
        self._client = Inner(link)

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
        return by_leader(self._cluster, tps) if self._cluster.random.random() < APART else [tps]

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
