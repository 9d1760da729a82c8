"""Several timelines as one: what every order tells, and with which bounds."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from streamer.core.codes import State
from streamer.core.merge import busiest
from streamer.core.model import Step, When
from streamer.core.weave import MOST_PLACES, Track, weave

STATES: tuple[State, ...] = ("talking", "ringing", "wrap_up", "paused", "available", "offline")


def step(state: State | None, low: int, high: int | None = None, *maybe: State) -> Step:
    """A step between two moments, or within one second."""
    high = low + 1000 if high is None else high
    return Step(state, When((low + high) // 2, low, high, (str(state),)), maybe=frozenset(maybe))


def combine(states: Sequence[State | None]) -> State | None:
    """The busiest; nobody knows where one of them is not known."""
    return None if None in states else busiest(state for state in states if state is not None)


def woven(*tracks: Track) -> list[tuple[State | None, int | None, int]]:
    """What they make together: state, not_before and not_after of each step."""
    steps = weave(tracks, combine)
    assert steps is not None
    return [(one.state, one.when.not_before, one.when.not_after) for one in steps]


def test_one_track_is_told_as_it_is() -> None:
    """Also beside others that do not move."""
    track = Track("available", (step("ringing", 1000), step("talking", 5000)))
    told = [("ringing", 1000, 2000), ("talking", 5000, 6000)]
    assert woven(track) == told
    assert woven(Track("offline"), track, Track("paused")) == told
    assert woven(Track("talking"), track) == []
    assert woven() == []


def test_tracks_whose_order_is_certain_are_told_in_that_order() -> None:
    """One talks, then the other rings."""
    one = Track("talking", (step("available", 1000, 2000),))
    other = Track("available", (step("ringing", 3000),))
    assert woven(one, other) == [("available", 1000, 2000), ("ringing", 3000, 4000)]


def test_what_only_some_orders_tell_is_unknown_for_a_while() -> None:
    """The call may have ended before the other rang, or after: it rings in the end, either way."""
    one = Track("talking", (step("available", 0, 9000),))
    other = Track("available", (step("ringing", 3000),))
    assert woven(one, other) == [(None, 0, 4000), ("ringing", 3000, 9000)]


def test_a_state_that_may_never_have_been_left_is_not_told_again() -> None:
    """Ringing all along, or not for a moment: the way back is there, for who compares with the state before."""
    one = Track("ringing", (step("available", 0, 9000),))
    other = Track("available", (step("ringing", 3000),))
    steps = weave([one, other], combine)
    assert steps is not None
    assert [(one.state, one.maybe) for one in steps] == [(None, {"available", "ringing"}), ("ringing", frozenset())]


def test_what_may_have_begun_while_nobody_knew_began_as_early() -> None:
    """The seat that is gone may have been in any state since the last poll."""
    gone = Track("talking", (step(None, 0, 9000, *STATES), step("signed_out", 0, 9000)))
    other = Track("available", (step("paused", 3000),))
    assert woven(gone, other)[-1] == ("paused", 0, 9000)


def test_a_rule_of_the_callers_orders_what_bounds_leave_open() -> None:
    """Both within the same second."""
    status = Track("paused", (step("available", 1000),))
    call = Track("offline", (step("ringing", 1000),))
    steps = weave([status, call], combine, lambda one, other: (one.state, other.state) == ("available", "ringing"))
    assert [one.state for one in steps or ()] == ["available", "ringing"]


def test_steps_that_wait_for_each_other_have_no_order() -> None:
    """None, rather than an order that is none."""
    tracks = [Track("available", (step("paused", 1000),)), Track("available", (step("ringing", 1000),))]
    assert weave(tracks, combine, always) is None


def always(one: Step, other: Step) -> bool:
    """Whichever they are."""
    return one is not other


def test_too_many_orders_are_not_looked_at() -> None:
    """Three seats with twenty uncertain steps each."""
    steps = tuple(step("ringing" if n % 2 else "available", 0, 9000) for n in range(20))
    assert MOST_PLACES < 21**3
    assert weave([Track("available", steps)] * 3, combine) is None


@st.composite
def tracks(draw: st.DrawFn) -> list[tuple[Track, list[int]]]:
    """Tracks, and when each of their steps truly happened."""
    made: list[tuple[Track, list[int]]] = []
    count = draw(st.integers(1, 3))
    every = draw(st.lists(st.integers(0, 9000), max_size=4 * count, unique=True))
    for number in range(count):
        moments = sorted(every[number::count])
        spans = [draw(st.sampled_from((0, 500, 4000))) for _ in moments]
        steps = [
            step(draw(st.sampled_from(STATES)), max(0, at - span), at + span)
            for at, span in zip(moments, spans, strict=True)
        ]
        made.append((Track(draw(st.sampled_from(STATES)), tuple(steps)), moments))
    return made


@settings(max_examples=300)
@given(tracks())
def test_every_told_state_truly_was_within_its_bounds_and_in_that_order(drawn: list[tuple[Track, list[int]]]) -> None:
    """Whatever the true order was, and however little the bounds tell of it."""
    now: list[State | None] = [track.start for track, _ in drawn]
    start = combine(now)
    truth: list[tuple[int, State | None]] = []
    moves: list[tuple[int, int, State | None]] = [
        (at, number, one.state)
        for number, (track, moments) in enumerate(drawn)
        for one, at in zip(track.steps, moments, strict=True)
    ]
    for at, number, state in sorted(moves, key=lambda move: move[0]):
        now[number] = state
        if combine(now) != (truth[-1][1] if truth else start):
            truth.append((at, combine(now)))
    steps = weave([track for track, _ in drawn], combine)
    assert steps is not None
    last, place = start, 0
    for one in steps:
        if one.state is None or one.state == last:
            continue
        low, high = one.when.not_before or 0, one.when.not_after
        place = next(n for n in range(place, len(truth)) if truth[n][1] == one.state and low <= truth[n][0] <= high) + 1
        last = one.state
    assert last == (truth[-1][1] if truth else start)
