"""One seat, two rows: what is seen, what the books prove of the time between, and when."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from streamer.core.infer import Inferred, infer
from streamer.core.model import Ended, Memory, Seat, Settings, Step, Window
from tests.core.builders import IDLE, OFFLINE, PAUSED, RINGING, TALKING, WAITING, ms, since_noon
from tests.core.builders import seat as any_seat

START, END = 10.0, 20.0
WINDOW = Window(ms(START), ms(END), asked=ms(END), asked_about=ms(END), now=ms(END))
POLLS = (START, 15.0, END)
CODES = {"ringing": RINGING, "talking": TALKING, "paused": PAUSED, "available": WAITING, "idle": IDLE}
Told = tuple[str, float, float, float]
"""A state, its not_before, at and not_after."""


def seat(**fields: Any) -> Seat:
    """A seat without wrap-up, unless `wrap` says otherwise; `state` alone sets both codes but in a call."""
    code = fields.setdefault("state", WAITING)
    if "status" not in fields and code not in (RINGING, TALKING):
        fields["status"] = code
    usual: dict[str, Any] = {"wrap": 0, "answers": 3}
    return any_seat(**(usual | fields))


def inferred(before: Seat | None, after: Seat | None, memory: Memory | None = None, **window: Any) -> Inferred:
    """The seat's timeline in a window from 10 to 20 s."""
    known = frozenset(window.pop("known", ()))
    settings = Settings("floor", wrap_up=window.pop("wrap_up", True))
    fields = {**{name: getattr(WINDOW, name) for name in WINDOW.__struct_fields__}, **window}
    return infer(before, after, memory, Window(**fields), settings, known)


def plain(step: Step) -> Told:
    """A step's state and its not_before, at and not_after in seconds after NOON."""
    assert step.when.not_before is not None
    when = step.when
    return str(step.state), since_noon(step.when.not_before), since_noon(when.at), since_noon(when.not_after)


def told(before: Seat | None, after: Seat | None, memory: Memory | None = None, **window: Any) -> list[Told]:
    """What the seat went through, without what nobody can tell."""
    found = inferred(before, after, memory, **window)
    assert found.kinds == ()
    return [plain(step) for step in found.track.steps if step.state is not None]


def states(before: Seat | None, after: Seat | None, memory: Memory | None = None, **window: Any) -> list[str]:
    return [step[0] for step in told(before, after, memory, **window)]


def the_second(state: str, start: float) -> Told:
    return state, start, start, start + 1


# What the two rows show.


@pytest.mark.parametrize("state", CODES)
def test_the_same_row_is_no_transition(state: str) -> None:
    """Nothing moved, nothing happened."""
    same = seat(state=CODES[state], offered=3, answered=4, changed=2)
    assert told(same, same) == []


@pytest.mark.parametrize("before", [PAUSED, OFFLINE, None])
def test_an_offer_tells_the_second_in_which_it_began_to_ring(before: int | None) -> None:
    """Whatever the seat did before; who was away had become available by then."""
    old = None if before is None else seat(state=before, offered=3)
    assert told(old, seat(state=RINGING, offered=15))[-1] == the_second("ringing", 15)


def test_an_answer_tells_the_second_in_which_talking_began() -> None:
    """With the offer's own second before it, seen or not."""
    rang = seat(state=RINGING, offered=9)
    answered = seat(state=TALKING, offered=9, answered=15, answers=4)
    assert told(rang, answered) == [the_second("talking", 15)]
    waited = seat(offered=3, answered=4)
    answered = seat(state=TALKING, offered=12, answered=15, answers=4)
    assert told(waited, answered) == [the_second("ringing", 12), the_second("talking", 15)]
    found = inferred(waited, answered).track.steps
    assert found[-1].when.evidence == ("state", "lastanswertime")
    assert found[0].when.evidence == ("lastassigntime",)


