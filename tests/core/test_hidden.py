"""What polls did not see, as events: numbered, chained, with the rows of the poll that proved it."""

from __future__ import annotations

import pytest

from streamer.core import wire
from streamer.core.model import Settings
from tests.core.builders import NOON, PAUSED, RINGING, TALKING, Poller, kinds, many, ms, seat, times
from tests.validation import validate

NO_REST = 0
"""A wrapuptime of 0: no wrap-up."""


def test_a_hidden_call_is_three_events_of_one_poll() -> None:
    """Gapless and chained, each with the poll's rows; the record is that of the last."""
    poller = Poller()
    poller.poll(0, seat(wrap=NO_REST))
    events = poller.poll(10, seat(offered=2, answered=4, answers=1, wrap=NO_REST))
    assert kinds(events) == [("100001", "state", state) for state in ("ringing", "talking", "available")]
    assert [event.after.sequence for event in events] == [2, 3, 4]
    assert [event.basis for event in events] == ["inferred"] * 3
    assert [event.before and event.before.state for event in events] == ["available", "ringing", "talking"]
    assert {event.after.poll_id for event in events} == {f"floor/{ms(10)}"}
    assert all(event.after.groups == poller.agent().groups for event in events)
    assert poller.batches[-1].states == (events[-1].after,)
    talking = wire.event(events[1])
    assert (talking["previous_duration_min_s"], talking["previous_duration_s"]) == (1.0, 2.0)


def test_what_the_poll_shows_is_observed_and_what_led_to_it_inferred() -> None:
    """Ringing was not seen; talking is."""
    poller = Poller()
    poller.poll(0, seat())
    events = poller.poll(10, seat(state=TALKING, offered=2, answered=4, answers=1))
    assert [(event.after.state, event.basis) for event in events] == [("ringing", "inferred"), ("talking", "observed")]


def test_wrap_up_is_derived_and_ends_with_the_first_poll_after_it_is_due() -> None:
    """With its own time; until then the record says when it is due and since when the call is over."""
    poller = Poller()
    poller.poll(0, seat(state=TALKING))
    begun = poller.one(1, seat())
    assert (begun.after.state, begun.basis, times(begun)) == ("wrap_up", "derived", (0.0, 0.55, 1.1))
    record = wire.agent_state(poller.agent())
    assert record["wrap_up_due"] == "2026-11-23T02:00:10.550Z"
    assert record["groups"][0]["state"] == "wrap_up"
    assert record["groups"][0]["call_ended"] == {
        "at": "2026-11-23T02:00:00.550Z",
        "not_before": "2026-11-23T02:00:00Z",
        "not_after": "2026-11-23T02:00:01.100Z",
    }
    for second in range(2, 11):
        assert poller.poll(second, seat()) == []
        assert poller.state.complete_until == min(ms(second), ms(10))
    over = poller.one(11, seat())
    assert (over.after.state, over.basis, times(over)) == ("available", "derived", (9.0, 10.55, 12.1))
    assert (poller.agent().wrap_up_due, poller.agent().memory) == (None, ())
    assert poller.state.complete_until == ms(11)


def test_wrap_up_survives_a_restart() -> None:
    """All that it needs is in the record."""
    poller = Poller()
    poller.poll(0, seat(state=TALKING))
    poller.poll(1, seat())
    poller.restart()
    assert poller.poll(5, seat()) == []
    poller.restart()
    assert times(poller.one(11, seat())) == (9.0, 10.55, 12.1)


def test_wrap_up_can_be_switched_off() -> None:
    """Then the end of a call is what the polls show."""
    poller = Poller(Settings("floor", wrap_up=False))
    poller.poll(0, seat(state=TALKING))
    event = poller.one(1, seat())
    assert (event.after.state, event.basis, poller.agent().wrap_up_due) == ("available", "observed", None)


def test_wrap_up_of_a_seat_counts_below_busier_ones_and_above_the_others() -> None:
    """Another seat rings, then waits, while the first is in wrap-up; and it ends with the last of them."""
    poller = Poller()
    poller.poll(0, seat(state=TALKING), seat(group="queue-2", state=PAUSED))
    assert poller.one(1, seat(), seat(group="queue-2", state=PAUSED)).after.state == "wrap_up"
    ringing = seat(group="queue-2", state=RINGING, changed=2, offered=2)
    assert [e.after.state for e in poller.poll(3, seat(), ringing)] == ["ringing"]
    waiting = seat(group="queue-2", changed=2, offered=2, misses=1)
    assert [e.after.state for e in poller.poll(5, seat(), waiting)] == ["wrap_up"]
    assert poller.one(12, seat(), waiting).after.state == "available"


def test_who_signs_in_and_is_called_at_once_is_told_from_the_beginning() -> None:
    """Known before: signed_in; never seen before: first_seen; then the call, in the same poll."""
    came = seat("2", state=TALKING, changed=12, offered=13, answered=15, answers=1)
    poller = Poller()
    poller.poll(0, seat("1"), seat("2", changed=-50))
    poller.poll(10, seat("1"))
    events = poller.poll(20, seat("1"), came)
    assert kinds(events) == [
        ("2", "signed_in", "available"),
        ("2", "state", "ringing"),
        ("2", "state", "talking"),
    ]
    assert events[0].joined == ("queue-1",)
    poller = Poller()
    poller.poll(10, seat("1"))
    events = poller.poll(20, seat("1"), came)
    assert [change for _, change, _ in kinds(events)] == ["first_seen", "state", "state"]
    assert [event.after.sequence for event in events] == [1, 2, 3]
    assert [times(event)[1] for event in events] == [12, 13, 15]


