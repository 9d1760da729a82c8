"""What agent and telephone did between two rows, apart from the queue's calls: the rules' table, line by line."""

from __future__ import annotations

from typing import Any

import pytest

from streamer.core.evidence import Evidence
from streamer.core.model import Memory, Window
from streamer.core.status import on_demand, returned_at, statuses
from tests.core.builders import IDLE, OFFLINE, PAUSED, WAITING, ms, seat, since_noon

WINDOW = Window(start=ms(10), end=ms(20), asked=ms(20), asked_about=ms(20), now=ms(20))
BUSY = 1203
Path = list[tuple[str, float, float, float]]


def stamp(at: float | None) -> int | None:
    return None if at is None else ms(at)


def path(
    old: int | None,
    new: int,
    changed: float | None = None,
    *,
    offered: float | None = None,
    answered: float | None = None,
    restarted: bool = False,
    counted: int = 0,
    memory: Memory | None = None,
    **window: Any,
) -> Path:
    """The steps: state, not_before, at and not_after in seconds after noon."""
    before = None if old is None else seat(state=old, status=old)
    found = Evidence(stamp(offered), stamp(answered), stamp(changed), 0, 0, restarted, ())
    fields = {**{name: getattr(WINDOW, name) for name in WINDOW.__struct_fields__}, **window}
    steps = statuses(before, seat(state=new, status=new, answers=counted), found, memory, Window(**fields))
    return [
        (str(one.state), since_noon(one.when.not_before or 0), since_noon(one.when.at), since_noon(one.when.not_after))
        for one in steps
    ]


@pytest.mark.parametrize("old", [None, PAUSED, IDLE])
def test_becoming_available_is_stamped_once(old: int | None) -> None:
    assert path(old, WAITING, 15) == [("available", 15, 15, 16)]


@pytest.mark.parametrize("old", [None, WAITING, IDLE])
def test_a_break_began_at_its_stamp_or_before(old: int | None) -> None:
    assert path(old, PAUSED, 15) == [("paused", 10, 15, 16)]


def test_who_only_waits_again_had_no_status_set() -> None:
    """That field moves without a stamp: the one that moved is of something else."""
    found = Evidence(None, None, ms(15), 0, 0, False, ())
    (step,) = statuses(seat(state=IDLE), seat(), found, None, WINDOW)
    assert (step.state, step.when.not_before, step.when.not_after) == ("available", ms(10), ms(20))


@pytest.mark.parametrize("old", [OFFLINE, BUSY, 1299])
def test_a_return_behind_a_telephone_shows_not_before_its_stamp(old: int) -> None:
    assert path(old, WAITING, 15) == [("available", 15, 15, 20)]


def test_a_break_behind_a_telephone_may_have_been_set_again() -> None:
    assert path(OFFLINE, PAUSED, 15) == [("paused", 10, 15, 20)]


@pytest.mark.parametrize(("old", "new"), [(WAITING, OFFLINE), (PAUSED, OFFLINE), (OFFLINE, BUSY), (None, OFFLINE)])
def test_a_telephone_comes_and_goes_without_a_stamp(old: int | None, new: int) -> None:
    assert path(old, new) == [({OFFLINE: "offline", BUSY: "busy"}[new], 10, 15, 20)]
    assert path(old, new, 17) == path(old, new)


def test_leaving_comes_after_the_last_offer_and_coming_back_before_it() -> None:
    assert path(WAITING, OFFLINE, offered=14) == [("offline", 14, 17, 20)]
    assert path(OFFLINE, WAITING, offered=14, answered=16) == [("available", 10, 12.5, 15)]
    assert path(OFFLINE, WAITING, answered=16) == [("available", 10, 13.5, 17)]
    assert path(OFFLINE, WAITING, offered=9.5) == [("available", 9.5, 10, 10.5)]


def test_who_was_called_before_the_stamp_had_come_back_before() -> None:
    assert path(PAUSED, WAITING, 18, offered=12) == [("available", 10, 11.5, 13)]
    assert path(PAUSED, WAITING, 18, offered=12, answered=14, counted=1) == [("available", 10, 11.5, 13)]
    assert path(PAUSED, WAITING, 18, offered=12, answered=14) == [
        ("available", 10, 11.5, 13),
        ("paused", 14, 16.5, 19),
        ("available", 18, 18, 19),
    ]


def test_who_signed_in_was_called_and_went_on_break() -> None:
    assert path(None, PAUSED, 15, offered=12) == [("available", 10, 11.5, 13), ("paused", 12, 15, 16)]
    assert path(None, PAUSED, 15, offered=17) == [("paused", 10, 15, 16)]


