"""The four topics: created where they are missing, checked where they are there."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

import msgspec
from aiokafka import errors
from aiokafka.admin import NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.protocol.metadata import MetadataRequest

from streamer.config import Kafka
from streamer.errors import KafkaRefused, KafkaUnavailable, TopicsWrong
from streamer.kafka.connection import Connection

PARTITIONS = 12
"""Of a topic that we create (contract)."""

DAY_MS = 86_400_000
EVENTS_RETENTION_MS = 30 * DAY_MS
"""How long events are kept in a topic that we create; `check` warns below (contract)."""

COMPACTED = {
    "cleanup.policy": "compact",
    "max.compaction.lag.ms": "600000",
    "min.cleanable.dirty.ratio": "0.1",
    "segment.bytes": str(16 * 2**20),
}
"""Of state and feed topics that we create. A take-over reads them whole: with the broker's own settings they would be
compacted after a week or a gigabyte."""

SLOTS_SETTINGS = {"cleanup.policy": "delete", "retention.ms": "600000", "segment.bytes": str(2**20)}
"""Of a topic of slots that we create: the hints on it are of no use after seconds."""

LATE_COMPACTION_MS = DAY_MS
"""`check` warns above: a take-over would have to read days of records."""

Verdict = Literal["ok", "missing", "warning", "wrong"]


class Finding(msgspec.Struct, frozen=True):
    """What was found about one topic: `text` says it, `remedy` what to do unless it is in order."""

    topic: str
    verdict: Verdict
    text: str
    remedy: str = ""


class Topic(msgspec.Struct, frozen=True):
    """A topic as the cluster describes it."""

    partitions: int
    replicas: int
    configs: Mapping[str, str]


def wanted(config: Kafka) -> dict[str, dict[str, str]]:
    """Topic → the settings with which we create it."""
    return {
        config.events_topic: {"cleanup.policy": "delete", "retention.ms": str(EVENTS_RETENTION_MS)},
        config.state_topic: COMPACTED,
        config.feed_topic: COMPACTED,
        config.rejected_topic: {"cleanup.policy": "delete"},
    }


def judge(config: Kafka, found: Mapping[str, Topic]) -> list[Finding]:
    """One finding for each of our topics, and one where events and state cannot be joined."""
    findings = [_judge_one(name, found.get(name), settings) for name, settings in wanted(config).items()]
    events, state = found.get(config.events_topic), found.get(config.state_topic)
    if events and state and events.partitions != state.partitions:
        findings.append(
            Finding(
                config.state_topic,
                "wrong",
                f"{state.partitions} partitions, but {config.events_topic} has {events.partitions}: "
                "they cannot be joined",
                "give the one with fewer as many (kafka-topics.sh --alter --partitions): numbers go on, but a key "
                "that moves is no longer in one partition from its beginning",
            )
        )
    return findings


def _judge_one(name: str, topic: Topic | None, settings: Mapping[str, str]) -> Finding:
    if topic is None:
        return Finding(name, "missing", "is not there yet", "`run` creates it if it has the right to")
    policy = topic.configs.get("cleanup.policy", "delete")
    want = settings["cleanup.policy"]
    if set(policy.replace(" ", "").split(",")) != {want}:
        why = "states would be lost" if want == "compact" else "all but the newest record of a key would be lost"
        return Finding(
            name,
            "wrong",
            f"cleanup.policy is {policy}, not {want}: {why}",
            f"kafka-configs.sh --alter --entity-type topics --entity-name {name} --add-config cleanup.policy={want}",
        )
    kept = int(topic.configs.get("retention.ms", "-1"))
    if "retention.ms" in settings and 0 <= kept < EVENTS_RETENTION_MS:
        return Finding(
            name,
            "warning",
            f"keeps events for {kept / DAY_MS:.1f} days only",
            f"retention.ms={EVENTS_RETENTION_MS} keeps them for 30 days",
        )
    lag = int(topic.configs.get("max.compaction.lag.ms", "0"))
    if want == "compact" and lag > LATE_COMPACTION_MS:
        wish = ",".join(f"{key}={value}" for key, value in COMPACTED.items() if key != "cleanup.policy")
        return Finding(
            name,
            "warning",
            "is compacted late: a start or a take-over has to read much more than the newest records",
            f"kafka-configs.sh --alter --entity-type topics --entity-name {name} --add-config {wish}",
        )
    details = f"{topic.partitions} partitions, {topic.replicas} replicas, {policy}"
    if topic.replicas >= 3 and topic.configs.get("min.insync.replicas") == "1":
        return Finding(
            name, "warning", f"{details}; min.insync.replicas is 1", "min.insync.replicas=2 survives a broker"
        )
    return Finding(name, "ok", details)


async def describe(connection: Connection, admin: Any) -> dict[str, Topic]:
    """Those of our topics that exist."""
    there = await counts(connection, admin, list(wanted(connection.config)))
    if not there:
        return {}
    configs = await described(connection, admin, there)
    return {name: Topic(*counts, configs.get(name, {})) for name, counts in there.items()}


async def described(connection: Connection, admin: Any, names: Iterable[str]) -> dict[str, dict[str, str]]:
    """The settings of topics that exist."""
    resources = [ConfigResource(ConfigResourceType.TOPIC, name) for name in names]
    answers: list[Any] = await connection.call(admin.describe_configs(resources), "describe topic settings")
    configs: dict[str, dict[str, str]] = {}
    for answer in answers:
        for code, _, _, name, entries in answer.resources:
            if code != 0:
                raise _refusal(connection, name, code, "describe the settings of")
            configs[name] = {entry[0]: entry[1] for entry in entries}
    return configs


async def existing(connection: Connection, names: Sequence[str]) -> set[str]:
    """Those of `names` that are topics."""
    admin = connection.admin()
    await connection.start(admin)
    try:
        return set(await counts(connection, admin, names))
    finally:
        await connection.discard(admin)


async def require(connection: Connection, names: Sequence[str]) -> None:
    """TopicsWrong if one of them is missing: a consumer that asks for it may create it."""
    if missing := set(names) - await existing(connection, names):
        raise TopicsWrong(
            f"Kafka at {connection.where} has no topic {min(missing)}",
            "correct its name, or let `streamer run` create it first",
        )


async def counts(connection: Connection, admin: Any, names: Sequence[str]) -> dict[str, tuple[int, int]]:
    """Partitions and replicas of those topics that exist."""
    # The client's own call would have a broker that creates topics unasked create these.
    request = MetadataRequest(list(names), allow_auto_topic_creation=False)
    answer: Any = await connection.call(admin._send_request(request), "describe topics")
    there: dict[str, tuple[int, int]] = {}
    for topic in answer.to_object()["topics"]:
        code = topic["error_code"]
        if code == errors.UnknownTopicOrPartitionError.errno:
            continue
        if code != 0:
            raise _refusal(connection, topic["topic"], code)
        parts = topic["partitions"]
        there[topic["topic"]] = (len(parts), min((len(p["replicas"]) for p in parts), default=0))
    return there


def _refusal(
    connection: Connection, topic: str, code: int, doing: str = "describe or create"
) -> KafkaRefused | KafkaUnavailable:
    kind = errors.for_code(code)
    if issubclass(kind, errors.TopicAuthorizationFailedError | errors.ClusterAuthorizationFailedError):
        return KafkaRefused(
            f"Kafka at {connection.where} denies us the right to {doing} {topic}",
            "grant the rights that docs/operations.md lists, or create the topics beforehand",
        )
    return KafkaUnavailable(f"Kafka at {connection.where}: {topic}: {kind.__name__}", "see the broker's log")


async def inspect(connection: Connection) -> list[Finding]:
    """What `check` says about the topics; creates nothing."""
    admin = connection.admin()
    await connection.start(admin)
    try:
        return judge(connection.config, await describe(connection, admin))
    finally:
        await connection.discard(admin)


async def ensure(connection: Connection) -> list[Finding]:
    """Create what is missing and refuse (TopicsWrong) what would break a promise; the findings otherwise."""
    admin = connection.admin()
    await connection.start(admin)
    try:
        found = await describe(connection, admin)
        missing = [name for name in wanted(connection.config) if name not in found]
        if missing:
            await _create(connection, admin, missing, found)
            found = await describe(connection, admin)
    finally:
        await connection.discard(admin)
    findings = judge(connection.config, found)
    for finding in findings:
        if finding.verdict == "wrong":
            raise TopicsWrong(f"topic {finding.topic}: {finding.text}", finding.remedy)
    return findings


async def ensure_slots(connection: Connection, topic: str, slots: int, *, create: bool = True) -> None:
    """The topic whose partitions are a group's slots: created if it is missing and may be made.

    TopicsWrong where it has another number of them: two instances that count differently would not fence each other.
    """
    admin = connection.admin()
    await connection.start(admin)
    try:
        while not (found := await counts(connection, admin, [topic])) and create:
            if await created(connection, admin, topic, slots, SLOTS_SETTINGS):
                return
            await asyncio.sleep(0.1)  # another instance made it, maybe with other slots: it is shown in a moment
    finally:
        await connection.discard(admin)
    wrong = judge_slots(topic, found, slots)
    if wrong.verdict == "wrong":
        raise TopicsWrong(f"topic {topic}: {wrong.text}", wrong.remedy)


async def created(connection: Connection, admin: Any, topic: str, partitions: int, settings: Mapping[str, str]) -> bool:
    """False if another instance has just made it."""
    replicas = min(3, len((await connection.call(admin.describe_cluster(), "describe the cluster"))["brokers"]))
    new = NewTopic(topic, partitions, replicas, topic_configs=dict(settings))
    answer: Any = await connection.call(admin.create_topics([new]), "create topics")
    code: int = answer.topic_errors[0][1]
    if code in (0, errors.TopicAlreadyExistsError.errno):
        return code == 0
    raise _refusal(connection, topic, code)


def judge_slots(topic: str, found: Mapping[str, tuple[int, int]], slots: int) -> Finding:
    """What is to be said of the topic of the slots; `found` are partitions and replicas of the topics that exist."""
    if topic not in found:
        return Finding(topic, "missing", "is not there yet", "`run` creates it if it has the right to")
    partitions, replicas = found[topic]
    if partitions == slots:
        return Finding(topic, "ok", f"{partitions} slots, {replicas} replicas")
    return Finding(
        topic,
        "wrong",
        f"it has {partitions} partitions, but there are {slots} slots",
        f"slots are fixed for a deployment: set cluster.slots = {partitions}, "
        "or end all instances and delete the topic",
    )


async def inspect_slots(connection: Connection, topic: str, slots: int) -> Finding:
    """What `check` says about the topic of the slots; creates nothing."""
    admin = connection.admin()
    await connection.start(admin)
    try:
        return judge_slots(topic, await counts(connection, admin, [topic]), slots)
    finally:
        await connection.discard(admin)


async def _create(connection: Connection, admin: Any, missing: Sequence[str], found: Mapping[str, Topic]) -> None:
    cluster: Any = await connection.call(admin.describe_cluster(), "describe the cluster")
    replicas = min(3, len(cluster["brokers"]))
    config = connection.config
    # Events and state are joined by partition: the one that is created takes after the one that is there.
    joined = {config.events_topic: config.state_topic, config.state_topic: config.events_topic}
    new: list[NewTopic] = []
    for name in missing:
        settings = dict(wanted(config)[name])
        if replicas == 3:
            settings["min.insync.replicas"] = "2"
        twin = found.get(joined.get(name, ""))
        new.append(NewTopic(name, twin.partitions if twin else PARTITIONS, replicas, topic_configs=settings))
    answer: Any = await connection.call(admin.create_topics(new), "create topics")
    for topic, code, *_ in answer.topic_errors:
        if code not in (0, errors.TopicAlreadyExistsError.errno):
            raise _refusal(connection, topic, code)
