"""Several seats, one extension: the busiest counts, and since when."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.core import merge
from streamer.core.model import Seat, Settings, When, Window
from tests.core.builders import OFFLINE, PAUSED, RINGING, TALKING, Poller, ms, seat, since_noon, times

END = ms(0.1)


def seats(*states: int, offered: float | None = None) -> list[Seat]:
    """One extension's seats in as many groups."""
    return [seat(group=f"queue-{number}", state=state, offered=offered) for number, state in enumerate(states, 1)]


def test_the_busiest_seat_counts() -> None:
    """talking > ringing > busy > paused > available > idle > unknown > offline."""
    order = [TALKING, RINGING, 1203, PAUSED, 1213, 1201, 1299, OFFLINE]
    names = ["talking", "ringing", "busy", "paused", "available", "idle", "unknown", "offline"]
    for first, name in enumerate(names):
        assert merge.state_now(seats(*reversed(order[first:]))) == name
    assert merge.state_now([]) == "signed_out"


def test_identical_evidence_in_three_groups_is_one_transition() -> None:
    """One agent shown three times: one call, one event, one second."""
    poller = Poller()
    poller.poll(0, *seats(1213, 1213, 1213))
    event = poller.one(2, *seats(RINGING, RINGING, RINGING, offered=1))
    assert (event.after.state, times(event), event.after.sequence) == ("ringing", (1, 1, 2), 2)


def test_one_seat_ends_its_call_while_another_rings() -> None:
    """Ringing once the call is over: the later of the two."""
    poller = Poller()
    poller.poll(0, seat(state=TALKING), seat(group="queue-2"))
    event = poller.one(2, seat(), seat(group="queue-2", state=RINGING, offered=1))
    assert (event.after.state, times(event)) == ("ringing", (1.0, 1.0, 2.1))


def test_since_is_when_the_state_began_and_not_when_its_seat_changed() -> None:
    """The other group's seat rang all along: what counts is when the busier one stopped."""
    poller = Poller()
    poller.poll(0, seat(state=TALKING), seat(group="queue-2", state=RINGING, offered=-5))
    event = poller.one(2, seat(), seat(group="queue-2", state=RINGING, offered=-5))
    assert times(event) == (0.0, 1.05, 2.1)


def test_another_seat_that_takes_over_the_state_is_no_event() -> None:
    """Talking on one seat, then on the other: talking since the first."""
    poller = Poller()
    poller.poll(0, seat(state=TALKING, answered=-9), seat(group="queue-2"))
    assert poller.poll(2, seat(), seat(group="queue-2", state=TALKING, answered=1)) == []
    assert since_noon(poller.agent().since) == -9


def test_a_third_state_of_the_seat_that_left_says_little_of_when_it_left() -> None:
    """It paused at 1, but may have hung up before: the other seat was paused all along."""
    poller = Poller()
    poller.poll(0, seat(state=TALKING), seat(group="queue-2", state=1203))
    event = poller.one(2, seat(state=PAUSED, changed=1), seat(group="queue-2", state=1203))
    assert (event.after.state, times(event)[0], times(event)[2]) == ("busy", 0.0, 2.1)


def test_two_seats_that_begin_are_as_early_as_the_first() -> None:
    """Two offers in two groups: ringing since the earlier one."""
    poller = Poller()
    poller.poll(0, *seats(1213, 1213))
    event = poller.one(3, seat(state=RINGING, offered=2), seat(group="queue-2", state=RINGING, offered=1))
    assert times(event) == (1, 1, 2)


def test_a_busier_group_that_is_left_counts_as_its_absence() -> None:
    """The talking seat is gone, the waiting one stayed."""
    poller = Poller()
    poller.poll(0, seat(state=TALKING), seat(group="queue-2"))
    event = poller.one(1, seat(group="queue-2"))
    assert (event.change, event.after.state, event.left) == ("state", "available", ("queue-1",))
    assert (times(event), event.when.evidence) == ((0.0, 0.55, 1.1), ("absence",))