def test_restarted_counters_of_the_available_prove_a_break() -> None:
    assert path(WAITING, WAITING, 15, restarted=True) == [("paused", 10, 13, 16), ("available", 15, 15, 16)]
    after_call = path(WAITING, WAITING, 15, restarted=True, offered=11, answered=12)
    assert after_call == [("paused", 12, 14, 16), ("available", 15, 15, 16)]
    assert path(WAITING, WAITING, 15, restarted=True, offered=17)[0] == ("paused", 10, 13, 16)


def test_restarted_counters_of_who_left_prove_a_break_and_a_return_before() -> None:
    assert path(WAITING, PAUSED, 15, restarted=True) == [
        ("paused", 10, 12.5, 15),
        ("available", 10, 13, 16),
        ("paused", 10, 15, 16),
    ]
    # The restarted counter knows nothing of the answer: both came after it.
    assert path(WAITING, PAUSED, 15, restarted=True, answered=12) == [
        ("paused", 12, 13.5, 15),
        ("available", 12, 14, 16),
        ("paused", 12, 15, 16),
    ]
    assert path(WAITING, PAUSED, 15, restarted=True, answered=12, counted=1)[0] == ("paused", 10, 12.5, 15)


def test_restarted_counters_of_the_paused_prove_a_return() -> None:
    assert path(PAUSED, PAUSED, 15, restarted=True) == [("available", 10, 13, 16), ("paused", 10, 15, 16)]
    assert path(PAUSED, PAUSED, 15, restarted=True, offered=12) == [("available", 10, 11.5, 13), ("paused", 12, 15, 16)]
    assert path(PAUSED, PAUSED, 15, restarted=True, offered=17) == [("available", 10, 13, 16), ("paused", 10, 15, 16)]


def test_restarted_counters_of_who_is_away_prove_a_return_before_the_last_offer() -> None:
    assert path(WAITING, OFFLINE, 13, restarted=True, offered=16) == [
        ("paused", 10, 12, 14),
        ("available", 13, 13, 14),
        ("offline", 16, 18, 20),
    ]
    assert path(WAITING, OFFLINE, 13, restarted=True) == [("offline", 10, 15, 20)]


def test_on_demand_explains_restarted_counters() -> None:
    demand = Memory("queue-1", None, on_demand=True)
    assert path(WAITING, WAITING, 15, restarted=True, memory=demand) == []
    assert path(WAITING, PAUSED, 15, restarted=True, memory=demand) == [("paused", 10, 15, 16)]


def test_where_the_clock_went_back_nothing_hidden_is_told() -> None:
    assert path(WAITING, WAITING, 15, restarted=True, shift=(-5_000, -4_000)) == []


@pytest.mark.parametrize(
    ("changed", "answers", "restarted", "known", "expected"),
    [
        (15, (3, 3), False, False, True),
        (15, (0, 0), False, False, False),
        (15, (3, 0), True, False, False),
        (15, (3, 4), False, False, False),
        (15, (3, 4), False, True, True),
        (None, (3, 4), False, True, True),
        (None, (3, 3), False, False, False),
        (15, (3, 0), True, True, False),
    ],
)
def test_on_demand_is_a_stamp_that_restarted_nothing(
    changed: float | None, answers: tuple[int, int], restarted: bool, known: bool, expected: bool
) -> None:
    found = Evidence(None, None, stamp(changed), 0, 0, restarted, ())
    memory = Memory("queue-1", None, on_demand=True) if known else None
    before, after = seat(answers=answers[0]), seat(answers=answers[1])
    assert on_demand(before, after, found, memory) is expected
    assert not on_demand(before, seat(state=PAUSED, status=PAUSED, answers=answers[1]), found, memory)
    paused = seat(state=PAUSED, status=PAUSED, answers=answers[0])
    assert changed is None or on_demand(paused, after, found, memory) is expected
    assert changed is None or not on_demand(None, after, found, memory)


def test_a_return_counts_from_its_stamp_alone() -> None:
    window, nothing = WINDOW, Evidence(None, None, ms(15), 0, 0, False, ())
    back = statuses(seat(state=PAUSED, status=PAUSED), seat(), nothing, None, window)
    assert returned_at(back) == ms(15)
    assert returned_at(statuses(seat(state=OFFLINE, status=OFFLINE), seat(), nothing, None, window)) == ms(15)
    unstamped = Evidence(None, None, None, 0, 0, False, ())
    assert returned_at(statuses(seat(state=OFFLINE, status=OFFLINE), seat(), unstamped, None, window)) is None
    assert returned_at(()) is None