def test_an_answer_shown_before_its_state_counts_from_its_stamp() -> None:
    """The row still said Receiving with a moved answer time: legal, an answer is written in steps."""
    old = seat(state=RINGING, offered=5, answered=9)
    assert told(old, seat(state=TALKING, offered=5, answered=9)) == [the_second("talking", 9)]
    counted_later = seat(state=TALKING, offered=5, answered=9, answers=4)
    assert told(old, counted_later) == [the_second("talking", 9)]
    assert told(seat(state=RINGING, offered=5), old, start=ms(8.5)) == []


def test_an_answer_half_written_is_told_though_no_poll_shows_the_call() -> None:
    """It rang with its answer stamped; the next poll finds the agent waiting again."""
    old = seat(state=RINGING, offered=5, answered=9)
    assert told(old, seat(offered=5, answered=9, answers=4)) == [
        the_second("talking", 9),
        ("available", 10.0, 15.0, 20.0),
    ]


def test_an_answer_half_written_may_have_been_counted_already() -> None:
    """One more answer since, by its stamp; whichever of the two the counter tells of, there is no contradiction."""
    before = seat(state=RINGING, offered=8, answered=9, answers=3)
    for counted in (4, 5):
        path = states(before, seat(offered=14, answered=15, answers=counted))
        assert path == ["talking", "available", "ringing", "talking", "available"]


def test_a_call_between_a_half_written_answer_and_the_next_offer_is_told() -> None:
    """Ringing at both polls, but not for the same call."""
    before = seat(state=RINGING, offered=8, answered=9, answers=3)
    for counted in (3, 4):
        after = seat(state=RINGING, offered=14, answered=9, answers=counted)
        assert states(msgspec.structs.replace(before, calls_answered=3), after) == ["talking", "available", "ringing"]


def test_an_answer_far_from_its_poll_is_not_being_written() -> None:
    """In a wrong time zone each row seems to show one; its stamp bounds nothing."""
    before = seat(state=RINGING, offered=-28_000, answered=-27_990, answers=3)
    steps = inferred(before, seat(state=TALKING, offered=-28_000, answered=-27_990, answers=3)).track.steps
    assert [plain(step) for step in steps] == [("talking", *POLLS)]


def test_an_earlier_answer_explains_no_later_call() -> None:
    """An answer before the offer belongs to another call."""
    old = seat(state=RINGING, offered=9, answered=5)
    assert told(old, seat(state=TALKING, offered=9, answered=5)) == [("talking", *POLLS)]


@pytest.mark.parametrize(("old", "new"), [(PAUSED, WAITING), (IDLE, WAITING), (WAITING, IDLE), (None, WAITING)])
def test_becoming_available_tells_the_second(old: int | None, new: int) -> None:
    """It stamps the status once."""
    before = None if old is None else seat(state=old, changed=3)
    state = "idle" if new == IDLE else "available"
    assert told(before, seat(state=new, changed=15, answers=0)) == [the_second(state, 15)]


@pytest.mark.parametrize("old", [WAITING, None])
def test_a_break_began_at_its_stamp_or_before(old: int | None) -> None:
    """It may have been set again: then only the last time is stamped."""
    before = None if old is None else seat(changed=3)
    assert told(before, seat(state=PAUSED, changed=15)) == [("paused", 10.0, 15.0, 16.0)]


@pytest.mark.parametrize("new", [OFFLINE, 1203, 1299])
def test_a_telephone_comes_and_goes_without_a_stamp(new: int) -> None:
    """The polls bound it, whatever else moved."""
    assert told(seat(changed=3), seat(state=new, changed=15))[0][1:] == POLLS
    assert told(seat(state=new, changed=3), seat(state=PAUSED, changed=15))[0][1:] == POLLS


@pytest.mark.parametrize("old", [OFFLINE, 1203, 1299])
def test_a_status_set_behind_a_telephone_shows_not_before_it_was_set(old: int) -> None:
    """Set at 15, seen at 15 or later, once the telephone was back."""
    assert told(seat(state=old, changed=3), seat(changed=15)) == [("available", 15, 15, 20)]


