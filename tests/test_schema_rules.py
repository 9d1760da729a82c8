"""The rules within and across a record's fields: each has a record that breaks it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.sample_records import Edit, drop, example, examples, faults, put
from tests.validation import Record, validate


@pytest.mark.parametrize(
    ("change", "name", "value"),
    [
        ("first_seen", "previous", {"state": "available", "since": "2026-11-23T00:00:00Z"}),
        ("first_seen", "previous_duration_s", 1.0),
        ("first_seen", "previous_duration_min_s", 1.0),
        ("first_seen", "previous_duration_max_s", 1.0),
        ("first_seen", "sequence", 2),
        ("first_seen", "current.state", "signed_out"),
        ("signed_in", "previous", None),
        ("signed_in", "previous.state", "available"),
        ("signed_in", "current.state", "signed_out"),
        ("signed_in", "sequence", 1),
        ("signed_in", "previous_duration_s", None),
        ("signed_in", "occurred_not_before", None),
        ("state", "previous", None),
        ("state", "previous.state", "signed_out"),
        ("state", "current.state", "signed_out"),
        ("state", "sequence", 1),
        ("state", "previous_duration_s", None),
        ("state", "previous_duration_min_s", None),
        ("state", "occurred_not_before", None),
        ("groups", "previous", None),
        ("groups", "previous.state", "signed_out"),
        ("groups", "current.state", "signed_out"),
        ("groups", "previous_duration_s", 1.0),
        ("groups", "previous_duration_min_s", 1.0),
        ("groups", "previous_duration_max_s", 1.0),
        ("groups", "sequence", 1),
        ("groups", "occurred_not_before", None),
        ("groups", "joined", "queue-2"),
        ("groups", "left", None),
        ("signed_out", "previous", None),
        ("signed_out", "previous.state", "signed_out"),
        ("signed_out", "current.state", "available"),
        ("signed_out", "groups", [example("state")["groups"][0]]),
        ("signed_out", "sequence", 1),
        ("signed_out", "previous_duration_s", None),
        ("signed_out", "occurred_not_before", None),
    ],
)
def test_change_rules_out_what_contradicts_it(change: str, name: str, value: Any):
    """A field that contradicts its event's `change` is at fault, by its path."""
    assert name in faults(example(change), put(name, value))


def test_groups_event_names_the_groups():
    """An event about groups has both `joined` and `left`, and at least one group in one of them."""
    event = example("groups")
    assert faults(event, drop("joined"))
    assert faults(event, drop("left"))
    assert faults(event, put("joined", []))
    assert not faults(event, put("joined", []), put("left", ["queue-3"]))


def test_unknown_bounds_may_be_null():
    """A first sighting may lack its lower bound, and a duration its longest value."""
    assert not faults(example("first_seen"), put("occurred_not_before", None))
    assert not faults(example("state"), put("previous_duration_max_s", None))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("type", "AgentState"),
        ("schema_version", "2.0"),
        ("schema_version", "1"),
        ("source", "Floor"),
        ("source", ""),
        ("extension", "1/2"),
        ("extension", 100001),
        ("agent", None),
        ("epoch", "6741A2F0"),
        ("epoch", "6741a2f"),
        ("sequence", 0),
        ("sequence", 1.5),
        ("event_id", "floor/100001/6b039010/042"),
        ("event_id", "floor/100001/42"),
        ("change", "changed"),
        ("previous.state", "dead"),
        ("current.since", None),
        ("previous_duration_s", -1),
        ("basis", "guessed"),
        ("evidence", "state"),
        ("evidence", [""]),
        ("poll_id", "floor"),
        ("poll_id", "floor/17953992051.20"),
        ("groups", None),
        ("groups.0.state", "signed_out"),
        ("groups.0.state_code", "1215"),
        ("groups.0.offered_at", "0000-00-00 00:00:00"),
        ("groups.0.calls_answered", -1),
        ("groups.0.no_answer_count", "0"),
        ("groups.0.wrap_up_s", 1.5),
    ],
)
def test_malformed_field_fails(name: str, value: Any):
    """A field of an event that has the wrong type, form or range is at fault."""
    assert faults(example("state"), put(name, value))


@pytest.mark.parametrize(
    "moment",
    [
        "2026-11-23T02:00:04",
        "2026-11-23T10:00:04+08:00",
        "2026-11-23T02:00:04.1Z",
        "2026-11-23T02:00:04.120000Z",
        "2026-11-23 02:00:04Z",
        "2026-11-23t02:00:04z",
        "2026-02-30T02:00:04Z",
        "2026-11-23T24:00:00Z",
        "",
    ],
)
def test_time_in_another_form_fails(moment: str):
    """A time is RFC 3339 in UTC with Z, a real one, in whole seconds or with 3 decimals."""
    assert "occurred_at" in faults(example("state"), put("occurred_at", moment))
    assert "groups[0].offered_at" in faults(example("state"), put("groups.0.offered_at", moment))


