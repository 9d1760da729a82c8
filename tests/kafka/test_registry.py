"""Schemas in a registry: what is registered, what is refused and how that is said, what a record tells of it."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka.schema_registry import Schema, SchemaRegistryClient
from hypothesis import given
from hypothesis import strategies as st

from streamer import schemas
from streamer.config.registry import Registry
from streamer.errors import ConfigError, KafkaUnavailable, RegistryRefused
from streamer.kafka.connection import Connection
from streamer.kafka.framing import HEADER, Framing, body
from streamer.kafka.registry import Registrar
from streamer.kafka.serde import Record
from streamer.kafka.store import KafkaStore
from tests.conftest import Topics
from tests.lying_registry import GUID, LyingRegistry
from tests.topics import settings

NARROWER = schemas.text("agent-state-changed").replace('["first_seen", "signed_in", ', '["first_seen", ')
FAMILIES = ("agent-state-changed", "agent-state", "feed-status", "rejected-record")


def registrar(url: str, topics: Topics, **more: Any) -> Registrar:
    """Ours, for a test's own topics."""
    return Registrar(Registry.model_validate({"url": url, **more}), settings("127.0.0.1:1", topics))


def subjects(topics: Topics) -> list[str]:
    """Of the four topics, in the order of FAMILIES."""
    return [f"{topic}-value" for topic in (topics.events, topics.state, topics.feed, topics.rejected)]


async def test_each_topics_schema_is_registered_once_as_published(registry: str, topics: Topics) -> None:
    """Under TopicNameStrategy's subject, with the file's own text; a second start finds it there."""
    ours = registrar(registry, topics)
    assert await ours.inspect() == subjects(topics)
    await ours.framings()
    await registrar(registry, topics).framings()
    assert await ours.inspect() == []
    with SchemaRegistryClient({"url": registry}) as asking:
        for subject, family in zip(subjects(topics), FAMILIES, strict=True):
            assert asking.get_versions(subject) == [1]
            assert asking.get_latest_version(subject).schema.schema_str == schemas.text(family)


async def test_an_older_version_that_ours_goes_together_with_is_followed_by_ours(registry: str, topics: Topics) -> None:
    """As at the release of a minor version; and an instance of the older release still starts then."""
    older = schemas.load("agent-state-changed")
    del older["properties"]["gap_s"]
    newer = schemas.load("agent-state-changed")
    newer["properties"]["added"] = {"type": "string"}
    with SchemaRegistryClient({"url": registry}) as asking:
        asking.register_schema(subjects(topics)[0], Schema(json.dumps(older), "JSON"))
        await registrar(registry, topics).framings()
        assert asking.get_versions(subjects(topics)[0]) == [1, 2]
        asking.register_schema(subjects(topics)[0], Schema(json.dumps(newer), "JSON"))
        await registrar(registry, topics).framings()
        assert asking.get_versions(subjects(topics)[0]) == [1, 2, 3]


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        (Schema(NARROWER, "JSON"), 'AgentStateChanged: change: may now also be "signed_in"; readers of the older'),
        (Schema('{"type": "object", "required": ["mood"], "properties": {"mood": {}}}', "JSON"), "mood: "),
        (Schema('{"type": "record", "name": "A", "fields": []}', "AVRO"), "it is AVRO, ours is JSON"),
        (Schema('{"properties": {"agent": {"$ref": "#/nowhere"}}}', "JSON"), "it cannot be compared"),
    ],
)
async def test_a_subject_that_holds_something_else_is_left_alone(
    registry: str, topics: Topics, schema: Schema, words: str
) -> None:
    """The subject, the version and the field are named, and nothing is registered after it."""
    subject = subjects(topics)[0]
    with SchemaRegistryClient({"url": registry}) as asking:
        asking.register_schema(subject, schema)
        with pytest.raises(RegistryRefused) as raised:
            await registrar(registry, topics).framings()
        assert asking.get_versions(subject) == [1]
    assert f"version 1 of {subject} does not go together with ours: " in str(raised.value)
    assert words in str(raised.value)
    assert (raised.value.exit_code, bool(raised.value.remedy)) == (2, True)