@pytest.mark.parametrize(("old", "state"), [(TALKING, "available"), (RINGING, "available")])
def test_the_end_of_a_call_or_an_offer_moves_no_stamp(old: int, state: str) -> None:
    """The polls bound it."""
    stamps: Any = {"offered": 5, "answered": 6 if old == TALKING else 1}
    assert told(seat(state=old, **stamps), seat(**stamps)) == [(state, *POLLS)]


def test_a_break_ends_no_call() -> None:
    """Set at 15 in mid-call or after it: paused not before the call's end can have been, which the polls bound."""
    old = seat(state=TALKING, offered=5, answered=6)
    assert told(old, seat(state=PAUSED, offered=5, answered=6, changed=15)) == [("paused", 10.0, 15.0, 20.0)]
    on_break = seat(state=TALKING, status=PAUSED, offered=5, answered=6, changed=5)
    assert told(on_break, seat(state=PAUSED, offered=5, answered=6, changed=5)) == [("paused", *POLLS)]


def test_a_call_goes_on_over_a_break_and_back() -> None:
    """The counters restart in mid-call; the call is the same."""
    old = seat(state=TALKING, offered=5, answered=6)
    assert told(old, seat(state=TALKING, offered=5, answered=6, changed=15, answers=0)) == []


def test_a_row_that_is_gone_is_bounded_by_the_first_poll_that_missed_it() -> None:
    """By this poll, or an earlier one that was not believed."""
    assert told(seat(), None) == [("signed_out", *POLLS)]
    assert told(seat(), None, absent_end=ms(14)) == [("signed_out", 10.0, 12.0, 14.0)]


def test_a_new_row_is_not_explained_by_what_another_row_showed_before() -> None:
    """One agent shown in several groups: joining another one moves no stamp."""
    assert told(None, seat(state=PAUSED, changed=15), known={ms(15)}) == [("paused", *POLLS)]


@pytest.mark.parametrize("stamp", [8.0, 21.5, 500.0, -500.0])
@pytest.mark.parametrize("state", ["ringing", "talking", "paused"])
def test_a_stamp_outside_the_window_explains_nothing_and_is_named(state: str, stamp: float) -> None:
    """From the future, from an hour repeated or from another zone: the polls bound what the rows show."""
    field = {"ringing": "offered", "talking": "answered", "paused": "changed"}[state]
    stamped: Any = {field: stamp}
    found = inferred(seat(), seat(state=CODES[state], **stamped))
    assert [plain(step) for step in found.track.steps] == [(state, *POLLS)]
    assert found.kinds == ("future" if stamp > END else "past",)


def test_a_second_that_began_before_the_window_may_reach_into_it() -> None:
    """A stamp is a whole second: 9.5 means up to 10.5."""
    assert told(seat(), seat(state=RINGING, offered=9.5)) == [the_second("ringing", 9.5)]


def test_a_call_outside_the_queue_is_not_explained_by_the_queues_stamps() -> None:
    """Only `status` tells of it; what the queue stamped was a call of its own, over before or after it."""
    assert told(seat(), seat(status=1204)) == [("talking", *POLLS)]
    assert told(seat(), seat(status=1202)) == [("ringing", *POLLS)]
    answered = seat(state=1016, status=1204, offered=12, answered=15, answers=4)
    assert states(seat(state=1016, status=WAITING), answered) == ["ringing", "talking"]


# What happened between them.


def test_a_hidden_call_is_told_with_its_seconds() -> None:
    """Available, and available again, with another offer and another answer: it rang, was answered, and ended."""
    assert told(seat(offered=3, answered=4), seat(offered=12, answered=15, answers=4)) == [
        the_second("ringing", 12),
        the_second("talking", 15),
        ("available", 15.0, 17.5, 20.0),
    ]


