"""The brokers that other tests rely on: each way to one gives a Kafka that does what our promises rest on."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError, TopicAuthorizationFailedError, UnknownTopicOrPartitionError

from tests import conftest
from tests.conftest import StartKafka, Topics
from tests.kafka_container import IMAGE_VARIABLE, KafkaContainer, require_image
from tests.kafka_distribution import KafkaUnobtainable
from tests.kafka_readiness import KafkaStartFailed, free_port, wait_until_ready
from tests.kafka_server import KafkaServer

pytest_plugins = ("pytester",)

TIMEOUT = 30  # seconds for any one conversation here


async def create_topic(options: Mapping[str, Any], name: str) -> None:
    """Make a topic of one partition."""
    admin = AIOKafkaAdminClient(**options)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(name, num_partitions=1, replication_factor=1)])
    finally:
        await admin.close()


@asynccontextmanager
async def producing(options: Mapping[str, Any], transactional_id: str | None = None) -> AsyncGenerator[Any]:
    """A started producer, transactional where an id is given; untyped, as aiokafka is."""
    producer: Any = AIOKafkaProducer(**options, transactional_id=transactional_id)
    await producer.start()
    try:
        yield producer
    finally:
        async with asyncio.timeout(5):  # it waits for ever for a broker that is away
            await producer.stop()


async def read(options: Mapping[str, Any], topic: str, count: int) -> list[bytes | None]:
    """The values of the first `count` committed records."""
    settings: dict[str, Any] = {"auto_offset_reset": "earliest", "isolation_level": "read_committed"}
    consumer = cast(Any, AIOKafkaConsumer(topic, **options, **settings))
    await consumer.start()
    try:
        return [(await consumer.getone()).value for _ in range(count)]
    finally:
        await consumer.stop()


async def round_trip(options: Mapping[str, Any], topics: Topics) -> list[bytes | None]:
    """Abort one record, commit two, and read what a consumer may see."""
    async with asyncio.timeout(TIMEOUT):
        await create_topic(options, topics.events)
        async with producing(options, topics.state) as producer:
            await producer.begin_transaction()
            await producer.send_and_wait(topics.events, b"aborted")
            await producer.abort_transaction()
            async with producer.transaction():
                await producer.send(topics.events, b"one")
                await producer.send(topics.events, b"two")
        return await read(options, topics.events, 2)


async def test_shared_kafka_shows_committed_records_and_no_aborted_ones(kafka: str, topics: Topics) -> None:
    """The shared broker has working transactions."""
    assert await round_trip({"bootstrap_servers": kafka}, topics) == [b"one", b"two"]


async def test_shared_kafka_creates_no_topic_unasked(kafka: str, topics: Topics) -> None:
    """Sending to a topic that nobody created fails, so a test cannot pass by accident."""
    if os.environ.get(conftest.ADDRESS_VARIABLE):
        pytest.skip("a given Kafka has settings of its own")
    async with producing({"bootstrap_servers": kafka, "request_timeout_ms": 1500}) as producer:
        with pytest.raises((UnknownTopicOrPartitionError, KafkaError)):
            await producer.send_and_wait(topics.events, b"lost")


async def test_killed_broker_comes_back_on_its_port_with_its_data(own_kafka: StartKafka, topics: Topics) -> None:
    """What was committed before SIGKILL is read after the restart at the same address."""
    server = own_kafka()
    before = server.bootstrap
    assert await round_trip(server.client_options(), topics) == [b"one", b"two"]

    server.kill()
    assert not server.running
    await asyncio.to_thread(server.start)

    assert server.bootstrap == before
    async with asyncio.timeout(TIMEOUT):
        async with producing(server.client_options(), topics.state) as producer, producer.transaction():
            await producer.send(topics.events, b"three")
        assert await read(server.client_options(), topics.events, 3) == [b"one", b"two", b"three"]


async def test_stopped_broker_starts_again_with_its_data(own_kafka: StartKafka, topics: Topics) -> None:
    """An orderly restart keeps address and records too."""
    server = own_kafka()
    assert await round_trip(server.client_options(), topics) == [b"one", b"two"]
    await asyncio.to_thread(server.restart)
    async with asyncio.timeout(TIMEOUT):
        assert await read(server.client_options(), topics.events, 2) == [b"one", b"two"]


def test_frozen_broker_answers_nothing_until_thawed(own_kafka: StartKafka) -> None:
    """A broker that hangs with its port open can be had, and ended."""
    server = own_kafka()
    server.freeze()
    with pytest.raises(KafkaStartFailed, match="no answer"):
        wait_until_ready(server.librdkafka_options(), 1.0)
    server.thaw()
    wait_until_ready(server.librdkafka_options(), TIMEOUT)
    server.freeze()
    server.stop()
    assert not server.running


def test_broker_that_cannot_start_shows_the_end_of_its_log(own_kafka: StartKafka) -> None:
    """A wrong property ends the wait at once and is named in the error."""
    with pytest.raises(KafkaStartFailed, match=r"num\.io\.threads"):
        own_kafka(properties={"num.io.threads": "0"})


async def test_wrong_password_is_refused(sasl_kafka: KafkaServer) -> None:
    """A client with a wrong password gets no connection."""
    producer = AIOKafkaProducer(**sasl_kafka.client_options("alice", "wrong"))
    with pytest.raises(KafkaError):
        await producer.start()
    await producer.stop()


async def test_user_without_rights_is_refused_until_granted(sasl_kafka: KafkaServer, topics: Topics) -> None:
    """The right password alone allows nothing; a grant does."""
    async with asyncio.timeout(TIMEOUT):
        await create_topic(sasl_kafka.client_options(), topics.events)
        async with producing(sasl_kafka.client_options("bob")) as producer:
            with pytest.raises(TopicAuthorizationFailedError):
                await producer.send_and_wait(topics.events, b"refused")
        await asyncio.to_thread(sasl_kafka.grant, "bob", "WRITE", "TOPIC", topics.events)
        async with producing(sasl_kafka.client_options("bob")) as producer:
            await producer.send_and_wait(topics.events, b"allowed")
        assert await read(sasl_kafka.client_options(), topics.events, 1) == [b"allowed"]


async def test_container_gives_a_kafka_with_transactions(topics: Topics) -> None:
    """The way through testcontainers works with the image that the environment names."""
    container = KafkaContainer()
    try:
        await asyncio.to_thread(container.start)
    except KafkaUnobtainable as error:
        pytest.skip(f"{IMAGE_VARIABLE}: {error}")
    try:
        assert await round_trip({"bootstrap_servers": container.bootstrap}, topics) == [b"one", b"two"]
    finally:
        await asyncio.to_thread(container.close)


def test_image_that_does_not_exist_is_told_at_once() -> None:
    """Neither a missing engine nor a missing image costs more than a moment, and the reason is kept."""
    with pytest.raises(KafkaUnobtainable, match=r"no Docker engine|cannot be pulled"):
        require_image("streamer.invalid/none:0")


def test_missing_java_is_named_with_the_remedy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Without Java the reason says what to install."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setattr("tests.kafka_distribution._wheel_java", lambda: None)
    with pytest.raises(KafkaUnobtainable, match="install Java 17"):
        KafkaServer().start()


def test_missing_maven_is_named_with_the_remedy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Without Maven and with an empty cache the reason says what to install."""
    java = tmp_path / "java"
    java.write_text("#!/bin/sh\necho 'openjdk version \"17.0.1\"' >&2\n")
    java.chmod(0o700)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with pytest.raises(KafkaUnobtainable, match="install Maven"):
        KafkaServer().start()


@pytest.mark.parametrize(("option", "outcome"), [((), "skipped"), (("--require-kafka",), "errors")])
def test_required_kafka_turns_the_skip_into_a_failure(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, option: tuple[str, ...], outcome: str
) -> None:
    """Without any way to a Kafka a test is skipped with the reasons, and fails where a Kafka is required."""
    pytester.makeconftest(Path(conftest.__file__).read_text())
    pytester.makepyfile("def test_it(kafka): pass")
    monkeypatch.setenv("PATH", "")
    monkeypatch.setenv("PYTHONPATH", str(Path(conftest.__file__).parent.parent))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere/docker.sock")
    monkeypatch.delenv(conftest.ADDRESS_VARIABLE, raising=False)
    result = pytester.runpytest_subprocess("-rsE", *option)
    result.assert_outcomes(**{outcome: 1})
    result.stdout.fnmatch_lines(["*STREAMER_TEST_KAFKA is not set; container of *engine*; *no java on the path*"])


def test_free_ports_lie_below_the_range_of_outgoing_connections() -> None:
    """A client that keeps trying a dead broker can never be given the broker's own port."""
    assert all(20000 <= free_port() < 32768 for _ in range(20))
