"""Our rights are found out by asking, and with an id that no instance runs under."""

from __future__ import annotations

import asyncio

from streamer.config import Cluster
from streamer.kafka import rights
from streamer.kafka import topics as ours
from streamer.kafka.connection import Connection
from streamer.kafka.rights import Found
from streamer.kafka.store import SLOTS, KafkaStore
from tests.conftest import Topics
from tests.kafka_server import KafkaServer
from tests.topics import settings, shown


async def test_full_rights_are_ok(kafka: str, topics: Topics) -> None:
    """One line for the topics, one for transactions."""
    config = settings(kafka, topics)
    connection = Connection(config)
    await ours.ensure(connection)
    await shown(connection, set(ours.wanted(config)))
    found = await rights.inspect(connection, None)
    assert [line[:2] for line in found] == [("ok", "rights"), ("ok", "transactions")]
    name = found[1][2].removeprefix("granted to ")
    live = {KafkaStore(connection).sink(slot)._transactional_id for slot in range(SLOTS)}  # pyright: ignore[reportPrivateUsage]
    assert name not in live


async def test_the_right_to_join_the_group_is_asked_for(sasl_kafka: KafkaServer, topics: Topics) -> None:
    """Without it an instance would never be given a slot."""
    who = {"security_protocol": "SASL_PLAINTEXT", "sasl_plain_username": "bob", "sasl_plain_password": "bob-password"}
    connection = Connection(settings(sasl_kafka.bootstrap, topics, delivery="at_least_once", **who))
    cluster = Cluster(group=topics.group)

    async def line() -> Found:
        return next(line for line in await rights.inspect(connection, cluster) if line[1] == "group")

    assert (await line())[0] == "failed"
    await asyncio.to_thread(sasl_kafka.grant, "bob", "DESCRIBE", "GROUP", topics.group)
    await asyncio.to_thread(sasl_kafka.grant, "bob", "READ", "GROUP", topics.group)
    assert (await line())[0] == "ok"


async def test_without_transactions_none_are_asked_for(kafka: str, topics: Topics) -> None:
    """at_least_once needs no such right."""
    connection = Connection(settings(kafka, topics, delivery="at_least_once"))
    assert [line[1] for line in await rights.inspect(connection, None)] == ["rights"]
