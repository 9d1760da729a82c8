"""Is a record what the published schemas promise? For every test in which a record appears."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from functools import cache
from typing import Any, cast

import jsonschema_rs
import orjson

from streamer import schemas

Record = dict[str, Any]


def validate(record: Record | bytes) -> None:
    """Holds a record (a dict, or the JSON bytes of one) against the schema that its `type` names.

    Formats are checked too, and what the contract promises but a schema cannot say: that ids are made of
    their parts, bounds are in order, and an excerpt is counted in bytes. Raises AssertionError with the path
    of each fault and what is wrong with it.
    """
    value: Any = orjson.loads(record) if isinstance(record, bytes) else record
    faults = [f"{where or '(record)'}: {what}" for where, what in faults_of(value)]
    if faults:
        raise AssertionError("\n".join([*faults, f"in {orjson.dumps(value, default=repr).decode()}"]))


def faults_of(value: Any) -> Iterator[tuple[str, str]]:
    """Each fault as path and message; what only holds among valid fields is asked once all of them are."""
    kind: Any = cast(Record, value).get("type") if isinstance(value, dict) else None
    if not isinstance(kind, str) or kind not in published():
        yield "type", f"{kind!r} is none of {', '.join(published())}"
        return
    found = [(path(error), error.message) for error in validator(kind).iter_errors(value)]
    yield from found or BEYOND[kind](cast(Record, value))


@cache
def published() -> dict[str, schemas.Schema]:
    """The newest schema of each type of record."""
    return {schema["title"]: schema for schema in map(schemas.load, schemas.names())}


@cache
def validator(kind: str) -> jsonschema_rs.Validator:
    """The validator for one type of record, formats switched on."""
    return jsonschema_rs.Draft202012Validator(published()[kind], validate_formats=True)


def path(error: jsonschema_rs.ValidationError) -> str:
    """Where in the record an error is, e.g. `groups[0].state`."""
    steps = (f"[{step}]" if isinstance(step, int) else f".{step}" for step in error.instance_path)
    return "".join(steps).removeprefix(".")


def _same(record: Record, field: str, expected: str) -> Iterator[tuple[str, str]]:
    if record[field] != expected:
        yield field, f"{record[field]!r} should be {expected!r}"


def _written_now(record: Record) -> Iterator[tuple[str, str]]:
    """The schema admits later minor versions; what we write today bears the version of the file."""
    yield from _same(record, "schema_version", published()[record["type"]]["$id"].rpartition(":")[2])


def _from_a_poll(record: Record) -> Iterator[tuple[str, str]]:
    yield from _written_now(record)
    if not record["poll_id"].startswith(f"{record['source']}/"):
        yield "poll_id", f"{record['poll_id']!r} is not of source {record['source']!r}"


def _numbered(record: Record) -> Iterator[tuple[str, str]]:
    yield from _from_a_poll(record)
    parts = (record["source"], record["extension"], record["epoch"], str(record["sequence"]))
    yield from _same(record, "event_id", "/".join(parts))


def _event(record: Record) -> Iterator[tuple[str, str]]:
    yield from _numbered(record)
    bounds = [record[f"occurred_{part}"] for part in ("not_before", "at", "not_after")]
    moments = [datetime.fromisoformat(moment) for moment in bounds if moment is not None]
    if moments != sorted(moments):
        yield "occurred_at", f"{' <= '.join(map(str, bounds))} does not hold"
    spans = [record[f"previous_duration_{part}s"] for part in ("min_", "", "max_")]
    known = [span for span in spans if span is not None]
    if known != sorted(known):
        yield "previous_duration_s", f"{' <= '.join(map(str, spans))} does not hold"
    if record["change"] == "groups" and record["previous"] != record["current"]:
        yield "current", "differs from previous, though only groups changed"


def _feed(record: Record) -> Iterator[tuple[str, str]]:
    yield from _written_now(record)
    offset = record["clock_offset_s"]
    if offset is not None and offset["min"] > offset["max"]:
        yield "clock_offset_s", f"{offset['min']} <= {offset['max']} does not hold"


def _rejected(record: Record) -> Iterator[tuple[str, str]]:
    yield from _from_a_poll(record)
    size = len(record["excerpt"].encode())
    if size > 8192:
        yield "excerpt", f"has {size} bytes, not at most 8192"


BEYOND: dict[str, Callable[[Record], Iterator[tuple[str, str]]]] = {
    "AgentStateChanged": _event,
    "AgentState": _numbered,
    "FeedStatus": _feed,
    "RejectedRecord": _rejected,
}
"""What the contract promises beyond the schema, by type of record."""
