"""The rights at Kafka that docs/operations.md lists are just those that are needed, and `check` names each one."""

from __future__ import annotations

import argparse
import re
import shlex
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, errors
from confluent_kafka import admin as confluent_admin

from streamer.config import Kafka
from tests.commands.shell import Cli, Done, Process, StartVendor, eventually
from tests.conftest import StartKafka, start_or_skip
from tests.kafka_server import KafkaServer
from tests.topics import create_ours

HANDBOOK = (Path(__file__).resolve().parents[2] / "docs" / "operations.md").read_text()
USERS = {"streamer": "streamer-password", "mine": "mine-password"}

OPERATIONS = {
    "Create": "CREATE",
    "Describe": "DESCRIBE",
    "DescribeConfigs": "DESCRIBE_CONFIGS",
    "Read": "READ",
    "Write": "WRITE",
}


@dataclass(frozen=True)
class Right:
    """One entry of an access control list."""

    user: str
    operation: str
    resource: str
    name: str
    prefix: bool

    def __str__(self) -> str:
        return f"{self.operation} on {self.resource} {self.name}"


def rights(section: str) -> list[Right]:
    """What the commands of a section grant, in words that `kafka-acls.sh` knows."""
    text = re.split(r"^##+ ", HANDBOOK.split(f"\n### {section}\n")[1], maxsplit=1, flags=re.MULTILINE)[0]
    parser = argparse.ArgumentParser(exit_on_error=False, allow_abbrev=False)
    parser.add_argument("--add", action="store_true", required=True)
    parser.add_argument("--allow-principal", required=True, type=lambda text: text.removeprefix("User:"))
    parser.add_argument("--operation", action="append", required=True, choices=OPERATIONS)
    parser.add_argument("--topic", action="append", default=[])
    parser.add_argument("--group", action="append", default=[])
    parser.add_argument("--transactional-id", action="append", default=[])
    parser.add_argument("--resource-pattern-type", choices=["literal", "prefixed"], default="literal")
    found: list[Right] = []
    for line in re.findall(r"^kafka-acls\.sh \$ADMIN (.+)$", text, re.MULTILINE):
        told = parser.parse_args(shlex.split(line))
        resources = {"TOPIC": told.topic, "GROUP": told.group, "TRANSACTIONAL_ID": told.transactional_id}
        prefix = told.resource_pattern_type == "prefixed"
        found += [
            Right(told.allow_principal, OPERATIONS[operation], resource, name, prefix)
            for resource, names in resources.items()
            for name in names
            for operation in told.operation
        ]
    assert found
    return found


SINGLE = rights("An instance")
GROUP = [right for right in rights("An instance of a group") if right.resource == "GROUP"]
CALLBACKS = [right for right in rights("An instance of a group") if right.resource == "TOPIC"]


def grant(broker: KafkaServer, granted: list[Right]) -> None:
    """As an administrator would."""
    for right in granted:
        broker.grant(right.user, right.operation, right.resource, right.name, prefix=right.prefix)


def revoke(broker: KafkaServer, right: Right) -> None:
    """Take one back; return when the broker applies it."""
    kafka: Any = confluent_admin  # declares only a part of its types
    terms = (
        kafka.ResourceType[right.resource],
        right.name,
        kafka.ResourcePatternType.PREFIXED if right.prefix else kafka.ResourcePatternType.LITERAL,
        f"User:{right.user}",
        "*",
        kafka.AclOperation[right.operation],
        kafka.AclPermissionType.ALLOW,
    )
    client = kafka.AdminClient({"log_level": 0, **broker.librdkafka_options()})
    rule = kafka.AclBindingFilter(*terms)
    for outcome in client.delete_acls([rule]).values():
        assert len(outcome.result(timeout=10)) == 1
    eventually(lambda: not client.describe_acls(rule).result(timeout=10), f"an end of {right}")


def kafka_section(broker: KafkaServer, user: str) -> dict[str, str]:
    """`[kafka]` for one of the users, all topics under the names that the handbook uses."""
    return {
        "bootstrap_servers": broker.bootstrap,
        "security_protocol": "SASL_PLAINTEXT",
        "sasl_mechanism": "PLAIN",
        "sasl_plain_username": user,
        "sasl_plain_password": {**USERS, "admin": "admin-password"}[user],
    }


def write(place: Path, broker: KafkaServer, url: str, *, group: bool) -> Path:
    """A configuration file, of an instance of a group or of one that is alone."""
    kafka = "".join(f'{key} = "{value}"\n' for key, value in kafka_section(broker, "streamer").items())
    file = place / f"{'group' if group else 'single'}.toml"
    file.write_text(
        f'[kafka]\n{kafka}[http]\nlisten = "127.0.0.1:0"\n{"[cluster]" if group else ""}\n'
        f'[[sources]]\nname = "floor"\nurl = "{url}"\nappid = "app-1"\naccesskey = "key-1"\n'
    )
    return file