def test_a_hidden_offer_is_told_without_its_outcome() -> None:
    """A moved offer time alone proves an offer, not how it ended: rejected, busy, or given up."""
    assert told(seat(offered=3), seat(offered=12)) == [the_second("ringing", 12), ("available", 12.0, 16.0, 20.0)]


def test_a_hidden_miss_is_the_same_with_a_count() -> None:
    """noanswercount names it."""
    found = inferred(seat(offered=3), seat(offered=12, misses=1)).track.steps
    assert [step.state for step in found] == ["ringing", "available"]
    assert found[-1].when.evidence == ("noanswercount",)


def test_two_misses_are_two_offers() -> None:
    """The last at its second, the one before it bounded."""
    assert told(seat(offered=3), seat(offered=17, misses=2)) == [
        ("ringing", 10.0, 12.666, 18.0),
        ("available", 10.0, 15.333, 18.0),
        the_second("ringing", 17),
        ("available", 17.0, 18.5, 20.0),
    ]


def test_of_several_hidden_calls_the_last_is_known_to_the_second() -> None:
    """Earlier ones by bounds."""
    found = told(seat(offered=3, answered=4), seat(offered=17, answered=18, answers=5))
    assert [step[0] for step in found] == ["ringing", "talking", "available"] * 2
    assert [step[1::2] for step in found[:3]] == [(10.0, 18.0)] * 3
    assert found[3:5] == [the_second("ringing", 17), the_second("talking", 18)]


def test_a_call_that_followed_another_ended_it() -> None:
    """Talking at both polls, but on another call: the first one's end, and the new one's seconds."""
    assert told(
        seat(state=TALKING, offered=3, answered=4), seat(state=TALKING, offered=15, answered=17, answers=4)
    ) == [
        ("available", 10.0, 13.0, 16.0),
        the_second("ringing", 15),
        the_second("talking", 17),
    ]


def test_what_rang_was_answered_unless_another_offer_was() -> None:
    """Ringing since 9: answered at 12, ended, and called again at 17."""
    rang = seat(state=RINGING, offered=9)
    assert states(rang, seat(state=RINGING, offered=17, answered=12, answers=4)) == ["talking", "available", "ringing"]
    failed = seat(state=TALKING, offered=15, answered=17, answers=4)
    assert states(rang, failed) == ["available", "ringing", "talking"]
    assert states(rang, seat(state=RINGING, offered=15, misses=1)) == ["available", "ringing"]


def test_misses_before_the_last_answer_are_cleared_by_it_and_not_told() -> None:
    """The books do not show them."""
    assert states(seat(misses=2), seat(offered=12, answered=15, answers=4)) == ["ringing", "talking", "available"]


def test_an_offer_after_the_last_answer_is_one_more() -> None:
    """Answered at 12, and called again at 17 in vain."""
    after = seat(offered=17, answered=12, answers=4, misses=1)
    assert told(seat(), after) == [
        ("ringing", 10.0, 11.5, 13.0),
        the_second("talking", 12),
        ("available", 12.0, 15.0, 18.0),
        the_second("ringing", 17),
        ("available", 17.0, 18.5, 20.0),
    ]


def test_the_rest_after_a_call_bounds_its_end() -> None:
    """Offered at 19 with a wrapuptime of 5: the call before had ended before 14."""
    found = told(
        seat(state=TALKING, offered=3, answered=4, wrap=5), seat(state=RINGING, offered=19, answered=4, wrap=5)
    )
    assert [step[0] for step in found] == ["wrap_up", "available", "ringing"]
    assert found[0][1::2] == (10.0, 14.0)
    assert found[1][1::2] == (15.0, 19.0)


def test_a_vendor_that_does_not_rest_is_found_out() -> None:
    """Offered two seconds after a call that a poll saw, with a wrapuptime of 5: the bounds do without the rule."""
    found = inferred(
        seat(state=TALKING, offered=3, answered=4, wrap=5), seat(state=RINGING, offered=12, answered=4, wrap=5)
    )
    assert found.kinds == ("no_rest",)
    assert [plain(step)[0] for step in found.track.steps] == ["wrap_up", "ringing"]
    assert plain(found.track.steps[0])[1::2] == (10.0, 13.0)


