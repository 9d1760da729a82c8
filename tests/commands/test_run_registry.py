"""`run` with a schema registry, as processes on a real Kafka: what others' deserialisers read, and what stops it."""

from __future__ import annotations

import json
import signal
import time
import urllib.request
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer
from confluent_kafka.admin import AdminClient
from confluent_kafka.schema_registry import Schema, SchemaRegistryClient
from confluent_kafka.schema_registry.json_schema import JSONDeserializer
from confluent_kafka.serialization import MessageField, SerializationContext

from streamer.client import AgentEvents, AgentTable
from tests.commands.shell import Cli, Process, StartVendor, eventually
from tests.conftest import Topics
from tests.lying_registry import LyingRegistry
from tests.topics import create_ours, settings
from tests.validation import validate

WriteConfig = Callable[..., Path]


def values(kafka: str, registry: str, topic: str, count: int) -> list[Any]:
    """So many of a topic's values, by Confluent's own deserialiser, which fetches the schema that the record names."""
    consumer = Consumer(
        {
            "bootstrap.servers": kafka,
            "group.id": f"{topic}-oracle",
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
        }
    )
    consumer.subscribe([topic])
    make: Any = JSONDeserializer  # its arguments are typed wrongly
    with SchemaRegistryClient({"url": registry}) as client:
        read = make(None, schema_registry_client=client)
        found: list[Any] = []
        while len(found) < count and (message := consumer.poll(15.0)) is not None:
            assert message.error() is None
            context = SerializationContext(topic, MessageField.VALUE, message.headers())
            found.append(read(message.value(), context))
    consumer.close()
    assert len(found) == count
    return found


def lived(file: Path, restored: str) -> str:
    """A `run` from its start to its orderly end, once its wallboard knows agents; what it logged.

    `restored` is a pattern for how many extensions it finds recorded.
    """
    with Process("run", "--config", file) as process:
        address = process.until(r'"address": "(http://[^"]+)"')[1]

        def agents() -> Any:
            with urllib.request.urlopen(f"{address}/state.json", timeout=10) as answer:  # noqa: S310 - on loopback
                return json.load(answer)["agents"]

        process.until(rf'"extensions": {restored}, "event": "restored"')
        process.until(r'"status": "live"')
        eventually(lambda: len(agents()) > 5, "a wallboard with agents")
        process.signal(signal.SIGTERM)
        done = process.end()
    assert done.code == 0, done.text
    return done.err


@pytest.mark.parametrize("framing", ["header", "prefix"])
async def test_what_run_writes_is_read_by_others_and_by_ourselves(
    framing: str, config: WriteConfig, kafka: str, registry: str, vendor: StartVendor, topics: Topics
) -> None:
    """By Confluent's deserialiser with the registry's schema, by our commands, wallboard and client, and a restart."""
    table = f'[registry]\nurl = "{registry}"\nframing = "{framing}"'
    file = config(
        {"bootstrap_servers": kafka}, {"url": vendor(floor="brisk", agents=20), "poll_interval": 0.2}, more=table
    )
    logs = lived(file, "0") + lived(file, "[1-9][0-9]*")
    assert "skipped a record" not in logs
    assert "HTTP Request" not in logs
    section = settings(kafka, topics)
    events: list[Any] = []
    async with AgentEvents(section) as reading:
        async for batch in reading.batches():
            assert batch.findings == []
            events += [json.loads(item.value) for item in batch.items]
            if not batch.items and events:
                break
    validate(events[0])
    by_agent: dict[str, list[tuple[str, int]]] = {}
    for event in events:
        by_agent.setdefault(event["extension"], []).append((event["epoch"], event["sequence"]))
    assert all(after == (epoch, n + 1) for seen in by_agent.values() for (epoch, n), after in pairwise(seen))
    async with AgentTable(section) as board:
        assert {agent.extension for agent in board.where()} == by_agent.keys()
    for topic, count in ((topics.events, len(events)), (topics.state, 3), (topics.feed, 3)):
        found = values(kafka, registry, topic, count)
        assert {record["source"] for record in found} == {"floor"}


