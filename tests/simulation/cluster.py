"""The brokers' side of a fake Kafka: logs, transactions, fencing. Pure: time is handed in, chance is one Random.

What happens by itself (commit and abort markers, time-outs, requests that arrive late) waits in a queue; `advance` does
what has fallen due, in order, and whoever looks calls it first. Nothing can tell that from a broker that acts at once.
Methods named for a request do what it does on arrival; their errors are aiokafka's.

How a transaction goes, as in Kafka:
 open ──end(commit) or end(abort)──► committing or aborting ──a marker in each of its partitions──► committed or aborted
   └── init_producer of the same transactional.id, or its time-out: the epoch goes up, the transaction is aborting
Until a partition has its marker, the last stable offset (LSO) there stays at the transaction's first record.
"""

from __future__ import annotations

import heapq
import random
from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from typing import Literal

import msgspec
from aiokafka import TopicPartition, errors
from aiokafka.partitioner import murmur2  # pyright: ignore[reportUnknownVariableType]

Effect = Callable[[float], object]
"""What a request does when it arrives, given the time of that."""

Range = tuple[float, float]
"""Seconds, at least and at most, of a delay that is drawn."""

PROMPTNESS = 40
"""How a marker's delay is spread within its range: nine of ten take less than 2 % of it, one of 60 over half."""

Draft = tuple[bytes, bytes | None, int, tuple[tuple[str, bytes], ...]]
"""A record on its way to a log: key, value, timestamp, headers."""

Batches = Mapping[TopicPartition, Sequence[Draft]]

Marker = Literal["commit", "abort"]
"""A control record: a transaction's end, as one partition has it. It takes an offset."""


class Stored(msgspec.Struct, frozen=True, gc=False):
    """A record in a log; what a consumer is given. `timestamp` is unix ms."""

    key: bytes
    value: bytes | None
    timestamp: int
    headers: tuple[tuple[str, bytes], ...]
    topic: str
    partition: int
    offset: int


class Grant(msgspec.Struct, frozen=True):
    """What a producer was given at its start; one with an older epoch is fenced."""

    transactional_id: str
    epoch: int


@dataclass(slots=True, eq=False)
class Transaction:
    """One transaction. `opened_at`, `decided_at`: seconds. `unmarked`: partitions that still lack its marker.

    `why` it was decided: `asked` by its producer, `superseded` by a newer one, `timed out`.
    """

    transactional_id: str
    epoch: int
    opened_at: float
    state: Literal["open", "committing", "aborting", "committed", "aborted"] = "open"
    decided_at: float | None = None
    why: str = ""
    partitions: dict[TopicPartition, None] = field(default_factory=dict[TopicPartition, None])
    unmarked: int = 0


@dataclass(slots=True, eq=False)
class Identity:
    """What the coordinator knows of one transactional.id. `transaction`: the one not yet ended everywhere."""

    epoch: int = 0
    timeout: float = 60.0
    transaction: Transaction | None = None


