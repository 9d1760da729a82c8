"""What all tests share: a real Kafka, and topic names that no other test uses."""

from __future__ import annotations

import os
import re
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn, Protocol

import pytest

from tests.kafka_container import KafkaContainer
from tests.kafka_distribution import KafkaUnobtainable
from tests.kafka_readiness import KafkaStartFailed, wait_until_ready
from tests.kafka_server import KafkaServer
from tests.node_packages import NodeUnobtainable, obtain
from tests.registry_server import RegistryServer, RegistryStartFailed

ADDRESS_VARIABLE = "STREAMER_TEST_KAFKA"
ADDRESS_TIMEOUT = 30.0  # seconds that a given Kafka has to answer

NODE_PACKAGES = ("@asyncapi/specs@6.11.1", "json-schema-to-typescript@16.0.0", "typescript@5.9.3")

KAFKA_ORIGIN = pytest.StashKey[str]()


@dataclass(frozen=True, slots=True)
class Topics:
    """Names of one test's own topics, and whatever else must be its own."""

    prefix: str

    @property
    def events(self) -> str:
        """For AgentStateChanged."""
        return f"{self.prefix}-changed"

    @property
    def state(self) -> str:
        """For AgentState; the transactional.id is made of it, so it is unique as well."""
        return f"{self.prefix}-state"

    @property
    def feed(self) -> str:
        """For FeedStatus."""
        return f"{self.prefix}-feed"

    @property
    def rejected(self) -> str:
        """For what could not be understood."""
        return f"{self.prefix}-rejected"

    @property
    def group(self) -> str:
        """A consumer group."""
        return f"{self.prefix}-group"


class StartKafka(Protocol):
    """What the fixture `own_kafka` gives: a started broker for each call, with KafkaServer's arguments."""

    def __call__(self, **options: Any) -> KafkaServer: ...


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--require-…`: a machine that lacks something fails the tests that need it."""
    parser.addoption(
        "--require-kafka",
        action="store_true",
        help="fail the tests that need a real Kafka instead of skipping them where there is none",
    )
    parser.addoption(
        "--require-tools",
        action="store_true",
        help="fail the tests that need other programs (promtool, npm) instead of skipping them where there are none",
    )
    parser.addoption(
        "--require-browser",
        action="store_true",
        help="fail the tests that need Chromium instead of skipping them where there is none",
    )


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say which Kafka the tests have talked to."""
    origin = config.stash.get(KAFKA_ORIGIN, None)
    if origin is not None:
        terminalreporter.write_line(f"Kafka: {origin}")


def without(config: pytest.Config, what: str, reason: str) -> NoReturn:
    """Skip, or fail where `--require-…` says so."""
    if config.getoption(f"--require-{what}"):
        pytest.fail(f"required: {what}: {reason}", pytrace=False)
    pytest.skip(f"no {what}: {reason}")


def without_kafka(config: pytest.Config, reason: str) -> NoReturn:
    """Skip, or fail where a real Kafka is required."""
    without(config, "kafka", reason)


@pytest.fixture(scope="session")
def kafka(request: pytest.FixtureRequest) -> Iterator[str]:
    """The address of a real Kafka that all tests share: given, else in a container, else from its jars."""
    address = os.environ.get(ADDRESS_VARIABLE)
    if address:
        wait_until_ready({"bootstrap.servers": address}, ADDRESS_TIMEOUT)
        request.config.stash[KAFKA_ORIGIN] = f"{address}, from {ADDRESS_VARIABLE}"
        yield address
        return
    container, server = KafkaContainer(), KafkaServer()
    ways: tuple[tuple[str, Callable[[], KafkaContainer | KafkaServer]], ...] = (
        (f"container of {container.image}", container.start),
        ("Apache Kafka from Maven's jars", server.start),
    )
    closed: list[str] = [f"{ADDRESS_VARIABLE} is not set"]
    for name, start in ways:
        try:
            started = start()
        except (KafkaUnobtainable, KafkaStartFailed) as error:
            closed.append(f"{name}: {error}")
            continue
        request.config.stash[KAFKA_ORIGIN] = f"{name} at {started.bootstrap}"
        try:
            yield started.bootstrap
        finally:
            started.close()
        return
    without_kafka(request.config, "; ".join(closed))


@pytest.fixture
def own_kafka(request: pytest.FixtureRequest) -> Iterator[StartKafka]:
    """Starts brokers that belong to one test, which may freeze, kill and restart them."""
    servers: list[KafkaServer] = []

    def start(**options: Any) -> KafkaServer:
        server = KafkaServer(**options)
        servers.append(server)
        return start_or_skip(request.config, server)

    yield start
    for server in servers:
        server.close()


@pytest.fixture(scope="session")
def sasl_kafka(request: pytest.FixtureRequest) -> Iterator[KafkaServer]:
    """A broker that demands a log-in; its users `alice` and `bob` may do nothing until `grant` allows it."""
    server = KafkaServer(sasl={"alice": "alice-password", "bob": "bob-password"})
    start_or_skip(request.config, server)
    yield server
    server.close()


def start_or_skip(config: pytest.Config, server: KafkaServer) -> KafkaServer:
    """Start a broker; skip, or fail where one is required, if this machine has no Java or no jars."""
    try:
        return server.start()
    except KafkaUnobtainable as error:
        without_kafka(config, str(error))


@pytest.fixture(scope="session")
def registry(request: pytest.FixtureRequest) -> Iterator[str]:
    """The address of a real schema registry, its API as Confluent's; each test has subjects of its own."""
    server = RegistryServer()
    try:
        address = server.start()
    except (KafkaUnobtainable, RegistryStartFailed) as error:
        without(request.config, "tools", str(error))
    yield address
    server.close()


@pytest.fixture(scope="session")
def node_modules(request: pytest.FixtureRequest) -> Path:
    """The folder with npm's packages that tests use."""
    try:
        return obtain(*NODE_PACKAGES)
    except NodeUnobtainable as error:
        without(request.config, "tools", str(error))


@pytest.fixture
def topics(request: pytest.FixtureRequest) -> Topics:
    """Topic names of this test alone, recognisable in a broker's log; nothing is created."""
    name = re.sub(r"[^a-z0-9]+", "-", request.node.name.lower()).strip("-")[:60]
    return Topics(f"{name}-{uuid.uuid4().hex[:8]}")
