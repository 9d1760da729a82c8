"""`check`: every problem is one line with its remedy, soon, without a traceback, and nothing is changed by looking."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from streamer.config import Kafka
from streamer.kafka import connection, rights
from streamer.kafka.connection import Connection
from streamer.kafka.serde import Record
from streamer.kafka.store import SLOTS, KafkaStore
from tests.commands.shell import Cli, Done, StartVendor, eventually
from tests.conftest import StartKafka, Topics
from tests.kafka_server import KafkaServer
from tests.topics import create_ours, make, settings

WriteConfig = Callable[..., Path]

SOON = 20.0
"""Seconds in which any answer must be there."""


def failures(done: Done) -> list[str]:
    """The lines that say what is wrong; whatever it was, the rules for all of them hold."""
    assert "Traceback" not in done.text
    assert done.seconds < SOON
    lines = [line for line in done.out.splitlines() if line.startswith("failed")]
    assert all(" → " in line for line in lines), lines
    return lines


def test_all_in_order(cli: Cli, config: WriteConfig, kafka: str, vendor: StartVendor, topics: Topics) -> None:
    """Every line is ok, the exit code 0; rows and rights are told."""
    create_ours(settings(kafka, topics))
    done = cli("check", "--config", config({"bootstrap_servers": kafka}, {"url": vendor()}))
    assert (done.code, done.err) == (0, "")
    lines = done.out.splitlines()
    assert all(line.startswith("ok ") for line in lines), lines
    assert [line.split(":")[0].split(maxsplit=1)[1] for line in lines] == [
        "configuration",
        "source floor",
        "Kafka",
        *(f"topic {name}" for name in (topics.events, topics.state, topics.feed, topics.rejected)),
        "rights",
        "transactions",
    ]
    assert "extensions" in done.out


@pytest.mark.parametrize(
    ("zone", "problem", "remedy"),
    [
        ("UTC", "off by +8 h", "8 h further east"),
        ("Asia/Tokyo", "off by -1 h", "1 h further west"),
        ("Asia/Kolkata", "off by +2.5 h", "2.5 h further east"),
    ],
)
def test_a_time_zone_that_looks_wrong_is_named(
    cli: Cli, config: WriteConfig, vendor: StartVendor, zone: str, problem: str, remedy: str
) -> None:
    """A warning, with the way to the right one."""
    done = cli("check", "--config", config(source={"url": vendor(agents=40, floor="brisk"), "timezone": zone}))
    (line,) = [line for line in done.out.splitlines() if "looks wrong" in line]
    assert line.startswith("warning")
    assert f"timezone {zone} looks wrong: all fresh timestamps are {problem}" in line
    assert remedy in line


def test_a_clock_that_is_off_is_named(cli: Cli, config: WriteConfig, vendor: StartVendor) -> None:
    """Events bear the vendor's time."""
    done = cli("check", "--config", config(source={"url": vendor(faults="always:skew=-90")}))
    (line,) = [line for line in done.out.splitlines() if "the vendor's clock is" in line]
    assert line.startswith("warning")
    assert "off ours" in line


def test_missing_topics_are_warned_of_and_not_created(
    cli: Cli, config: WriteConfig, kafka: str, vendor: StartVendor, topics: Topics
) -> None:
    """`run` will create them: no failure."""
    done = cli("check", "--config", config({"bootstrap_servers": kafka}, {"url": vendor()}))
    assert done.code == 0
    assert done.out.count("is not there yet") == 4
    assert not existing(kafka, topics)


def existing(address: str, topics: Topics) -> list[str]:
    async def list_them() -> list[str]:
        admin = AIOKafkaAdminClient(bootstrap_servers=address)
        await admin.start()
        try:
            return [name for name in await admin.list_topics() if name.startswith(topics.prefix)]
        finally:
            await admin.close()

    return asyncio.run(list_them())


def test_nothing_is_created_where_the_broker_would_do_so_unasked(
    cli: Cli, config: WriteConfig, own_kafka: StartKafka, vendor: StartVendor, topics: Topics
) -> None:
    """Asking for a topic's description must not make it; nor do `tail` and `state`."""
    broker = own_kafka(properties={"auto.create.topics.enable": "true"})
    file = config({"bootstrap_servers": broker.bootstrap}, {"url": vendor()})
    assert cli("check", "--config", file).code == 0
    for command, topic in (("tail", topics.events), ("state", topics.state)):
        done = cli(command, "--config", file)
        assert (done.code, done.out) == (2, "")
        assert f"has no topic {topic}; " in done.err
        assert done.seconds < 5
    assert not existing(broker.bootstrap, topics)