def test_tail_state_and_check_know_the_framing_by_itself(
    config: WriteConfig, kafka: str, registry: str, vendor: StartVendor, topics: Topics, cli: Cli
) -> None:
    """The commands that read need no registry; `check` says what is registered, and registers nothing."""
    table = f'[registry]\nurl = "{registry}"\nframing = "prefix"'
    kept = {"url": vendor(floor="brisk", agents=20), "poll_interval": 0.2}
    file = config({"bootstrap_servers": kafka}, kept, more=table)
    lacking = f"warning schema registry: {registry} lacks {topics.events}-value, "
    assert [lacking in cli("check", "--config", file).out for _ in range(2)] == [True, True]
    lived(file, "0")
    assert f"ok      schema registry: {registry} has our schemas" in cli("check", "--config", file).out
    file = config({"bootstrap_servers": kafka}, kept)
    shown = cli("state", "--config", file, "--json")
    assert {json.loads(line)["type"] for line in shown.out.splitlines()} == {"AgentState"}
    with Process("tail", "--config", file, "--from", "beginning", "--json") as tail:
        tail.until(r"AgentStateChanged")


def test_an_incompatible_schema_in_the_registry_stops_run(
    config: WriteConfig, kafka: str, registry: str, topics: Topics, cli: Cli
) -> None:
    """Exit code 2, with subject, field and remedy, before a topic is made; `check` says the same."""
    with SchemaRegistryClient({"url": registry}) as asking:
        foreign = '{"type": "object", "required": ["mood"], "properties": {"mood": {"type": "string"}}}'
        asking.register_schema(f"{topics.feed}-value", Schema(foreign, "JSON"))
    file = config({"bootstrap_servers": kafka}, more=f'[registry]\nurl = "{registry}"')
    with Process("run", "--config", file) as process:
        done = process.end()
    assert done.code == 2
    assert f"version 1 of {topics.feed}-value does not go together with ours: FeedStatus: mood: " in done.err
    assert "give the topic another name" in done.err
    assert "Traceback" not in done.text
    assert topics.state not in AdminClient({"bootstrap.servers": kafka}).list_topics(timeout=15).topics
    checked = cli("check", "--config", file)
    assert f"failed  schema registry: the schema registry's version 1 of {topics.feed}-value" in checked.out


def test_a_registry_that_is_away_at_the_start_loses_nothing(
    config: WriteConfig, kafka: str, vendor: StartVendor, topics: Topics
) -> None:
    """Polling goes on, nothing is published; once the registry is there, everything is, framed, from the first poll."""
    create_ours(settings(kafka, topics))
    with LyingRegistry(answer=(503, "")) as lying:
        table = f'[registry]\nurl = "{lying.url}"\nframing = "prefix"'
        kept = {"url": vendor(floor="brisk", agents=20), "poll_interval": 0.2}
        file = config({"bootstrap_servers": kafka}, kept, more=table)
        with Process("run", "--config", file) as process:
            process.until("cannot serve us: 503")
            eventually(lambda: len(lying.asked) >= 4, "four attempts")
            back, lying.answer = time.time(), None
            process.until(r'"status": "live"')
            process.signal(signal.SIGTERM)
            assert process.end().code == 0
    consumer = Consumer({"bootstrap.servers": kafka, "group.id": topics.group, "auto.offset.reset": "earliest"})
    consumer.subscribe([topics.events])
    first: dict[bytes, int] = {}
    earliest = back
    while len(first) < 5 and (message := consumer.poll(15.0)) is not None:
        value = message.value()
        assert value is not None
        assert value[:5] == b"\x00\x00\x00\x00\x07"
        first.setdefault(message.key() or b"", json.loads(value[5:])["sequence"])
        earliest = min(earliest, message.timestamp()[1] / 1000)
    consumer.close()
    assert set(first.values()) == {1}
    assert earliest < back
