"""Gives back what a large transaction took for a moment: glibc keeps freed memory otherwise, for good."""

from __future__ import annotations

import ctypes

MANY = 10_000
"""Records of a transaction after which it pays: some milliseconds of work for tens of megabytes."""


def give_back() -> None:
    """Return free memory to the system, where the C library can be asked to."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
