"""What the evidence proves of the queue's calls between two rows of a seat: a chain of points, each with its bounds.

Rules (the fewest calls that explain the evidence; what else may have been is not told):

| evidence                        | chain                                                                      |
| --- | --- |
| n answers                       | n times ringing, talking, ended; the last answer at lastanswertime         |
| the last row rang               | that offer is the first one answered, unless it is the only answer and was |
|                                 | offered since: then what rang before failed                                |
| lastassigntime after the answer | one more offer then; unless it still rings, it failed                      |
| m misses after the answer       | m failed offers, that one among them                                       |
| no answer, lastassigntime moved | as after an answer: what rang failed, then the misses and that offer       |
| the last row talked, this one   | ended                                                                      |
| does not, or on another call    |                                                                            |
| evidence that is not trusted    | the two rows' states, and the stamp of the later one                       |

Then the chain is tightened: time does not go back, and after a call the next offer comes later than its end and
`wrapuptime`, in whole seconds. A vendor that reads `wrapuptime` otherwise (as the time from answer to next
offer) breaks that rule again and again; it is then given up for the source for a while (`Window.rests`).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

import msgspec

from streamer.core.evidence import Evidence, Kind, answering, call_of
from streamer.core.model import SECOND, Seat, When, Window

Entered = Literal["ringing", "talking", "ended", "failed", "over"]
"""`ended`: a call that had been answered; `failed`: an offer that had not; `over`: the wrap-up after `ended`."""


class Point(msgspec.Struct, gc=False):
    """One step of the chain, within [low, high]; `at` where it has a stamp. `told` already, by an earlier poll."""

    entered: Entered
    low: int
    high: int
    evidence: tuple[str, ...]
    at: int | None = None
    told: bool = False

    def when(self) -> When:
        """The step's moment with its bounds."""
        at = (self.low + self.high) // 2 if self.at is None else self.at
        return When(min(max(at, self.low), self.high), self.low, self.high, self.evidence)


class Chain:
    """The points as they are added, each with the widest bounds that the window allows."""

    def __init__(self, window: Window, offers_from: int) -> None:
        self.points: list[Point] = []
        self.offers_from = offers_from
        """No offer without a stamp is older."""
        self._window = window

    @property
    def talking(self) -> bool:
        """Does the last point begin a call?"""
        return bool(self.points) and self.points[-1].entered == "talking"

    def stamped(self, entered: Entered, stamp: int, *evidence: str) -> None:
        self.points.append(Point(entered, stamp, stamp + SECOND, evidence, at=stamp))

    def bounded(self, entered: Entered, *evidence: str) -> None:
        low = self.offers_from if entered in ("ringing", "talking") else self._window.start
        self.points.append(Point(entered, min(low, self._window.end), self._window.end, evidence))

    def offer(self, stamp: int | None, why: str) -> None:
        """It begins to ring."""
        if stamp is None:
            self.bounded("ringing", why)
        else:
            self.stamped("ringing", stamp, "lastassigntime")


def chain(
    before: Seat | None, after: Seat, found: Evidence, window: Window, offers_from: int, missed_from: int
) -> tuple[list[Point], list[Kind]]:
    """The points between the two rows, not yet tightened, and the contradictions that turned up.

    No answered call was offered before `offers_from`, and none that was missed after them before `missed_from`.
    """
    if not found.trusted or not window.in_order:
        return seen(before, after, found, window), []
    if problem := _impossible(before, after, found, window, offers_from):
        return seen(before, after, found, window), [problem]
    made = Chain(window, offers_from)
    state = call_of(before)
    if before is not None and before.answered_at is not None and answering(before, window.start, window.end):
        if (before.state, before.offered_at, before.answered_at) == (after.state, after.offered_at, after.answered_at):
            return [], []  # and still is, by a state that is late
        made.stamped("talking", before.answered_at, "lastanswertime")
        state = "talking"
    if found.answers:
        _answered(made, before, after, found, state == "ringing")
        state = "talking"
    last = call_of(after)
    if found.offered_last:
        made.offers_from = missed_from if found.restarted else offers_from
        _failed(made, found, state, last)
        state = last if last == "ringing" else None
    if state is not None and last != state and (state, last) != ("ringing", "talking"):
        made.bounded("ended" if state == "talking" else "failed", "state")
    if last is not None and state != last:
        # Seen, and explained by no stamp.
        made.bounded("ringing" if last == "ringing" else "talking", "state")
    return made.points, []


