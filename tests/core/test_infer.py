"""One seat, two rows: which stamp explains a change, and what the polls alone bound."""

from __future__ import annotations

from typing import Any

import pytest

from streamer.core.infer import observed
from streamer.core.model import Seat, Transition, Window
from tests.core.builders import IDLE, OFFLINE, PAUSED, RINGING, TALKING, WAITING, ms, seat, since_noon

WINDOW = Window(ms(10), ms(12))
POLLS = (10.0, 11.0, 12.0)
CODES = {"ringing": RINGING, "talking": TALKING, "paused": PAUSED, "available": WAITING, "idle": IDLE}


def moved(before: Seat | None, after: Seat | None, window: Window = WINDOW) -> Transition:
    """The transition that must be there."""
    transition = observed(before, after, window)
    assert transition is not None
    return transition


def told(before: Seat | None, after: Seat | None, window: Window = WINDOW) -> tuple[float, float, float]:
    """The transition's bounds and estimate in seconds after NOON."""
    when = moved(before, after, window).when
    assert when.not_before is not None
    return since_noon(when.not_before), since_noon(when.at), since_noon(when.not_after)


def the_second(start: float) -> tuple[float, float, float]:
    return start, start, start + 1


@pytest.mark.parametrize("state", CODES)
def test_the_same_state_is_no_transition(state: str) -> None:
    """Whatever else moved: calls in between are for inference."""
    code = CODES[state]
    assert observed(seat(state=code), seat(state=code, offered=11, answered=11, changed=11), WINDOW) is None


def test_neither_here_nor_there_is_no_transition() -> None:
    """No row before, no row after."""
    assert observed(None, None, WINDOW) is None


@pytest.mark.parametrize("before", [WAITING, PAUSED, OFFLINE, TALKING, None])
def test_an_offer_tells_the_second_in_which_it_began_to_ring(before: int | None) -> None:
    """Whatever the seat did before, signed out included."""
    old = None if before is None else seat(state=before, offered=3)
    new = seat(state=RINGING, offered=11)
    assert told(old, new) == the_second(11)
    assert moved(old, new).when.evidence[-1] == "lastassigntime"


@pytest.mark.parametrize("before", [WAITING, PAUSED, OFFLINE, RINGING, None])
def test_an_answer_tells_the_second_in_which_talking_began(before: int | None) -> None:
    """Also where the ringing was not seen."""
    old = None if before is None else seat(state=before, offered=3, answered=4)
    new = seat(state=TALKING, offered=10, answered=11)
    assert told(old, new) == the_second(11)
    assert moved(old, new).when.evidence[-1] == "lastanswertime"


def test_an_answer_shown_before_its_state_counts_from_its_stamp() -> None:
    """The row still said Receiving with a moved answer time: legal, an answer is written in steps."""
    old = seat(state=RINGING, offered=5, answered=9)
    assert told(old, seat(state=TALKING, offered=5, answered=9)) == the_second(9)


def test_an_earlier_answer_explains_no_later_call() -> None:
    """An answer before the offer belongs to another call."""
    old = seat(state=RINGING, offered=9, answered=5)
    assert told(old, seat(state=TALKING, offered=9, answered=5)) == POLLS


@pytest.mark.parametrize(
    ("old", "new"),
    [(PAUSED, WAITING), (WAITING, PAUSED), (IDLE, WAITING), (WAITING, IDLE), (None, WAITING), (None, PAUSED)],
)
def test_a_status_tells_the_second_in_which_it_was_set(old: int | None, new: int) -> None:
    """Between states that a status sets, and signing in."""
    before = None if old is None else seat(state=old, changed=3)
    assert told(before, seat(state=new, changed=11)) == the_second(11)
    assert moved(before, seat(state=new, changed=11)).when.evidence[-1] == "seatschangetime"


@pytest.mark.parametrize(
    ("old", "new"),
    [(WAITING, OFFLINE), (PAUSED, OFFLINE), (WAITING, 1203), (WAITING, 1299), (None, OFFLINE), (OFFLINE, PAUSED)],
)
def test_a_telephone_comes_and_goes_without_a_stamp(old: int | None, new: int) -> None:
    """A status that changed behind it is another matter: the polls bound it."""
    before = None if old is None else seat(state=old, changed=3)
    assert told(before, seat(state=new, changed=11)) == POLLS


