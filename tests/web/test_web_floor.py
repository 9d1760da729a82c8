"""What the wallboard knows from what was committed."""

from __future__ import annotations

import random

from streamer.kafka.serde import Record
from streamer.web.floor import FORGET_STOPPED, HOUR, LATEST, MOST, Changes, Floor
from tests.web.floor import AT, agent, event, feed, floor_of, records


def test_states_events_and_feeds_are_taken_from_their_records() -> None:
    """Each as its topic holds it."""
    floor = floor_of(records([event(agent("1"))], [agent("1"), agent("2", state="paused")], feeds=[feed()]))
    assert [(key, tile.state, tile.since) for key, tile in floor.agents.items()] == [
        (("floor", "1"), "available", AT),
        (("floor", "2"), "paused", AT),
    ]
    assert [(line.extension, line.before, line.after, line.at) for line in floor.latest] == [
        ("1", None, "available", AT)
    ]
    assert floor.feeds["floor"].status == "live"
    assert floor.feeds["floor"].confirmed_until == AT


def test_changes_hold_the_last_word_on_each_extension() -> None:
    """Forgotten and back again is back; back and forgotten again is gone."""
    floor, changes = Floor(), Changes()
    floor.take(records(states=[agent("1"), agent("2")]), changes)
    floor.take(records(forgotten=["1", "2", "3"]), changes)
    floor.take(records(states=[agent("2", state="paused")]), changes)
    assert [tile.extension for tile in changes.agents.values()] == ["2"]
    assert changes.forgotten == {("floor", "1")}
    assert set(floor.agents) == {("floor", "2")}


def test_what_is_none_of_ours_is_passed_over() -> None:
    """Whatever others write on our topics, also what only looks like ours."""
    rng = random.Random(7)
    spoilt = [Record("t", b"k", value, AT) for value in (b"", b"{}", b"[]", b"\xff\xfe", b'{"type": "AgentState"}')]
    good = records([event(agent("1"))], [agent("1")], feeds=[feed()])
    for record in good:
        assert record.value is not None
        for _ in range(200):
            junk = bytearray(record.value)
            junk[rng.randrange(len(junk))] = rng.randrange(256)
            spoilt.append(Record("t", bytes(rng.randrange(256) for _ in range(8)), bytes(junk), AT))
    spoilt += [Record("t", b"\xff", None, AT), Record("t", b"", None, AT)]
    floor_of(spoilt)


def test_names_that_are_not_to_be_shown_are_not_kept() -> None:
    """Neither in states nor in transitions."""
    floor = floor_of(records([event(agent("1", "Jane"))], [agent("1", "Jane")]), agent_names=False)
    assert "Jane" not in repr((floor.agents, list(floor.latest), floor.past(("floor", "1"))))


def test_an_hour_of_transitions_is_kept_and_no_more() -> None:
    """Of those who do nothing any more, too; and never more than a bound of one extension."""
    floor = floor_of(
        records([event(agent("1"), AT - HOUR - 1), event(agent("1"), AT), event(agent("2"), AT - 2 * HOUR)])
    )
    floor.forget_before(AT - HOUR)
    assert [line.at for line in floor.past(("floor", "1"))] == [AT]
    assert floor.past(("floor", "2")) == []
    assert floor._past.keys() == {("floor", "1")}  # pyright: ignore[reportPrivateUsage]
    floor.take(records([event(agent("3"))] * (MOST + 5)), Changes())
    assert len(floor.past(("floor", "3"))) == MOST
    assert len(floor.latest) == LATEST


def test_a_source_that_was_stopped_for_good_is_shown_for_a_day() -> None:
    """Its records stay on the topics for ever; one that is only silent is shown for ever."""
    floor = floor_of(
        records(
            states=[agent("1", source="old"), agent("2", source="silent")],
            feeds=[feed("old", status="stopped"), feed("silent", status="stale")],
        )
    )
    for moment, shown in ((AT + FORGET_STOPPED, {"old", "silent"}), (AT + FORGET_STOPPED + 1, {"silent"})):
        feeds, agents = floor.shown(moment)
        assert set(feeds) == {tile.source for tile in agents} == shown
