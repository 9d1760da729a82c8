"""One seat, two rows: its timeline between them, as far as the evidence proves it.

A seat follows two processes: the queue's calls (calls.py) with the wrap-up after them (wrapup.py), and its status,
which the agent and the telephone set (status.py). What shows is the call while one rings or is talked on; wrap-up
as long as the status says available; else the status. Each process is a track with bounds; weave.py tells what they
make together in every order that the bounds leave.
"""

from __future__ import annotations

from collections.abc import Sequence, Set
from functools import partial

import msgspec

from streamer.core import calls, wrapup
from streamer.core.bounds import between, gone
from streamer.core.calls import Point
from streamer.core.codes import BUSIEST, IN_CALL, State
from streamer.core.evidence import NOTHING, Evidence, Kind, call_of, compare
from streamer.core.model import Memory, Seat, Settings, Step, When, Window
from streamer.core.status import answered_before, on_demand, returned_at, statuses
from streamer.core.weave import Track, surely_before, weave

AWAY: frozenset[State] = frozenset({"paused", "offline", "busy", "idle", "unknown"})
"""States of who is offered no call."""


ANY = frozenset[State](BUSIEST)
"""What somebody may be in of whom nothing is known."""


class Inferred(msgspec.Struct, frozen=True):
    """A seat's timeline from poll to poll, what to remember of it, and the contradictions in its evidence."""

    track: Track
    memory: Memory | None
    kinds: tuple[Kind, ...]


def state_of(seat: Seat | None, memory: Memory | None) -> State:
    """What a seat shows: wrap-up is in no row."""
    if seat is None:
        return "signed_out"
    wrapping = memory is not None and memory.ended is not None and seat.state == "available"
    return "wrap_up" if wrapping else seat.state


def infer(
    before: Seat | None,
    after: Seat | None,
    memory: Memory | None,
    window: Window,
    settings: Settings,
    known: Set[int] = NOTHING,
) -> Inferred:
    """The seat's timeline. None for a row means: not signed in to the group. `known` are the stamps that the
    extension's other rows showed before."""
    start = state_of(before, memory)
    if after is None:
        return Inferred(Track(start, _left(gone(window))), None, ())
    found = compare(before, after, window, known)
    if before is not None and window.missed is not None and found.restarted:
        return _back(start, after, window, settings, known)
    status = statuses(before, after, found, memory, window)
    points, rests, kinds = _calls(before, after, found, memory, window, returned_at(status))
    calls.spread(points)
    wrap = wrapup.rest_of(after) if settings.wrap_up else 0
    back = status[-1].when if status and status[-1].state == "available" else None
    points, ended = wrapup.due(wrapup.ends(points, wrap, rests=rests), after, window, back)
    if (memory is not None and memory.on_demand) or _unexplained(before, after, found):
        points = wrapup.unsure(points)
    call = call_of(before) or ("wrap_up" if memory is not None and memory.ended is not None else "available")
    tracks = (
        Track(call, _steps(points, wrap)),
        Track("signed_out" if before is None else before.status, status),
    )
    demand = on_demand(before, after, found, memory)
    remembered = Memory(after.group, ended, demand) if ended is not None or demand else None
    came = before is None or before.status != "available" or (found.restarted and bool(after.calls_answered))
    steps, end = weave(tracks, _shown, partial(_before, came=came)), state_of(after, remembered)
    if steps is None or (steps[-1].state if steps else start) != end:
        seen = between(window, "state")
        steps = (Step(None, seen, maybe=ANY), Step(end, seen))
    return Inferred(Track(start, _signed(steps, before, after)), remembered, kinds)


def _back(start: State, after: Seat, window: Window, settings: Settings, known: Set[int]) -> Inferred:
    """The timeline of a row that polls missed and that is back with a new status.

    An answer may lack rows that are there, but hardly twice in a row: then she had signed out, unbelieved. After one
    such poll it may as well have been a break: nothing is told but where she is now.
    """
    if window.missed is None or window.missed_polls < 2:
        seen = between(window, "state")
        return Inferred(Track(start, (Step(None, seen, maybe=ANY), Step(after.state, seen))), None, ())
    left = _left(gone(msgspec.structs.replace(window, absent_end=window.missed)))
    again = infer(None, after, None, msgspec.structs.replace(window, missed=None), settings, known)
    return Inferred(Track(start, (*left, *again.track.steps)), again.memory, again.kinds)


