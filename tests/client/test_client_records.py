"""The client's record types: generated from the schemas as they are, and not in the way of what is added later."""

from __future__ import annotations

import copy
from datetime import datetime
from typing import Any, cast

import msgspec
import pytest

from streamer.client import records
from tests.client import generate_records
from tests.sample_records import KINDS, examples
from tests.validation import Record

ALL = [pytest.param(kind, e, id=f"{kind}-{n}") for kind in KINDS for n, e in enumerate(examples(kind))]
CLOSED = ("state", "change", "basis", "status", "delivery", "kind", "type", "schema_version")
"""Fields whose values the schemas list: a later minor version may add to them."""


def decoded(kind: str, record: Record) -> Any:
    """A record as the client reads it."""
    return msgspec.json.decode(msgspec.json.encode(record), type=getattr(records, kind))


def later(part: Any) -> Any:
    """A record as a later minor version may write it: with fields and values that nobody knows yet."""
    if isinstance(part, dict):
        known = cast(dict[str, Any], part)
        changed = {name: "added" if name in CLOSED and value else later(value) for name, value in known.items()}
        return {"added": {"deep": [1]}, **changed}
    return [later(item) for item in cast(list[Any], part)] if isinstance(part, list) else part


def test_the_types_are_what_the_schemas_say() -> None:
    """`python -m tests.client.generate_records` writes them anew."""
    assert generate_records.TARGET.read_text("utf-8") == generate_records.generated()


@pytest.mark.parametrize(("kind", "record"), ALL)
def test_every_example_is_read_without_loss(kind: str, record: Record) -> None:
    """Each field comes back with its value, moments as aware datetimes."""
    found = decoded(kind, record)
    assert msgspec.json.decode(msgspec.json.encode(found)) == same_moments(record)
    at = found.occurred_at if hasattr(found, "occurred_at") else found.at
    assert isinstance(at, datetime)
    assert at.tzinfo is not None


def same_moments(part: Any) -> Any:
    """Moments as msgspec writes them: fractions to the microsecond."""
    if isinstance(part, dict):
        return {name: same_moments(value) for name, value in cast(dict[str, Any], part).items()}
    if isinstance(part, list):
        return [same_moments(item) for item in cast(list[Any], part)]
    try:
        return msgspec.to_builtins(msgspec.convert(part, datetime)) if isinstance(part, str) else part
    except msgspec.ValidationError:
        return part


@pytest.mark.parametrize(("kind", "record"), ALL)
def test_what_a_later_version_adds_disturbs_nobody(kind: str, record: Record) -> None:
    """Unknown fields are passed over, and unknown values of fields that list theirs are given as they are."""
    found = decoded(kind, later(copy.deepcopy(record)))
    assert (found.type, found.source) == ("added", record["source"])