def first(*rows: Seat) -> When:
    """When a never seen extension with these rows entered its state; asked for at NOON."""
    return merge.first_seen(merge.state_now(rows), rows, ms(0), END)


def told(when: When) -> tuple[float | None, float, float]:
    return (
        None if when.not_before is None else since_noon(when.not_before),
        since_noon(when.at),
        since_noon(when.not_after),
    )


def test_first_seen_talking_since_the_answer_and_ringing_since_the_offer() -> None:
    """Their own stamp explains them to the second."""
    assert told(first(seat(state=TALKING, offered=-9, answered=-5, changed=-2))) == (-5, -5, -4)
    assert told(first(seat(state=RINGING, offered=-5, answered=-9))) == (-5, -5, -4)


def test_first_seen_available_or_paused_since_the_status() -> None:
    """Unless calls came after it; what moves no stamp may have come between, so the poll bounds it."""
    assert told(first(seat(changed=-50, offered=-60, answered=-55))) == (-50, -50, 0.1)
    assert told(first(seat(state=PAUSED, changed=-50))) == (-50, -50, 0.1)
    assert told(first(seat(changed=-50, offered=-20))) == (-20, 0, 0.1)


def test_first_seen_without_an_explanation_since_the_request() -> None:
    """Not before the newest stamp, or null where nothing is known."""
    assert told(first(seat())) == (None, 0, 0.1)
    assert told(first(seat(state=TALKING, offered=-3, answered=-9))) == (-3, 0, 0.1)
    assert told(first(seat(status=1204, offered=-9, answered=-8))) == (-8, 0, 0.1)
    assert told(first(seat(state=OFFLINE, changed=-7, answered=-9))) == (-9, 0, 0.1)


@pytest.mark.parametrize("state", [1213, RINGING, TALKING, PAUSED, OFFLINE])
def test_stamps_from_the_future_are_not_valid(state: int) -> None:
    """They explain nothing, bound nothing and disqualify nothing."""
    assert told(first(seat(state=state, offered=60, answered=60, changed=60))) == (None, 0, 0.1)
    assert told(first(seat(changed=-50, offered=60, answered=60))) == (-50, -50, 0.1)
    assert told(first(seat(state=TALKING, answered=-5, offered=60))) == (-5, -5, -4)


def test_first_seen_with_several_seats_is_not_older_than_its_first() -> None:
    """Paused in one group at -90, in another at -30: since -90."""
    rows = seat(state=PAUSED, changed=-90), seat(group="queue-2", state=PAUSED, changed=-30)
    assert told(first(*rows)) == (-90, -90, 0.1)
    unknown = seat(group="queue-2", state=PAUSED)
    assert told(first(rows[0], unknown))[0] is None


@given(
    stamps=st.lists(st.tuples(*[st.none() | st.integers(-99, 99)] * 3), min_size=1, max_size=3),
    codes=st.lists(st.sampled_from([1213, RINGING, TALKING, PAUSED, OFFLINE, 1299]), min_size=3, max_size=3),
)
def test_first_seen_keeps_its_bounds_in_order(
    stamps: list[tuple[int | None, int | None, int | None]], codes: list[int]
) -> None:
    """not_before <= at <= not_after, and nothing begins after the poll, whatever the stamps say."""
    rows = [seat(group=str(n), state=codes[n], offered=o, answered=a, changed=c) for n, (o, a, c) in enumerate(stamps)]
    when = first(*rows)
    assert (when.at if when.not_before is None else when.not_before) <= when.at <= when.not_after
    assert when.at <= END


WINDOW = Window(start=ms(10), end=ms(20), asked=ms(20), asked_about=ms(20), now=ms(20))