@pytest.mark.parametrize(
    ("answer", "error", "words"),
    [
        ((401, '{"error_code": 401, "message": "Who are you?"}'), RegistryRefused, "refuses us: 401 Who are you?"),
        ((403, "no"), RegistryRefused, "check registry.user and password"),
        ((409, '{"error_code": 409, "message": "a\\nb"}'), RegistryRefused, "does not take our schema: 409 a b"),
        ((422, "{}"), RegistryRefused, "does not take our schema"),
        ((404, "<html>"), RegistryRefused, "give registry.url with its path"),
        ((500, '{"error_code": 50001, "message": "store"}'), KafkaUnavailable, "cannot serve us: 500 store"),
        ((503, ""), KafkaUnavailable, "cannot serve us: 503"),
        ((200, "<html>"), KafkaUnavailable, "does not answer"),
        ((200, "[]"), KafkaUnavailable, "does not answer"),
        ((200, '{"id": "x"}'), KafkaUnavailable, "does not answer"),
    ],
)
async def test_every_answer_ends_in_words(topics: Topics, answer: tuple[int, str], error: Any, words: str) -> None:
    """What an operator has to mend is for good, the rest is waited for; the password is in neither."""
    with LyingRegistry(answer=answer) as lying, pytest.raises(error) as raised:
        await registrar(lying.url, topics, user="u", password="5e5ame", framing="prefix").framings()
    assert words in str(raised.value)
    assert lying.url in str(raised.value)
    assert "5e5ame" not in str(raised.value)
    assert lying.asked[0][2].startswith("Basic ")


async def test_a_registry_that_comes_back_is_asked_again_and_then_no_more(topics: Topics) -> None:
    """An address where nobody listens is waited for; an answer is kept."""
    with LyingRegistry() as lying:
        url = lying.url
    ours = registrar(url, topics, framing="header")
    with pytest.raises(KafkaUnavailable, match=r"does not answer: .*; check registry\.url"):
        await ours.framings()
    with LyingRegistry(int(url.rpartition(":")[2])) as lying:
        found = await ours.framings()
    assert await ours.framings() == found
    assert len(found) == 4


@pytest.mark.parametrize(
    ("framing", "expected"),
    [
        ("header", Framing(headers=((HEADER, b"\x01" + GUID.bytes),))),
        ("prefix", Framing(prefix=b"\x00\x00\x00\x00\x07")),
        (None, Framing()),
    ],
)
async def test_a_record_names_its_schema_as_configured(topics: Topics, framing: str | None, expected: Framing) -> None:
    """By GUID in a header, by number before the value, or not at all."""
    with LyingRegistry() as lying:
        found = await registrar(lying.url, topics, framing=framing).framings()
    assert found == dict.fromkeys((topics.events, topics.state, topics.feed, topics.rejected), expected)


def test_without_its_extra_the_section_is_a_configuration_error(
    topics: Topics, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which says what to install."""
    monkeypatch.setitem(sys.modules, "confluent_kafka.schema_registry", None)
    with pytest.raises(ConfigError, match=r"registry\.url: .*pip install 'streamer\[registry\]'"):
        registrar("http://127.0.0.1:1", topics)


def test_a_ca_file_that_cannot_be_read_is_a_configuration_error(topics: Topics, tmp_path: Path) -> None:
    """Before anything is asked."""
    with pytest.raises(ConfigError, match=r"registry\.ca_file cannot be used"):
        registrar("https://127.0.0.1:1", topics, ca_file=tmp_path / "none.pem")
    (tmp_path / "bad.pem").write_text("no certificate")
    with pytest.raises(ConfigError, match=r"registry\.ca_file cannot be used"):
        registrar("https://127.0.0.1:1", topics, ca_file=tmp_path / "bad.pem")


@given(st.dictionaries(st.text(), st.integers() | st.text()), st.binary(min_size=4, max_size=4))
def test_a_prefix_is_told_from_json(record: dict[str, Any], number: bytes) -> None:
    """Whatever the record and the schema's number, the same JSON is read with and without it."""
    value = json.dumps(record).encode()
    assert body(value) == value
    assert body(b"\x00" + number + value) == value


async def test_nothing_is_written_before_the_schemas_are_registered(kafka: str, topics: Topics) -> None:
    """A registry that is away holds up the write, not its outcome: the same records are written once it is there."""
    with LyingRegistry(answer=(503, "")) as lying:
        ours = registrar(lying.url, topics, framing="prefix")
        store = KafkaStore(Connection(settings(kafka, topics)), registrar=ours)
        await store.prepare()
        sink = store.sink(1)
        await sink.open()
        record = Record(topics.feed, b"floor", b"{}", 1_795_399_205_120)
        with pytest.raises(KafkaUnavailable, match="cannot serve us"):
            await sink.write([record])
        lying.answer = None
        await sink.write([record, Record(topics.feed, b"gone", None, 1_795_399_205_120)])
        await sink.close()
    consumer = store.connection.consumer()
    consumer.subscribe([topics.feed])
    await consumer.start()
    got = {(await consumer.getone()).value for _ in range(2)}
    await consumer.stop()
    assert got == {b"\x00\x00\x00\x00\x07{}", None}
