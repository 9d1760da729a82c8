"""The simulator's own reading of the contract's States table."""

from __future__ import annotations

import pytest

from streamer.simulator.states import busiest, matches_filter, row_state, seat_state


@pytest.mark.parametrize(
    ("status", "state", "expected"),
    [
        (1213, 1213, "available"),
        (1213, 1212, "available"),
        (1213, 1216, "available"),
        (2, 2, "available"),
        (1213, 1214, "ringing"),
        (1213, 3, "ringing"),
        (1213, 1215, "talking"),
        (1217, 1215, "talking"),
        (1200, 1215, "talking"),
        (1014, 1213, "offline"),
        (1200, 1217, "offline"),
        (1204, 1213, "talking"),
        (1202, 1217, "ringing"),
        (1204, 1012, "offline"),
        (1217, 1213, "paused"),
        (1213, 1217, "paused"),
        (1213, 1201, "idle"),
        (1017, 1213, "available"),
        (1203, 1015, "busy"),
        (1213, 1299, "unknown"),
        (1299, 1213, "available"),
        (1016, 1017, "unknown"),
    ],
)
def test_a_row_tells_the_state_of_its_strongest_code(status: int, state: int, expected: str) -> None:
    """Precedence within a row is the contract's."""
    assert row_state(status, state) == expected


def test_only_an_available_agent_wraps_up() -> None:
    """After-call work shows only where the codes say available."""
    assert seat_state(1213, 1213, wrapping=True) == "wrap_up"
    assert seat_state(1213, 1213, wrapping=False) == "available"
    assert seat_state(1217, 1213, wrapping=True) == "paused"
    assert seat_state(1213, 1215, wrapping=True) == "talking"


def test_an_extension_is_as_busy_as_its_busiest_seat() -> None:
    """The busiest seat decides; without a seat the extension is signed out."""
    assert busiest(["available", "wrap_up", "paused"]) == "wrap_up"
    assert busiest(["offline", "idle"]) == "idle"
    assert busiest(["ringing", "talking"]) == "talking"
    assert busiest([]) == "signed_out"


def test_the_filter_uses_one_to_four_for_the_same_states() -> None:
    """1 idle, 2 waiting, 3 receiving, 4 talking; 0 is everything."""
    codes = (1201, 1213, 1214, 1215)
    for wanted in (1, 2, 3, 4):
        assert [matches_filter(code, wanted) for code in codes] == [n == wanted for n in (1, 2, 3, 4)]
    assert all(matches_filter(code, 0) for code in codes)
