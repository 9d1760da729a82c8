"""Extensions that are told of as another one was, in the same poll: each as if it were alone."""

from __future__ import annotations

from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from streamer.core.clock import strays
from streamer.core.gate import Verdict
from streamer.core.model import AgentState, Ended, Memory, Offset, Seat, Settings, SourceState
from streamer.core.poll import Poll, open_poll
from streamer.core.quick.twins import Twins
from streamer.core.step import extension
from tests.core.builders import ms, seat, snapshot

SETTINGS = Settings("floor", poll_interval_ms=1000)
START, END = ms(100), ms(101)
STAMPS = (
    None,
    -90_000,
    -80_000,
    -7_000,
    -6_000,
    -5_500,
    -1_500,
    -400,
    0,
    400,
    1_000,
    1_100,
    1_101,
    1_500,
    90_000,
    95_000,
)
"""Milliseconds from the window's beginning: long ago, near its ends on either side, within it, yet to come."""

CODES = (*[(1213, 1213)] * 5, (1214, 1213), (1215, 1213), (1213, 1217), (1213, 1200), (1214, 1217), (1201, 1213))
NOBODY = Verdict(frozenset(), frozenset(), frozenset(), frozenset())


def opened(jumped: bool) -> Poll:
    """A poll a second after the last; `jumped`: a clock has jumped meanwhile."""
    state = SourceState({}, offset=Offset(-40, 40), polled_at=START, seen_until=START, whole_until=START)
    poll = snapshot(101, reqtime=(END // 1000 + 90 * jumped), lasts=0.1)
    return open_poll(state, poll, SETTINGS)[0]


def stamp(random: Random) -> int | None:
    """One of the moments that matter."""
    off = random.choice(STAMPS)
    return None if off is None else START + off


def row(random: Random) -> Seat:
    """Any row."""
    state, status = random.choice(CODES)
    made = seat(
        state=state, status=status, answers=random.choice((None, 0, 1, 2, 3)), misses=random.choice((None, 0, 1, 2))
    )
    moments = {name: stamp(random) for name in ("offered_at", "answered_at", "status_changed_at")}
    return replace(made, wrap_up_s=random.choice((None, 0, 3, 3)), **moments)


def like(random: Random, one: Seat) -> Seat:
    """Nearly the same row: another value in one or two fields."""
    other = row(random)
    names = random.sample(("offered_at", "answered_at", "status_changed_at", "calls_answered", "no_answer_count"), 2)
    return replace(one, **{name: getattr(other, name) for name in names})


def counting(one: Seat, more: int) -> Seat:
    """The row with so many calls more, if it counts them."""
    return one if one.calls_answered is None else replace(one, calls_answered=one.calls_answered + more)


def record(random: Random, before: Seat) -> AgentState:
    """A record that shows this row."""
    moments = sorted(random.choice((-9_000, -3_000, -2_000, -1_000)) for _ in range(3))
    ended = random.choice((None, Ended(START + moments[1], START + moments[0], START + moments[2])))
    memory = () if random.random() < 0.5 else (Memory(before.group, ended, random.random() < 0.3),)
    return AgentState(
        source="floor",
        extension=before.extension,
        agent=before.agent,
        epoch="6b039e20",
        sequence=random.randrange(1, 9),
        event_id="floor/100001/6b039e20/7",
        occurred_at=START + random.choice((-50_000, -10, 2_000)),
        state=random.choice(("wrap_up", "wrap_up", "available", "talking", "paused")),
        since=START - 50_000,
        occurred_not_before=START - 51_000,
        occurred_not_after=START - 49_000,
        groups=(before,),
        observed_at=START,
        poll_id="floor/1",
        memory=memory,
    )


@settings(max_examples=400)
@given(st.integers(0, 2**32), st.booleans())
def test_each_twin_is_told_of_as_if_it_were_alone(seed: int, jumped: bool) -> None:
    """Whatever of the rows differs, and by how little."""
    random, poll = Random(seed), opened(jumped)
    twins = Twins(poll, SETTINGS)
    before, after = row(random), row(random)
    kept = record(random, before)
    for _ in range(12):
        other = record(random, before)
        kept = replace(kept, **{name: getattr(other, name) for name in random.choices(("memory", "state", "since"))})
        old = like(random, before) if random.random() < 0.3 else before
        new = like(random, after) if random.random() < 0.3 else after
        more = random.randrange(3)  # both counted so many calls more
        agent = replace(kept, groups=(counting(old, more),))
        seats = (counting(new, more),)
        told = twins.tell(agent, seats)
        assert told is not None
        events, alone, kinds = extension(agent.extension, agent, seats, poll, NOBODY, frozenset(), SETTINGS)
        assert list(told.events) == list(events)
        assert (told.after or agent) == alone
        assert list(told.kinds) == list(kinds)
        assert list(told.strays) == strays(agent.groups, seats, poll.start, poll.end)
