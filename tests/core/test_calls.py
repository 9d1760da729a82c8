"""The chain of a seat's calls: what two rows' states show, and what order and time leave of the bounds."""

from __future__ import annotations

import msgspec
import pytest

from streamer.core.calls import Entered, Point, seen, spread, tighten
from streamer.core.calls import chain as chain_of
from streamer.core.evidence import Evidence
from streamer.core.model import Seat, Window
from tests.core.builders import RINGING, TALKING, WAITING, ms, seat, since_noon

WINDOW = Window(start=10_000, end=20_000, asked=19_000, asked_about=19_500, now=20_000)
BOTH = (10_000, 20_000)
REST = 5_000


@pytest.mark.parametrize(
    ("was", "now", "expected"),
    [
        (WAITING, WAITING, None),
        (RINGING, RINGING, None),
        (TALKING, WAITING, ("ended", *BOTH, "state")),
        (RINGING, WAITING, ("failed", *BOTH, "state")),
        (None, RINGING, ("ringing", *BOTH, "state")),
        (WAITING, TALKING, ("talking", *BOTH, "state")),
    ],
)
def test_without_evidence_the_states_alone_are_told(
    was: int | None, now: int, expected: tuple[str, int, int, str] | None
) -> None:
    nothing = Evidence(None, None, None, 0, 0, False, ())
    points = seen(None if was is None else seat(state=was), seat(state=now), nothing, WINDOW)
    assert [(one.entered, one.low, one.high, *one.evidence) for one in points] == (
        [] if expected is None else [expected]
    )


@pytest.mark.parametrize(("now", "field"), [(RINGING, "lastassigntime"), (TALKING, "lastanswertime")])
def test_a_stamp_of_what_shows_explains_it(now: int, field: str) -> None:
    found = Evidence(12_000, 14_000, None, 0, 0, False, ("past",))
    stamp = 12_000 if now == RINGING else 14_000
    expected = Point("ringing" if now == RINGING else "talking", stamp, stamp + 1_000, ("state", field), at=stamp)
    assert seen(seat(), seat(state=now), found, WINDOW) == [expected]


def chain(*points: tuple[Entered, int, int]) -> list[Point]:
    return [Point(entered, low, high, ()) for entered, low, high in points]


def bounds(points: list[Point] | None) -> list[tuple[int, int]] | None:
    return None if points is None else [(one.low, one.high) for one in points]


def test_time_does_not_go_back() -> None:
    points = chain(("ringing", 12_000, 13_000), ("talking", *BOTH), ("ended", *BOTH), ("ringing", 17_000, 18_000))
    assert bounds(tighten(points, 0, rests=True)) == [
        (12_000, 13_000),
        (12_000, 18_000),
        (12_000, 18_000),
        (17_000, 18_000),
    ]


def test_the_next_offer_comes_after_the_wrap_up() -> None:
    """Both are counted in whole seconds, so that it ended before the offer's second less the rest."""
    points = chain(("talking", 10_000, 11_000), ("ended", *BOTH), ("ringing", *BOTH))
    assert bounds(tighten(points, REST, rests=True)) == [(10_000, 11_000), (10_000, 15_000), (15_000, 20_000)]
    assert bounds(tighten(points, REST, rests=False)) == [(10_000, 11_000), (10_000, 20_000), (10_000, 20_000)]
    points[2] = Point("ringing", 18_000, 19_000, (), at=18_000)
    assert bounds(tighten(points, REST, rests=True)) == [(10_000, 11_000), (10_000, 13_000), (18_000, 19_000)]


def test_an_order_that_leaves_nothing_is_none() -> None:
    points = chain(("talking", 15_000, 16_000), ("ended", *BOTH), ("ringing", 17_000, 18_000))
    assert tighten(points, REST, rests=True) is None
    assert tighten(points, REST, rests=False) is not None
    assert bounds(points) == [(15_000, 16_000), BOTH, (17_000, 18_000)]


def test_what_has_no_stamp_is_spread_evenly() -> None:
    points = chain(("ringing", *BOTH), ("talking", *BOTH), ("ended", *BOTH))
    spread(points)
    assert [one.at for one in points] == [12_500, 15_000, 17_500]


