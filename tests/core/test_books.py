"""Whatever an agent does, by the documented books: what is told of it happened, in that order, within its bounds."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamer.core.model import AgentStateChanged, Seat
from tests.core.books import History, Poll, histories, long_history
from tests.core.builders import Poller, seat, since_noon, snapshot

Truth = Sequence[tuple[int, str]]

few = settings(max_examples=100, deadline=None)


def seats(poll: Poll, wrap: int) -> list[Seat]:
    """The poll's row as a seat, if there is one."""
    if poll.row.codes is None:
        return []
    row, (state, status) = poll.row, poll.row.codes
    return [
        seat(
            state=state,
            status=status,
            offered=row.offered,
            answered=row.answered,
            changed=row.changed,
            answers=row.answers,
            misses=row.misses,
            wrap=wrap,
        )
    ]


def told(history: History, groups: Sequence[str] = ("queue-1",)) -> list[AgentStateChanged]:
    """Every event of the history's polls but the first sighting, the agent being shown in these groups."""
    poller = Poller()
    for poll in history.polls:
        lasts = (poll.answered - poll.asked) / 1000
        rows = [msgspec.structs.replace(row, group=name) for row in seats(poll, history.wrap) for name in groups]
        poller.see(snapshot(poll.asked / 1000, *rows, lasts=lasts))
    return poller.events[1:]


def unfounded(history: History, events: list[AgentStateChanged]) -> str | None:
    """The first event that no true transition explains, after those that explain the events before; None if all are."""
    truth = history.truth
    ends = {1}
    for event in events:
        fits = {place + 1 for place in range(min(ends), len(truth)) if _explains(truth, place, event)}
        fits = {end for end in fits if end > min(ends)} | {end for end in ends if _cut_short(truth, end, event)}
        if not fits:
            when = event.when
            return f"{event.after.state} {bounds(event)} by {when.evidence} ({event.basis})"
        ends = fits
    return None


def bounds(event: AgentStateChanged) -> tuple[float, float]:
    """The event's bounds in milliseconds after NOON."""
    assert event.when.not_before is not None
    return since_noon(event.when.not_before) * 1000, since_noon(event.when.not_after) * 1000


def _explains(truth: Truth, place: int, event: AgentStateChanged) -> bool:
    """Is it the true transition that the event tells?"""
    (low, high), (at, state) = bounds(event), truth[place]
    if state == "wrap_up" and event.after.state == "available" and event.basis != "derived":
        state = "available"  # back from a break within the wrap-up's time, or after it: no poll can tell
    return state == event.after.state and low <= at <= high


def _cut_short(truth: Truth, place: int, event: AgentStateChanged) -> bool:
    """Was a wrap-up told to be over by the estimate of its end, when a break had just cut it short?"""
    low, high = bounds(event)
    over = event.basis == "derived" and event.after.state == "available"
    return over and place < len(truth) and truth[place - 1][1] == "wrap_up" and low <= truth[place][0] <= high


@few
@given(histories())
def test_nothing_is_told_that_did_not_happen(history: History) -> None:
    """Each told transition is a true one of the same state, in order, within its bounds."""
    assert unfounded(history, told(history)) is None


@pytest.mark.parametrize("start", range(0, 400, 100))
def test_nothing_is_told_that_did_not_happen_in_long_histories(start: int) -> None:
    """A hundred of them, some forty transitions each."""
    for seed in range(start, start + 100):
        history = long_history(seed)
        assert unfounded(history, told(history)) is None, f"seed {seed}"


@few
@given(histories(gaps=(500, 1000, 2000)), st.integers(2, 4))
def test_fewer_polls_tell_nothing_that_more_polls_contradict(history: History, nth: int) -> None:
    """With every second, third or fourth answer alone, what is told is still true."""
    coarse = History(history.polls[::nth], history.truth, history.wrap)
    assert unfounded(history, told(history)) is None
    assert unfounded(coarse, told(coarse)) is None


@few
@given(histories())
def test_an_agent_shown_in_three_groups_is_told_once(history: History) -> None:
    """Identical evidence is one call, not three: the same events, at the same times."""
    one = [(event.after.state, event.when, event.basis) for event in told(history)]
    assert [(event.after.state, event.when, event.basis) for event in told(history, ("a", "b", "c"))] == one


def test_most_of_what_happened_is_told() -> None:
    """Else a core that tells nothing would pass: of transitions this dense nothing could tell them all."""
    histories_ = [long_history(seed) for seed in range(50)]
    true = sum(len(history.truth) - 1 for history in histories_)
    assert sum(len(told(history)) for history in histories_) > 0.75 * true
