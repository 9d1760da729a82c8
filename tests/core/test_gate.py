"""Absence: when it is believed, what it waits for, and which times a late sign-out bears."""

from __future__ import annotations

import pytest

from streamer.core.model import AgentStateChanged, Settings
from tests.core.builders import RINGING, TALKING, Poller, kinds, many, ms, seat, times


def floor(count: int, **settings: float) -> Poller:
    """A poller that has seen `count` extensions at 0 s."""
    poller = Poller(Settings("floor", **settings))  # pyright: ignore[reportArgumentType]
    poller.poll(0, *many(count))
    return poller


def gone(events: list[AgentStateChanged]) -> list[str]:
    """Who signed out."""
    assert {event.change for event in events} <= {"signed_out"}
    return [event.after.extension for event in events]


@pytest.mark.parametrize(("known", "leaving"), [(3, 3), (20, 3), (30, 3), (40, 4), (200, 20)])
def test_a_few_absences_are_believed_at_once(known: int, leaving: int) -> None:
    """absent_min 3, or a tenth of those signed in, whichever is more; its bounds are the two polls."""
    poller = floor(known)
    events = poller.poll(1, *many(known)[leaving:])
    assert len(gone(events)) == leaving
    assert times(events[0]) == (0.0, 0.55, 1.1)
    assert not poller.state.doubted
    assert poller.state.complete_until == ms(1)


@pytest.mark.parametrize(("known", "leaving"), [(4, 4), (20, 4), (40, 5), (200, 21), (200, 200)])
def test_many_absences_wait_for_three_polls(known: int, leaving: int) -> None:
    """Nothing is told until the third poll agrees; then everything, with the times of the first absence."""
    poller = floor(known)
    for second in (1, 2):
        assert poller.poll(second, *many(known)[leaving:]) == []
        assert poller.state.doubted
        assert poller.state.complete_until == ms(0)
        assert {a.absent_polls for a in poller.state.agents.values() if a.absent_since} == {second}
    events = poller.poll(3, *many(known)[leaving:])
    assert len(gone(events)) == leaving
    assert {times(event) for event in events} == {(0.0, 0.55, 1.1)}
    assert not poller.state.doubted
    assert poller.state.complete_until == ms(3)


def test_max_delay_bounds_the_wait_where_polls_are_rare() -> None:
    """With confirm_polls out of reach, 60 s are enough."""
    poller = floor(20, confirm_polls=1000)
    assert poller.poll(1) == []
    assert poller.poll(60.9) == []
    assert len(gone(poller.poll(61))) == 20


def test_one_confirming_poll_means_at_once() -> None:
    """An operator may trust every answer."""
    assert len(gone(floor(20, confirm_polls=1).poll(1))) == 20


def test_who_returns_in_between_publishes_nothing() -> None:
    """A partial answer leaves no trace in the events, and the records are as before."""
    poller = floor(20)
    before = poller.state.agents
    assert poller.poll(1) == []
    assert poller.poll(2, *many(20)) == []
    after = poller.state.agents
    assert [(a.sequence, a.groups, a.absent_since, a.absent_polls, a.read_until) for a in after.values()] == [
        (1, a.groups, None, 0, None) for a in before.values()
    ]
    assert poller.state.complete_until == ms(2)


def test_who_returns_with_another_state_tells_it_with_wide_bounds() -> None:
    """The change may have come at any time since the last poll that showed the extension."""
    poller = floor(20)
    poller.poll(1)
    (event,) = poller.poll(2, seat("100001", state=1217), *many(20)[1:])
    assert event.change == "state"
    assert times(event) == (0.0, 1.05, 2.1)


def test_an_absence_that_only_a_wrong_list_told_of_says_nothing() -> None:
    """Eighteen were there all along; two are still away, and may have left after that list: their time begins anew."""
    poller = floor(20)
    poller.poll(1)
    assert poller.poll(2, *many(20)[2:]) == []
    assert poller.poll(3, *many(20)[2:]) == []
    events = poller.poll(4, *many(20)[2:])
    assert gone(events) == ["100001", "100002"]
    assert times(events[0]) == (0.0, 1.05, 2.1)