def test_nothing_is_published(cli: Cli, config: WriteConfig, kafka: str, vendor: StartVendor, topics: Topics) -> None:
    """The ends of all topics, as a read_uncommitted reader sees them, stay."""
    create_ours(settings(kafka, topics))
    before = asyncio.run(ends(kafka, topics))
    assert cli("check", "--config", config({"bootstrap_servers": kafka}, {"url": vendor()})).code == 0
    assert asyncio.run(ends(kafka, topics)) == before


async def ends(address: str, topics: Topics) -> dict[Any, int]:
    names = (topics.events, topics.state, topics.feed, topics.rejected)
    consumer: Any = AIOKafkaConsumer(*names, bootstrap_servers=address)
    await consumer.start()
    try:
        return await consumer.end_offsets(list(consumer.assignment()))
    finally:
        await consumer.stop()


async def test_a_running_instance_is_not_fenced(kafka: str, topics: Topics) -> None:
    """Every slot's producer can still commit after the rights were looked at."""
    link = Connection(settings(kafka, topics))
    store = KafkaStore(link)
    await store.prepare()
    sinks = [store.sink(slot) for slot in (0, 7, SLOTS - 1)]
    try:
        await asyncio.gather(*(sink.open() for sink in sinks))
        assert {line[0] for line in await rights.inspect(link, None)} == {"ok"}
        record = Record(topics.feed, b"floor", b"{}", 1_795_399_205_000)
        await asyncio.gather(*(sink.write([record]) for sink in sinks))
    finally:
        await asyncio.gather(*(sink.close() for sink in sinks))


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://127.0.0.1:1", "127.0.0.1:1: no connection"),
        ("http://no-such-host.invalid:8080", "no-such-host.invalid:8080: the host name cannot be resolved"),
    ],
)
def test_a_wrong_vendor_host(cli: Cli, config: WriteConfig, kafka: str, url: str, words: str) -> None:
    """The address and what to look at."""
    done = cli("check", "--config", config({"bootstrap_servers": kafka}, {"url": url}))
    (line,) = failures(done)
    assert done.code == 1
    assert f"source floor: {words}" in line
    assert done.err.splitlines()[-1].startswith("streamer: 1 of ")


def test_a_vendor_that_never_answers(cli: Cli, config: WriteConfig, kafka: str, vendor: StartVendor) -> None:
    """The source's own time-outs bound it."""
    file = config({"bootstrap_servers": kafka}, {"url": vendor(faults="always:hang"), "total_timeout": 1.0})
    done = cli("check", "--config", file)
    (line,) = failures(done)
    assert "no answer in time" in line
    assert done.seconds < 6


@pytest.mark.parametrize(
    ("source", "faults", "words"),
    [
        ({"accesskey": "wr0ng-key"}, "", "the accesskey or the appid may be wrong"),
        ({}, "always:ret604", "put this machine's IP on the appid's list"),
        ({}, "always:ret604@poll", "put this machine's IP on the appid's list"),
        ({}, "always:ret601", "ask the vendor to authorise the appid"),
        ({}, "always:html", "check that url is the API's address"),
        ({}, "always:http500", "HTTP 500"),
        ({"token": "0123456789abcdef0123456789abcdef"}, "", "configure a fresh token"),
    ],
)
def test_a_vendor_that_refuses(
    cli: Cli,
    config: WriteConfig,
    kafka: str,
    vendor: StartVendor,
    source: dict[str, str],
    faults: str,
    words: str,
) -> None:
    """Wrong key, address not allowed, and the rest: what the vendor said and whom to ask, never the key."""
    file = config({"bootstrap_servers": kafka}, {"url": vendor(faults=faults), **source})
    done = cli("check", "--config", file, "--log-level", "debug")
    (line,) = failures(done)
    assert done.code == 1
    assert words in line
    assert not any(secret in done.text for secret in ("wr0ng-key", "key-1", "0123456789abcdef"))


def test_rows_that_cannot_be_read_are_a_warning(
    cli: Cli, config: WriteConfig, kafka: str, vendor: StartVendor, topics: Topics
) -> None:
    """`run` sets them aside and goes on: so does the check."""
    done = cli("check", "--config", config({"bootstrap_servers": kafka}, {"url": vendor(faults="always:garbage_row")}))
    assert done.code == 0
    assert "warning source floor" in done.out
    assert f"`run` puts them on {topics.rejected}" in done.out


