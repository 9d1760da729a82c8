"""One seat, two rows: what happened to it, and when.

| to                      | from               | explained by        | because (mod_callcenter)                       |
| --- | --- | --- | --- |
| ringing                 | anything           | lastassigntime      | an offer sets the state and its time together  |
| talking                 | anything           | lastanswertime      | an answer sets its time, then the state        |
| available, paused, idle | signed out, or one | seatschangetime     | the status stamps it; a telephone hides it and |
|                         | of these           |                     | comes and goes without a stamp                 |
| paused                  | talking, ringing   | not before it       | a break ends no call, and not every offer      |
| available               | offline, busy …    | not before it       | it was set then, and seen once the phone let it |
| anything else           |                    | nothing             | the end of a call or an offer moves no stamp   |

A stamp explains only if it moved between the two rows and its second lies within the window; otherwise the polls
bound the change. A row that was not there before must not show what the extension's other rows showed already. A call
outside the queue (only `status` tells of it) moves no stamp. Where an offer or an answer moved along with the status, a
call hidden between the polls may have ended after both.
"""

from __future__ import annotations

from collections.abc import Iterable, Set

from streamer.core.codes import IN_CALL, SILENT, TABLE, State
from streamer.core.model import SECOND, Seat, Transition, When, Window

SET: frozenset[State] = frozenset({"available", "paused", "idle"})
"""States that a status sets, so that its stamp may tell when."""

OUTSIDE_QUEUE = frozenset({1202, 1204})
"""What `status` shows of a telephone in a call, from the queue or not."""

NOTHING: Set[int] = frozenset()


def observed(before: Seat | None, after: Seat | None, window: Window, known: Set[int] = NOTHING) -> Transition | None:
    """The seat's transition that its two rows show, or None where its state is the same.

    None for a row means: not signed in to the group. `window` bounds the moment on the vendor's clock. `known` are the
    stamps that the extension's other rows showed before.
    """
    old: State = before.state if before else "signed_out"
    new: State = after.state if after else "signed_out"
    if old == new:
        return None
    if after is None:
        return Transition(new, between(gone(window), ("absence",)))
    signs = ("presence",) if before is None else codes_moved(before, after)
    moved = {field: stamp for field in VENDOR_NAME if (stamp := _moved(before, after, field, window, known))}
    if new in IN_CALL:
        return Transition(new, _call(before, after, moved, window, signs))
    return Transition(new, _status(old, new, moved, window, signs))


def _call(before: Seat | None, after: Seat, moved: dict[str, int], window: Window, signs: tuple[str, ...]) -> When:
    """When it began to ring, or was answered."""
    field = "offered_at" if after.state == "ringing" else "answered_at"
    stamp = moved.get(field)
    if stamp is None and before is not None and _answered_before(before, after):
        stamp = after.answered_at
    if stamp is None or outside_queue(after):
        return between(window, signs)
    return at_stamp(stamp, (*signs, VENDOR_NAME[field]))


def _answered_before(before: Seat, after: Seat) -> bool:
    """Did the last row show the answer's time already, but not yet its state? An answer is written in steps."""
    if (before.state, after.state) != ("ringing", "talking"):
        return False
    same = (before.offered_at, before.answered_at) == (after.offered_at, after.answered_at)
    return same and after.answered_at is not None and after.answered_at >= (after.offered_at or 0)


def outside_queue(seat: Seat) -> bool:
    """Is the call that a row shows one that the queue knows nothing of?"""
    if seat.status_code not in OUTSIDE_QUEUE or seat.state_code is None or seat.state_code in SILENT:
        return False
    return seat.state_code in TABLE and TABLE[seat.state_code] not in IN_CALL


def _status(old: State, new: State, moved: dict[str, int], window: Window, signs: tuple[str, ...]) -> When:
    """When a state out of calls began."""
    stamp = moved.get("status_changed_at")
    if stamp is None or new not in SET:
        return between(window, signs)
    visible = old in SET or old == "signed_out"
    if visible and len(moved) == 1:
        return at_stamp(stamp, (*signs, "seatschangetime"))
    if not (visible or new == "available" or (new == "paused" and old in IN_CALL)):
        return between(window, signs)
    if old in IN_CALL and new != "paused":
        return between(window, signs)
    newest = max(moved.values())
    names = tuple(VENDOR_NAME[field] for field, value in moved.items() if value == newest)
    return When(newest, newest, max(window.end, newest), (*signs, *names))


def gone(window: Window) -> Window:
    """The window for a seat that is no longer there."""
    if window.absent_end is None:
        return window
    start = None if window.start is None else min(window.start, window.absent_end)
    return Window(start, window.absent_end)


def codes_moved(before: Seat, after: Seat) -> tuple[str, ...]:
    """Which of the vendor's two code fields differ."""
    moved = (
        ("state", before.state_code != after.state_code),
        ("status", before.status_code != after.status_code),
    )
    return tuple(name for name, differs in moved if differs)


VENDOR_NAME = {
    "offered_at": "lastassigntime",
    "answered_at": "lastanswertime",
    "status_changed_at": "seatschangetime",
}


def between(window: Window, evidence: tuple[str, ...]) -> When:
    """The polls alone bound it: the best estimate is their middle."""
    if window.start is None:
        return When(window.end, None, window.end, evidence)
    return When((window.start + window.end) // 2, window.start, window.end, evidence)


def at_stamp(stamp: int, evidence: tuple[str, ...]) -> When:
    """A vendor's stamp means the second that begins with it."""
    return When(stamp, stamp, stamp + SECOND, evidence)


def stamps(seats: Iterable[Seat | None]) -> frozenset[int]:
    """Every stamp that these rows hold."""
    return frozenset(
        stamp
        for seat in seats
        if seat is not None
        for stamp in (seat.offered_at, seat.answered_at, seat.status_changed_at)
        if stamp is not None
    )


def _moved(before: Seat | None, after: Seat, field: str, window: Window, known: Set[int]) -> int | None:
    """The field's stamp, if it is new and its second lies in the window."""
    stamp: int | None = getattr(after, field)
    if stamp is None or (stamp in known if before is None else getattr(before, field) == stamp):
        return None
    if stamp > window.end or (window.start is not None and stamp + SECOND < window.start):
        return None
    return stamp
