"""docs/events.md from the schemas: `python -m tests.docs.events_page` writes it; a test asks if it is up to date."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import orjson

from streamer import schemas
from streamer.config import Kafka
from streamer.core.model import Batch
from streamer.core.rejected import Told
from streamer.kafka.serde import encode
from tests.web.floor import agent, event

PAGE = Path(__file__).resolve().parents[2] / "docs" / "events.md"

Part = dict[str, Any]

STATE = "#/$defs/state"

INTRODUCTION = """\
# The records

What is on the four topics, field by field. Written from `schemas/*.json` by `python -m tests.docs.events_page`: change
the schemas, not this page. `streamer schemas` prints the schemas themselves. How to read the topics:
[consume.md](consume.md).

Values are JSON in UTF-8; keys and header values are UTF-8 text. The timestamp of a Kafka record is our clock's:
`observed_at` of events and states, `at` of the others. Fields, and values of those that have a list of values, may be
added at any time: tolerate what you do not know.

A time is RFC 3339 in UTC, ending in Z: whole seconds, or exactly 3 decimals.

Events have the headers of [CloudEvents 1.0](https://cloudevents.io) in binary mode; the other records have none.

## States

| state | meaning |
| --- | --- |
"""

ORDER = ("agent-state-changed", "agent-state", "feed-status", "rejected-record")

KEYS = {
    "AgentStateChanged": ("events_topic", "`source/extension`", "deleted with age (30 days where we make the topic)"),
    "AgentState": ("state_topic", "`source/extension`", "compacted: the newest of each key stays"),
    "FeedStatus": ("feed_topic", "`source`", "compacted: the newest of each key stays"),
    "RejectedRecord": ("rejected_topic", "`source`", "deleted with age"),
}
"""Type of record → the configuration's name of its topic, its key, how the topic is cleaned up."""

HEADERS = {
    "ce_specversion": "version of CloudEvents",
    "ce_id": "`event_id`",
    "ce_source": "`/streamer/` and `source`",
    "ce_type": "`type`",
    "ce_time": "`occurred_at`",
    "ce_subject": "`extension`",
    "ce_dataschema": "file name of the schema, major and minor version in it",
    "content-type": "of the value",
}
"""What each header of an event holds."""


def page() -> str:
    """The whole page."""
    parts = [INTRODUCTION + _states(), *(text for family in ORDER for text in _record(schemas.load(family)))]
    return "\n".join(parts)


def _states() -> str:
    """The states from their definition, which explains each in brackets."""
    state = schemas.load("agent-state-changed")["$defs"]["state"]
    meanings = re.findall(r"(\w+) \(([^)]*)\)", state["description"])
    assert [name for name, _ in meanings] == state["enum"]
    return "".join(f"| `{name}` | {meaning} |\n" for name, meaning in meanings)


def headers() -> dict[str, str]:
    """The headers of an event, as they are written."""
    batch = Batch("floor", "floor/1", 1, (event(agent()),), (), ())
    (record,) = encode(batch, Kafka(), Told(), ())
    return {name: value.decode() for name, value in record.headers}


def _record(schema: Part) -> Iterator[str]:
    kind = schema["title"]
    topic, key, cleanup = KEYS[kind]
    name = Kafka.model_fields[topic].default
    yield f"## {kind}\n\n{schema['description']}\n"
    yield f"Topic `{name}` (`kafka.{topic}`), {cleanup}. Key {key}.\n"
    yield _table(schema, schema)
    tables: dict[str, list[str]] = {}
    for name, part in _nested(schema):
        tables.setdefault(_table(schema, part), []).append(name)
    for table, names in tables.items():
        yield f"### {kind}: {', '.join(names)}\n\n{table}"
    rules = [f"- {rule['description']}" for rule in schema.get("allOf", [])]
    if rules:
        yield "Always:\n\n" + "\n".join(rules) + "\n"
    if kind == "AgentStateChanged":
        yield _headers()
    example = orjson.dumps(_example(schema), option=orjson.OPT_INDENT_2).decode()
    yield f"```json\n{example}\n```\n"


def _example(schema: Part) -> Part:
    examples = cast(list[Part], schema["examples"])
    return next((e for e in examples if e.get("change") == "state"), examples[0])


def _headers() -> str:
    rows = [f"| `{name}` | {HEADERS[name]} | `{value}` |" for name, value in headers().items()]
    rows.append("| `traceparent` | W3C trace context of the poll; only where tracing is configured | |")
    return "\n".join(["| header | holds | for example |", "| --- | --- | --- |", *rows]) + "\n"


def _table(schema: Part, part: Part) -> str:
    rows = ["| field | type | required | meaning |", "| --- | --- | --- | --- |"]
    for name, given in _fields(schema, part).items():
        required = "yes" if name in _required(schema, part) else "no"
        meaning = re.sub(r"\s+", " ", _meaning(schema, given)).replace("|", "\\|")
        rows.append(f"| `{name}` | {_type(schema, given)} | {required} | {meaning} |")
    return "\n".join(rows) + "\n"


def _fields(schema: Part, part: Part) -> Part:
    """A part's own fields, after those of what it extends."""
    inherited: Part = {}
    for base in part.get("allOf", []):
        if "$ref" in base:
            inherited |= _fields(schema, _resolved(schema, base))
    return inherited | part.get("properties", {})


def _required(schema: Part, part: Part) -> set[str]:
    bases = [_resolved(schema, base) for base in part.get("allOf", []) if "$ref" in base]
    return set(part.get("required", [])).union(*(_required(schema, base) for base in bases))


def _resolved(schema: Part, part: Part) -> Part:
    """The part with what it refers to; its own description wins."""
    if "$ref" not in part:
        return part
    return {**schema["$defs"][part["$ref"].rpartition("/")[2]], **{k: v for k, v in part.items() if k != "$ref"}}


def _nested(schema: Part) -> Iterator[tuple[str, Part]]:
    """Every field that holds objects, and how they look; the field of an object within is `groups.call_ended`."""
    waiting = list(schema["properties"].items())
    while waiting:
        name, given = waiting.pop(0)
        field = _resolved(schema, given)
        for option in (field, field.get("items", {}), *field.get("anyOf", [])):
            part = _resolved(schema, option)
            if found := _fields(schema, part):
                yield name, part
                waiting += [(f"{name}.{inner}", inner_given) for inner, inner_given in found.items()]


def _meaning(schema: Part, given: Part) -> str:
    if given.get("$ref") == STATE and "description" not in given:
        return "See [States](#states)."
    return _resolved(schema, given)["description"]


def _type(schema: Part, given: Part) -> str:
    if given.get("$ref") == STATE:
        return "[state](#states)"
    part = _resolved(schema, given)
    if "anyOf" in part:
        return " or ".join(_type(schema, option) for option in part["anyOf"])
    if "const" in part:
        return f"`{part['const']}`"
    if "enum" in part:
        return " ".join(f"`{value}`" for value in part["enum"])
    named: list[str] = [part["type"]] if isinstance(part.get("type"), str) else list(part.get("type", ["object"]))
    if part.get("format") == "date-time":
        named[named.index("string")] = "time"
    if "array" in named:
        named[named.index("array")] = f"list of {_type(schema, part['items'])}"
    return " or ".join(named)


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
