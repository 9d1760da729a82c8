"""What Kafka lets us do, found out without writing anything.

The broker is asked to list our rights on each topic (KIP-430). Whether transactions are granted shows only in starting
one producer: with an id of its own that no instance ever runs under, so that nobody is fenced.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Any

from confluent_kafka import KafkaError as ConfluentError
from confluent_kafka import KafkaException, TopicCollection
from confluent_kafka.admin import AdminClient

from streamer.config import Cluster
from streamer.errors import KafkaError, KafkaUnavailable
from streamer.kafka.connection import CALL_TIMEOUT, Connection
from streamer.kafka.sink import Sink
from streamer.kafka.topics import wanted

NEEDED = ("READ", "WRITE", "DESCRIBE")
"""On every topic: events and rejected are only written, but `tail` reads them."""

NO_COORDINATOR_YET = {
    ConfluentError.COORDINATOR_NOT_AVAILABLE,
    ConfluentError.COORDINATOR_LOAD_IN_PROGRESS,
    ConfluentError.NOT_COORDINATOR,
}
"""For a moment after a broker's first group: it makes the topic of the groups then."""
COORDINATOR_PAUSE = 0.2  # seconds

Found = tuple[str, str, str, str]
"""verdict, what, text, remedy: as a line of `check` takes them."""


async def inspect(connection: Connection, cluster: Cluster | None, *, callbacks: bool = False) -> list[Found]:
    """One line for the rights on topics that exist, one for the group if there is one, one for transactions.

    With `callbacks` a group also writes on the topic of its slots, and reads it.
    """
    config = connection.config
    lines = await asyncio.to_thread(_topics, connection, [config.slots_topic] if cluster and callbacks else [])
    if cluster is not None:
        lines.append(await asyncio.to_thread(_group, connection, cluster.group))
    if config.delivery == "exactly_once":
        lines.append(await _transactions(connection))
    return lines


async def _transactions(connection: Connection) -> Found:
    name = f"{connection.config.state_topic}-slot-check"
    sink = Sink(connection, name)
    try:
        await sink.open()
    except KafkaError as error:
        return ("failed", "transactions", error.problem, error.remedy)
    finally:
        await sink.close()
    return ("ok", "transactions", f"granted to {name}", "")


def _topics(connection: Connection, more: Sequence[str]) -> list[Found]:
    names = [*wanted(connection.config), *more]
    admin: Any = AdminClient(librdkafka_options(connection))
    try:
        futures: dict[str, Any] = admin.describe_topics(
            TopicCollection(names), include_authorized_operations=True, request_timeout=CALL_TIMEOUT
        )
    except KafkaException as error:
        raise KafkaUnavailable(f"Kafka at {connection.where}: could not list our rights: {error}") from None
    lacking: list[str] = []
    for name, future in futures.items():
        try:
            allowed: list[Any] | None = future.result(CALL_TIMEOUT).authorized_operations
        except KafkaException:
            continue  # a topic that is not there, or not ours to see: the topic's own line says so
        if allowed is None:
            continue
        granted = {operation.name for operation in allowed}
        lacking += [f"{needed} on {name}" for needed in NEEDED if not granted & {needed, "ALL"}]
    if lacking:
        return [("failed", "rights", f"we lack {', '.join(lacking)}", "grant the rights that the README lists")]
    return [("ok", "rights", "read, write and describe on our topics", "")]


def _group(connection: Connection, group: str) -> Found:
    admin: Any = AdminClient(librdkafka_options(connection))
    remedy = "grant Read and Describe on the group"
    deadline = time.monotonic() + CALL_TIMEOUT
    while True:
        try:
            asked: dict[str, Any] = admin.describe_consumer_groups(
                [group], include_authorized_operations=True, request_timeout=CALL_TIMEOUT
            )
            allowed: list[Any] | None = asked[group].result(CALL_TIMEOUT).authorized_operations
        except KafkaException as error:
            reason: ConfluentError = error.args[0]
            if reason.code() == ConfluentError.GROUP_AUTHORIZATION_FAILED:
                return ("failed", "group", f"we may not see {group}", remedy)
            if reason.code() in NO_COORDINATOR_YET and time.monotonic() < deadline:
                time.sleep(COORDINATOR_PAUSE)
                continue
            raise KafkaUnavailable(f"Kafka at {connection.where}: group {group}: {reason.name()}") from None
        if allowed is None or {operation.name for operation in allowed} & {"READ", "ALL"}:
            return ("ok", "group", f"{group} may be joined", "")
        return ("failed", "group", f"we lack READ on {group}", remedy)


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