class Partition:
    """One log; an entry's place in it is its offset."""

    def __init__(self, tp: TopicPartition, leader: int) -> None:
        self.tp = tp
        self.leader = leader
        self.log: list[Stored | Marker] = []
        self.owners: list[Transaction] = []
        self._open: dict[Transaction, int] = {}  # their first offsets, in order
        self._visible: list[Stored] = []
        self._visible_at: list[int] = []
        self._resolved = 0

    @property
    def stable(self) -> int:
        """The LSO: the first offset of the oldest transaction without its marker, or the end."""
        return next(iter(self._open.values()), len(self.log))

    def end(self, committed: bool) -> int:
        """ListOffsets, latest: the LSO for read_committed, else the high watermark."""
        return self.stable if committed else len(self.log)

    def append(self, owner: Transaction, drafts: Iterable[Draft]) -> None:
        """Write records of a transaction."""
        self._open.setdefault(owner, len(self.log))
        topic, number = self.tp
        for draft in drafts:
            self.log.append(Stored(*draft, topic, number, len(self.log)))
            self.owners.append(owner)

    def mark(self, owner: Transaction) -> None:
        """Write the marker that ends a transaction here."""
        self._open.pop(owner, None)
        self.log.append("commit" if owner.state == "committing" else "abort")
        self.owners.append(owner)

    def committed(self) -> list[Stored]:
        """What read_committed shows: committed records below the LSO, in order. Not to be changed."""
        for offset in range(self._resolved, self.stable):
            entry = self.log[offset]
            if type(entry) is Stored and self.owners[offset].state in ("committing", "committed"):
                self._visible.append(entry)
                self._visible_at.append(offset)
        self._resolved = self.stable
        return self._visible

    def fetch(self, position: int, limit: int, committed: bool) -> tuple[list[Stored], int]:
        """Records from `position` on, at most `limit`, and the position after them and what was passed over."""
        if not committed:
            stop = min(position + limit, len(self.log))
            return [entry for entry in self.log[position:stop] if type(entry) is Stored], stop
        visible = self.committed()
        start = bisect_left(self._visible_at, position)
        found = visible[start : start + limit]
        return found, self.stable if start + limit >= len(visible) else found[-1].offset + 1


@cache
def _hash(key: bytes) -> int:
    hashed: int = murmur2(key)  # pure Python: slow
    return hashed & 0x7FFFFFFF