def _impossible(before: Seat | None, after: Seat, found: Evidence, window: Window, offers_from: int) -> Kind | None:
    """What is wrong with trusted evidence that no calls explain."""
    if found.offered_last and call_of(after) == "talking" and (found.answers or call_of(before) == "talking"):
        return "order"
    rest = (after.wrap_up_s or 0) if window.rests else 0
    seconds = ((found.answered or window.end) - min(offers_from, window.start)) // SECOND + 1
    if found.answers > seconds // (rest + 1) + 2:
        return "crowded"
    rang = call_of(before) == "ringing" and not answering(before, window.start, window.end)
    if found.answers > rang and found.offered is None and after.offered_at is not None:
        # The stamp is the old one: only another offer in the very same second explains the last answer.
        old = after.offered_at
        if old + SECOND < window.start or old > (found.answered or window.end):
            return "unoffered"
    return None


def _answered(made: Chain, before: Seat | None, after: Seat, found: Evidence, ringing: bool) -> None:
    """Adds the answered calls, all but the last one's end. `ringing`: the last row rang, and was not answered yet."""
    offered = after.offered_at if found.offered is None else found.offered
    if found.offered_last and found.answered is not None:
        offered = None  # that was the next one
    for number in range(found.answers):
        only = number == found.answers - 1
        if made.talking or (number == 0 and call_of(before) == "talking"):
            made.bounded("ended", "callsanswered")
        if number == 0 and ringing:
            if only and found.offered is not None and offered is not None:
                made.bounded("failed", "lastassigntime")
                made.offer(offered, "")
        elif after.offered_at is not None:
            made.offer(offered if only else None, "callsanswered")
        if only and found.answered is not None:
            made.stamped("talking", found.answered, "lastanswertime")
        else:
            made.bounded("talking", "callsanswered")


def _failed(made: Chain, found: Evidence, state: str | None, last: str | None) -> None:
    """Adds what was offered after the last answer and not answered; the last of it at its stamp."""
    misses = found.misses
    if state == "talking":
        made.bounded("ended", "lastassigntime")
    elif state == "ringing":
        made.bounded("failed", "lastassigntime")
        misses -= 1
    for _ in range(misses - 1):
        made.bounded("ringing", "noanswercount")
        made.bounded("failed", "noanswercount")
    made.offer(found.offered, "")
    if last is None:
        made.bounded("failed", "noanswercount" if misses > 0 else "lastassigntime")
    elif last == "talking":
        made.bounded("talking", "state")


def seen(before: Seat | None, after: Seat, found: Evidence, window: Window) -> list[Point]:
    """What the two rows' states show, and no more; but an answer that is out of order is one all the same."""
    was, now = call_of(before), call_of(after)
    made = Chain(window, window.start)
    if now is None and found.answered is not None and found.trusted and not window.in_order:
        made.stamped("talking", found.answered, "lastanswertime")
        made.bounded("ended", "state")
    elif was == now:
        return []
    elif now is None:
        made.bounded("ended" if was == "talking" else "failed", "state")
    elif now == "ringing" and found.offered is not None:
        made.stamped("ringing", found.offered, "state", "lastassigntime")
    elif now == "talking" and found.answered is not None:
        made.stamped("talking", found.answered, "state", "lastanswertime")
    else:
        made.bounded("ringing" if now == "ringing" else "talking", "state")
    return made.points


def tighten(points: Sequence[Point], rest: int, *, rests: bool) -> list[Point] | None:
    """The points with bounds that leave only what their order allows; None where it leaves nothing.

    `rest` is wrapuptime in milliseconds. Where the vendor keeps to it (`rests`), an offer stamped t means that the call
    before had ended before t - rest (and not only before t), since both are counted in whole seconds.
    """
    made = [msgspec.structs.replace(point) for point in points]
    for one, other in pairwise(made):
        other.low = max(other.low, one.low + (rest if rests and _offers(one, other) else 0))
    for one, other in reversed(list(pairwise(made))):
        high = other.high
        if rests and rest and _offers(one, other):
            high = (other.high if other.at is None else other.at) - rest
        one.high = min(one.high, high)
    return made if all(point.low <= point.high for point in made) else None


def _offers(one: Point, other: Point) -> bool:
    """Is `other` the next offer after a call?"""
    return (one.entered, other.entered) == ("ended", "ringing")


def spread(points: Sequence[Point]) -> None:
    """Gives the points without a stamp their estimates: runs of them evenly between what bounds them."""
    run: list[Point] = []
    for point in (*points, None):
        if point is not None and point.at is None:
            run.append(point)
            continue
        for number, one in enumerate(run, 1):
            one.at = one.low + (one.high - one.low) * number // (len(run) + 1)
            if point is not None and point.at is not None:
                one.at = max(one.low, min(one.at, point.at))
        if run and point is not None and point.at is not None:
            point.at = max(point.at, run[-1].at or 0)
        run = []