def test_restarted_counters_prove_a_break_and_its_end() -> None:
    """Available at both polls, stamped at 15, and the counters are back at 0."""
    assert told(seat(changed=3), seat(changed=15, answers=0)) == [
        ("paused", 10.0, 13.0, 16.0),
        the_second("available", 15),
    ]
    assert states(seat(changed=3, answers=0, misses=2), seat(changed=15, answers=0)) == ["paused", "available"]


def test_a_moved_stamp_alone_proves_no_break() -> None:
    """On Demand moves the stamp and keeps the counters; and is remembered, since its end restarts them."""
    found = inferred(seat(changed=3), seat(changed=15))
    assert (found.track.steps, found.memory) == ((), Memory("queue-1", None, on_demand=True))
    back = inferred(seat(changed=3), seat(changed=15, answers=0), found.memory)
    assert (back.track.steps, back.memory) == ((), None)


def test_a_return_that_restarted_nothing_was_to_on_demand() -> None:
    """Becoming Available from a break restarts the counters."""
    found = inferred(seat(state=PAUSED, changed=3), seat(changed=15))
    assert found.memory == Memory("queue-1", None, on_demand=True)
    assert inferred(seat(changed=3), seat(changed=15, answers=0), found.memory).track.steps == ()


def test_a_moved_stamp_of_a_paused_agent_proves_no_interruption() -> None:
    """The break was set again; but a restarted counter shows that she was back in between."""
    assert told(seat(state=PAUSED, changed=3), seat(state=PAUSED, changed=15)) == []
    assert told(seat(state=PAUSED, changed=3), seat(state=PAUSED, changed=15, answers=0)) == [
        ("available", 10.0, 13.0, 16.0),
        ("paused", 10.0, 15.0, 16.0),
    ]


def test_calls_after_a_return_are_counted_from_it() -> None:
    """Back at 12; the counter tells of two calls since, the last offered at 17."""
    found = told(seat(state=PAUSED, changed=3), seat(changed=12, offered=17, answered=18, answers=2))
    assert [step[0] for step in found] == ["available", *["ringing", "talking", "available"] * 2]
    assert found[0] == the_second("available", 12)
    assert all(step[1] >= 12 for step in found[1:])


def test_who_signs_in_and_is_called_at_once_was_available_first() -> None:
    """All within one second."""
    assert told(None, seat(state=RINGING, changed=15, offered=15, answers=0)) == [
        the_second("available", 15),
        the_second("ringing", 15),
    ]


def test_a_phone_that_came_back_was_there_before_the_call() -> None:
    """Offline and called at 15: available between 10 and 16."""
    found = told(seat(state=OFFLINE), seat(state=RINGING, offered=15))
    assert [step[0] for step in found] == ["available", "ringing"]
    assert found[0][1::2] == (10.0, 16.0)


def test_counters_that_are_not_there_leave_what_the_stamps_tell() -> None:
    """A vendor that counts nothing: the last call is known by its stamps."""
    nothing: Any = {"answers": None, "misses": None}
    assert states(seat(**nothing), seat(offered=12, answered=15, **nothing)) == ["ringing", "talking", "available"]


def test_a_vendor_without_answer_times_is_believed_its_counts() -> None:
    """Two calls, somewhere in the window."""
    found = told(seat(answers=1), seat(answers=3))
    assert [step[0] for step in found] == ["talking", "available"] * 2
    assert {step[1::2] for step in found} == {(10.0, 20.0)}


# Wrap-up.


def ended(at: float, low: float, high: float) -> Memory:
    return Memory("queue-1", Ended(ms(at), ms(low), ms(high)))


