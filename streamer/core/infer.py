"""One seat, two rows: what happened to it, and when.

| to                | from             | explained by    | because (mod_callcenter)                       |
| --- | --- | --- | --- |
| ringing           | anything         | lastassigntime  | an offer sets the state and its time together  |
| talking           | anything         | lastanswertime  | an answer sets its time, then the state        |
| paused            | talking, ringing | not before it   | a break ends no call, and not every offer      |
| any out of calls  | any out of calls | seatschangetime | status changes stamp it                        |
| available, idle … | talking, ringing | nothing         | the end of a call or an offer moves no stamp   |

A stamp explains only if it moved between the two rows and its second lies within the window; otherwise the polls
bound the change.
"""

from __future__ import annotations

from streamer.core.codes import IN_CALL, State
from streamer.core.model import SECOND, Seat, Transition, When, Window


def observed(before: Seat | None, after: Seat | None, window: Window) -> Transition | None:
    """The seat's transition that its two rows show, or None where its state is the same.

    None for a row means: not signed in to the group. `window` bounds the moment on the vendor's clock.
    """
    old: State = before.state if before else "signed_out"
    new: State = after.state if after else "signed_out"
    if old == new:
        return None
    if after is None:
        gone = Window(window.start, window.end if window.absent_end is None else window.absent_end)
        return Transition(new, between(gone, ("absence",)))
    signs = ("presence",) if before is None else codes_moved(before, after)
    if new == "ringing":
        return Transition(new, _stamped(before, after, "offered_at", window, signs))
    if new == "talking":
        return Transition(new, _stamped(before, after, "answered_at", window, signs))
    if old not in IN_CALL:
        return Transition(new, _stamped(before, after, "status_changed_at", window, signs))
    if new == "paused":
        return Transition(new, _not_before(before, after, window, signs))
    return Transition(new, between(window, signs))


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


def _moved(before: Seat | None, after: Seat, field: str, window: Window) -> int | None:
    stamp: int | None = getattr(after, field)
    if stamp is None or (before is not None and getattr(before, field) == stamp):
        return None
    if stamp > window.end or (window.start is not None and stamp + SECOND < window.start):
        return None
    return stamp


def _stamped(before: Seat | None, after: Seat, field: str, window: Window, signs: tuple[str, ...]) -> When:
    stamp = _moved(before, after, field, window)
    if stamp is None:
        return between(window, signs)
    return at_stamp(stamp, (*signs, VENDOR_NAME[field]))


def _not_before(before: Seat | None, after: Seat, window: Window, signs: tuple[str, ...]) -> When:
    stamp = _moved(before, after, "status_changed_at", window)
    if stamp is None:
        return between(window, signs)
    return When(stamp, stamp, max(window.end, stamp), (*signs, VENDOR_NAME["status_changed_at"]))
