"""Wrap-up: for `wrapuptime` after a call of the queue whoever is available is in it. No row shows it.

It is derived from the call's end, and so is its own end; an offer, a break or a sign-out ends it before. Its due end is
told with the first good poll that finds it over. A wrap-up whose beginning is not known well is over for sure only
when its last possible moment has passed: until then a break or a sign-out may still end it, and the estimate of
its end would be invented.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from streamer.core.calls import Point
from streamer.core.model import SECOND, Ended, Memory, Seat, When, Window

VAGUE = 4 * SECOND
"""A wrap-up whose end is known to within this is over once the estimate of it has passed."""


def rest_of(seat: Seat) -> int:
    """wrapuptime in milliseconds."""
    return (seat.wrap_up_s or 0) * SECOND


def begun(memory: Memory | None, window: Window) -> list[Point]:
    """The call's end, told before, from which a wrap-up still counts: by either reading of a clock that jumped."""
    if memory is None or memory.ended is None:
        return []
    (low, high), ended = window.shift, memory.ended
    first, last = ended.not_before + min(0, low), ended.not_after + max(0, high)
    return [Point("ended", first, last, (), at=ended.at + (low + high) // 2, told=True)]


def over(ended: Ended, rest: int) -> Point:
    """The end of the wrap-up after a call."""
    return Point("over", ended.not_before + rest, ended.not_after + rest, ("wrapuptime",), at=ended.at + rest)


def ends(points: Sequence[Point], rest: int, *, rests: bool) -> list[Point]:
    """The points with the end of each wrap-up between an ended call and the next offer, where it surely came first."""
    made: list[Point] = []
    for one, other in zip(points, [*points[1:], None], strict=False):
        made.append(one)
        if one.entered != "ended" or not (rest or one.told):
            continue
        end = over(Ended(one.when().at, one.low, one.high), rest)
        if other is None:
            made.append(end)
        elif rests or end.high <= other.low:
            high = min(end.high, other.high)
            low = min(end.low, high)
            made.append(replace(end, low=low, high=high, at=min(max(end.when().at, low), high, other.when().at)))
    return made


def due(points: list[Point], after: Seat, window: Window, back: When | None) -> tuple[list[Point], Ended | None]:
    """The points without a wrap-up's end that is still to come, and the call's end that it counts from.

    `back`: when the agent became available again. Whether that was still within the wrap-up must be sure; otherwise
    it ends here, and the end's bounds are those of becoming available.
    """
    if len(points) < 2 or points[-1].entered != "over":
        return points, None
    ended, end = points[-2], points[-1]
    left = Ended(ended.when().at, ended.low, ended.high)
    if window.jumped and not ended.told:
        low = min(window.now, window.start + max(0, window.shift[0]))
        return points[:-1], Ended((low + window.now) // 2, low, window.now)
    if after.state != "available":
        # It goes on behind a break, if at all: what matters is whether it had ended before.
        # By which reading of a clock that jumped it would have ended, nobody can tell.
        first = end.high if window.jumped and ended.told else end.low
        return (points if first <= window.end else points[:-1]), (left if end.high > window.asked else None)
    if back is not None and ended.low < back.not_after and end.low < back.not_after:
        return [*points[:-1], replace(end, low=min(end.low, back.not_before or end.low))], None
    by_estimate = ended.high - ended.low <= VAGUE or (ended.told and not window.wrapping)
    past = end.when().at <= window.asked_about if by_estimate else end.high <= window.asked
    return (points, None) if past and not window.blind else (points[:-1], left)


def unsure(points: Sequence[Point]) -> list[Point]:
    """The points without the end of any call that nobody saw end, and its wrap-up.

    Who is Available (On Demand) rests idle after a call, for as long as she likes; and where a status was set that
    shows nowhere, a break may have come before the wrap-up.
    """
    made: list[Point] = []
    for number, point in enumerate(points, 1):
        before = points[number - 2] if number > 1 else point
        if point.told or point.entered not in ("ended", "over") or before.told:
            made.append(point)
        elif number == len(points):
            ended = point.entered == "ended"
            made.append(point if ended else replace(point, entered="failed", low=before.low, at=None))
    return made