def test_kafka_down(cli: Cli, config: WriteConfig, vendor: StartVendor) -> None:
    """Within a few seconds, naming the address."""
    done = cli("check", "--config", config({"bootstrap_servers": "127.0.0.1:1"}, {"url": vendor()}))
    (line,) = failures(done)
    assert done.code == 1
    assert "Kafka at 127.0.0.1:1: " in line
    assert done.seconds < 5


def test_a_kafka_host_without_an_address(cli: Cli, config: WriteConfig, vendor: StartVendor) -> None:
    """Naming it, too."""
    file = config({"bootstrap_servers": "no-such-host.invalid:9092"}, {"url": vendor()})
    done = cli("check", "--config", file)
    (line,) = failures(done)
    assert done.code == 1
    assert "no-such-host.invalid:9092" in line


@pytest.fixture
def silent_port() -> Iterator[int]:
    """Something that accepts connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_a_kafka_that_never_answers(
    cli: Cli, config: WriteConfig, vendor: StartVendor, silent_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A frozen broker, or another program's port: an end all the same, after one request's time-out."""
    assert connection.REQUEST_TIMEOUT_MS < SOON * 1000
    monkeypatch.setattr(connection, "REQUEST_TIMEOUT_MS", 1000)
    file = config({"bootstrap_servers": f"127.0.0.1:{silent_port}"}, {"url": vendor()})
    done = cli("check", "--config", file)
    (line,) = failures(done)
    assert done.code == 1
    assert f"Kafka at 127.0.0.1:{silent_port}" in line
    assert done.seconds < 4


def sasl(server: KafkaServer, user: str, password: str) -> dict[str, str]:
    return {
        "bootstrap_servers": server.bootstrap,
        "security_protocol": "SASL_PLAINTEXT",
        "sasl_mechanism": "PLAIN",
        "sasl_plain_username": user,
        "sasl_plain_password": password,
    }


def test_a_wrong_kafka_password(cli: Cli, config: WriteConfig, sasl_kafka: KafkaServer, vendor: StartVendor) -> None:
    """Refused, which is not the same as away; the password is not shown."""
    file = config(sasl(sasl_kafka, "alice", "wr0ng-password"), {"url": vendor()})
    done = cli("check", "--config", file, "--log-level", "debug")
    (line,) = failures(done)
    assert done.code == 1
    assert "refused our log-in → check kafka.sasl_mechanism" in line
    assert "wr0ng-password" not in done.text
    assert done.seconds < 5


def test_a_broker_that_wants_a_log_in_when_none_is_configured(
    cli: Cli, config: WriteConfig, sasl_kafka: KafkaServer, vendor: StartVendor
) -> None:
    """A failure in bounded time."""
    done = cli("check", "--config", config({"bootstrap_servers": sasl_kafka.bootstrap}, {"url": vendor()}))
    (line,) = failures(done)
    assert done.code == 1
    assert "security_protocol" in line


def test_missing_rights_on_topics_that_are_not_ours(
    cli: Cli, config: WriteConfig, sasl_kafka: KafkaServer, vendor: StartVendor
) -> None:
    """A user who may do nothing at all."""
    done = cli("check", "--config", config(sasl(sasl_kafka, "bob", "bob-password"), {"url": vendor()}))
    lines = failures(done)
    assert done.code == 1
    assert any("denies us the right to" in line and "grant the rights" in line for line in lines), lines
    assert "bob-password" not in done.text


def test_missing_rights_to_write_and_to_use_transactions(
    cli: Cli, config: WriteConfig, sasl_kafka: KafkaServer, vendor: StartVendor, topics: Topics
) -> None:
    """A user who may look and read: each right that is missing is named."""
    admin = Kafka.model_validate(
        {
            **sasl(sasl_kafka, "admin", "admin-password"),
            "events_topic": topics.events,
            "state_topic": topics.state,
            "feed_topic": topics.feed,
            "rejected_topic": topics.rejected,
        }
    )
    create_ours(admin)
    for right in ("READ", "DESCRIBE_CONFIGS"):
        sasl_kafka.grant("alice", right, "TOPIC", topics.prefix, prefix=True)
    sasl_kafka.grant("alice", "WRITE", "TOPIC", topics.events)
    file = config(sasl(sasl_kafka, "alice", "alice-password"), {"url": vendor()})

    def told() -> Done | None:
        done = cli("check", "--config", file, "--log-level", "debug")
        return done if len(failures(done)) == 2 else None  # what was granted holds a moment later

    done: Done = eventually(told, "two failures")
    rights, transactions = failures(done)
    assert done.code == 1
    assert f"we lack WRITE on {topics.state}, WRITE on {topics.feed}, WRITE on {topics.rejected}" in rights
    assert "transactions: " in transactions
    assert "alice-password" not in done.text
    for name in (topics.state, topics.feed, topics.rejected):
        sasl_kafka.grant("alice", "WRITE", "TOPIC", name)
    sasl_kafka.grant("alice", "WRITE", "TRANSACTIONAL_ID", topics.state, prefix=True)
    eventually(lambda: cli("check", "--config", file).code == 0, "all in order")