def becomes_ready(file: Path) -> None:
    """`run` gets to the point at which events flow, and ends as it should."""
    with Process("run", "--config", file) as process:
        port = process.until(r"http://127\.0\.0\.1:(\d+)").group(1)

        def ready() -> bool:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5) as answer:
                    return answer.status == 200
            except OSError:
                return False

        eventually(ready, f"readiness: {process.err[-2000:]}")
        process.signal(15)
        assert process.end().code == 0, process.err


def test_with_exactly_its_rights_everything_runs(
    cli: Cli, own_kafka: StartKafka, vendor: StartVendor, tmp_path: Path
) -> None:
    """Alone, then in a group, on a broker where nothing was made before; `check` says so each time."""
    broker = own_kafka(sasl=USERS)
    single, group = (write(tmp_path, broker, vendor(), group=group) for group in (False, True))
    grant(broker, SINGLE)
    told = told_in_time(cli, single, "CREATE on agent-state-changed")
    assert all(f"CREATE on agent-state{name}" in told for name in ("", "-feed", "-rejected"))
    grant(broker, rights("Creating topics"))
    eventually(lambda: cli("check", "--config", single).code == 0, "all in order")
    becomes_ready(single)
    assert cli("check", "--config", single).code == 0
    grant(broker, GROUP)
    eventually(lambda: cli("check", "--config", group).code == 0, "all in order")
    becomes_ready(group)
    assert cli("check", "--config", group).code == 0


@pytest.fixture(scope="module")
def deployed(request: pytest.FixtureRequest) -> Iterator[KafkaServer]:
    """A broker on which all topics are and all rights of a group are granted."""
    broker = KafkaServer(sasl=USERS)
    start_or_skip(request.config, broker)
    create_ours(Kafka.model_validate(kafka_section(broker, "admin")))
    kafka: Any = confluent_admin
    client = kafka.AdminClient({"log_level": 0, **broker.librdkafka_options()})
    client.create_topics([kafka.NewTopic("agent-state-slots", 32, 1)])["agent-state-slots"].result(10)
    grant(broker, SINGLE + GROUP + rights("A consumer"))
    yield broker
    broker.close()


def told_in_time(cli: Cli, file: Path, words: str) -> str:
    """The failures of a `check` that names `words`: what was granted or taken back holds a moment later."""

    def told() -> Done | None:
        done = cli("check", "--config", file, "--log-level", "error")
        failed = "\n".join(line for line in done.out.splitlines() if line.startswith("failed"))
        return Done(done.code, failed, "") if words in failed else None

    done: Done = eventually(told, words)
    assert done.code == 1
    return done.out


@pytest.mark.parametrize("right", CALLBACKS, ids=str)
def test_check_names_what_callbacks_need(
    right: Right, cli: Cli, deployed: KafkaServer, vendor: StartVendor, tmp_path: Path
) -> None:
    """Only where a source has them, and only in a group: hints are passed on there."""
    file = write(tmp_path, deployed, vendor(), group=True)
    assert cli("check", "--config", file).code == 0
    file.write_text(file.read_text() + 'callback_secret = "s3cret-callback"\n')
    assert f"{right.operation} on {right.name}" in told_in_time(cli, file, right.name)


@pytest.mark.parametrize("right", SINGLE + GROUP, ids=str)
def test_check_names_the_right_that_is_missing(
    right: Right, cli: Cli, deployed: KafkaServer, vendor: StartVendor, tmp_path: Path
) -> None:
    """Each one that the handbook lists: so it is needed, and an operator learns which it is."""
    file = write(tmp_path, deployed, vendor(), group=True)
    revoke(deployed, right)
    try:
        kind = {"TOPIC": "", "GROUP": "group ", "TRANSACTIONAL_ID": "transactional ids that begin with "}
        told = told_in_time(cli, file, f"{right.operation} on {kind[right.resource]}{right.name}")
        assert "docs/operations.md" in told
    finally:
        grant(deployed, [right])
    eventually(lambda: cli("check", "--config", file).code == 0, "all in order again")


async def test_a_consumer_may_read_and_nothing_else(deployed: KafkaServer) -> None:
    """Committed events, in its own group; no other topic, no other group, and not a word of its own."""
    options = deployed.client_options("mine", USERS["mine"])

    async def reads(topic: str, group: str | None) -> None:
        consumer: Any = AIOKafkaConsumer(
            topic, group_id=group, isolation_level="read_committed", auto_offset_reset="earliest", **options
        )
        try:
            await consumer.start()
            await consumer.getmany(timeout_ms=1000)
            if group:
                await consumer.commit()
        finally:
            await consumer.stop()

    async def writes(topic: str) -> None:
        producer: Any = AIOKafkaProducer(**options)
        try:
            await producer.start()
            await producer.send_and_wait(topic, b"{}")
        finally:
            await producer.stop()

    await reads("agent-state-changed", "mine")
    await reads("agent-state-changed", None)
    with pytest.raises(errors.TopicAuthorizationFailedError):
        await reads("agent-state", "mine")
    with pytest.raises(errors.GroupAuthorizationFailedError):
        await reads("agent-state-changed", "streamer")
    with pytest.raises(errors.TopicAuthorizationFailedError):
        await writes("agent-state-changed")
