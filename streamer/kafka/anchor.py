"""The audit trail's checkpoints on a topic of their own: what an older trail put back is found by."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from streamer.errors import TopicsWrong
from streamer.kafka import topics
from streamer.kafka.connection import Connection
from streamer.kafka.restore import ends_of, read_to_end

SETTINGS = {"cleanup.policy": "delete", "retention.ms": "-1", "retention.bytes": "-1"}
"""Of the topic of the audit trail's checkpoints: kept for ever, some 2 KB each."""


async def ensure(connection: Connection, topic: str) -> str:
    """The topic of the audit trail's checkpoints: created if it is missing; the id of the cluster.

    TopicsWrong where it does not keep its records: it is what an older trail put back is compared with.
    """
    admin = connection.admin()
    await connection.start(admin)
    try:
        if not await topics.counts(connection, admin, [topic]):
            await topics.created(connection, admin, topic, 1, SETTINGS)
        configs = (await topics.described(connection, admin, [topic])).get(topic, {})
        cluster: Any = await connection.call(admin.describe_cluster(), "describe the cluster")
    finally:
        await connection.discard(admin)
    kept = {name: configs.get(name, value) for name, value in SETTINGS.items()}
    if kept != SETTINGS:
        found = ", ".join(f"{name}={value}" for name, value in kept.items())
        raise TopicsWrong(
            f"topic {topic}: {found}: checkpoints would be lost",
            f"kafka-configs.sh --alter --entity-type topics --entity-name {topic} --add-config "
            + ",".join(f"{name}={value}" for name, value in SETTINGS.items()),
        )
    return str(cluster["cluster_id"])


async def publish(connection: Connection, topic: str, key: str, records: Sequence[bytes]) -> None:
    """Append records, in order; KafkaError if any of them may not be there."""
    producer = connection.producer(None, 0)
    try:
        await connection.start(producer)
        for record in records:
            await connection.call(producer.send_and_wait(topic, record, key.encode()), f"write {topic}")
    finally:
        await connection.discard(producer)


async def end(connection: Connection, topic: str) -> int:
    """How many records were ever written to the topic."""
    return sum((await ends_of(connection, [topic])).values())


async def published(connection: Connection, topic: str) -> list[bytes]:
    """All records of the topic, in order; TopicsWrong if there is no such topic."""
    if topic not in await topics.existing(connection, [topic]):
        raise TopicsWrong(
            f"Kafka at {connection.where} has no topic {topic}",
            "correct audit.topic; if it was deleted, so was what proves that the trail is the newest",
        )
    found: list[bytes] = []
    async for record in read_to_end(connection, [topic]):
        value: Any = record.value
        found.append(value or b"")
    return found
