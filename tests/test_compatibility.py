"""The compatibility check: what either reader could trip over is found and named, and nothing else is."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Iterator
from typing import Any, cast

import pytest

from streamer import schemas
from streamer.compatibility import NotASchema, Schema, compare

EVENT = "agent-state-changed"
FIELDS = [(name, field) for name in schemas.names() for field in schemas.load(name)["properties"]]
UNHEARD = {"$schema", "$id", "title", "description", "examples", "additionalProperties"}
"""Keywords of the published schemas that admit every record."""
Edit = Callable[[Schema], object]


def at(schema: Schema, *steps: str | int) -> Any:
    """A part of a schema by its keys."""
    part: Any = schema
    for step in steps:
        part = part[step]
    return part


def edited(name: str, edit: Edit) -> tuple[Schema, Schema]:
    """A published schema, and a copy that was changed."""
    changed = schemas.load(name)
    edit(changed)
    return schemas.load(name), changed


def record(**keywords: Any) -> Schema:
    """A small schema of a record with one known field, `field`, described by the keywords."""
    return {"title": "Record", "type": "object", "properties": {"field": keywords}}


@pytest.mark.parametrize("name", schemas.names())
def test_schema_is_compatible_with_itself(name: str):
    """A schema that did not change has no finding."""
    assert compare(schemas.load(name), schemas.load(name)) == []


@pytest.mark.parametrize("name", schemas.names())
def test_new_optional_field_is_free(name: str):
    """A new optional field is no finding, whatever it says about itself; nor are new words."""

    def edit(schema: Schema) -> None:
        schema["properties"]["added"] = {"type": "string", "enum": ["a", "b"], "minLength": 1}
        schema["description"] = "In other words."
        schema["$id"] = "urn:streamer:schema:other:1.1"
        schema["examples"] = []
        rule = {"if": {"required": ["added"]}, "then": {"properties": {"source": False}}}
        schema.setdefault("allOf", []).append(rule)
        schema["allOf"].append({"if": True, "then": {"properties": {"added": {"maxLength": 9}}}})
        for definition in schema["$defs"].values():
            definition.get("properties", {})["added"] = {"type": "integer"}

    assert compare(*edited(name, edit)) == []


@pytest.mark.parametrize(("name", "field"), FIELDS)
def test_removed_field_is_found(name: str, field: str):
    """Taking any field away is a finding that names it, and so is giving up that it is always there."""

    def edit(schema: Schema) -> None:
        del schema["properties"][field]
        schema["required"] = [other for other in schema["required"] if other != field]

    found = compare(*edited(name, edit))
    title = schemas.load(name)["title"]
    assert f"{title}: {field}: was removed; readers of the older schema do not expect that" in found
    assert any("is no longer required" in finding for finding in found) == (field not in ("joined", "left", "gap_s"))


@pytest.mark.parametrize(("name", "field"), FIELDS)
def test_field_of_another_type_is_found_both_ways(name: str, field: str):
    """Another type for any field is a finding that names it, for new records as for old ones."""
    old, new = edited(name, lambda schema: schema["properties"].update({field: {"type": "boolean"}}))
    for found in (compare(old, new), compare(new, old)):
        assert any(f": {field}" in f and "readers of the older schema" in f for f in found)
        assert any(f": {field}" in f and "records already written" in f for f in found)


def children(part: Any) -> list[tuple[str | int, Any]]:
    """Keys and values of an object or a list."""
    if isinstance(part, dict):
        return list(cast(dict[str | int, Any], part).items())
    return list(enumerate(cast(list[Any], part))) if isinstance(part, list) else []


def fields(part: Any, *steps: str | int) -> Iterator[tuple[str | int, ...]]:
    """Where every field of a record is described, however deep; rules about fields are not."""
    for key, value in children(part):
        if key in ("properties", "$defs"):
            for name, inner in children(value):
                if key == "properties":
                    yield (*steps, key, name)
                yield from fields(inner, *steps, key, name)
        elif key in ("items", "anyOf") or isinstance(key, int):
            yield from fields(value, *steps, key)


DEEP = [(name, steps) for name in schemas.names() for steps in fields(schemas.load(name))]


@pytest.mark.parametrize(("name", "steps"), DEEP)
def test_removing_any_field_is_found_by_its_name(name: str, steps: tuple[str | int, ...]):
    """At whatever depth, and whether it was required or not."""
    field = str(steps[-1])

    def edit(schema: Schema) -> None:
        holder = at(schema, *steps[:-2])
        del holder["properties"][field]
        holder["required"] = [other for other in holder.get("required", []) if other != field]

    found = compare(*edited(name, edit))
    assert any(re.search(rf"[ .]{field}\b.*readers of the older schema do not expect that", f) for f in found)


@pytest.mark.parametrize(("name", "steps"), DEEP)
def test_narrowing_any_field_is_found_by_its_name(name: str, steps: tuple[str | int, ...]):
    """At whatever depth; what is written may not have been allowed for a part of the readers."""
    found = compare(*edited(name, added({"enum": ["narrower"]}, *steps)))
    assert any(re.search(rf"[ .]{steps[-1]}\b.*records already written may break that", f) for f in found)


@pytest.mark.parametrize(
    ("old", "new", "widened"),
    [
        ({"type": "integer"}, {"type": ["integer", "null"]}, "type widened from integer to integer or null"),
        ({"type": "integer"}, {"type": "number"}, "type widened from integer to number"),
        ({"type": "string"}, {}, "type widened from string to anything"),
        ({"enum": ["a"]}, {"enum": ["a", "b"]}, 'may now also be "b"'),
        ({"const": "a"}, {"enum": ["a", "b"]}, 'may now also be "b"'),
        ({"const": 1}, {}, "is no longer limited to 1"),
        ({"minimum": 1}, {"minimum": 0}, "minimum changed from 1 to 0"),
        ({"minimum": 1}, {}, "minimum changed from 1 to absent"),
        ({"maxLength": 8}, {"maxLength": 9}, "maxLength changed from 8 to 9"),
        ({"exclusiveMaximum": 8}, {}, "exclusiveMaximum changed from 8 to absent"),
        ({"pattern": "^a$"}, {}, 'pattern changed from "^a$" to absent'),
        ({"format": "date-time"}, {}, 'format changed from "date-time" to absent'),
        ({"uniqueItems": True}, {}, "uniqueItems changed from true to absent"),
        ({"anyOf": [{"const": 1}]}, {"anyOf": [{"const": 1}, {"type": "null"}]}, "may now also be null"),
        ({"type": "null"}, {"anyOf": [{"type": "null"}, {"type": "string"}]}, "may now also be string"),
        ({"type": "array", "anyOf": [{"minItems": 1}]}, {"type": "array"}, "anyOf removed"),
        ({"allOf": [{"minimum": 1}]}, {}, "minimum changed from 1 to absent"),
        ({"not": {"const": 1}}, {}, 'not changed from {"const": 1} to absent'),
        (False, True, "is now allowed"),
    ],
)
def test_widening_and_narrowing_are_found(old: Any, new: Any, widened: str):
    """What a field may newly be harms readers of the older schema; the way back, those of old records."""
    before, after = record(), record()
    before["properties"]["field"], after["properties"]["field"] = old, new
    reader = "readers of the older schema do not expect that"
    assert any(f.startswith(f"Record: field: {widened}") and f.endswith(reader) for f in compare(before, after))
    back = compare(after, before)
    assert back
    assert all(f.startswith("Record: field: ") and f.endswith("already written may break that") for f in back)


@pytest.mark.parametrize("keyword", ["pattern", "format", "multipleOf", "contentEncoding", "dependentRequired"])
def test_incomparable_change_is_found_for_both_readers(keyword: str):
    """A pattern, a format or an unknown keyword with another value may be wider and narrower at once."""
    found = compare(record(**{keyword: "a"}), record(**{keyword: "b"}))
    change = f'Record: field: {keyword} changed from "a" to "b"'
    assert found == [
        f"{change}; readers of the older schema do not expect that",
        f"{change}; records already written may break that",
    ]


def removed(*steps: str | int) -> Edit:
    """An edit that takes away a key, or an item of a list by its number or its text."""

    def edit(schema: Schema) -> None:
        part, last = at(schema, *steps[:-1]), steps[-1]
        part.pop(cast(list[Any], part).index(last) if isinstance(part, list) and isinstance(last, str) else last)

    return edit


def added(value: Any, *steps: str | int) -> Edit:
    """An edit that appends an item to a list, or puts keys into an object."""

    def edit(schema: Schema) -> None:
        part = at(schema, *steps)
        if isinstance(part, list):
            cast(list[Any], part).append(value)
        else:
            part.update(value)

    return edit


DERIVED_RULE: Schema = {
    "if": {"properties": {"basis": {"const": "derived"}}},
    "then": {"required": ["joined"]},
}
SINCE_RULE: Schema = {"properties": {"current": {"properties": {"since": {"maxLength": 20}}}}}
LATER = ("allOf", 0, "else", "properties", "sequence")


@pytest.mark.parametrize(
    ("edit", "finding"),
    [
        (added("joined", "required"), "joined: became required; records already"),
        (removed("required", "agent"), "agent: is no longer required; readers of the older"),
        (added("lunch", "$defs", "state", "enum"), 'current.state: may now also be "lunch"'),
        (removed("$defs", "state", "enum", "idle"), 'previous.state: may no longer be "idle"'),
        (removed("$defs", "group", "required", "name"), "groups[].name: is no longer required"),
        (removed("$defs", "group", "properties", "name"), "groups[].name: was removed"),
        (removed("properties", "previous", "anyOf", 1), "previous: may no longer be null"),
        (added({"minItems": 1}, "properties", "joined"), "joined: minItems changed from absent to 1"),
        (removed("properties", "evidence", "items"), "evidence[]: type widened from string to anything"),
        (added({"additionalProperties": False}), "<additionalProperties>: is now forbidden; records"),
        (
            removed("allOf", 5, "then", "required", "left"),
            'left (where change is "groups"): is no longer requ',
        ),
        (
            removed("allOf", 3, "then", "properties", "groups"),
            'groups (where change is "signed_out"): maxItems changed from 0 to absent; readers of the older',
        ),
        (
            added({"minimum": 1}, *LATER),
            'sequence (unless change is "first_seen"): minimum changed from 2 to 1; readers of the older',
        ),
        (
            removed("allOf", 2),
            'current.state (where change is "signed_in"): not changed from {"const": "signed_out"} to absent',
        ),
        (added(DERIVED_RULE, "allOf"), 'joined (where basis is "derived"): became required; records already'),
        (added(SINCE_RULE, "allOf"), "current.since: maxLength changed from absent to 20; records already"),
    ],
)
def test_change_deep_in_the_event_is_found(edit: Edit, finding: str):
    """Changes in definitions, items, alternatives and rules are named by the path in the record."""
    assert any(f.startswith(f"AgentStateChanged: {finding}") for f in compare(*edited(EVENT, edit)))


def keywords(part: Any, *steps: str | int) -> Iterator[tuple[str | int, ...]]:
    """Where in a schema every keyword is that decides about records."""
    for key, value in children(part):
        if key in ("properties", "$defs"):
            for name, inner in children(value):
                yield from keywords(inner, *steps, key, name)
        elif key not in UNHEARD:
            if isinstance(key, str):
                yield (*steps, key)
            yield from keywords(value, *steps, key)


@pytest.mark.parametrize("name", schemas.names())
def test_no_keyword_comes_or_goes_unnoticed(name: str):
    """Taking away or adding any single keyword, however deep, is a finding."""
    places = list(keywords(schemas.load(name)))
    assert len(places) > 40
    for steps in places:
        old, new = edited(name, removed(*steps))
        assert compare(old, new), steps
        assert compare(new, old), steps


def test_reordering_is_free():
    """The order of fields, required names, values, alternatives and rules means nothing."""

    def edit(schema: Schema) -> None:
        schema["required"].reverse()
        schema["allOf"].reverse()
        schema["$defs"]["state"]["enum"].reverse()
        schema["properties"]["previous"]["anyOf"].reverse()
        schema["properties"] = dict(reversed(schema["properties"].items()))

    assert compare(*edited(EVENT, edit)) == []


def test_putting_a_definition_in_place_is_free():
    """Whether a field says something itself or by reference makes no difference."""

    def edit(schema: Schema) -> None:
        schema["properties"]["source"] = copy.deepcopy(schema["$defs"]["source"])

    assert compare(*edited(EVENT, edit)) == []


def test_field_added_to_a_closed_record_is_found():
    """Readers of an older schema that allows no other fields cannot take a new one."""
    old, new = record(), record()
    old["additionalProperties"] = new["additionalProperties"] = False
    new["properties"]["added"] = {}
    assert [f.split(";")[0] for f in compare(old, new)] == ["Record: added: was added where other fields are not free"]


def test_schema_that_contains_itself_ends():
    """A recursive definition is compared once, not for ever."""
    old: Schema = {"title": "Tree", "properties": {"child": {"$ref": "#"}, "leaf": {"type": "string"}}}
    new = copy.deepcopy(old)
    assert compare(old, new) == []
    new["properties"]["leaf"]["type"] = "integer"
    assert any(f.startswith("Tree: leaf: type") for f in compare(old, new))


BROKEN: list[Schema] = [
    {"properties": {"a": 3}},
    {"properties": {"a": {"type": 5}}},
    {"properties": {"a": {"type": [["string"]]}}},
    {"properties": {}, "required": "a"},
    {"properties": {}, "required": [{}]},
    {"properties": {"a": {"enum": "b"}}},
    {"properties": {"a": {"minimum": "1"}}},
    {"properties": {"a": {"$ref": "#/$defs/none"}}},
    {"properties": {"a": {"$ref": "other.json"}}},
    {"properties": {"a": {"$ref": ["#"]}}},
    {"properties": {}, "allOf": {}},
]


@pytest.mark.parametrize("broken", BROKEN)
def test_document_that_is_no_schema_is_refused(broken: Schema):
    """What only looks like a schema is refused with the reason, not compared."""
    with pytest.raises(NotASchema):
        compare(broken, record())
