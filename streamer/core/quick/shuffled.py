"""An answer whose rows come in any order: each is looked up by its text among those of the answer before.

That costs a hash of every row; what is in order is compared by `ordered` for much less.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import islice, repeat
from operator import eq

from streamer.core.model import Seat
from streamer.core.quick.changes import Answer, Changes, Layout, Odd, Pair
from streamer.core.quick.ordered import Read, Shown, ordered

LOOK = 32
"""Rows at the beginning that tell whether the rows keep an order after all."""

SETTLED = LOOK * 3 // 4
"""So many of them in their places mean that they do."""


def shuffled(layout: Layout, texts: Sequence[bytes], seats: Sequence[Seat], read: Read, shown: Shown) -> Shuffled:
    """The answer that has these rows."""
    known = {text[1:-1]: seat for text, seat in zip(texts, seats, strict=True)}
    return Shuffled(layout, known, read, shown)


class Shuffled:
    """See the module. The rows' texts are kept without their braces, as they come from parting the list."""

    def __init__(self, layout: Layout, known: Mapping[bytes, Seat], read: Read, shown: Shown) -> None:
        self.layout = layout
        self._known = known
        self._read = read
        self._shown = shown
        self._part = re.compile(re.escape(layout.marker)).split

    def __len__(self) -> int:
        """How many rows it has."""
        return len(self._known)

    def seats(self) -> Sequence[Seat]:
        """All of its seats, in order."""
        return list(self._known.values())

    def texts(self) -> Sequence[bytes]:
        """Each row's text, in order."""
        return [b"{%s}" % text for text in self._known]

    def changes(self, text: bytes, begin: int) -> Changes:
        """What another answer, whose first row begins at `begin`, holds beside this one.

        Raises Odd where two of its rows are for the same group and extension, and where one is not read.
        """
        end = text.rfind(self.layout.end)
        if end < begin or not text.startswith(b"{", begin):
            raise Odd
        parts = self._part(text[begin + 1 : end])
        gone = dict(self._known)
        rows = dict(zip(parts, map(gone.pop, parts, repeat(None)), strict=True))
        if len(rows) != len(parts):
            raise Odd
        left = {(seat.group, seat.extension): seat for seat in gone.values()}
        pairs: list[Pair] = []
        came: set[tuple[str, str]] = set()
        for part in [part for part, seat in rows.items() if seat is None]:
            seat = self._read(b"{%s}" % part)
            if seat is None:
                raise Odd
            key = (seat.group, seat.extension)
            before = left.pop(key, None)
            if key in came or (before is None and self._shown(seat)):
                raise Odd
            came.add(key)
            rows[part] = seat
            pairs.append((before, seat))
        pairs += [(seat, None) for seat in left.values()]
        return Changes(pairs, self._last(parts, rows), end + 1)  # pyright: ignore[reportArgumentType]

    def _last(self, parts: Sequence[bytes], rows: Mapping[bytes, Seat]) -> Answer:
        settled = sum(map(eq, parts, islice(self._known, LOOK))) >= min(SETTLED, len(parts))
        last = Shuffled(self.layout, rows, self._read, self._shown)
        return ordered(self.layout, last.texts(), last.seats(), self._read, self._shown) if settled else last
