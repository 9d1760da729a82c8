"""The examples in docs/examples, each in its own language, on a real Kafka: the same records, the same lines."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from aiokafka.admin import NewTopic

from streamer.config import Kafka
from tests.client.produced import event, producing, sent, stamp, written
from tests.conftest import Topics, without
from tests.docs.pages import ROOT
from tests.kafka_distribution import KafkaUnobtainable, obtain
from tests.node_packages import NodeUnobtainable
from tests.node_packages import obtain as obtain_packages
from tests.topics import made, settings

EXAMPLES = ROOT / "docs" / "examples"
NODE_PACKAGES = ("kafkajs@2.2.4", "lz4-napi@2.10.0")
PATIENCE = 60.0


def in_python(_: pytest.Config) -> list[str]:
    """This Python has aiokafka."""
    return [sys.executable, "-u", str(EXAMPLES / "consumer.py")]


def in_node(config: pytest.Config) -> list[str]:
    """Its packages are installed once, beside a copy of the example: Node looks for them there."""
    try:
        home = obtain_packages(*NODE_PACKAGES).parent
    except NodeUnobtainable as error:
        without(config, "tools", str(error))
    shutil.copy(EXAMPLES / "consumer.mjs", home)
    return ["node", str(home / "consumer.mjs")]


def in_java(config: pytest.Config) -> list[str]:
    """Kafka's own jars hold its client, LZ4 and Jackson."""
    try:
        distribution = obtain()
    except KafkaUnobtainable as error:
        without(config, "tools", str(error))
    return distribution.command(str(EXAMPLES / "Consumer.java"))


async def told(config: Kafka, prefix: str) -> None:
    """An aborted event, a repeat, a gap, records that are none, a new epoch."""
    await made(config.bootstrap_servers, NewTopic(config.events_topic, 1, 1))
    async with producing(config, f"{prefix}-t") as producer:
        await producer.begin_transaction()
        for topic, key, value in sent(config, event("100001", 1, "talking")):
            await producer.send(topic, key=key, value=value)
        await producer.abort_transaction()
    key, topic = b"floor/100001", config.events_topic
    await written(
        config,
        *(event("100001", n, at=n) for n in (1, 2, 2, 5)),
        *((topic, key, junk) for junk in (b"{", None, b"[]", b'"text"')),
        event("100001", 1, "paused", epoch="6b039fff"),
        event("100001", 6),
        event("100002", 1),
    )


@pytest.mark.parametrize("command", [in_python, in_node, in_java])
def test_an_example_tells_each_event_once_and_what_is_missing(
    command: Callable[[pytest.Config], list[str]],
    kafka: str,
    topics: Topics,
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> None:
    """What was aborted is not shown, and what cannot be read harms nothing after it."""
    started = command(request.config)
    config = settings(kafka, topics)
    asyncio.run(told(config, topics.prefix))
    names = {"KAFKA": kafka, "TOPIC": topics.events, "GROUP": topics.group}
    with (tmp_path / "out").open("wb") as out, (tmp_path / "err").open("wb") as err:
        process = subprocess.Popen(started, env={**os.environ, **names}, stdout=out, stderr=err)
    try:
        deadline = time.monotonic() + PATIENCE
        while "floor/100002" not in (lines := (tmp_path / "out").read_text()):
            assert process.poll() is None, (tmp_path / "err").read_text()
            assert time.monotonic() < deadline, lines + (tmp_path / "err").read_text()
            time.sleep(0.05)
    finally:
        process.kill()
        process.wait()
    found = lines.splitlines()
    junk = [line for line in found if line.startswith("UNREADABLE")]
    assert len(junk) == len(set(junk)) == 4
    assert [line for line in found if line not in junk] == [
        f"floor/100001 available since {stamp(1)}",
        f"floor/100001 available since {stamp(2)}",
        "MISSING floor/100001 3 to 4",
        f"floor/100001 available since {stamp(5)}",
        f"floor/100001 paused since {stamp(0)}",
        f"floor/100002 available since {stamp(0)}",
    ]