def _left(window: Window) -> tuple[Step, ...]:
    """The steps of a row that is gone: what else it went through since the last poll, no row tells."""
    when = between(window, "absence")
    return Step(None, when, maybe=ANY), Step("signed_out", when)


def _unexplained(before: Seat | None, after: Seat, found: Evidence) -> bool:
    """Was a status set that shows nowhere: On Demand, or a break before any call was counted?"""
    available = before is not None and before.status == after.status == "available"
    return available and found.changed is not None and not found.restarted


def _shown(states: Sequence[State | None]) -> State | None:
    """What the queue's call and the status make together."""
    call, status = states
    if status == "signed_out":
        return status
    if call in IN_CALL or (call == "wrap_up" and status == "available"):
        return call
    return status


def _before(one: Step, other: Step, *, came: bool) -> bool:
    """Is `one` before `other`? An offer is made only to who is available: she leaves after it, and became so before it
    (`came`: she was not before, or the calls are known to be later), even in the same second."""
    offer = one if one.state == "ringing" else other if other.state == "ringing" else None
    causal = (other.state in AWAY) if offer is one else came and offer is other and one.state == "available"
    if causal and (one.when.not_before or 0) <= (other.when.not_before or 0):
        return True
    return surely_before(one, other)


def _calls(
    before: Seat | None, after: Seat, found: Evidence, memory: Memory | None, window: Window, returned: int | None
) -> tuple[list[Point], bool, tuple[Kind, ...]]:
    """The chain of the queue's calls, tightened; whether it keeps to `wrapuptime`; all contradictions.

    `returned`: the agent became available then. Calls of who was not before, and those that the restarted counter
    tells of, were offered after that.
    """
    since = missed_since = window.start
    if returned is not None:
        missed_since = max(since, returned)
        counted = bool(after.calls_answered) and (found.answered or 0) >= returned
        came = (before is None or before.status != "available") and not answered_before(after, found)
        since = missed_since if counted or came else since
    made, problems = calls.chain(before, after, found, window, since, missed_since)
    # Where its length was changed, or a clock jumped, a call offered too early is no sign of another rule.
    rest = min(wrapup.rest_of(after), wrapup.rest_of(before or after))
    plain = window.rests and not window.jumped and (before is None or before.wrap_up_s == after.wrap_up_s)
    told = wrapup.begun(memory, window)
    kinds: tuple[Kind, ...] = (*found.kinds, *problems)
    if not window.in_order:
        return [*told, *made], False, kinds
    if window.rests and (tight := calls.tighten([*told, *made], rest, rests=True)) is not None:
        return tight, True, kinds
    if (tight := calls.tighten([*told, *made], rest, rests=False)) is not None:
        return tight, False, (*kinds, "no_rest") if plain else kinds
    return [*told, *calls.seen(before, after, found, window)], False, (*kinds, "order")


def _steps(points: Sequence[Point], wrap: int) -> tuple[Step, ...]:
    """The points as the call's track, without what was told before."""
    made: list[Step] = []
    for point in points:
        if point.told:
            continue
        when = point.when()
        if point.entered == "ringing" or point.entered == "talking":
            made.append(Step(point.entered, when))
        elif point.entered == "ended" and wrap:
            when = msgspec.structs.replace(when, evidence=(*when.evidence, "wrapuptime"))
            made.append(Step("wrap_up", when, "derived"))
        else:
            made.append(Step("available", when, "derived" if point.entered == "over" else "observed"))
    return tuple(made)


def _signed(steps: Sequence[Step], before: Seat | None, after: Seat) -> tuple[Step, ...]:
    """The steps; the last of them names the codes that show it, if they do."""
    if not steps or (before is not None and before.state == after.state):
        return tuple(steps)
    *others, last = steps
    signs = ("presence",) if before is None else _codes_moved(before, after)
    names = (name for name in last.when.evidence if name not in ("state", "status"))
    when: When = msgspec.structs.replace(last.when, evidence=tuple(dict.fromkeys((*signs, *names))))
    return (*others, Step(last.state, when, last.basis))


def _codes_moved(before: Seat, after: Seat) -> tuple[str, ...]:
    """Which of the vendor's two code fields differ."""
    moved = (
        ("state", before.state_code != after.state_code),
        ("status", before.status_code != after.status_code),
    )
    return tuple(name for name, differs in moved if differs)
