"""What Kafka lets us do, found out without writing anything.

The broker is asked to list our rights on each topic (KIP-430), and whether it would create those that are missing.
Whether transactions are granted shows only in starting one producer: with an id of its own that no instance ever runs
under, so that nobody is fenced.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Any

from confluent_kafka import KafkaError as ConfluentError
from confluent_kafka import KafkaException, TopicCollection
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from streamer.config import Cluster, Kafka
from streamer.errors import KafkaError, KafkaRefused, KafkaUnavailable
from streamer.kafka.connection import CALL_TIMEOUT, Connection
from streamer.kafka.sink import Sink
from streamer.kafka.topics import wanted

REMEDY = "grant the rights that docs/operations.md lists"

DENIED = {ConfluentError.TOPIC_AUTHORIZATION_FAILED, ConfluentError.CLUSTER_AUTHORIZATION_FAILED}

NO_COORDINATOR_YET = {
    ConfluentError.COORDINATOR_NOT_AVAILABLE,
    ConfluentError.COORDINATOR_LOAD_IN_PROGRESS,
    ConfluentError.NOT_COORDINATOR,
}
"""For a moment after a broker's first group: it makes the topic of the groups then."""
COORDINATOR_PAUSE = 0.2  # seconds

Found = tuple[str, str, str, str]
"""verdict, what, text, remedy: as a line of `check` takes them."""


def needed(config: Kafka, *, callbacks: bool = False) -> dict[str, tuple[str, ...]]:
    """Topic → the least rights on it with which `run` works. READ and WRITE include DESCRIBE.

    With `callbacks` a group passes hints on over the topic of its slots.
    """
    written = ("WRITE", "DESCRIBE_CONFIGS")
    read = ("READ", *written)
    return {
        config.events_topic: read,
        config.state_topic: read,
        config.feed_topic: read,
        config.rejected_topic: written,
        config.slots_topic: ("READ", "WRITE") if callbacks else ("DESCRIBE",),
    }


async def inspect(connection: Connection, cluster: Cluster | None, *, callbacks: bool = False) -> list[Found]:
    """One line for the rights on topics, one for the group if there is one, one for transactions."""
    topics = {*wanted(connection.config), *([connection.config.slots_topic] if cluster else [])}
    lines = await asyncio.to_thread(_topics, connection, topics, callbacks=callbacks)
    if cluster is not None:
        lines.append(await asyncio.to_thread(_group, connection, cluster.group))
    if connection.config.delivery == "exactly_once":
        lines.append(await _transactions(connection))
    return lines


async def _transactions(connection: Connection) -> Found:
    prefix = f"{connection.config.state_topic}-slot-"
    name = f"{prefix}check"
    sink = Sink(connection, name)
    try:
        await sink.open()
    except KafkaRefused:
        return ("failed", "transactions", f"we lack WRITE on transactional ids that begin with {prefix}", REMEDY)
    except KafkaError as error:
        return ("failed", "transactions", error.problem, error.remedy)
    finally:
        await sink.close()
    return ("ok", "transactions", f"granted to {name}", "")


def _topics(connection: Connection, ours: set[str], *, callbacks: bool) -> list[Found]:
    """`ours` are those that `run` creates where they are missing."""
    rights = needed(connection.config, callbacks=callbacks)
    admin: Any = AdminClient(librdkafka_options(connection))
    try:
        futures: dict[str, Any] = admin.describe_topics(
            TopicCollection(list(rights)), include_authorized_operations=True, request_timeout=CALL_TIMEOUT
        )
    except KafkaException as error:
        raise KafkaUnavailable(f"Kafka at {connection.where}: could not list our rights: {error}") from None
    lacking: list[str] = []
    missing: list[str] = []
    for name, future in futures.items():
        try:
            allowed: list[Any] | None = future.result(CALL_TIMEOUT).authorized_operations
        except KafkaException as error:
            if _code(error) in DENIED:
                # What includes DESCRIBE is lacking for sure; the rest is told once this is granted.
                lacking += [f"{right} on {name}" for right in rights[name] if right != "DESCRIBE_CONFIGS"]
            elif _code(error) == ConfluentError.UNKNOWN_TOPIC_OR_PART and name in ours:
                missing.append(name)
            continue  # anything else: the topic's own line says so
        if allowed is None:
            continue
        granted = {operation.name for operation in allowed}
        lacking += [f"{right} on {name}" for right in rights[name] if not granted & {right, "ALL"}]
    lacking += _uncreatable(admin, missing)
    if lacking:
        return [("failed", "rights", f"we lack {', '.join(lacking)}", REMEDY)]
    return [("ok", "rights", "all that are needed on our topics", "")]


def _uncreatable(admin: Any, missing: Sequence[str]) -> list[str]:
    """Which of the missing topics we may not create. Nothing is created: the broker is only asked whether it would."""
    if not missing:
        return []
    new = [NewTopic(name, 1, 1) for name in missing]
    futures: dict[str, Any] = admin.create_topics(new, validate_only=True, request_timeout=CALL_TIMEOUT)
    lacking: list[str] = []
    for name, future in futures.items():
        try:
            future.result(CALL_TIMEOUT)
        except KafkaException as error:
            if _code(error) in DENIED:
                lacking.append(f"CREATE on {name}")
    return lacking


def _code(error: KafkaException) -> int:
    reason: ConfluentError = error.args[0]
    return reason.code()


def _group(connection: Connection, group: str) -> Found:
    admin: Any = AdminClient(librdkafka_options(connection))
    lacking: Found = ("failed", "group", f"we lack READ on group {group}", REMEDY)
    deadline = time.monotonic() + CALL_TIMEOUT
    while True:
        try:
            asked: dict[str, Any] = admin.describe_consumer_groups(
                [group], include_authorized_operations=True, request_timeout=CALL_TIMEOUT
            )
            allowed: list[Any] | None = asked[group].result(CALL_TIMEOUT).authorized_operations
        except KafkaException as error:
            if _code(error) == ConfluentError.GROUP_AUTHORIZATION_FAILED:
                return lacking
            if _code(error) in NO_COORDINATOR_YET and time.monotonic() < deadline:
                time.sleep(COORDINATOR_PAUSE)
                continue
            raise KafkaUnavailable(f"Kafka at {connection.where}: group {group}: {error.args[0].name()}") from None
        if allowed is None or {operation.name for operation in allowed} & {"READ", "ALL"}:
            return ("ok", "group", f"{group} may be joined", "")
        return lacking


def librdkafka_options(connection: Connection) -> dict[str, Any]:
    """The connection's security in librdkafka's words."""
    c = connection.config
    options: dict[str, Any] = {
        "bootstrap.servers": c.bootstrap_servers,
        "client.id": connection.client_id,
        "security.protocol": c.security_protocol,
        "log_level": 0,
    }
    if c.security_protocol.startswith("SASL"):
        options["sasl.mechanism"] = c.sasl_mechanism
        options["sasl.username"] = c.sasl_plain_username or ""
        options["sasl.password"] = c.sasl_plain_password.get_secret_value() if c.sasl_plain_password else ""
        options["sasl.kerberos.service.name"] = c.sasl_kerberos_service_name
    for name, file in (
        ("ssl.ca.location", c.ssl_cafile),
        ("ssl.certificate.location", c.ssl_certfile),
        ("ssl.key.location", c.ssl_keyfile),
    ):
        if file is not None:
            options[name] = str(file)
    if c.ssl_password:
        options["ssl.key.password"] = c.ssl_password.get_secret_value()
    if not c.ssl_check_hostname:
        options["ssl.endpoint.identification.algorithm"] = "none"
    return options