def test_a_stamp_that_follows_is_not_passed() -> None:
    points = [*chain(("ringing", *BOTH)), Point("talking", 13_000, 14_000, (), at=13_000)]
    spread(points)
    assert [one.at for one in points] == [13_000, 13_000]
    points = [*chain(("ringing", 13_200, 13_800)), Point("talking", 13_000, 14_000, (), at=13_000)]
    spread(points)
    assert [one.at for one in points] == [13_200, 13_200]


@pytest.mark.parametrize(
    ("was", "now", "found", "expected"),
    [
        # One call, seen by nobody.
        (
            seat(),
            seat(offered=12, answered=14),
            Evidence(ms(12), ms(14), None, 1, 0, False, ()),
            ["ringing 12 lastassigntime", "talking 14 lastanswertime", "ended - state"],
        ),
        # Two calls: the last one has stamps.
        (
            seat(),
            seat(state=TALKING, offered=17, answered=18),
            Evidence(ms(17), ms(18), None, 2, 0, False, ()),
            [
                "ringing - callsanswered",
                "talking - callsanswered",
                "ended - callsanswered",
                "ringing 17 lastassigntime",
                "talking 18 lastanswertime",
            ],
        ),
        # What rang was answered.
        (
            seat(state=RINGING, offered=9),
            seat(offered=9, answered=12),
            Evidence(None, ms(12), None, 1, 0, False, ()),
            ["talking 12 lastanswertime", "ended - state"],
        ),
        # What rang failed: the only answer was to an offer since.
        (
            seat(state=RINGING, offered=9),
            seat(offered=12, answered=14),
            Evidence(ms(12), ms(14), None, 1, 0, False, ()),
            ["failed - lastassigntime", "ringing 12 lastassigntime", "talking 14 lastanswertime", "ended - state"],
        ),
        # An offer after the answer, which still rings; the answered one has no stamp left.
        (
            seat(),
            seat(state=RINGING, offered=18, answered=14),
            Evidence(ms(18), ms(14), None, 1, 0, False, ()),
            [
                "ringing - callsanswered",
                "talking 14 lastanswertime",
                "ended - lastassigntime",
                "ringing 18 lastassigntime",
            ],
        ),
        # An offer that failed, without and with a count; and three that did.
        (
            seat(),
            seat(offered=12),
            Evidence(ms(12), None, None, 0, 0, False, ()),
            ["ringing 12 lastassigntime", "failed - lastassigntime"],
        ),
        (
            seat(state=RINGING, offered=9),
            seat(offered=18),
            Evidence(ms(18), None, None, 0, 3, False, ()),
            [
                "failed - lastassigntime",
                "ringing - noanswercount",
                "failed - noanswercount",
                "ringing 18 lastassigntime",
                "failed - noanswercount",
            ],
        ),
        # The call is over.
        (
            seat(state=TALKING, offered=8, answered=9),
            seat(offered=8, answered=9),
            Evidence(None, None, None, 0, 0, False, ()),
            ["ended - state"],
        ),
        # The row is new: nothing is known of the offer of an answer without one.
        (
            None,
            seat(state=TALKING),
            Evidence(None, ms(14), None, 1, 0, False, ()),
            ["talking 14 lastanswertime"],
        ),
    ],
)
def test_the_fewest_calls_that_explain_the_evidence(
    was: Seat | None, now: Seat, found: Evidence, expected: list[str]
) -> None:
    window = msgspec.structs.replace(WINDOW, start=ms(10), end=ms(20), now=ms(20))
    points, kinds = chain_of(was, now, found, window, window.start, window.start)
    assert kinds == []
    told = [
        f"{one.entered} {'-' if one.at is None else round(since_noon(one.at))} {' '.join(filter(None, one.evidence))}"
        for one in points
    ]
    assert told == expected


def test_an_answer_is_told_even_where_the_clock_went_back() -> None:
    """Its stamp bears no comparison with others; that there was a call is certain."""
    back = msgspec.structs.replace(WINDOW, shift=(-5_000, -4_000))
    found = Evidence(None, 14_000, None, 1, 0, False, ())
    assert seen(seat(), seat(), found, back) == [
        Point("talking", 14_000, 15_000, ("lastanswertime",), at=14_000),
        Point("ended", *BOTH, ("state",)),
    ]