def test_wrap_up_follows_a_call_and_is_remembered() -> None:
    """Available by the row; its end is due later."""
    stamps: Any = {"offered": 3, "answered": 4, "wrap": 15}
    found = inferred(seat(state=TALKING, **stamps), seat(**stamps))
    assert [plain(step) for step in found.track.steps] == [("wrap_up", *POLLS)]
    assert (found.track.steps[0].basis, found.memory) == ("derived", ended(15, 10, 20))


def test_wrap_up_ends_by_its_time() -> None:
    """A call that ended at 5 and a wrapuptime of 7: over at 12."""
    row = seat(wrap=7)
    found = inferred(row, row, ended(5, 4.5, 5.5))
    assert [plain(step) for step in found.track.steps] == [("available", 11.5, 12.0, 12.5)]
    assert (found.track.steps[0].basis, found.memory) == ("derived", None)


def test_a_vague_wrap_up_is_over_when_it_surely_is() -> None:
    """Its end may be as late as 22: not told at 20, although the estimate has passed."""
    row = seat(wrap=7)
    assert told(row, row, ended(10, 5, 15), wrapping=True) == []
    assert states(row, row, ended(10, 5, 13), wrapping=True) == ["available"]


@pytest.mark.parametrize(
    ("after", "path"),
    [
        (seat(state=RINGING, offered=12, wrap=5), ["available", "ringing"]),
        (seat(state=PAUSED, changed=12, wrap=5), ["paused"]),
        (None, ["signed_out"]),
    ],
)
def test_wrap_up_ends_with_whatever_comes(after: Seat | None, path: list[str]) -> None:
    """An offer, a break or a sign-out; by its time before them, if that is sure: a break may have been set before."""
    assert states(seat(wrap=5), after, ended(6, 5.5, 6.5)) == path


def test_a_break_within_the_wrap_up_cuts_it_short() -> None:
    """Over at 14 to 15 at the earliest, paused since 12."""
    found = told(seat(wrap=5), seat(state=PAUSED, changed=12, wrap=5), ended(9.5, 9, 10))
    assert found == [("paused", 10.0, 12.0, 13.0)]


def test_nothing_is_due_in_rows_that_were_not_seen() -> None:
    """An absence that is not believed, or a row that cannot be read."""
    row = seat(wrap=7)
    assert told(row, row, ended(5, 4.5, 5.5), blind=True) == []


def test_wrap_up_can_be_switched_off() -> None:
    """Then a call ends with being available; and one that was under way is over."""
    stamps: Any = {"offered": 3, "answered": 4, "wrap": 15}
    assert states(seat(state=TALKING, **stamps), seat(**stamps), wrap_up=False) == ["available"]
    assert states(seat(**stamps), seat(**stamps), ended(9, 8, 9), wrap_up=False) == ["available"]


def test_hidden_calls_have_their_wrap_ups() -> None:
    """Answered at 11, offered again at 19, five seconds to rest: over before that offer."""
    found = told(seat(wrap=5), seat(state=RINGING, offered=19, answered=11, answers=4, wrap=5))
    assert [step[0] for step in found] == ["ringing", "talking", "wrap_up", "available", "ringing"]
    assert found[2][1::2] == (11.0, 14.0)


# Evidence that contradicts itself.


@pytest.mark.parametrize(
    ("before", "after", "kind"),
    [
        (seat(changed=3), seat(changed=3, answers=1), "counter_fell"),
        (seat(changed=3), seat(changed=3, answers=1, offered=12, answered=15), "counter_fell"),
        (seat(misses=2), seat(misses=1), "counter_fell"),
        (seat(answered=4), seat(answered=4, answers=5), "untimed"),
        (seat(), seat(misses=1), "untimed"),
        (seat(offered=3), seat(offered=3, answered=15, answers=4), "unoffered"),
        (seat(), seat(offered=15, answered=15, answers=4000), "crowded"),
        (seat(), seat(offered=500.0), "future"),
        (seat(offered=5), seat(offered=4), "past"),
        (seat(offered=5), seat(offered=5 - 28_800), "past"),
        (seat(state=TALKING, offered=3, answered=4), seat(state=TALKING, offered=15, answered=4), "order"),
        (seat(changed=3), seat(changed=15, offered=11, answered=12, answers=2), "order"),
    ],
)
def test_contradictory_evidence_invents_nothing_and_is_named(before: Seat, after: Seat, kind: str) -> None:
    """The same state at both polls: nothing is told, whatever moved."""
    found = inferred(before, after)
    assert (found.track.steps, found.kinds) == ((), (kind,))


