"""Moments with honest bounds: from a vendor's stamp, or from the two polls alone."""

from __future__ import annotations

import msgspec

from streamer.core.model import SECOND, When, Window


def between(window: Window, *evidence: str) -> When:
    """The polls alone bound it: the best estimate is their middle."""
    return When((window.start + window.end) // 2, window.start, window.end, evidence)


def at_stamp(stamp: int, *evidence: str) -> When:
    """A vendor's stamp means the second that begins with it."""
    return When(stamp, stamp, stamp + SECOND, evidence)


def gone(window: Window) -> Window:
    """The window for a seat that is no longer there."""
    if window.absent_end is None:
        return window
    start = min(window.start, window.absent_end)
    return msgspec.structs.replace(window, start=start, end=window.absent_end, absent_end=None)


def within(window: Window, *, start: int | None = None, end: int | None = None) -> Window:
    """The window cut down to what is later than `start` and earlier than `end`, as far as that leaves something."""
    low = window.start if start is None else min(window.end, max(window.start, start))
    high = window.end if end is None else max(low, min(window.end, end))
    return msgspec.structs.replace(window, start=low, end=high)
