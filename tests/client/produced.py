"""Records as `run` would write them, for tests of readers: produced to the topics of a test."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
from aiokafka import AIOKafkaProducer
from aiokafka.admin import NewTopic

from streamer.config import Kafka
from tests.conftest import Topics
from tests.sample_records import example, examples
from tests.topics import made, settings
from tests.validation import Record

START = datetime(2026, 11, 23, 2, 0, tzinfo=UTC)
Sent = tuple[str, bytes, bytes | None]
"""Topic, key, value."""


async def ready(kafka: str, topics: Topics, partitions: int = 3) -> Kafka:
    """A test's own topics, made: those that consumers read."""
    compacted = {"cleanup.policy": "compact"}
    await made(
        kafka,
        NewTopic(topics.events, partitions, 1),
        NewTopic(topics.state, partitions, 1, topic_configs=compacted),
        NewTopic(topics.feed, 1, 1, topic_configs=compacted),
    )
    return settings(kafka, topics)


def stamp(seconds: float) -> str:
    """So many seconds after START."""
    return (START + timedelta(seconds=seconds)).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def event(
    extension: str, sequence: int, state: str = "available", *, at: float = 0.0, epoch: str = "6b039010", **more: Any
) -> Record:
    """One event of source `floor`."""
    change = "first_seen" if sequence == 1 else "signed_out" if state == "signed_out" else "state"
    made = example(change) | {
        "event_id": f"floor/{extension}/{epoch}/{sequence}",
        "extension": extension,
        "epoch": epoch,
        "sequence": sequence,
        "current": {"state": state, "since": stamp(at)},
        "occurred_at": stamp(at),
    }
    return made | more


def agent_state(extension: str, sequence: int, state: str = "available", *, group: str = "queue-1") -> Record:
    """The state record that goes with an event."""
    made: Record = examples("AgentState")[0] | {
        "event_id": f"floor/{extension}/6b039010/{sequence}",
        "extension": extension,
        "sequence": sequence,
        "state": state,
    }
    made["groups"] = [seat | {"name": group} for seat in made["groups"][:1]]
    return made


def feed(status: str = "live", *, at: datetime, confirmed: float | None = 0.0, source: str = "floor") -> Record:
    """A feed's status."""
    return examples("FeedStatus")[0] | {
        "source": source,
        "status": status,
        "reason": "" if status == "live" else "because",
        "at": at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "confirmed_until": None if confirmed is None else stamp(confirmed),
    }


def sent(config: Kafka, *records: Record) -> list[Sent]:
    """The records' topics, keys and values."""
    topics = {
        "AgentStateChanged": config.events_topic,
        "AgentState": config.state_topic,
        "FeedStatus": config.feed_topic,
    }
    made: list[Sent] = []
    for record in records:
        key = record["source"] if record["type"] == "FeedStatus" else f"{record['source']}/{record['extension']}"
        made.append((topics[record["type"]], key.encode(), orjson.dumps(record)))
    return made


@asynccontextmanager
async def producing(config: Kafka, transactional_id: str | None = None) -> AsyncGenerator[Any]:
    """A started producer."""
    producer: Any = AIOKafkaProducer(
        bootstrap_servers=config.bootstrap_servers,
        acks="all",
        compression_type="lz4",
        transactional_id=transactional_id,
    )
    await producer.start()
    try:
        yield producer
    finally:
        await producer.stop()


async def written(config: Kafka, *records: Record | Sent) -> None:
    """Write records, in order."""
    async with producing(config) as producer:
        for topic, key, value in _all(config, records):
            await producer.send(topic, key=key, value=value)
        await producer.flush()


def _all(config: Kafka, records: Sequence[Record | Sent]) -> list[Sent]:
    return [one for record in records for one in ([record] if isinstance(record, tuple) else sent(config, record))]


async def soon(what: Any, seconds: float = 30.0) -> None:
    """Wait until `what()` is true."""
    async with asyncio.timeout(seconds):
        while not what():  # noqa: ASYNC110 - what is waited for is in another task or process
            await asyncio.sleep(0.02)
