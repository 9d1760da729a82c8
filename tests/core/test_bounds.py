"""Moments with honest bounds."""

from __future__ import annotations

import msgspec
import pytest

from streamer.core.bounds import at_stamp, between, gone, within
from streamer.core.model import When, Window

WINDOW = Window(start=1_000, end=5_000, asked=4_800, asked_about=4_900, now=5_000)


def test_between_two_polls_the_middle_is_the_best_estimate() -> None:
    assert between(WINDOW, "state") == When(3_000, 1_000, 5_000, ("state",))


def test_a_stamp_means_its_second() -> None:
    assert at_stamp(2_000, "lastassigntime") == When(2_000, 2_000, 3_000, ("lastassigntime",))


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        (None, None, (1_000, 5_000)),
        (2_000, None, (2_000, 5_000)),
        (500, None, (1_000, 5_000)),
        (9_000, None, (5_000, 5_000)),
        (None, 3_000, (1_000, 3_000)),
        (None, 9_000, (1_000, 5_000)),
        (None, 500, (1_000, 1_000)),
        (4_000, 3_000, (4_000, 4_000)),
    ],
)
def test_a_window_is_cut_down_as_far_as_that_leaves_something(
    start: int | None, end: int | None, expected: tuple[int, int]
) -> None:
    cut = within(WINDOW, start=start, end=end)
    assert (cut.start, cut.end) == expected
    assert msgspec.structs.replace(cut, start=1_000, end=5_000) == WINDOW


def test_what_is_gone_left_before_the_first_poll_that_missed_it() -> None:
    assert gone(WINDOW) is WINDOW
    left = gone(msgspec.structs.replace(WINDOW, absent_end=2_000))
    assert (left.start, left.end, left.absent_end) == (1_000, 2_000, None)
    early = gone(msgspec.structs.replace(WINDOW, absent_end=800))
    assert (early.start, early.end) == (800, 800)
