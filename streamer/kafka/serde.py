"""Batches and feed statuses → Kafka records: key, value, CloudEvents headers, timestamp."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from streamer.config import Kafka
from streamer.core import wire
from streamer.core.feed import FeedStatus
from streamer.core.model import AgentStateChanged, Batch
from streamer.core.rejected import Told, record

Headers = tuple[tuple[str, bytes], ...]

EVENT_SCHEMA = b"agent-state-changed-1.0.json"

HEADER_BYTES = 64
"""What a header takes in memory, about, and a record beside its key and value."""

_VERSION = ("ce_specversion", b"1.0")
_TYPE = ("ce_type", b"AgentStateChanged")
_SCHEMA = ("ce_dataschema", EVENT_SCHEMA)
_JSON = ("content-type", b"application/json")


class Record(msgspec.Struct, frozen=True):
    """One Kafka record. `timestamp` is unix ms of our clock; a None value is a tombstone."""

    topic: str
    key: bytes
    value: bytes | None
    timestamp: int
    headers: Headers = ()

    @property
    def size(self) -> int:
        """Bytes that it keeps waiting in memory, about."""
        return len(self.key) + len(self.value or b"") + HEADER_BYTES * (1 + len(self.headers))


def key(source: str, extension: str) -> bytes:
    """`source/extension`: the key of events and states, so that the default partitioner joins them."""
    return f"{source}/{extension}".encode()


def encode(batch: Batch, topics: Kafka, told: Told, secrets: Iterable[str], trace: Headers = ()) -> tuple[Record, ...]:
    """The batch's records: events, then states and tombstones, then what was rejected, without `secrets`.

    `trace` are headers by which a reader of its events can join the trace of its poll.
    """
    at = batch.observed_at
    origin, last = ("ce_source", f"/streamer/{batch.source}".encode()), (_SCHEMA, _JSON, *trace)
    records = [_event(changed, topics.events_topic, origin, last) for changed in batch.events]
    records += [
        Record(
            topics.state_topic,
            key(agent.source, agent.extension),
            wire.state_text(agent),
            at,
        )
        for agent in batch.states
    ]
    records += [Record(topics.state_topic, key(batch.source, extension), None, at) for extension in batch.forgotten]
    hidden = tuple(secrets)
    for row in batch.rejected:
        body = record(row, batch.source, batch.poll_id, at, hidden, told.repeats(row))
        records.append(Record(topics.rejected_topic, batch.source.encode(), wire.dumps(body), at))
    return tuple(records)


def _event(changed: AgentStateChanged, topic: str, origin: tuple[str, bytes], last: Headers) -> Record:
    agent = changed.after
    headers = (
        _VERSION,
        ("ce_id", agent.event_id.encode()),
        origin,
        _TYPE,
        ("ce_time", wire.rfc3339(changed.when.at).encode()),
        ("ce_subject", agent.extension.encode()),
        *last,
    )
    return Record(topic, key(agent.source, agent.extension), wire.event_text(changed), agent.observed_at, headers)


def encode_feed(feed: FeedStatus, topics: Kafka) -> Record:
    """The feed's record, keyed by its source."""
    return Record(topics.feed_topic, feed.source.encode(), wire.dumps(wire.feed_status(feed)), feed.at)
