"""The four topics: created as promised, refused where a promise would break, left alone where they are fine."""

from __future__ import annotations

import pytest
from aiokafka.admin import NewTopic

from streamer.config import Kafka
from streamer.errors import KafkaRefused, KafkaUnavailable, TopicsWrong
from streamer.kafka import topics as ours
from streamer.kafka.connection import Connection
from streamer.kafka.store import KafkaStore
from streamer.kafka.topics import DAY_MS, Topic, judge
from tests.conftest import Topics
from tests.kafka_server import KafkaServer
from tests.topics import made, settings, shown


async def described(config: Kafka) -> dict[str, Topic]:
    connection = Connection(config)
    await shown(connection, set(ours.wanted(config)))
    admin = connection.admin()
    await connection.start(admin)
    try:
        return await ours.describe(connection, admin)
    finally:
        await connection.discard(admin)


async def test_missing_topics_are_created_as_promised(kafka: str, topics: Topics) -> None:
    """12 partitions, compacted or kept 30 days; a second time nothing changes."""
    config = settings(kafka, topics)
    await ours.ensure(Connection(config))
    found = await described(config)
    assert {topic.partitions for topic in found.values()} == {12}
    assert {name: topic.configs["cleanup.policy"] for name, topic in found.items()} == {
        topics.events: "delete",
        topics.state: "compact",
        topics.feed: "compact",
        topics.rejected: "delete",
    }
    assert found[topics.events].configs["retention.ms"] == str(30 * DAY_MS)
    assert {finding.verdict for finding in await ours.ensure(Connection(config))} == {"ok"}
    assert await described(config) == found


@pytest.mark.parametrize("there", ["events", "state"])
async def test_a_missing_twin_takes_the_others_partitions(kafka: str, topics: Topics, there: str) -> None:
    """So that both can be joined; the others have 12."""
    config = settings(kafka, topics)
    name = getattr(topics, there)
    policy = "delete" if there == "events" else "compact"
    await made(kafka, NewTopic(name, 5, 1, topic_configs={"cleanup.policy": policy}))
    await ours.ensure(Connection(config))
    found = await described(config)
    assert (found[topics.events].partitions, found[topics.state].partitions) == (5, 5)
    assert (found[topics.feed].partitions, found[topics.rejected].partitions) == (12, 12)


async def test_wrong_topics_are_refused_with_the_remedy(kafka: str, topics: Topics) -> None:
    """Exit code 2, and the command that helps."""
    await made(kafka, NewTopic(topics.state, 12, 1))
    with pytest.raises(TopicsWrong, match=rf"{topics.state}.*not compact.*kafka-configs\.sh --alter") as raised:
        await ours.ensure(Connection(settings(kafka, topics)))
    assert raised.value.exit_code == 2


async def test_an_instance_outside_the_group_that_counts_other_slots_is_refused(kafka: str, topics: Topics) -> None:
    """It would take transactional ids for a source that nobody in the group fences."""
    store = KafkaStore(Connection(settings(kafka, topics)))
    await store.prepare()
    await made(kafka, NewTopic(f"{topics.state}-slots", 7, 1))
    with pytest.raises(TopicsWrong, match=r"7 partitions, but there are 32 slots.*set cluster\.slots = 7"):
        await store.prepare()


async def test_fine_topics_are_left_as_they_are(kafka: str, topics: Topics) -> None:
    """Also where they are not what we would have made."""
    mine = {"cleanup.policy": "delete", "retention.ms": str(400 * DAY_MS), "max.message.bytes": "2000000"}
    compact = {"cleanup.policy": "compact", "max.compaction.lag.ms": "700000"}
    await made(
        kafka,
        NewTopic(topics.events, 3, 1, topic_configs=mine),
        NewTopic(topics.state, 3, 1, topic_configs=compact),
        NewTopic(topics.feed, 1, 1, topic_configs=compact),
        NewTopic(topics.rejected, 2, 1, topic_configs=mine),
    )
    config = settings(kafka, topics)
    before = await described(config)
    assert {finding.verdict for finding in await ours.ensure(Connection(config))} == {"ok"}
    assert await described(config) == before


async def test_without_rights_the_refusal_says_which(sasl_kafka: KafkaServer, topics: Topics) -> None:
    """Exit code 3, not an endless retry."""
    config = settings(
        sasl_kafka.bootstrap,
        topics,
        security_protocol="SASL_PLAINTEXT",
        sasl_plain_username="bob",
        sasl_plain_password="bob-password",
    )
    with pytest.raises(KafkaRefused, match="grant the rights"):
        await ours.ensure(Connection(config))


async def test_without_a_broker_it_is_unavailable(topics: Topics) -> None:
    """To be tried again."""
    with pytest.raises(KafkaUnavailable, match=r"127\.0\.0\.1:1"):
        await ours.ensure(Connection(settings("127.0.0.1:1", topics)))


def topic(policy: str, partitions: int = 12, replicas: int = 1, **configs: str) -> Topic:
    return Topic(
        partitions, replicas, {"cleanup.policy": policy} | {k.replace("_", "."): v for k, v in configs.items()}
    )


CONFIG = Kafka()


def verdicts(**found: Topic) -> dict[str, str]:
    """Verdict by topic, worst last."""
    names = {"events": CONFIG.events_topic, "state": CONFIG.state_topic}
    return {f.topic: f.verdict for f in judge(CONFIG, {names[key]: value for key, value in found.items()})}


def test_events_kept_for_ever_are_fine_and_shorter_than_30_days_a_warning() -> None:
    """retention.ms -1 means for ever."""
    for kept, verdict in (("-1", "ok"), (str(30 * DAY_MS), "ok"), (str(30 * DAY_MS - 1), "warning"), ("0", "warning")):
        assert verdicts(events=topic("delete", retention_ms=kept))[CONFIG.events_topic] == verdict


def test_three_replicas_that_need_one_only_are_a_warning() -> None:
    """A write that one broker alone has seen is lost with it."""
    found = verdicts(state=topic("compact", replicas=3, min_insync_replicas="1"))
    assert found[CONFIG.state_topic] == "warning"
    assert verdicts(state=topic("compact", replicas=3, min_insync_replicas="2"))[CONFIG.state_topic] == "ok"


def test_a_topic_that_is_compacted_late_is_a_warning() -> None:
    """A take-over would read days of records."""
    assert verdicts(state=topic("compact", max_compaction_lag_ms=str(2**63 - 1)))[CONFIG.state_topic] == "warning"
    assert verdicts(state=topic("compact", max_compaction_lag_ms=str(DAY_MS)))[CONFIG.state_topic] == "ok"


def test_different_partition_counts_are_wrong() -> None:
    """Events and states of an extension must meet in one partition."""
    found = verdicts(events=topic("delete", 6, retention_ms="-1"), state=topic("compact", 12))
    assert found[CONFIG.state_topic] == "wrong"
