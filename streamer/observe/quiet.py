"""What keeps a log short: things that are told once, and things that are told now and then."""

from __future__ import annotations

from collections.abc import Callable

QUIET = 300.0
"""Seconds for which what comes and goes, at every other poll perhaps, is not told again."""


class Quiet:
    """What was told of each source. `now` is a clock that does not jump, in seconds."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._once: set[tuple[str, str]] = set()
        self._at: dict[tuple[str, str], float] = {}

    def first(self, source: str, what: str) -> bool:
        """Is it the first of its kind since we have the source?"""
        known = (source, what) in self._once
        self._once.add((source, what))
        return not known

    def lately(self, source: str, what: str) -> bool:
        """Was it told within QUIET? If not, it is now."""
        now = self._now()
        if now - self._at.get((source, what), -QUIET) < QUIET:
            return True
        self._at[source, what] = now
        return False

    def forget(self, source: str) -> None:
        """The source is another's now. What was told of it lately still was."""
        self._once = {key for key in self._once if key[0] != source}