@pytest.mark.parametrize("old", [OFFLINE, 1203, 1299])
def test_a_status_set_behind_a_telephone_shows_not_before_it_was_set(old: int) -> None:
    """Set at 11, seen at 11 or later, once the telephone was back."""
    assert told(seat(state=old, changed=3), seat(changed=11)) == (11, 11, 12)


@pytest.mark.parametrize("old", [TALKING, RINGING])
def test_a_break_ends_no_call(old: int) -> None:
    """Paused from a call: not before the break; where that was set earlier, the polls bound the call's end."""
    assert told(seat(state=old), seat(state=PAUSED, changed=11)) == (11, 11, 12)
    assert told(seat(state=old, changed=5), seat(state=PAUSED, changed=5)) == POLLS


@pytest.mark.parametrize("old", [TALKING, RINGING])
@pytest.mark.parametrize("new", [WAITING, IDLE, OFFLINE])
def test_the_end_of_a_call_moves_no_stamp(old: int, new: int) -> None:
    """Not even where one moved."""
    assert told(seat(state=old), seat(state=new, offered=11, answered=11, changed=11)) == POLLS


def test_a_call_hidden_behind_a_status_moves_the_lower_bound() -> None:
    """Back from a break at 10 and offered a call at 11: waiting again after that."""
    old = seat(state=PAUSED, offered=1, changed=2)
    assert told(old, seat(offered=11, changed=10)) == (11, 11, 12)


@pytest.mark.parametrize("stamp", [8.0, 12.5, 500.0, -500.0])
@pytest.mark.parametrize("state", ["ringing", "talking", "paused"])
def test_a_stamp_outside_the_window_explains_nothing(state: str, stamp: float) -> None:
    """From the future, from an hour repeated or from another call: the polls bound it."""
    field = {"ringing": "offered", "talking": "answered", "paused": "changed"}[state]
    stamped: Any = {field: stamp}
    assert told(seat(), seat(state=CODES[state], **stamped)) == POLLS


def test_a_second_that_began_before_the_window_may_reach_into_it() -> None:
    """A stamp is a whole second: 9 means up to 10."""
    assert told(seat(), seat(state=RINGING, offered=9)) == the_second(9)
    assert told(seat(), seat(state=RINGING, offered=8.999)) == POLLS


@pytest.mark.parametrize(("state", "field"), [(RINGING, "offered"), (TALKING, "answered"), (PAUSED, "changed")])
def test_a_stamp_that_did_not_move_explains_nothing(state: int, field: str) -> None:
    """It belongs to what was before."""
    same: Any = {field: 11}
    assert told(seat(**same), seat(state=state, **same)) == POLLS


def test_a_call_outside_the_queue_is_not_explained_by_the_queues_stamps() -> None:
    """Only `status` tells of it: the answer at 11 was another call's, ended since."""
    assert told(seat(), seat(status=1204, answered=11)) == POLLS
    assert told(seat(), seat(status=1202, offered=11)) == POLLS
    assert told(seat(state=1016), seat(state=1016, status=1204, answered=11)) == the_second(11)


def test_a_row_that_is_gone_is_bounded_by_the_first_poll_that_missed_it() -> None:
    """By this poll, or an earlier one that was not believed."""
    assert told(seat(), None) == POLLS
    assert told(seat(), None, Window(ms(10), ms(12), absent_end=ms(11))) == (10.0, 10.5, 11.0)
    assert moved(seat(), None).state == "signed_out"


def test_a_new_row_is_not_explained_by_what_another_row_showed_before() -> None:
    """One agent shown in several groups: joining another one moves no stamp."""
    known = frozenset({ms(11)})
    transition = observed(None, seat(state=PAUSED, changed=11), WINDOW, known)
    assert transition is not None
    assert (transition.when.not_before, transition.when.not_after) == (ms(10), ms(12))


def test_evidence_names_the_codes_that_moved() -> None:
    """By the vendor's names; a new or vanished row says so."""
    assert moved(seat(), seat(status=PAUSED)).when.evidence == ("status",)
    assert moved(seat(), seat(state=PAUSED, status=PAUSED)).when.evidence == ("state", "status")
    assert moved(None, seat()).when.evidence == ("presence",)
    assert moved(seat(), None).when.evidence == ("absence",)
