"""Records of the state topic that others wrote, or that are damaged: what is taken is what the types say."""

from __future__ import annotations

from typing import Any

import msgspec
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.core import wire
from streamer.core.model import AgentState, Ended, Memory
from streamer.core.thaw import read_agent_state
from tests.core.builders import Poller, ms, seat

NOON = "2026-11-23T02:00:00Z"
ENDED = {"at": NOON, "not_before": NOON, "not_after": NOON}


def good() -> dict[str, Any]:
    """The record of an extension that was seen once."""
    poller = Poller()
    poller.poll(0, seat())
    return wire.agent_state(poller.agent())


def changed(**fields: Any) -> bytes:
    """That record with other fields; those beginning with `group_` are of its one group."""
    record = good()
    for name, value in fields.items():
        if name.startswith("group_"):
            record["groups"][0][name.removeprefix("group_")] = value
        else:
            record[name] = value
    return orjson.dumps(record)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"state": "asleep"}, "'asleep' is not a state"),
        ({"state": ""}, "'' is not a state"),
        ({"state": None}, "str"),
        ({"group_state": "Talking"}, "'Talking' is not a state"),
        ({"group_state": None}, "str"),
        ({"group_status": "asleep"}, "'asleep' is not a state"),
        ({"group_status": 7}, "str"),
        ({"since": "2026-11-23T02:00:04"}, "no time zone"),
        ({"occurred_at": ""}, "isoformat"),
        ({"occurred_not_after": None}, "str"),
        ({"group_offered_at": "soon"}, "soon"),
        ({"group_call_ended": {"at": NOON, "not_before": NOON}}, "not_after"),
        ({"group_call_ended": ENDED | {"at": "soon"}}, "soon"),
        ({"group_calls_answered": True}, "int"),
        ({"group_on_demand": None}, "bool"),
        ({"sequence": 1.5}, "int"),
        ({"absent_polls": None}, "int"),
        ({"absent_groups": [None]}, "str"),
        ({"absent_groups": None}, "array"),
        ({"schema_version": "2.1"}, "schema_version 2.1"),
        ({"schema_version": ""}, "schema_version"),
    ],
)
def test_a_field_that_is_not_what_it_should_be_is_named(fields: dict[str, Any], reason: str) -> None:
    """Whichever of the record's or its group's fields it is."""
    with pytest.raises(ValueError, match=reason):
        read_agent_state(changed(**fields))


def test_a_record_that_is_nested_too_deeply_is_refused() -> None:
    """Also in a field that we do not know: somebody else's record must not end a start."""
    deep = changed(mood=0).replace(b'"mood":0', b'"mood":' + b"[" * 100_000)
    with pytest.raises(ValueError, match="too deeply"):
        read_agent_state(deep)


def test_what_differs_from_our_own_records_and_is_sound_is_taken() -> None:
    """Other zones and decimals, wrap-up in a row, another agent's row, a state that a later code table may give."""
    agent = read_agent_state(
        changed(
            schema_version="1",
            state="signed_out",
            since="2026-11-23T10:00:04.0051+08:00",
            occurred_at=None,
            group_state="wrap_up",
            group_status="",
            group_agent="",
            group_call_ended=ENDED,
            group_status_code=1217,
        )
    )
    assert (agent.state, agent.since, agent.occurred_at) == ("signed_out", ms(4.005), ms(4.005))
    (row,) = agent.groups
    assert (row.state, row.status, row.agent) == ("available", "paused", "")
    assert agent.memory == (Memory(row.group, Ended(ms(0), ms(0), ms(0))),)


def test_records_share_what_is_the_same() -> None:
    """Tens of thousands are kept at a time: names, numbers of polls and moments are there once."""
    one, other = read_agent_state(changed(extension="1")), read_agent_state(changed(extension="2"))
    for name in ("source", "epoch", "poll_id", "state", "since", "observed_at"):
        assert getattr(one, name) is getattr(other, name)
    assert one.groups[0].group is other.groups[0].group
    assert one.groups[0].agent is one.agent


moments = ["2026-11-23T02:00:04.005Z", "2026-11-23T10:00:04+08:00", "2026-11-23T02:00:04", "0001-01-01T00:00+23:59"]
texts = ["available", "wrap_up", "signed_out", "asleep", "", "1", "1.0", "2", *moments]
values = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**64 - 1),
    st.sampled_from([1.0, 0.5, 1e300]),
    st.sampled_from(texts),
    st.sampled_from(moments).map(lambda text: ENDED | {"at": text}),
    st.lists(st.none() | st.sampled_from(texts), max_size=2),
)
places = st.sampled_from([*good(), *(f"group_{name}" for name in good()["groups"][0])])


def check_taken(data: bytes) -> None:
    """If a record is taken, every value in it is of its declared type."""
    try:
        agent = read_agent_state(data)
    except ValueError:
        return
    assert msgspec.convert(msgspec.to_builtins(agent), AgentState) == agent


@given(st.dictionaries(places, values, min_size=1, max_size=3))
def test_whatever_is_taken_is_of_the_types_that_the_core_relies_on(fields: dict[str, Any]) -> None:
    """Nothing checks the values once more when they are made."""
    if "groups" in fields:
        fields = {name: value for name, value in fields.items() if not name.startswith("group_")}
    check_taken(changed(**fields))


@given(st.integers(0, 4095), st.binary(min_size=1, max_size=3))
def test_a_damaged_record_is_refused_or_of_these_types_too(at: int, damage: bytes) -> None:
    """A few bytes of it are others."""
    data = changed()
    at %= len(data)
    check_taken(data[:at] + damage + data[at + len(damage) :])