@pytest.mark.parametrize(
    ("name", "partitions", "policy", "words"),
    [
        ("state", 12, "delete", ["cleanup.policy is delete, not compact", "--add-config"]),
        ("state", 12, "compact,delete", ["cleanup.policy is compact,delete"]),
        ("events", 12, "compact", ["cleanup.policy is compact, not delete"]),
        ("state", 5, "compact", ["5 partitions, but", "has 12", "give the one with fewer as many"]),
    ],
)
def test_wrong_topics(
    cli: Cli,
    config: WriteConfig,
    kafka: str,
    vendor: StartVendor,
    topics: Topics,
    name: str,
    partitions: int,
    policy: str,
    words: list[str],
) -> None:
    """A state topic that is not compacted, events that are, partitions that cannot be joined."""
    wrong, other, right = topics.state, topics.events, "delete"
    if name == "events":
        wrong, other, right = topics.events, topics.state, "compact"
    make(
        kafka,
        NewTopic(wrong, partitions, 1, topic_configs={"cleanup.policy": policy}),
        NewTopic(other, 12, 1, topic_configs={"cleanup.policy": right}),
    )
    done = cli("check", "--config", config({"bootstrap_servers": kafka}, {"url": vendor()}))
    (line,) = failures(done)
    assert done.code == 1
    assert f"topic {wrong}: " in line
    assert all(word in line for word in words), line


def test_events_kept_too_short_are_a_warning(
    cli: Cli, config: WriteConfig, kafka: str, vendor: StartVendor, topics: Topics
) -> None:
    """Below 30 days."""
    make(kafka, NewTopic(topics.events, 12, 1, topic_configs={"retention.ms": str(7 * 86_400_000)}))
    done = cli("check", "--config", config({"bootstrap_servers": kafka}, {"url": vendor()}))
    assert done.code == 0
    assert f"warning topic {topics.events}: keeps events for 7.0 days only" in done.out


@pytest.mark.parametrize(
    ("kafka_keys", "source", "more", "words"),
    [
        (
            {"bootstrap_server": "x"},
            {},
            "",
            ["kafka.bootstrap_server: unknown key", "did you mean 'bootstrap_servers'"],
        ),
        ({}, {"timezone": "Asia/Shangai"}, "", ["timezone: 'Asia/Shangai' is not a known time zone"]),
        ({}, {"state": 1}, "", ["state: only 0 (all) can be polled"]),
        ({}, {"accesskey": None, "accesskey_file": "/nowhere/key"}, "", ["cannot read /nowhere/key"]),
        ({}, {"accesskey": None, "accesskey_env": "NOT_SET_KEY"}, "", ["the variable NOT_SET_KEY is not set"]),
        ({}, {"ca_file": "/nowhere/ca.pem"}, "", ["ca_file", "/nowhere/ca.pem"]),
        ({}, {}, "[kafka\n", ["not valid TOML"]),
        ({}, {}, "[cluster]\nslots = 0\n", ["cluster.slots"]),
    ],
)
def test_a_wrong_configuration(
    cli: Cli,
    config: WriteConfig,
    kafka_keys: dict[str, Any],
    source: dict[str, Any],
    more: str,
    words: list[str],
) -> None:
    """One line with file and key, exit code 2, before anything is asked of anybody."""
    file = config(kafka_keys, source, more)
    done = cli("check", "--config", file)
    assert done.code == 2
    (line,) = done.err.splitlines()
    assert line.startswith("streamer: ")
    assert all(word in line for word in [str(file), *words]), line
    assert done.seconds < 2


def test_a_file_that_is_not_there(cli: Cli, tmp_path: Path) -> None:
    """Exit code 2, with its name."""
    done = cli("check", "--config", tmp_path / "none.toml")
    assert (done.code, done.out) == (2, "")
    assert (
        done.err == f"streamer: {tmp_path}/none.toml: No such file or directory; give a readable file with --config\n"
    )