def test_an_agent_in_several_groups_is_told_by_the_rows_that_are_there() -> None:
    """A list lacks most rows, one of her two among them: the other tells that she talks, and no longer rings."""
    poller = floor(20)
    both = [seat("1", f"queue-{n}", RINGING, offered=0) for n in (1, 2)]
    poller.poll(1, *both, *many(20))
    (event,) = poller.poll(3, seat("1", "queue-1", TALKING, offered=0, answered=2, answers=1))
    assert (event.after.state, times(event)) == ("talking", (2, 2, 3))
    assert [group.state for group in poller.agent("1").groups] == ["talking", "talking"]


def test_changes_of_those_present_flow_meanwhile_with_narrow_bounds() -> None:
    """A doubt about some does not blur the others."""
    poller = floor(20)
    poller.poll(1, *many(20)[10:])
    event = poller.one(2, *many(20)[10:19], seat("100020", state=1217))
    assert (event.after.extension, event.after.state, times(event)) == ("100020", "paused", (1.0, 1.55, 2.1))


def test_each_absence_waits_for_itself() -> None:
    """One more that leaves while ten wait is told two polls after them, with its own time."""
    poller = floor(20)
    poller.poll(1, *many(20)[10:])
    poller.poll(2, *many(20)[10:])
    assert gone(poller.poll(3, *many(20)[11:])) == [f"{100_001 + n}" for n in range(10)]
    (event,) = poller.poll(4, *many(20)[11:])
    assert (event.after.extension, times(event)) == ("100011", (2.0, 2.55, 3.1))


def test_an_empty_list_is_not_believed_along_with_an_absence_that_is_due() -> None:
    """Ten have been away for two polls; the third answer lacks everybody."""
    poller = floor(40)
    poller.poll(1, *many(40)[10:])
    poller.poll(2, *many(40)[10:])
    assert gone(poller.poll(3)) == [f"{100_001 + n}" for n in range(10)]
    assert poller.poll(4, *many(40)[10:]) == []


def test_whoever_sent_a_partial_list_is_not_believed_a_few_absences_at_once() -> None:
    """For an hour: the next partial list may lack only a few."""
    poller = floor(20)
    poller.poll(1)
    poller.poll(2, *many(20))
    assert poller.poll(3, *many(20)[2:]) == []
    assert poller.poll(4, *many(20)) == []
    for second in (5, 6):
        assert poller.poll(second, *many(20)[1:]) == []
    assert gone(poller.poll(7, *many(20)[1:])) == ["100001"]
    poller.poll(3604, *many(20)[1:])
    assert gone(poller.poll(3605, *many(20)[2:])) == ["100002"]


def test_operators_are_told_what_became_of_the_absences_that_were_held() -> None:
    """Held; back before they were believed, whole; believed in the end. Who is held for the first time is not back."""
    poller, both = floor(20), [seat("9"), seat("9", "queue-2")]
    poller.poll(1, *many(20), *both)
    partial = (*many(20)[10:], both[0])
    for at, seats in enumerate((partial, (*many(20)[5:], both[0]), many(20)[5:], many(20)[5:], many(20)[5:]), 2):
        poller.poll(at, *seats)
    found = [(batch.findings.held, batch.findings.returned, batch.findings.believed) for batch in poller.batches[2:]]
    assert found == [(11, 0, 0), (6, 5, 0), (6, 0, 0), (1, 0, 5), (0, 0, 1)]


def test_who_signs_in_again_does_not_make_a_list_partial() -> None:
    """Many had signed out, and are back with a new status before that was believed: the list was right."""
    poller = Poller()
    poller.poll(0, *many(20, changed=-50))
    poller.poll(1)
    poller.poll(3, *many(20, changed=2))
    assert gone(poller.poll(4, *many(20, changed=2)[1:])) == ["100001"]


def test_another_seat_that_leaves_later_is_not_backdated() -> None:
    """Of two groups one was missed first; who signed out of the other later, signed out later."""
    both = [row for each in range(20) for row in (seat(str(each)), seat(str(each), "queue-2"))]
    poller = Poller()
    poller.poll(0, *both)
    assert poller.poll(1, *both[1::2]) == []
    assert poller.poll(2, *both[1::2]) == []
    assert [poller.poll(at) for at in (3, 4)] == [[], []]
    events = poller.poll(5)
    assert len(gone(events)) == 20
    assert {times(event) for event in events} == {(0.0, 1.55, 3.1)}


