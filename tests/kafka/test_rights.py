"""Our rights are found out by asking, and with an id that no instance runs under."""

from __future__ import annotations

from streamer.kafka import rights
from streamer.kafka import topics as ours
from streamer.kafka.connection import Connection
from streamer.kafka.store import SLOTS, KafkaStore
from tests.conftest import Topics
from tests.topics import settings, shown


async def test_full_rights_are_ok(kafka: str, topics: Topics) -> None:
    """One line for the topics, one for transactions."""
    config = settings(kafka, topics)
    connection = Connection(config)
    await ours.ensure(connection)
    await shown(connection, set(ours.wanted(config)))
    found = await rights.inspect(connection)
    assert [line[:2] for line in found] == [("ok", "rights"), ("ok", "transactions")]
    name = found[1][2].removeprefix("granted to ")
    live = {KafkaStore(connection).sink(slot)._transactional_id for slot in range(SLOTS)}  # pyright: ignore[reportPrivateUsage]
    assert name not in live


async def test_without_transactions_none_are_asked_for(kafka: str, topics: Topics) -> None:
    """at_least_once needs no such right."""
    connection = Connection(settings(kafka, topics, delivery="at_least_once"))
    assert [line[1] for line in await rights.inspect(connection)] == ["rights"]
