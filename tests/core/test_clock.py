"""The vendor's clock against ours: what an answer proves, and what a jump does."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.core import clock
from streamer.core.model import SECOND, Offset

NOW = 1_795_399_200_000


def test_an_answer_bounds_the_offset_by_its_latency_and_one_second() -> None:
    """Stamped 02:00:01 while we waited from 02:00:00.400 to 02:00:00.600: 0.4 to 1.6 s ahead."""
    stamp = NOW // SECOND + 1
    assert clock.measure(NOW + 400, NOW + 600, stamp, stamp) == Offset(400, 1600)


def test_two_times_in_an_answer_bound_more_than_one() -> None:
    """The later stamp gives the lower bound, the earlier one the upper."""
    stamp = NOW // SECOND
    assert clock.measure(NOW, NOW + 1500, stamp, stamp + 1) == Offset(-500, 1000)


def test_an_answer_without_times_says_nothing() -> None:
    """No stamp, no measurement; and the estimate stays what it was."""
    assert clock.measure(NOW, NOW + 100, None, None) is None
    assert clock.estimate(None, None, 0) == (None, False)
    assert clock.estimate(Offset(1, 2), None, 1000) == (Offset(1, 2), False)


def test_times_that_contradict_each_other_say_nothing() -> None:
    """An answer that took 0.1 s cannot have begun and ended five seconds apart."""
    assert clock.measure(NOW, NOW + 100, NOW // SECOND, NOW // SECOND + 5) is None


def test_a_jump_is_told_and_both_readings_count_once() -> None:
    """90 s further in one second is no drift; the estimate spans both, the next one only the new."""
    both, jumped = clock.estimate(Offset(0, 200), Offset(90_000, 90_500), 1000)
    assert (both, jumped) == (Offset(0, 90_500), True)
    assert clock.estimate(both, Offset(90_100, 90_600), 1000) == (Offset(90_100, 90_500), False)


def test_drift_is_allowed_for() -> None:
    """Two clocks may part by 0.2 ms in a second: after 1000 s they are believed to have."""
    assert clock.estimate(Offset(0, 10), Offset(150, 1100), 1_000_000) == (Offset(150, 210), False)


def test_answers_of_several_machines_are_no_jumps() -> None:
    """Clocks that differ by less than a second: the estimate holds both, again and again."""
    assert clock.estimate(Offset(0, 10), Offset(150, 1100), 1_000) == (Offset(0, 1100), False)
    assert clock.estimate(Offset(0, 10), Offset(1010, 2000), 1_000) == (Offset(0, 2000), False)
    assert clock.estimate(Offset(0, 10), Offset(1011, 2000), 0) == (Offset(0, 2000), True)


@given(
    offset=st.integers(-10_000_000, 10_000_000),
    polls=st.lists(st.tuples(st.integers(0, 9000), st.integers(0, 4000), st.integers(0, 4000)), min_size=1),
    both=st.booleans(),
)
def test_the_estimate_always_holds_the_true_offset(offset: int, polls: list[tuple[int, int, int]], both: bool) -> None:
    """Whatever the skew and the latency of each way, the truth lies within, and nothing looks like a jump."""
    known: Offset | None = None
    now = NOW
    for pause, out, back in polls:
        read = now + pause + out
        stamp = (read + offset) // SECOND
        later = (read + back + offset) // SECOND
        measured = clock.measure(now + pause, read + back, stamp, later if both else None)
        width = None if known is None else known.high - known.low
        known, jumped = clock.estimate(known, measured, pause)
        assert known is not None
        assert known.low <= offset <= known.high
        assert not jumped
        assert width is None or known.high - known.low <= width + 2 * round(pause * clock.DRIFT_PER_SECOND)
        now = read + back


@given(jump=st.integers(3500, 10_000_000), back=st.booleans(), latency=st.integers(0, 400))
def test_a_jump_beyond_the_uncertainty_is_always_seen(jump: int, back: bool, latency: int) -> None:
    """Rounding to seconds and the latency hide smaller ones only; the estimate then holds the new offset too."""
    true = -jump if back else jump
    known, _ = clock.estimate(None, clock.measure(NOW, NOW + latency, NOW // SECOND, None), 0)
    measured = clock.measure(NOW + 1000, NOW + 1000 + latency, (NOW + 1000 + true) // SECOND, None)
    after, jumped = clock.estimate(known, measured, 1000)
    assert jumped
    assert after is not None
    assert min(0, true) >= after.low
    assert after.high >= max(0, true)


@pytest.mark.parametrize(
    ("moved", "elapsed", "expected"),
    [
        (90_000, 1_000, (89_500, 90_500)),
        (90_000, -89_000, (0, 0)),
        (-90_000, 1_000, (-90_500, -89_500)),
        (-10_000, 30_000, (-10_500, 0)),
    ],
)
def test_whose_clock_jumped_is_told_only_where_it_is_certain(
    moved: int, elapsed: int, expected: tuple[int, int]
) -> None:
    """Ten seconds less between polls that are thirty apart: the vendor's may have gone back, or ours forward."""
    assert clock.shift(Offset(0, 500), Offset(moved, moved + 500), elapsed) == expected
