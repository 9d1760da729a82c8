"""Wrap-up after a call: when it is over, what ends it before, and what is not told of it."""

from __future__ import annotations

from typing import Any

import pytest

from streamer.core.calls import Entered, Point
from streamer.core.model import Ended, When, Window
from streamer.core.wrapup import begun, due, ends, over, unsure
from tests.core.builders import PAUSED, seat

WINDOW = Window(start=10_000, end=20_000, asked=19_000, asked_about=19_500, now=20_000, wrapping=True)
REST = 5_000


def point(entered: Entered, low: int, high: int, at: int | None = None, *, told: bool = False) -> Point:
    return Point(entered, low, high, (), at=at, told=told)


def plain(points: list[Point]) -> list[tuple[str, int, int]]:
    return [(one.entered, one.low, one.high) for one in points]


def test_a_wrap_up_ends_its_time_after_the_call() -> None:
    assert over(Ended(2_000, 1_000, 4_000), REST) == Point("over", 6_000, 9_000, ("wrapuptime",), at=7_000)


def test_the_last_calls_wrap_up_has_its_whole_time() -> None:
    assert plain(ends([point("ended", 11_000, 12_000)], REST, rests=False)[1:]) == [("over", 16_000, 17_000)]
    assert plain(ends([point("ended", 11_000, 12_000)], 0, rests=False)) == [("ended", 11_000, 12_000)]


def test_a_wrap_up_that_was_told_ends_even_if_it_is_switched_off_since() -> None:
    assert plain(ends([point("ended", 1_000, 2_000, told=True)], 0, rests=False)[1:]) == [("over", 1_000, 2_000)]


@pytest.mark.parametrize(
    ("rests", "offered", "expected"),
    [
        (True, 18_000, ("over", 16_000, 18_000)),
        (True, 15_000, ("over", 15_000, 15_000)),
        (False, 18_000, None),
        (False, 19_000, ("over", 16_000, 19_000)),
    ],
)
def test_between_two_calls_it_is_over_only_where_that_surely_came_first(
    rests: bool, offered: int, expected: tuple[str, int, int] | None
) -> None:
    points = [point("ended", 11_000, 14_000), point("ringing", offered, offered, offered)]
    made = plain(ends(points, REST, rests=rests))
    assert made[1:-1] == ([] if expected is None else [expected])


def left(
    at: int, low: int, high: int, *, told: bool = False, state: int = 1213, back: When | None = None, **fields: Any
) -> tuple[list[tuple[str, int, int]], Ended | None]:
    """What `due` makes of a call's end and its wrap-up's."""
    window = Window(**{**{name: getattr(WINDOW, name) for name in Window.__struct_fields__}, **fields})
    points = [point("ended", low, high, at, told=told), over(Ended(at, low, high), REST)]
    row = seat(state=state, status=state, wrap=5)
    made, ended = due(points, row, window, back)
    return plain(made[1:]), ended


def test_a_wrap_up_whose_end_is_known_well_is_over_once_its_estimate_has_passed() -> None:
    assert left(14_500, 12_500, 16_500) == ([("over", 17_500, 21_500)], None)
    assert left(14_501, 12_500, 16_500) == ([], Ended(14_501, 12_500, 16_500))


def test_a_vague_one_only_once_it_is_certain() -> None:
    assert left(12_000, 9_999, 14_000) == ([("over", 14_999, 19_000)], None)
    assert left(12_000, 9_999, 14_001) == ([], Ended(12_000, 9_999, 14_001))


def test_a_vague_one_told_before_ends_by_its_estimate_unless_it_shows() -> None:
    """What was told to be in wrap-up still is; behind another seat's call its end is an estimate."""
    assert left(12_000, 9_000, 15_000, told=True) == ([], Ended(12_000, 9_000, 15_000))
    assert left(12_000, 9_000, 15_000, told=True, wrapping=False) == ([("over", 14_000, 20_000)], None)


def test_nothing_is_over_in_rows_that_were_not_seen() -> None:
    assert left(12_000, 12_000, 13_000, blind=True) == ([], Ended(12_000, 12_000, 13_000))


def test_a_wrap_up_goes_on_behind_a_break() -> None:
    ended = Ended(15_500, 15_001, 16_000)
    assert left(15_500, 15_001, 16_000, state=PAUSED) == ([], ended)
    assert left(14_500, 14_001, 15_000, state=PAUSED) == ([("over", 19_001, 20_000)], Ended(14_500, 14_001, 15_000))
    assert left(13_000, 13_000, 14_000, state=PAUSED) == ([("over", 18_000, 19_000)], None)


def test_a_return_that_may_be_within_the_wrap_up_ends_it() -> None:
    """Only if it is certain that she came back before its end is it told to go on."""
    back = When(17_000, 16_000, 18_000, ())
    assert left(12_000, 12_000, 13_000, back=back) == ([("over", 16_000, 18_000)], None)
    assert left(15_000, 15_000, 16_000, back=back) == ([], Ended(15_000, 15_000, 16_000))


def test_a_call_that_ended_while_a_clock_jumped_may_have_ended_whenever_it_could() -> None:
    assert left(12_000, 12_000, 13_000, jumped=True) == ([], Ended(15_000, 10_000, 20_000))
    assert left(12_000, 12_000, 13_000, jumped=True, shift=(4_000, 5_000)) == ([], Ended(17_000, 14_000, 20_000))
    assert left(16_000, 16_000, 17_000, jumped=True, told=True) == ([], Ended(16_000, 16_000, 17_000))
    assert left(13_000, 13_000, 14_000, jumped=True, told=True) == ([("over", 18_000, 19_000)], None)


def test_no_call_has_no_wrap_up() -> None:
    assert begun(None, WINDOW) == []
    points = [point("ringing", 11_000, 12_000), point("failed", 12_000, 13_000)]
    assert due(points, seat(), WINDOW, None) == (points, None)


def test_of_calls_that_nobody_saw_end_only_their_beginning_is_told() -> None:
    """And of the last one that it was over by the poll."""
    call = [point("ringing", 11_000, 12_000), point("talking", 12_000, 13_000)]
    end, rested = point("ended", 13_000, 15_000), point("over", 18_000, 20_000, 18_500)
    assert unsure([*call, end]) == [*call, end]
    assert unsure([*call, end, rested]) == [*call, Point("failed", 13_000, 20_000, ())]
    assert unsure([*call, end, rested, *call]) == [*call, *call]


def test_a_wrap_up_that_was_told_ends_whatever_is_not_known_of_later_calls() -> None:
    told, rested = point("ended", 1_000, 2_000, told=True), point("over", 11_000, 12_000)
    assert unsure([told, rested]) == [told, rested]
    assert unsure([told, rested, point("ringing", 13_000, 14_000)])[:2] == [told, rested]
