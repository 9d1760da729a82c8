"""The vendor's clock against ours, from the times its answers carry.

An answer's `reqtime` and `rsptime` are whole seconds, rounded down, read somewhere between our request and its
answer: so the vendor's clock minus ours lies in [stamp - answered, stamp + 1 s - requested]. Each answer narrows what
the earlier ones left; where they contradict each other one of the clocks has jumped.
"""

from __future__ import annotations

from streamer.core.model import SECOND, Offset

DRIFT_PER_SECOND = 0.0002
"""How far two clocks may part: 200 millionths, four times what a quartz that nobody disciplines is allowed."""

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
    return Offset(min(known.low, measured.low), max(known.high, measured.high)), True
