"""The seats of an extension → the extension: its state, and when it entered it.

An extension is as its busiest seat is. So it has entered state C once every seat that was busier has left its state,
and one seat has entered C: the later of the two. Each bound is the later of the seats' bounds, which is sound because
the maximum of moments lies between the maxima of their bounds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from streamer.core.codes import BUSIEST, State
from streamer.core.infer import at_stamp, between, observed
from streamer.core.model import Seat, When, Window

Pair = tuple[Seat | None, Seat | None]


def state_of(seats: Iterable[Seat]) -> State:
    """The state of an extension with these seats; `signed_out` without any."""
    state: State = "signed_out"
    for seat in seats:
        if BUSIEST[seat.state] < BUSIEST[state]:
            state = seat.state
    return state


def pairs(before: Sequence[Seat], after: Sequence[Seat]) -> list[Pair]:
    """Each seat's row before and after, by group; None where it had or has none."""
    old = {seat.group: seat for seat in before}
    new = {seat.group: seat for seat in after}
    return [(old.get(group), new.get(group)) for group in sorted(old.keys() | new.keys())]


def entered(state: State, seats: Iterable[Pair], window: Window) -> When:
    """When the extension entered `state`, which it was not in before and is in now."""
    left: list[When] = []
    joined: list[When] = []
    was_there = False
    for before, after in seats:
        moved = observed(before, after, window)
        was_there = was_there or (before is not None and before.state == state and moved is None)
        if moved is None:
            continue
        if moved.state == state:
            joined.append(moved.when)
        if before is not None and BUSIEST[before.state] < BUSIEST[state]:
            left.append(moved.when)
    if joined and not was_there:
        left.append(_pick(joined, min))
    return _pick(left, max) if left else between(window, ("state",))


def _pick(whens: Sequence[When], choose: Callable[[Iterable[int]], int]) -> When:
    """The first (min) or last (max) of several uncertain moments: bounds one by one, evidence from the chosen."""
    at = choose(w.at for w in whens)
    bounds = [w.not_before for w in whens if w.not_before is not None]
    not_before = choose(bounds) if len(bounds) == len(whens) or (bounds and choose is max) else None
    chosen = next(w for w in whens if w.at == at)
    return When(at, not_before, choose(w.not_after for w in whens), chosen.evidence)


def first_seen(state: State, seats: Sequence[Seat], asked_at: int, end: int) -> When:
    """Since when an extension that was never seen before has been in `state`.

    The stamp that explains it, where one does; else the poll's request (`asked_at`, on the vendor's clock), not before
    the newest stamp that is not in the future. `end` is the poll's upper bound.
    """
    there = [seat for seat in seats if seat.state == state]
    if state == "talking":
        own = [s.answered_at for s in there if s.answered_at and s.answered_at >= (s.offered_at or 0)]
        explaining, name = min(own, default=None), "lastanswertime"
    elif state == "ringing":
        own = [s.offered_at for s in there if s.offered_at and s.offered_at >= (s.answered_at or 0)]
        explaining, name = min(own, default=None), "lastassigntime"
    else:
        explaining, name = _last_status(seats), "seatschangetime"
    if explaining is not None and explaining <= end:
        return at_stamp(explaining, ("presence", name))
    valid = [stamp for seat in seats for stamp in _stamps(seat) if stamp <= end]
    newest = max(valid, default=None)
    at = min(max(asked_at, newest or asked_at), end)
    return When(at, newest, max(end, at), ("presence",))


def _last_status(seats: Sequence[Seat]) -> int | None:
    """The newest status change, if nothing that any seat was offered or answered came after it."""
    changes = [seat.status_changed_at for seat in seats if seat.status_changed_at]
    last = max(changes, default=None)
    if last is None or any(stamp > last for seat in seats for stamp in _stamps(seat)):
        return None
    return last


def _stamps(seat: Seat) -> list[int]:
    return [s for s in (seat.offered_at, seat.answered_at, seat.status_changed_at) if s is not None]
