"""What one look at the topics brings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

import msgspec

from streamer.client.records import AgentStateChanged, FeedStatus
from streamer.client.sequences import EpochLost, Gap, Last, Repeat


class Poison(msgspec.Struct, frozen=True):
    """A record that is none of ours, or damaged. Reading goes on after it."""

    topic: str
    partition: int
    offset: int
    reason: str
    key: bytes | None
    value: bytes | None

    def __str__(self) -> str:
        return f"{self.topic}[{self.partition}]@{self.offset}: {self.reason}"


class Interrupted(msgspec.Struct, frozen=True):
    """Kafka was away, or a consumer had stopped making progress: a new one goes on where the old one was."""

    reason: str

    def __str__(self) -> str:
        return f"reading was interrupted: {self.reason}"


class Rebalanced(msgspec.Struct, frozen=True):
    """The group's partitions of the events were given out anew; these are ours now."""

    partitions: tuple[int, ...]

    def __str__(self) -> str:
        return f"the group was rebalanced: partitions {', '.join(map(str, self.partitions)) or 'none'} are ours"


Finding = Gap | Repeat | EpochLost | Poison | Interrupted | Rebalanced


class Item(msgspec.Struct, frozen=True, gc=False):
    """An event, its record as JSON and where it lies. `timestamp` is the record's: observed_at in unix ms."""

    event: AgentStateChanged
    value: bytes
    partition: int
    offset: int
    timestamp: int


class Batch(msgspec.Struct, frozen=True):
    """One look at the topics.

    `items` are new events, in order for each extension. `positions` are the offsets to go on with, by partition of the
    events topic, and `numbers` the last event of each extension of `items`: keep both in one transaction with what you
    make of the events, and hand all of them in again at the next start. `feeds` are new statuses. `complete` tells of
    sources up to when (on the vendor's clock) everything that was seen has been given out, this batch included.
    """

    items: Sequence[Item]
    findings: Sequence[Finding]
    feeds: Sequence[FeedStatus]
    positions: Mapping[int, int]
    numbers: Mapping[str, Last]
    complete: Mapping[str, datetime]