@pytest.mark.parametrize(
    ("stamp", "expected"),
    [
        (15, (15, 16, "seatschangetime")),
        (9, (9, 10, "seatschangetime")),
        (20, (20, 21, "seatschangetime")),
        (8.9, (10, 20, None)),
        (20.1, (10, 20, None)),
        (12, (10, 20, None)),
        (None, (10, 20, None)),
    ],
)
def test_joining_a_group_is_told_to_the_second_only_by_a_stamp_of_its_own(
    stamp: float | None, expected: tuple[float, float, str | None]
) -> None:
    """12 is what the row that stayed shows."""
    stayed = seat(changed=12)
    when = merge.regrouped([(stayed, stayed), (None, seat(group="queue-2", changed=stamp))], WINDOW)
    low, high, field = expected
    assert (when.not_before, when.not_after) == (ms(low), ms(high))
    assert when.evidence == (("presence",) if field is None else ("presence", field))


def test_leaving_and_moving_between_groups_is_bounded_by_the_polls() -> None:
    old, new = seat(), seat(group="queue-2", changed=15)
    earlier = msgspec.structs.replace(WINDOW, absent_end=ms(14))
    assert merge.regrouped([(old, None)], earlier) == When(ms(12), ms(10), ms(14), ("absence",))
    assert merge.regrouped([(old, None), (None, new)], WINDOW) == When(ms(15), ms(10), ms(20), ("absence",))
    both = [(None, seat(group="queue-3", changed=15)), (None, new)]
    assert merge.regrouped(both, WINDOW) == When(ms(15), ms(10), ms(20), ("presence",))


def test_a_row_that_is_held_stays_as_it_was_unless_another_shows_its_agent() -> None:
    shared = [seat(group=f"queue-{number}", changed=1, agent=f"agent-{number}") for number in (1, 2)]
    other = seat(group="queue-3", changed=2)
    rang = msgspec.structs.replace(shared[0], offered_at=ms(5), state="ringing")
    held = merge.held([*shared, other], [rang])
    assert [(one.group, one.state, one.agent) for one in held] == [
        ("queue-1", "ringing", "agent-1"),
        ("queue-2", "ringing", "agent-2"),
        ("queue-3", "available", other.agent),
    ]


def test_rows_without_any_stamp_are_not_taken_for_one_agents() -> None:
    plain = [seat(group="queue-1"), seat(group="queue-2")]
    held = merge.held(plain, [seat(group="queue-1", state=RINGING, offered=5)])
    assert [one.state for one in held] == ["ringing", "available"]


def test_a_call_is_told_beside_a_row_that_is_gone_and_may_have_talked_before() -> None:
    """Talking is the busiest that anybody can be: certain from the answer on, and possible since the last poll."""
    poller = Poller()
    other = seat(group="queue-2", changed=1)
    poller.poll(10, seat(changed=2), other)
    *_, event = poller.poll(20, seat(changed=2, state=TALKING, offered=14, answered=15, answers=1))
    assert (event.after.state, times(event)) == ("talking", (10, 15, 16))


def test_where_too_many_orders_are_possible_only_the_end_is_told() -> None:
    """Three agents with a hundred answered calls each, in any order."""
    groups = ("queue-1", "queue-2", "queue-3")
    before = [seat(group=group, wrap=0, offered=n, answered=n + 1) for n, group in enumerate(groups)]
    after = [
        seat(group=group, wrap=0, offered=800 + n, answered=810 + n, answers=100, state=RINGING if n == 1 else 1213)
        for n, group in enumerate(groups)
    ]
    window = msgspec.structs.replace(WINDOW, end=ms(1000), asked=ms(1000), asked_about=ms(1000), now=ms(1000))
    (told,) = merge.timeline(before, (), after, window, Settings("floor")).steps
    assert (told.state, told.when.not_before, told.when.not_after) == ("ringing", ms(10), ms(1000))


def test_who_is_gone_may_have_left_the_last_state_long_before() -> None:
    """Missed since 14; what she went through since 10, no row tells."""
    window = msgspec.structs.replace(WINDOW, absent_end=ms(14))
    (told,) = merge.timeline([seat(state=TALKING)], (), [], window, Settings("floor")).steps
    assert (told.state, told.when.not_after, told.ended_from) == ("signed_out", ms(14), ms(10))