@pytest.mark.parametrize("name", ["state_code", "status_code", "offered_at", "answered_at"])
def test_what_the_vendor_leaves_out_is_null(name: str):
    """Codes and stamps that a row does not have are null."""
    assert not faults(example("state"), put(f"groups.0.{name}", None))


@pytest.mark.parametrize("name", ["status_changed_at", "calls_answered", "no_answer_count", "wrap_up_s"])
def test_counters_and_configuration_may_be_null(name: str):
    """So are counters and configured times."""
    assert not faults(example("state"), put(f"groups.0.{name}", None))


@pytest.mark.parametrize(
    ("kind", "edits", "where"),
    [
        ("AgentState", [put("state", "wrap_up"), put("wrap_up_due", None)], "wrap_up_due"),
        ("AgentState", [put("state", "signed_out")], "groups"),
        ("AgentState", [put("absent_polls", 1), put("absent_since", None)], "absent_since"),
        ("AgentState", [put("absent_polls", -1)], "absent_polls"),
        ("AgentState", [put("occurred_not_after", None)], "occurred_not_after"),
        ("FeedStatus", [put("status", "dead")], "status"),
        ("FeedStatus", [put("status", "stale"), put("reason", "")], "reason"),
        ("FeedStatus", [put("status", "stopped"), put("reason", "")], "reason"),
        ("FeedStatus", [put("delivery", "at_most_once")], "delivery"),
        ("FeedStatus", [put("cursor.number", -1)], "cursor"),
        ("FeedStatus", [put("outbox", {"batches": 0})], "outbox"),
        ("FeedStatus", [put("clock_offset_s", {"min": 0.0})], "clock_offset_s"),
        ("FeedStatus", [put("poll_interval_s", 0)], "poll_interval_s"),
        ("FeedStatus", [put("config_digest", "xyz")], "config_digest"),
        ("FeedStatus", [put("instance", "")], "instance"),
        ("RejectedRecord", [put("kind", "header")], "kind"),
        ("RejectedRecord", [put("kind", "body")], "extension"),
        ("RejectedRecord", [put("path", "")], "path"),
        ("RejectedRecord", [put("reason", "")], "reason"),
        ("RejectedRecord", [put("sha256", "00")], "sha256"),
        ("RejectedRecord", [put("bytes", -1)], "bytes"),
        ("RejectedRecord", [put("repeats", -1)], "repeats"),
        ("RejectedRecord", [put("excerpt", "x" * 8193)], "excerpt"),
    ],
)
def test_rules_of_the_other_records(kind: str, edits: list[Edit], where: str):
    """State, feed and rejected records are at fault where they contradict themselves or the contract."""
    assert where in faults(examples(kind)[0], *edits)


@pytest.mark.parametrize(
    ("kind", "edits", "where"),
    [
        ("AgentStateChanged", [put("event_id", "floor/100002/6b039010/1")], "event_id"),
        ("AgentStateChanged", [put("poll_id", "roof/1795395600250")], "poll_id"),
        ("AgentStateChanged", [put("schema_version", "1.1")], "schema_version"),
        ("AgentStateChanged", [put("occurred_not_after", "2026-11-23T00:58:11Z")], "occurred_at"),
        ("AgentState", [put("event_id", "floor/100001/6b039010/44")], "event_id"),
        ("FeedStatus", [put("clock_offset_s", {"min": 1.0, "max": 0.5})], "clock_offset_s"),
        ("RejectedRecord", [put("excerpt", "é" * 5000)], "excerpt"),
    ],
)
def test_validation_goes_beyond_the_schema(kind: str, edits: list[Edit], where: str):
    """`validate` also holds what the contract promises about several fields together."""
    assert faults(examples(kind)[0], *edits) == [where]


def test_validation_compares_durations_and_the_two_ends_of_a_groups_event():
    """A duration outside its own bounds is at fault, and a state that changes in an event about groups."""
    assert faults(example("state"), put("previous_duration_min_s", 3.5)) == ["previous_duration_s"]
    assert faults(example("groups"), put("current.state", "paused")) == ["current"]


def test_validation_names_the_path_and_the_fault():
    """What a failing test shows is the path within the record and the reason."""
    event = example("state")
    event["groups"][0]["state"] = "asleep"
    with pytest.raises(AssertionError, match=r'groups\[0\]\.state: "asleep" is not one of'):
        validate(event)


@pytest.mark.parametrize("record", [{}, {"type": "Other"}, {"type": None}, {"type": []}, b"[]", b"null", b"1"])
def test_record_of_no_known_type_fails(record: Record | bytes):
    """Without a known type there is no schema to hold a record against."""
    with pytest.raises(AssertionError, match=r"^type: "):
        validate(record)
