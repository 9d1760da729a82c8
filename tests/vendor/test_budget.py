"""How often the vendor is asked at most, whoever wants to."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.vendor.budget import SHORTEST_WAIT, Budget, backoff, login_budget, poll_budget

PAUSES = st.lists(st.floats(-2, 30) | st.sampled_from([0.0, 0.5, 1.0, 0.001, 1 / 3]), max_size=120)


def granted(budget: Budget, pauses: list[float], obey: bool) -> list[float]:
    """The moments of the grants, when asked after each pause; `obey` waits as told before asking again.

    A negative pause is a reading of the clock that went back; a moment is the latest reading so far.
    """
    now, latest, moments = 1_000_000.0, 0.0, list[float]()
    for pause in pauses:
        now += max(pause, 0)
        reading = now + min(pause, 0)
        latest = max(latest, reading)
        wait = budget.take(reading)
        if wait and obey:
            now = latest = max(now, latest + wait)
            wait = budget.take(now)
        if not wait:
            moments.append(latest)
    return moments


@given(PAUSES, st.floats(1, 5), st.floats(0.01, 20), st.booleans())
def test_no_window_holds_more_than_the_bound(pauses: list[float], capacity: float, rate: float, obey: bool) -> None:
    """capacity + rate·W, for every window between two grants, for every sequence of attempts."""
    moments = granted(Budget(capacity, rate), pauses, obey)
    for first, start in enumerate(moments):
        for last in range(first, len(moments)):
            assert last - first + 1 <= capacity + rate * (moments[last] - start) + 1e-6


@given(st.floats(0.05, 3600), st.floats(0, 1e9))
def test_waiting_as_told_is_enough(poll_interval: float, now: float) -> None:
    """After the wait that `take` asked for, it grants; no loop spins."""
    budget = poll_budget(poll_interval)
    for _ in range(20):
        wait = budget.take(now)
        assert wait == 0 or wait >= SHORTEST_WAIT
        now += wait
        if wait and budget.take(now):
            assert budget.take(now + SHORTEST_WAIT) == 0, "only rounding may be missing"
            now += SHORTEST_WAIT


def test_polls_are_two_at_once_and_two_an_interval() -> None:
    """A poll and its repeat go at once; the next is due half an interval later."""
    budget = poll_budget(4.0)
    assert [budget.take(100.0), budget.take(100.0)] == [0, 0]
    assert budget.take(100.0) == pytest.approx(2.0)  # pyright: ignore[reportUnknownMemberType]


def test_a_steady_poller_never_waits() -> None:
    """One poll an interval leaves the other half of the refill untouched."""
    budget = poll_budget(1.0)
    assert all(budget.take(float(second)) == 0 for second in range(1000))


def test_log_ins_are_three_and_then_one_a_minute() -> None:
    """The numbers of the docstring."""
    budget = login_budget()
    moments = [second for second in range(600) if budget.take(float(second)) == 0]
    assert moments == [0, 1, 2, *range(60, 600, 60)]


def test_a_grant_that_was_given_back_can_be_taken_again() -> None:
    """A request that never left is not counted, and the capacity never grows."""
    budget = login_budget()
    for _ in range(10):
        assert budget.take(0.0) == 0
        budget.give_back()
    budget.give_back()
    assert [bool(budget.take(0.0)) for _ in range(4)] == [False, False, False, True]


@pytest.mark.parametrize(("capacity", "rate"), [(0.5, 1), (1, 0), (1, -1)])
def test_a_budget_that_would_never_grant_is_refused(capacity: float, rate: float) -> None:
    """Below one grant or without refill nobody could ever poll."""
    with pytest.raises(ValueError, match="capacity"):
        Budget(capacity, rate)


@given(st.integers(-5, 10_000), st.floats(0.01, 10), st.floats(0.01, 100), st.integers())
def test_a_backoff_lies_between_half_and_all_of_the_capped_exponential(
    attempt: int, base: float, cap: float, seed: int
) -> None:
    """Never more than the cap, never less than half of what is due, for any attempt."""
    full = min(cap, base * 2.0 ** min(max(attempt - 1, 0), 64))
    assert full / 2 <= backoff(attempt, base, cap, Random(seed)) <= full


def test_backoffs_of_sources_that_failed_together_differ() -> None:
    """The spread uses the randomness that was passed in, and only that."""
    waits = [backoff(3, 0.5, 10.0, Random(seed)) for seed in range(20)]
    assert len(set(waits)) == 20
    assert waits == [backoff(3, 0.5, 10.0, Random(seed)) for seed in range(20)]


@given(PAUSES, st.floats(0.05, 3600))
def test_a_poll_of_a_full_budget_keeps_nobody_waiting(pauses: list[float], poll_interval: float) -> None:
    """Its repeat goes at once, and so do the regular poll an interval later and its repeat."""
    budget, now = poll_budget(poll_interval), 1_000.0
    for pause in pauses:
        now += max(pause, 0)
        budget.take(now)
        now += budget.full_in(now)
        assert budget.full_in(now) < 1e-6
        assert [budget.take(now), budget.take(now)] == [0, 0]
        now += poll_interval
        assert [budget.take(now), budget.take(now)] == [0, 0]