def test_contradictory_evidence_leaves_the_ends_right() -> None:
    """What the rows show is told with what does not contradict."""
    found = inferred(seat(), seat(state=TALKING, offered=500.0, answered=15, answers=4))
    assert [plain(step) for step in found.track.steps] == [the_second("talking", 15)]
    assert found.kinds == ("future",)


def test_an_answer_that_was_not_counted_is_one_call() -> None:
    """Its stamp moved: that alone proves it. The counter is named."""
    found = inferred(seat(), seat(offered=12, answered=15))
    assert [step.state for step in found.track.steps] == ["ringing", "talking", "available"]
    assert found.kinds == ("uncounted",)


def test_stamps_bear_no_comparison_where_the_vendors_clock_went_back() -> None:
    """What the rows show is told; and an answer, with its second, whatever the others say."""
    back: Any = {"jumped": True, "shift": (-9000, -8000), "start": ms(2)}
    called = seat(offered=12, answered=5, answers=4)
    assert states(seat(), called, **back) == ["talking", "available"]
    assert states(seat(), seat(offered=12), **back) == []
    assert states(seat(), seat(changed=12, answers=0), **back) == []
    assert told(seat(), seat(state=TALKING, offered=12, answered=5, answers=4), **back) == [the_second("talking", 5)]


def test_a_clock_that_went_forward_keeps_the_order_of_its_stamps() -> None:
    """Nothing else is different."""
    forward: Any = {"jumped": True, "shift": (8000, 9000)}
    assert states(seat(), seat(offered=12, answered=15, answers=4), **forward) == ["ringing", "talking", "available"]


def test_a_wrap_up_under_way_ends_with_a_jump_by_either_reading() -> None:
    """Its end lies between what both say; no later poll could tell by which it was stamped."""
    row = seat(wrap=7)
    found = told(row, row, ended(9.5, 9, 10), jumped=True, shift=(-4000, -3000))
    assert found == [("available", 12.0, 13.0, 17.0)]


# Rows that polls missed.


def test_a_row_that_two_polls_missed_had_signed_out_if_it_is_back_with_a_new_status() -> None:
    """Absent since 13 by polls that were not believed; signed in again at 18."""
    missed: Any = {"missed": ms(13), "missed_polls": 2}
    assert told(seat(changed=3), seat(changed=18, answers=0), **missed) == [
        ("signed_out", 10.0, 11.5, 13.0),
        the_second("available", 18),
    ]
    assert inferred(seat(state=PAUSED), seat(changed=18, answers=0), **missed).track.start == "paused"


def test_a_new_row_after_a_clock_went_back_proves_only_itself() -> None:
    """All of its stamps are later than a window on the new reading begins."""
    back: Any = {"jumped": True, "shift": (-9000, -8000), "start": ms(2)}
    assert told(None, seat(offered=5, answered=6, changed=3, answers=0), **back) == [("available", 2.0, 11.0, END)]


def test_a_row_that_one_poll_missed_may_have_been_on_break() -> None:
    """Nothing is told but where it is."""
    missed: Any = {"missed": ms(13), "missed_polls": 1}
    assert told(seat(changed=3), seat(changed=18, answers=0), **missed) == [("available", *POLLS)]
    assert told(seat(changed=3), seat(changed=3), **missed) == []
