"""The seats of an extension → the extension: its state, and when it entered it.

An extension is as its busiest seat is. So it has entered state C once every seat that was busier has left its state,
and one seat has entered C: the later of the two. Each bound is the later of the seats' bounds, which is sound because
the maximum of moments lies between the maxima of their bounds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from streamer.core.codes import BUSIEST, IN_CALL, State
from streamer.core.infer import SET, VENDOR_NAME, at_stamp, between, gone, observed, outside_queue, stamps
from streamer.core.model import SECOND, Seat, When, Window

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


def entered(state: State, seats: Sequence[Pair], window: Window) -> When:
    """When the extension entered `state`, which it was not in before and is in now."""
    known = stamps(before for before, _ in seats)
    left: list[When] = []
    joined: list[When] = []
    was_there = False
    for before, after in seats:
        moved = observed(before, after, window, known)
        was_there = was_there or (before is not None and before.state == state and moved is None)
        if moved is None:
            continue
        if moved.state == state:
            joined.append(moved.when)
        if before is not None and BUSIEST[before.state] < BUSIEST[state]:
            left.append(moved.when if moved.state == state else _leaving(moved.when, window))
    if joined and not was_there:
        left.append(_pick(joined, min))
    return _pick(left, max) if left else between(window, ("state",))


def _leaving(when: When, window: Window) -> When:
    """When a seat left its state that is known to have entered a third one `when`: it may have paused between."""
    return When(when.at, window.start, when.not_after, when.evidence)


def regrouped(seats: Sequence[Pair], window: Window) -> When:
    """When the extension joined or left a group: told by a status stamp only where no row that stayed has it too."""
    changed = [(before, after) for before, after in seats if before is None or after is None]
    if len(changed) > 1:
        return between(window, ("absence",) if any(after is None for _, after in changed) else ("presence",))
    _, after = changed[0]
    if after is None:
        return between(gone(window), ("absence",))
    known = stamps(row for pair in seats if None not in pair for row in pair)
    stamp = after.status_changed_at
    start = window.start if window.start is not None else 0
    if stamp is None or stamp in known or stamp > window.end or stamp + SECOND < start:
        return between(window, ("presence",))
    return at_stamp(stamp, ("presence", "seatschangetime"))


def _pick(whens: Sequence[When], choose: Callable[[Iterable[int]], int]) -> When:
    """The first (min) or last (max) of several uncertain moments: bounds one by one, evidence from the chosen."""
    at = choose(w.at for w in whens)
    bounds = [w.not_before for w in whens if w.not_before is not None]
    not_before = choose(bounds) if len(bounds) == len(whens) or (bounds and choose is max) else None
    chosen = next(w for w in whens if w.at == at)
    return When(at, not_before, choose(w.not_after for w in whens), chosen.evidence)


def first_seen(state: State, seats: Sequence[Seat], asked_at: int, end: int) -> When:
    """Since when an extension that was never seen before has been in `state`.

    The stamp that explains it, where one does; else the poll's request (`asked_at`, on the vendor's clock). Only calls
    are explained to the second: what a status began may have been hidden since by what moves no stamp, so that `end`,
    the poll's upper bound, bounds it. Stamps in the future count for nothing.
    """
    there = [seat for seat in seats if seat.state == state]
    if state in IN_CALL:
        field, other = ("answered_at", "offered_at") if state == "talking" else ("offered_at", "answered_at")
        own = [began for seat in there if (began := _began(seat, field, other, end)) is not None]
        if own:
            return at_stamp(min(own), ("presence", VENDOR_NAME[field]))
    newest = [max(_proving(seat, state, end), default=None) for seat in there]
    known = [stamp for stamp in newest if stamp is not None]
    floor = min(known) if len(known) == len(newest) else None
    explaining = _set_at(there, seats, end) if state in SET else None
    if explaining is not None:
        return When(explaining, floor, max(end, explaining), ("presence", "seatschangetime"))
    at = min(max(asked_at, floor or asked_at), end)
    return When(at, floor, end, ("presence",))


def _began(seat: Seat, field: str, other: str, end: int) -> int | None:
    """The stamp of the call that the row shows: none if the queue knows nothing of it, or something came later."""
    stamp: int | None = getattr(seat, field)
    later: int | None = getattr(seat, other)
    if stamp is None or stamp > end or outside_queue(seat):
        return None
    return None if later is not None and stamp < later <= end else stamp


def _proving(seat: Seat, state: State, end: int) -> list[int]:
    """The stamps that `state` cannot be older than. A status may change behind an absent telephone or a call."""
    calls = (seat.offered_at, seat.answered_at)
    every = (*calls, seat.status_changed_at) if state in SET else calls
    return [stamp for stamp in every if stamp is not None and stamp <= end]


def _set_at(there: Sequence[Seat], seats: Sequence[Seat], end: int) -> int | None:
    """When the status was set that shows, if no seat was offered or answered anything after it."""
    changes = [s.status_changed_at for s in there if s.status_changed_at is not None and s.status_changed_at <= end]
    first = min(changes, default=None)
    if first is None or any(stamp > first for seat in seats for stamp in _proving(seat, "talking", end)):
        return None
    return first