class Cluster:
    """The brokers together. `topics`: how many partitions each has.

    `marker_delay`: from the decision to each marker. `check_delay`: from a transaction's time-out until the
    coordinator, which looks every ten seconds, sees it. `fetch_limit`: records of one partition in one answer.
    `away`: when no broker does anything by itself; it is put off until after.
    """

    def __init__(
        self,
        chance: random.Random,
        topics: Mapping[str, int],
        *,
        brokers: int = 3,
        marker_delay: Range = (0.001, 2.0),
        check_delay: Range = (0.0, 10.0),
        fetch_limit: int = 500,
    ) -> None:
        self.random = chance
        self.marker_delay = marker_delay
        self.check_delay = check_delay
        self.fetch_limit = fetch_limit
        self.topics = {topic: [TopicPartition(topic, n) for n in range(count)] for topic, count in topics.items()}
        every = [tp for tps in self.topics.values() for tp in tps]
        self.partitions = {tp: Partition(tp, index % brokers) for index, tp in enumerate(every)}
        self.identities: dict[str, Identity] = {}
        self.transactions: list[Transaction] = []
        self.away: list[Range] = []
        self._due: list[tuple[float, int, Effect]] = []
        self._scheduled = 0

    def at(self, due: float, effect: Effect) -> None:
        """Do this at that time."""
        for start, end in self.away:
            if start <= due < end:
                due = end + self.random.random()
        self._scheduled += 1
        heapq.heappush(self._due, (due, self._scheduled, effect))

    def advance(self, now: float) -> None:
        """Do what has fallen due."""
        while self._due and self._due[0][0] <= now:
            due, _, effect = heapq.heappop(self._due)
            with suppress(errors.KafkaError):  # a late request was refused, and nobody waits for the answer
                effect(due)

    def settle(self) -> None:
        """Do all that will ever happen by itself, whatever its time: the end of a run."""
        while self._due:
            self.advance(self._due[0][0])

    @property
    def settled(self) -> bool:
        """No transaction is open, and every marker is written, as of the last `advance`."""
        return all(identity.transaction is None for identity in self.identities.values())

    def init_producer(self, transactional_id: str, timeout_ms: int, now: float) -> Grant:
        """InitProducerId: fences, and ends what is open; ConcurrentTransactions until that has its markers."""
        identity = self.identities.setdefault(transactional_id, Identity())
        if (transaction := identity.transaction) is not None:
            self._abort(identity, transaction, "superseded", now)
            raise errors.ConcurrentTransactions
        identity.epoch += 1
        identity.timeout = timeout_ms / 1000
        return Grant(transactional_id, identity.epoch)

    def add_partitions(self, grant: Grant, tps: Sequence[TopicPartition], now: float) -> Transaction:
        """AddPartitionsToTxn, which opens the transaction if there is none."""
        identity = self._authorised(grant)
        transaction = identity.transaction
        if transaction is None:
            transaction = identity.transaction = Transaction(grant.transactional_id, grant.epoch, now)
            self.transactions.append(transaction)
            late = now + identity.timeout + self.random.uniform(*self.check_delay)
            self.at(late, lambda at: self._abort(identity, transaction, "timed out", at))
        elif transaction.state != "open":
            raise errors.ConcurrentTransactions
        transaction.partitions.update(dict.fromkeys(tps))
        return transaction

    def produce(self, grant: Grant, transaction: Transaction, batches: Batches, _: float) -> None:
        """Produce to one leader: refused unless this very transaction is open (as since Kafka 3.6, KIP-890)."""
        if self._authorised(grant).transaction is not transaction or transaction.state != "open":
            raise errors.InvalidTxnState
        for tp, drafts in batches.items():
            self.partitions[tp].append(transaction, drafts)

    def end(self, grant: Grant, transaction: Transaction, commit: bool, now: float) -> None:
        """EndTxn: from here on it is decided. Asked again, the answer is the same."""
        identity = self._authorised(grant)
        if transaction.state == "open":
            self._decide(identity, transaction, commit, "asked", now)
        elif (transaction.state in ("committing", "committed")) is not commit:
            raise errors.InvalidTxnState

    def tps(self, topic: str) -> list[TopicPartition]:
        """Metadata: the partitions of a topic."""
        if topic not in self.topics:
            raise errors.UnknownTopicOrPartitionError
        return self.topics[topic]

    def tp_of(self, topic: str, key: bytes) -> TopicPartition:
        """Where the default partitioner puts a key."""
        tps = self.topics[topic]
        return tps[_hash(key) % len(tps)]

    def _authorised(self, grant: Grant) -> Identity:
        identity = self.identities[grant.transactional_id]
        if identity.epoch != grant.epoch:
            raise errors.ProducerFenced
        return identity

    def _abort(self, identity: Identity, transaction: Transaction, why: str, now: float) -> None:
        if transaction.state == "open":
            identity.epoch += 1
            self._decide(identity, transaction, False, why, now)

    def _decide(self, identity: Identity, transaction: Transaction, commit: bool, why: str, now: float) -> None:
        transaction.state, transaction.why = "committing" if commit else "aborting", why
        transaction.decided_at = now
        transaction.unmarked = len(transaction.partitions)

        def mark(partition: Partition) -> None:
            partition.mark(transaction)
            transaction.unmarked -= 1
            if transaction.unmarked == 0:
                transaction.state = "committed" if commit else "aborted"
                identity.transaction = None

        least, most = self.marker_delay
        for tp in transaction.partitions:
            delay = least + (most - least) * self.random.random() ** PROMPTNESS
            self.at(now + delay, lambda _, partition=self.partitions[tp]: mark(partition))

    def committed(self, topic: str) -> list[Stored]:
        """What a read_committed consumer sees now, partition by partition, each in its order."""
        return [stored for tp in self.topics[topic] for stored in self.partitions[tp].committed()]

    def trace(self) -> bytes:
        """Every log with every transaction's marks: equal for equal runs."""
        lines = [
            f"{tp.topic}/{tp.partition} {owner.transactional_id}/{owner.epoch} {owner.opened_at!r} {entry!r}"
            for tp, partition in self.partitions.items()
            for entry, owner in zip(partition.log, partition.owners, strict=True)
        ]
        return "\n".join(lines).encode()
