"""Several uncertain timelines → the one that they make together, as far as all consistent orders agree.

A track is a start and steps in causal order, each with bounds. Two steps of different tracks are in a certain order
where their bounds do not overlap (or a rule of the caller's says so); every other order is possible. What the tracks
make together depends on how far each has come, so that all orders that lead to the same place share a state, and only
what was told on the way can differ: of two ways the states that both tell are kept, in order, with bounds that hold on
either, and whatever differs between them becomes a step into None: for a while nobody can tell.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import product

import msgspec

from streamer.core.codes import State
from streamer.core.model import Step, When

MOST_PLACES = 5_000
"""Combinations of places in the tracks that are looked at; beyond that only the two ends are told. One seat whose books
hide 500 calls, or three seats with four each, stay below."""


Place = tuple[int, ...]
Told = tuple[Step, ...]
Combine = Callable[[Sequence[State | None]], State | None]


class Track(msgspec.Struct, frozen=True):
    """One timeline: the state it starts in, and what it enters one after the other."""

    start: State
    steps: Told = ()

    def state(self, place: int) -> State | None:
        """The state after `place` steps."""
        return self.steps[place - 1].state if place else self.start

    def maybe(self, place: int) -> frozenset[State]:
        """The states it may be in then: one, unless nobody can tell."""
        state = self.state(place)
        return self.steps[place - 1].maybe if state is None else frozenset({state})


def surely_before(one: Step, other: Step) -> bool:
    """Do their bounds leave no other order?"""
    low = other.when.not_before
    return low is not None and one.when.not_after <= low and (one.when.not_before or low) < other.when.not_after


def weave(
    tracks: Sequence[Track], combine: Combine, before: Callable[[Step, Step], bool] = surely_before
) -> Told | None:
    """What the tracks enter together; None where there are too many orders, or where none is possible.

    `before`: must the first step come before the second one, which is of another track?
    """
    moving = [number for number, track in enumerate(tracks) if track.steps]
    if len(moving) < 2:
        return _one_moves(tracks, moving[0], combine) if moving else ()
    sizes = [len(track.steps) + 1 for track in tracks]
    end = tuple(size - 1 for size in sizes)
    if _count(sizes) > MOST_PLACES:
        return None
    ways: dict[Place, Told] = {tuple(0 for _ in tracks): ()}
    for place in product(*map(range, sizes)):
        told = ways.get(place)
        if told is None:
            continue
        state = combine([track.state(at) for track, at in zip(tracks, place, strict=True)])
        for number, track in enumerate(tracks):
            if place[number] == end[number] or _must_wait(tracks, place, number, before):
                continue
            further = (*place[:number], place[number] + 1, *place[number + 1 :])
            entered = combine([t.state(at) for t, at in zip(tracks, further, strict=True)])
            step = _entered(entered, track.steps[place[number]], tracks, further)
            longer = _with(told, step) if entered is None or entered != state else told
            ways[further] = longer if further not in ways else _agreed(ways[further], longer, entered)
    return ways.get(end)


def _one_moves(tracks: Sequence[Track], number: int, combine: Combine) -> Told:
    """What is told where only one track has steps: there is one order."""
    states: list[State | None] = [track.start for track in tracks]
    told: Told = ()
    state = combine(states)
    for step in tracks[number].steps:
        states[number] = step.state
        entered = combine(states)
        if entered is None:
            told = _with(told, Step(None, step.when, "inferred", step.maybe.union(s for s in states if s is not None)))
        elif entered != state:
            told = _with(told, Step(entered, step.when, step.basis if entered == step.state else "observed"))
        state = entered
    return told


def _count(sizes: Iterable[int]) -> int:
    count = 1
    for size in sizes:
        count *= size
    return count


def _must_wait(tracks: Sequence[Track], place: Place, number: int, before: Callable[[Step, Step], bool]) -> bool:
    """Does a step that another track still has to take come before the next one of this track?"""
    step = tracks[number].steps[place[number]]
    return any(
        before(other, step)
        for index, track in enumerate(tracks)
        if index != number
        for other in track.steps[place[index] :]
    )


def _entered(state: State | None, step: Step, tracks: Sequence[Track], place: Place) -> Step:
    """`step` brings all tracks to `place`: after everything that is behind them, before all that is ahead."""
    when = step.when
    behind = [t.steps[at - 1].when for t, at in zip(tracks, place, strict=True) if at]
    ahead = [t.steps[at].when for t, at in zip(tracks, place, strict=True) if at < len(t.steps)]
    low = max((w.not_before for w in behind if w.not_before is not None), default=when.not_before)
    high = min([when.not_after, *(w.not_after for w in ahead)])
    if low is not None and low <= high:
        when = When(min(max(when.at, low), high), low, high, when.evidence)
    if state is None:
        maybe = frozenset[State]().union(*(t.maybe(at) for t, at in zip(tracks, place, strict=True)))
        return Step(None, when, "inferred", maybe)
    return Step(state, when, step.basis if state == step.state else "observed")


def _with(told: Told, step: Step) -> Told:
    """What is told, and then the step. While nobody can tell, what may be only grows; and what comes after it may have
    begun in it."""
    last = told[-1] if told else None
    if last is None or last.state is not None:
        return (*told, step)
    if step.state is None:
        return (*told[:-1], Step(None, last.when, last.basis, last.maybe | step.maybe))
    if step.state not in last.maybe or last.when.not_before is None:
        return (*told, step)
    low = min(last.when.not_before, step.when.not_before or last.when.not_before)
    return (*told, Step(step.state, msgspec.structs.replace(step.when, not_before=low), step.basis))


def _agreed(one: Told, other: Told, end: State | None) -> Told:
    """What both ways to a place tell, in order, with `end`, the state there; a step into None for what differs."""
    if one == other:
        return one
    rows = _common(one, other)
    told: list[Step] = []
    apart: list[Step] = []
    i = j = 0
    while i < len(one) or j < len(other):
        if i < len(one) and j < len(other) and _same(one[i], other[j]):
            told += (*_unsure(apart), _either(one[i], other[j], apart))
            apart = []
            i, j = i + 1, j + 1
        elif j == len(other) or (i < len(one) and rows[i + 1][j] >= rows[i][j + 1]):
            apart.append(one[i])
            i += 1
        else:
            apart.append(other[j])
            j += 1
    unsure = _unsure(apart)
    # One of the ways may never have left the state that the other comes back to.
    back = tuple(Step(end, step.when, step.basis) for step in unsure if end is not None)
    return (*told, *unsure, *back)


def _same(one: Step, other: Step) -> bool:
    return one.state is not None and one.state == other.state


def _common(one: Told, other: Told) -> list[list[int]]:
    """How many states the rests of both ways have in common, from each place of the one and of the other."""
    rows = [[0] * (len(other) + 1) for _ in range(len(one) + 1)]
    for i, j in product(range(len(one) - 1, -1, -1), range(len(other) - 1, -1, -1)):
        same = _same(one[i], other[j])
        rows[i][j] = rows[i + 1][j + 1] + 1 if same else max(rows[i + 1][j], rows[i][j + 1])
    return rows


def _unsure(apart: Sequence[Step]) -> Told:
    """One step into None for steps that not every way tells."""
    if not apart:
        return ()
    lows = [step.when.not_before for step in apart]
    low = None if None in lows else min(low for low in lows if low is not None)
    first = min(apart, key=lambda step: step.when.at).when
    when = When(first.at, low, max(step.when.not_after for step in apart), first.evidence)
    maybe: frozenset[State] = frozenset[State]().union(
        *(step.maybe if step.state is None else frozenset[State]({step.state}) for step in apart)
    )
    return (Step(None, when, "inferred", maybe),)


def _either(one: Step, other: Step, apart: Sequence[Step]) -> Step:
    """The same state entered in one order or in another: as early and as late as either allows, and as early as one
    that entered it before, and may not have left it since."""
    steps = [one, other, *(step for step in apart if _same(step, one))]
    first = min(steps, key=lambda step: step.when.at)
    lows = [step.when.not_before for step in steps]
    low = None if None in lows else min(low for low in lows if low is not None)
    when = When(first.when.at, low, max(one.when.not_after, other.when.not_after), first.when.evidence)
    return Step(one.state, when, one.basis if one.basis == other.basis else "inferred")
