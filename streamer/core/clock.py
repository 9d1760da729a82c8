"""The vendor's clock against ours, from the times its answers carry.

An answer's `reqtime` and `rsptime` are whole seconds, rounded down, read somewhere between our request and its
answer: so the vendor's clock minus ours lies in [stamp - answered, stamp + 1 s - requested]. Each answer narrows what
the earlier ones left; where they contradict each other one of the clocks has jumped.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from streamer.core.model import SECOND, Offset, Seat

DRIFT_PER_SECOND = 0.0002
"""How far two clocks may part: 200 millionths, four times what a quartz that nobody disciplines is allowed."""

STUTTER = SECOND
"""Readings that contradict each other by less are not called a jump: an answer may come from one of several machines,
and clocks are corrected in small steps. The estimate then holds both."""

HALF_HOUR = 1_800 * SECOND
"""Time zones differ by multiples of it (and a few by quarters, which two of these then look like)."""

ASTRAY = 5
"""So many fresh stamps in a row, all off by the same half hours, look like a wrong time zone."""

UNKNOWN = Offset(-SECOND, SECOND)
"""Assumed where the vendor never told its time: installations keep their clocks by the network."""


def measure(requested_at: int, answered_at: int, reqtime: int | None, rsptime: int | None) -> Offset | None:
    """What one answer says by itself, or None if it carries no time or its times contradict each other."""
    stamps = [s * SECOND for s in (reqtime, rsptime) if s is not None]
    if not stamps:
        return None
    low = max(stamps) - answered_at
    high = min(stamps) + SECOND - requested_at
    return Offset(low, high) if low <= high else None


def estimate(known: Offset | None, measured: Offset | None, elapsed_ms: int) -> tuple[Offset | None, bool]:
    """The estimate after one more answer, `elapsed_ms` after the last; and whether a clock jumped.

    After a jump the estimate spans both readings once, for what happened in that gap may be stamped by either.
    """
    if known is None or measured is None:
        return measured or known, False
    slack = round(abs(elapsed_ms) * DRIFT_PER_SECOND)
    low = max(known.low - slack, measured.low)
    high = min(known.high + slack, measured.high)
    if low <= high:
        return Offset(low, high), False
    return Offset(min(known.low, measured.low), max(known.high, measured.high)), low - high > STUTTER


def shift(known: Offset, measured: Offset, elapsed_ms: int) -> tuple[int, int]:
    """By how much the vendor's clock has moved in a jump, at least and at most; (0, 0) if it was surely ours.

    Ours surely went back where the later poll seems to be the earlier one. Where both polls are in order on either
    clock, the vendor's may have gone back by that much, or ours forward.
    """
    low, high = measured.low - known.high, measured.high - known.low
    moved = (low + high) // 2
    if moved > 0:
        return (low, high) if elapsed_ms >= 0 else (0, 0)
    return (low, high) if elapsed_ms + moved < 0 else (low, max(0, high))


def strays(before: Sequence[Seat], after: Sequence[Seat], start: int | None, end: int) -> list[int | None]:
    """How far (ms) each stamp that moved between two polls is from when it can have moved; None for one that is not."""
    if start is None or before is after:
        return []
    old = {seat.group: seat for seat in before}
    found: list[int | None] = []
    for seat in after:
        was = old.get(seat.group)
        if was is None or was is seat:
            continue
        for stamp, known in (
            (seat.offered_at, was.offered_at),
            (seat.answered_at, was.answered_at),
            (seat.status_changed_at, was.status_changed_at),
        ):
            if stamp is not None and stamp != known:
                off = stamp - end if stamp > end else min(0, stamp + SECOND - start)
                found.append(off or None)
    return found


def _stamps(seat: Seat) -> tuple[int | None, int | None, int | None]:
    return seat.offered_at, seat.answered_at, seat.status_changed_at


def all_astray(before: tuple[int, ...], now: Iterable[int | None]) -> tuple[int, ...]:
    """The latest distances of fresh stamps, as long as not one of them was where it should be."""
    found = list(before)
    for off in now:
        if off is None:
            found.clear()
        else:
            found.append(off)
    return tuple(found[-ASTRAY:])


def zone_off(distances: Sequence[int]) -> int | None:
    """By how many milliseconds, a multiple of half an hour, all fresh stamps are off; None if they are not."""
    if len(distances) < ASTRAY:
        return None
    nearest = {round(off / HALF_HOUR) * HALF_HOUR for off in distances}
    if len(nearest) != 1 or 0 in nearest:
        return None
    (whole,) = nearest
    return whole if all(abs(off - whole) < HALF_HOUR // 6 for off in distances) else None


FRESH = 180 * SECOND
"""While anybody is in a call, the newest stamp of a floor is younger than this."""


def looks_off(seats: Sequence[Seat], now: int) -> int | None:
    """By how much (ms, a multiple of half an hour) one answer's stamps look off at `now` on the vendor's clock.

    None if they look right, or if nobody is in a call, so that old stamps say nothing.
    """
    newest = max((stamp for seat in seats for stamp in _stamps(seat) if stamp is not None), default=None)
    if newest is None:
        return None
    if newest - now > FRESH:
        return max(1, round((newest - now) / HALF_HOUR)) * HALF_HOUR
    halves, rest = divmod(now - newest, HALF_HOUR)
    in_call = any(seat.state in ("ringing", "talking") for seat in seats)
    return -halves * HALF_HOUR if in_call and halves > 0 and rest < FRESH else None
