"""Records as JSON, and back for a restart."""

from __future__ import annotations

from typing import Any

import msgspec
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.core import wire
from streamer.core.model import AgentState, Ended, Memory, Seat
from streamer.core.thaw import read_agent_state
from tests.core.builders import Poller, ms, round_trip, seat
from tests.validation import validate

LAST = 253_402_300_799_999
moments = st.integers(0, LAST)
maybe = st.none() | moments
counts = st.none() | st.integers(0, 2**53)
names = st.text(st.characters(exclude_categories=("Cs",)), max_size=8)
seat_states = st.sampled_from(["available", "ringing", "talking", "paused", "busy", "idle", "offline", "unknown"])
agents = st.builds(
    AgentState,
    source=st.just("floor"),
    extension=st.just("100001"),
    agent=names,
    epoch=st.just("6b039e20"),
    sequence=st.just(7),
    event_id=st.just("floor/100001/6b039e20/7"),
    occurred_at=moments,
    state=seat_states,
    since=moments,
    occurred_not_before=maybe,
    occurred_not_after=moments,
    groups=st.lists(
        st.builds(
            Seat,
            group=names,
            extension=st.just("100001"),
            agent=names,
            state=seat_states,
            status=seat_states,
            state_code=st.none() | st.integers(-(2**53), 2**53),
            status_code=st.none() | st.integers(-(2**53), 2**53),
            offered_at=maybe,
            answered_at=maybe,
            status_changed_at=maybe,
            calls_answered=counts,
            no_answer_count=counts,
            wrap_up_s=counts,
        ),
        max_size=3,
        unique_by=lambda seat: seat.group,
    ).map(tuple),
    observed_at=moments,
    poll_id=st.just("floor/1795399205120"),
    wrap_up_due=maybe,
    absent_since=moments,
    absent_polls=st.integers(0, 9),
    read_until=maybe,
    absent_groups=st.lists(names, max_size=2).map(tuple),
)


ended = st.none() | st.builds(Ended, moments, moments, moments)


@given(agents, st.lists(st.tuples(ended, st.booleans()), min_size=3, max_size=3))
def test_a_state_read_back_is_the_state_written(agent: AgentState, kept: list[tuple[Ended | None, bool]]) -> None:
    """Whatever it holds, also another agent's name and memory in each group; and it is a valid record."""
    found = zip(agent.groups, kept, strict=False)
    memory = tuple(Memory(seat.group, end, demand) for seat, (end, demand) in found if end is not None or demand)
    agent = msgspec.structs.replace(agent, memory=memory)
    assert round_trip(agent) == agent
    validate(wire.dumps(wire.agent_state(agent)))


@given(moments)
def test_a_moment_read_back_is_the_moment_written(moment: int) -> None:
    """To the millisecond, from 1970 to 9999."""
    assert wire.milliseconds(wire.rfc3339(moment)) == moment


def test_whole_seconds_have_no_decimals_and_others_three() -> None:
    """RFC 3339 in UTC."""
    assert wire.rfc3339(ms(4)) == "2026-11-23T02:00:04Z"
    assert wire.rfc3339(ms(4.005)) == "2026-11-23T02:00:04.005Z"
    assert wire.milliseconds("2026-11-23T10:00:04.005+08:00") == ms(4.005)


@pytest.mark.parametrize("text", ["", "soon", "2026-11-23T02:00:04", "2026-13-23T02:00:04Z"])
def test_a_text_that_is_no_moment_is_refused(text: str) -> None:
    """Also a local time, which could be any."""
    with pytest.raises(ValueError, match=r"."):
        wire.milliseconds(text)


def good() -> dict[str, Any]:
    """The record of an extension that was seen once."""
    poller = Poller()
    poller.poll(0, seat())
    return wire.agent_state(poller.agent())


@pytest.mark.parametrize(
    "change",
    [
        {"type": "FeedStatus"},
        {"schema_version": "2.0"},
        {"state": "asleep"},
        {"since": "yesterday"},
        {"since": None},
        {"sequence": "seven"},
        {"groups": [{"name": "queue-1"}]},
        {"groups": None},
    ],
)
def test_a_record_that_is_no_agent_state_is_refused_with_a_reason(change: dict[str, object]) -> None:
    """As the ValueError that the reader of the state topic expects."""
    with pytest.raises(ValueError, match=r"\w"):
        read_agent_state(orjson.dumps(good() | change))


@pytest.mark.parametrize("data", [b"", b"null", b"[]", b"{}", b"\xff", b"{" * 9])
def test_bytes_that_are_no_record_are_refused(data: bytes) -> None:
    """Somebody else may have written to the topic."""
    with pytest.raises(ValueError, match=r"\w"):
        read_agent_state(data)


def test_a_later_minor_version_with_more_fields_is_read() -> None:
    """An older process may read what a newer one wrote."""
    newer = good() | {"schema_version": "1.9", "mood": "good"}
    assert read_agent_state(orjson.dumps(newer)).extension == "100001"


def test_a_record_of_an_older_writer_is_read() -> None:
    """Without the fields that came later; the last event was then the state's beginning."""
    older = good()
    for name in ("occurred_at", "read_until", "absent_groups", "absent_since", "absent_polls", "wrap_up_due"):
        del older[name]
    for name in ("agent", "status", "call_ended", "on_demand"):
        del older["groups"][0][name]
    agent = read_agent_state(orjson.dumps(older))
    assert (agent.occurred_at, agent.absent_groups, agent.absent_polls) == (agent.since, (), 0)
    assert (agent.groups[0].status, agent.memory) == ("available", ())


def test_the_same_record_is_the_same_bytes() -> None:
    """replay promises it: keys in a fixed order, no space."""
    assert wire.dumps(good()) == wire.dumps(good())
    assert b": " not in wire.dumps(good())


def test_a_duration_counts_between_the_bounds_of_both_ends() -> None:
    """Ringing entered in 1..2, left in 3..5: 3 s, at least 1, at most 4; and never less than none."""
    poller = Poller()
    poller.poll(0, seat())
    poller.poll(3, seat(state=1214, offered=1))
    event = poller.one(4.9, seat())
    record = wire.event(event)
    parts = [record[f"previous_duration_{part}s"] for part in ("min_", "", "max_")]
    assert parts == [1.0, 3.0, 4.0]
    short = msgspec.structs.replace(event, when=msgspec.structs.replace(event.when, not_before=ms(0)))
    assert wire.event(short)["previous_duration_min_s"] == 0.0
