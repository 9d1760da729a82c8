"""The AsyncAPI document: valid by the specification's own schema, and true of the records that are written."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import jsonschema_rs
import pytest
import yaml

from streamer import schemas
from streamer.config import Kafka
from streamer.core.model import Batch, RejectedRow
from streamer.core.rejected import Told
from streamer.kafka import topics
from streamer.kafka.framing import HEADER
from streamer.kafka.serde import Record, encode, encode_feed
from tests.web.floor import agent, event, feed

FOLDER = Path(__file__).parent.parent / "schemas"
DOCUMENT: dict[str, Any] = yaml.safe_load((FOLDER / "asyncapi.yaml").read_text("utf-8"))


def parts(value: Any) -> Iterator[dict[str, Any]]:
    """All objects of the document."""
    if isinstance(value, dict):
        yield cast(dict[str, Any], value)
    inner = cast(list[Any], list(cast(Any, value).values()) if isinstance(value, dict) else value)
    for part in inner if isinstance(value, dict | list) else ():
        yield from parts(part)


def resolved(reference: str) -> Any:
    """What a `$ref` leads to: a part of the document, or a schema of ours."""
    if reference.startswith("./"):
        return json.loads((FOLDER / reference).read_text("utf-8"))
    part: Any = DOCUMENT
    for step in reference.removeprefix("#/").split("/"):
        part = part[step]
    return part


def followed(value: Any) -> Any:
    """A part, or what it refers to."""
    return resolved(value["$ref"]) if "$ref" in value else value


def written() -> dict[str, Record]:
    """A record of each topic, as `run` would write it with its default configuration."""
    row = RejectedRow("row", "no extension", "rows[0]", None, b"{}")
    state = agent()
    batch = Batch(
        source="floor",
        poll_id=state.poll_id,
        observed_at=state.observed_at,
        events=(event(state),),
        states=(state,),
        rejected=(row,),
    )
    trace = (("traceparent", b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),)
    records = (*encode(batch, Kafka(), Told(), (), trace), encode_feed(feed(), Kafka()))
    return {record.topic: record for record in records}


def test_it_is_valid_by_the_specifications_own_schema(node_modules: Path) -> None:
    """AsyncAPI 3.0 with its Kafka bindings; and the check would find something wrong."""
    schema = json.loads((node_modules / "@asyncapi" / "specs" / "schemas" / "3.0.0-without-$id.json").read_text())
    validator = jsonschema_rs.validator_for(schema)
    assert [f"{list(error.instance_path)}: {error.message}" for error in validator.iter_errors(DOCUMENT)] == []
    for part in ("channels", "operations"):
        broken = copy.deepcopy(DOCUMENT)
        next(iter(broken[part].values()))["surprise"] = 1
        assert not validator.is_valid(broken)
    broken = copy.deepcopy(DOCUMENT)
    broken["channels"]["events"]["bindings"]["kafka"]["partitions"] = 0
    assert not validator.is_valid(broken)


def test_every_reference_leads_somewhere() -> None:
    """Within the document, or to one of our schemas, each of which is the newest of its family."""
    references = {part["$ref"] for part in parts(DOCUMENT) if "$ref" in part}
    for reference in references:
        assert resolved(reference), reference
    newest = {name.rpartition("-")[0]: name for name in schemas.names()}
    assert {r for r in references if r.startswith("./")} == {f"./{name}.json" for name in newest.values()}


def told(settings: dict[str, Any]) -> dict[str, str]:
    """A topic's settings as Kafka writes them."""
    return {name: ",".join(value) if name == "cleanup.policy" else str(value) for name, value in settings.items()}


def test_its_channels_are_the_topics_that_run_creates() -> None:
    """By name, number of partitions, what is cleaned up and what is kept."""
    channels = {channel["address"]: channel["bindings"]["kafka"] for channel in DOCUMENT["channels"].values()}
    found = {address: told(binding["topicConfiguration"]) for address, binding in channels.items()}
    wanted = topics.wanted(Kafka())
    known = ("cleanup.policy", "retention.ms")
    assert found == {name: {k: v for k, v in settings.items() if k in known} for name, settings in wanted.items()}
    assert {binding["partitions"] for binding in channels.values()} == {topics.PARTITIONS}
    assert all(binding["topic"] == address for address, binding in channels.items())


@pytest.mark.parametrize("name", DOCUMENT["channels"])
def test_a_written_record_is_what_its_channel_says(name: str) -> None:
    """Key, headers, content type and value; no header is written that is not described."""
    channel = DOCUMENT["channels"][name]
    record = written()[channel["address"]]
    (message,) = (followed(message) for message in channel["messages"].values())
    key = followed(message["bindings"])["kafka"]["key"]
    jsonschema_rs.validate(key, record.key.decode())
    value = json.loads(record.value or b"")
    jsonschema_rs.validate(resolved(message["payload"]["schema"]["$ref"]), value)
    assert message["name"] == value["type"]
    headers = {name: text.decode() for name, text in record.headers}
    described = message.get("headers", {"properties": {}})
    jsonschema_rs.validate(described, headers)
    assert headers.keys() == described["properties"].keys()
    assert headers.get("content-type", DOCUMENT["defaultContentType"]) == message["contentType"]
    (trait,) = (followed(trait) for trait in message["traits"])
    assert list(trait["headers"]["properties"]) == [HEADER]


def test_each_channel_has_an_operation_that_is_read_committed() -> None:
    """All of them are ours to send, in transactions."""
    operations = DOCUMENT["operations"].values()
    assert {operation["channel"]["$ref"] for operation in operations} == {
        f"#/channels/{name}" for name in DOCUMENT["channels"]
    }
    for operation in operations:
        assert operation["action"] == "send"
        (trait,) = (followed(trait) for trait in operation["traits"])
        assert trait["x-consumer-settings"]["isolation.level"] == "read_committed"