def test_one_bad_list_signs_nobody_out_who_just_left_another_group() -> None:
    """Each row waits for itself: of two groups one has been missed twice, when an empty list lacks the other too."""
    poller, others = Poller(), many(20)
    both = [seat("9", changed=1), seat("9", "queue-2", changed=1)]
    poller.poll(0, *others, *both)
    poller.poll(1)
    poller.poll(2, *others, *both)
    for at in (3, 4):
        assert poller.poll(at, *others, both[0]) == []
    assert poller.poll(5) == []
    for at in (6, 7):
        assert poller.poll(at, *others, both[0]) == []
    event = poller.one(8, *others, both[0])
    assert (event.change, event.left) == ("groups", ("queue-2",))


def test_an_unreadable_row_is_no_absence() -> None:
    """The extension keeps its state for as long as it cannot be read, and then goes on as if nothing had been."""
    poller = floor(3)
    for second in range(1, 200):
        assert poller.poll(second, *many(3)[1:], unread=["100001"]) == []
    assert poller.agent().state == "available"
    event = poller.one(200, seat(state=1217), *many(3)[1:])
    assert times(event)[::2] == (0.0, 200.1)


def test_an_unreadable_row_does_not_hide_that_others_left() -> None:
    """One bad row harms nobody else."""
    poller = floor(3)
    assert gone(poller.poll(1, unread=["100001"])) == ["100002", "100003"]


def test_who_is_absent_after_being_unreadable_signed_out() -> None:
    """The lower bound is the last poll that could read it."""
    poller = floor(3)
    poller.poll(1, *many(3)[1:], unread=["100001"])
    event = poller.one(2, *many(3)[1:])
    assert (event.change, times(event)[::2]) == ("signed_out", (0.0, 2.1))


def test_who_vanishes_as_an_anonymous_row_turns_up_may_be_behind_it() -> None:
    """Held while the row is there, for ever if need be; others that leave later are not."""
    poller = floor(10)
    for second in range(1, 200):
        assert poller.poll(second, *many(10)[1:], anonymous=1) == []
    assert gone(poller.poll(200, *many(10)[2:], anonymous=1)) == ["100002"]
    event = poller.one(201, *many(10)[2:])
    assert (event.after.extension, event.change, times(event)[::2]) == ("100001", "signed_out", (0.0, 1.1))


def test_who_comes_back_from_behind_an_anonymous_row_publishes_nothing() -> None:
    """The row could be read again."""
    poller = floor(10)
    poller.poll(1, *many(10)[1:], anonymous=1)
    assert poller.poll(2, *many(10)) == []
    assert poller.state.suspects == frozenset()


def test_one_anonymous_row_does_not_hide_a_mass_sign_out_for_ever() -> None:
    """More suspects than rows that could hide them: told after max_delay, late but surely."""
    poller = floor(20)
    assert poller.poll(1, anonymous=1) == []
    assert poller.poll(60.9, anonymous=1) == []
    assert len(gone(poller.poll(61, anonymous=1))) == 20


def test_a_suspect_stays_one_over_a_restart() -> None:
    """The new process knows neither the count before nor the suspects, only the records."""
    poller = floor(10)
    poller.poll(1, *many(10)[1:], anonymous=1)
    poller.restart()
    assert poller.poll(2, *many(10)[1:], anonymous=1) == []
    assert poller.poll(3, *many(10)[1:], anonymous=1) == []
    assert gone(poller.poll(4, *many(10)[1:])) == ["100001"]


def test_polls_before_a_restart_count() -> None:
    """absent_polls is part of the record."""
    poller = floor(20)
    poller.poll(1)
    poller.poll(2)
    poller.restart()
    events = poller.poll(3)
    assert kinds(events) == [(a, "signed_out", "signed_out") for a in sorted(poller.state.agents)]
    assert {times(event) for event in events} == {(0.0, 0.55, 1.1)}


def test_a_group_that_many_leave_waits_as_well() -> None:
    """A seat that vanishes is an absence, also where another seat is left."""
    both = [row for each in range(20) for row in (seat(str(each)), seat(str(each), "queue-2"))]
    poller = Poller()
    poller.poll(0, *both)
    assert poller.poll(1, *both[::2]) == []
    assert poller.poll(2, *both[::2]) == []
    events = poller.poll(3, *both[::2])
    assert {(event.change, event.left, times(event)) for event in events} == {
        ("groups", ("queue-2",), (0.0, 0.55, 1.1))
    }