def test_nothing_is_told_of_the_time_before_a_sources_first_poll() -> None:
    """Nobody knows who was there."""
    event = Poller().one(20, seat(state=TALKING, changed=12, offered=13, answered=15, answers=1))
    assert (event.change, event.after.state, times(event)[1]) == ("first_seen", "talking", 15)


def test_a_sign_out_that_was_not_believed_is_told_once_the_agent_is_back() -> None:
    """Two polls lacked everybody; one is back with a new status: she had been away, and had no rows then."""
    poller = Poller()
    poller.poll(0, *many(20, changed=-50, answers=3))
    for second in (1, 2):
        assert poller.poll(second) == []
    back = seat(changed=2.5)
    events = poller.poll(3, back, *many(20, changed=-50, answers=3)[1:])
    assert kinds(events) == [("100001", "signed_out", "signed_out"), ("100001", "signed_in", "available")]
    assert (events[0].after.groups, events[1].after.groups) == ((), (back,))
    assert times(events[0]) == (0.0, 0.55, 1.1)


def test_joined_and_left_are_told_with_the_last_event_of_the_poll() -> None:
    """A call in between and another group: the groups are those of the poll."""
    poller = Poller()
    poller.poll(0, seat(wrap=NO_REST))
    events = poller.poll(10, seat(offered=2, wrap=NO_REST), seat(group="queue-2", wrap=NO_REST, changed=8))
    assert [(event.after.state, event.joined) for event in events] == [("ringing", ()), ("available", ("queue-2",))]


@pytest.mark.parametrize("outage", [True, False])
def test_what_an_outage_or_a_restart_hid_is_marked(outage: bool) -> None:
    """With for how long nobody had looked; the usual rest between two polls is none."""
    poller = Poller(Settings("floor", poll_interval_ms=1000))
    poller.poll(0, seat())
    poller.poll(1, seat())
    if not outage:
        poller.restart()
    event = poller.one(4.5 if outage else 3, seat(state=PAUSED))
    assert wire.event(event)["gap_s"] == (3.6 if outage else 2.1)
    validate(wire.event(event))
    assert "gap_s" not in wire.event(poller.one(7 if outage else 6, seat()))


def test_a_sign_in_may_be_as_old_as_the_last_list_that_was_whole() -> None:
    """The list in between lacked most rows: hers may have been among them."""
    poller = Poller()
    poller.poll(0, *many(20))
    poller.poll(1, *many(20)[10:])
    event = poller.poll(2, *many(21))[0]
    assert (event.after.extension, event.change) == ("100021", "first_seen")
    poller = Poller()
    poller.poll(0, *many(21))
    poller.poll(0.5, *many(20))
    poller.poll(1, *many(20)[10:])
    event = poller.one(2, *many(21))
    assert (event.change, times(event)) == ("signed_in", (0.5, 1.3, 2.1))


def test_a_vendor_that_does_not_keep_to_the_wrap_up_is_remembered() -> None:
    """Once it has offered three calls too early, with a wrapuptime of 10, its rest bounds nothing more."""
    assert ended_after_rests(early=3) == (5.0, 19.0)


def test_an_odd_row_says_nothing_about_the_vendor() -> None:
    """Nor do two."""
    assert ended_after_rests(early=2) == (5.0, 8.0)


def test_what_a_vendor_did_is_forgotten_after_an_hour() -> None:
    assert ended_after_rests(early=3, later=3601.0) == (3606.0, 3609.0)


def ended_after_rests(early: int, later: float = 0.0) -> tuple[float | None, ...]:
    """The bounds of a call's end before another offer, after so many agents were called too early."""
    poller = Poller()
    quick = [str(number) for number in range(1, early + 1)]
    talks = seat("9", state=TALKING, offered=-9, answered=-8)
    poller.poll(0, *(seat(name, state=TALKING) for name in quick), talks)
    rings = [seat(name, state=RINGING, offered=4) for name in quick]
    poller.poll(5, *rings, talks)
    assert poller.batches[-1].findings.contradictions == {"no_rest": early}
    if later:
        poller.poll(5 + later, *rings, talks)
    event = poller.poll(20 + later, *rings, seat("9", state=RINGING, offered=18 + later, answered=-8))[0]
    return times(event)[::2]


def test_contradictions_are_counted_and_the_clock_is_told() -> None:
    """By kind, for one poll."""
    poller = Poller()
    poller.poll(0, seat(changed=-50), seat("2", answers=5), reqtime=NOON)
    poller.poll(1, seat(changed=-90), seat("2", answers=4), reqtime=NOON + 1)
    found = poller.batches[-1].findings
    assert found.contradictions == {"past": 1, "counter_fell": 1}
    assert found.offset == poller.state.offset
    assert not found.jumped


def test_an_answer_half_written_holds_the_watermark_back() -> None:
    """It is told with the state that is still to come, and bears the second of its stamp."""
    poller = Poller()
    poller.poll(0, seat(state=RINGING, offered=0))
    assert poller.poll(3, seat(state=RINGING, offered=0, answered=2)) == []
    assert poller.state.complete_until == ms(2)
    assert times(poller.one(6, seat(state=TALKING, offered=0, answered=2, answers=1))) == (2, 2, 3)
    assert poller.state.complete_until == ms(6)


def test_lists_that_lack_it_let_no_half_written_answer_be_overtaken() -> None:
    """However long they are not believed: what it tells later is not before the watermark."""
    poller = Poller(Settings("floor", confirm_polls=9))
    others = many(8)
    poller.poll(3, *others, seat("9"))
    poller.poll(6, *others, seat("9", state=RINGING, offered=5, answered=5))
    for at in (7, 12, 40):
        assert poller.poll(at) == []
        assert poller.state.complete_until == ms(5)
