"""An answer whose rows are expected in the same order again: it is compared in blocks of text, and row by row only
where a block differs.

What is taken for a row is one: each piece of a text that is parted at `},{` was either a row before or is read as one
now, and a list of whole JSON objects with commas between them reads as just these.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import accumulate

from streamer.core.model import Seat
from streamer.core.quick.changes import Changes, Layout, Odd, Pair, Row

ROWS = 8
"""Rows of a block: few enough that a changed row costs little, many enough that the others cost next to nothing."""

Block = tuple[bytes, tuple[Seat, ...], tuple[int, ...]]
"""The text of some rows, with the gap before it (none stands before the list's first row), their seats, and where each
row ends in the text."""

Read = Callable[[Row], Seat | None]
Shown = Callable[[Seat], bool]
"""Was there a row of this seat's group and extension in the last answer?"""


def ordered(layout: Layout, texts: Sequence[Row], seats: Sequence[Seat], read: Read, shown: Shown) -> Ordered:
    """The answer that has these rows."""
    blocks: list[Block] = []
    alike: dict[tuple[int, ...], tuple[int, ...]] = {}
    for at in range(0, len(texts), ROWS):
        rows = texts[at : at + ROWS]
        lead = layout.gap if at else b""
        sizes = (len(rows[0]) + len(lead), *(len(row) + len(layout.gap) for row in rows[1:]))
        ends = tuple(accumulate(sizes))
        blocks.append((lead + layout.gap.join(rows), tuple(seats[at : at + ROWS]), alike.setdefault(ends, ends)))
    return Ordered(layout, blocks, len(texts), read, shown)


class Ordered:
    """See the module."""

    def __init__(self, layout: Layout, blocks: list[Block], count: int, read: Read, shown: Shown) -> None:
        self.layout = layout
        self._blocks = blocks
        self._count = count
        self.read = read
        self.shown = shown

    def is_written(self, result: bytes, begin: int) -> bool:
        """Is the list `result`, whose first row begins at `begin`, just this answer?"""
        for text, _, _ in self._blocks:
            if not result.startswith(text, begin):
                return False
            begin += len(text)
        return result[begin:] == self.layout.trail + b"]"

    def __len__(self) -> int:
        """How many rows it has."""
        return self._count

    def seats(self) -> Sequence[Seat]:
        """All of its seats, in order."""
        return [seat for _, seats, _ in self._blocks for seat in seats]

    def texts(self) -> Sequence[bytes]:
        """Each row's text, in order."""
        return [row for number, block in enumerate(self._blocks) for row in self._split(block, number == 0)]

    def _split(self, block: Block, first: bool) -> list[bytes]:
        text, _, ends = block
        gap = len(self.layout.gap)
        begins = (0 if first else gap, *(end + gap for end in ends[:-1]))
        return [text[begin:end] for begin, end in zip(begins, ends, strict=True)]

    def changes(self, text: bytes, begin: int) -> Changes:
        """What another answer, whose first row begins at `begin`, holds beside this one.

        Raises Odd where the rows are not in this order any more, and where one is not read.
        """
        blocks: list[Block] = []
        walk = _Walk(self, text, begin)
        position, matches = begin, text.startswith
        for number, block in enumerate(self._blocks):
            if matches(block[0], position):
                position += len(block[0])
                blocks.append(block)
                continue
            end = walk.in_place(position, block, blocks)
            if end:
                position = end
                continue
            following = self._blocks[number + 1] if number + 1 < len(self._blocks) else None
            position = walk.block(position, self._split(block, number == 0), block[1], following, blocks)
        position = walk.block(position, [], (), None, blocks)
        count = self._count + walk.more
        last = Ordered(self.layout, blocks, count, self.read, self.shown)
        if len(blocks) > 2 * (count // ROWS + ROWS):
            last = ordered(self.layout, last.texts(), last.seats(), self.read, self.shown)
        return Changes(walk.pairs, last, position)


class _Walk:
    """Through those blocks of an answer that differ, row by row."""

    def __init__(self, old: Ordered, text: bytes, begin: int) -> None:
        self._text = text
        self._begin = begin
        self._gap = old.layout.gap
        self._marker = old.layout.marker
        self._end = old.layout.end
        self._read = old.read
        self._shown = old.shown
        self._new: set[tuple[str, str]] = set()
        self.pairs: list[Pair] = []
        self.more = 0

    def in_place(self, position: int, block: Block, blocks: list[Block]) -> int:
        """As `block` where rows have changed in their places, as is mostly so; 0 where that is not all."""
        text, matches = self._text, self._text.startswith
        old, seats, ends = block
        pairs: list[Pair] = []
        stops, moved = ends, position
        at, begin, final = 0, 0, len(ends) - 1
        while True:
            last = final
            while at < last:
                middle = (at + last) // 2
                end = ends[middle]
                if matches(old[begin:end], moved + begin):
                    at, begin = middle + 1, end
                else:
                    last = middle
            start = self._start(moved + begin)
            if start is None:
                return 0
            stop = self._stop(start)
            before, seat = seats[at], self._read(text[start:stop])
            if seat is None or not _same(seat, before):
                return 0
            pairs.append((before, seat))
            seats = (*seats[:at], seat, *seats[at + 1 :])
            begin = ends[at]
            more = stop - moved - begin
            if more:
                stops = (*stops[:at], *[end + more for end in stops[at:]])
                moved += more
            rest = old[begin:]
            if matches(rest, stop):
                break
            at += 1
        stop += len(rest)
        self.pairs += pairs
        blocks.append((text[position:stop], seats, stops))
        return stop

    def block(
        self, position: int, rows: Sequence[bytes], seats: Sequence[Seat], following: Block | None, blocks: list[Block]
    ) -> int:
        """Compare the text from `position` on with a block's rows, and add what is there to `blocks`; the end of that.

        `following` is the block after it, at which it ends at the latest; None: it ends with the list.
        """
        text, begin = self._text, position
        kept: list[Seat] = []
        stops: list[int] = []
        at = 0
        while following is None or not (at == len(rows) or text.startswith(following[0], position)):
            start = self._start(position)
            if start is None:
                break
            if at < len(rows) and text.startswith(rows[at], start):
                seat, stop = seats[at], start + len(rows[at])
                at += 1
            else:
                stop = self._stop(start)
                seat = self._read(text[start:stop])
                if seat is None:
                    raise Odd
                then = next((n for n in range(at, len(seats)) if _same(seat, seats[n])), None)
                if then is not None:
                    self._gone(seats[at:then])
                    self.pairs.append((seats[then], seat))
                    at = then + 1
                elif following is not None and _same(seat, following[1][0]):
                    break
                else:
                    self._came(seat)
            kept.append(seat)
            stops.append(stop)
            position = stop
        self._gone(seats[at:])
        for first in range(0, len(kept), ROWS):
            last = min(first + ROWS, len(kept))
            ends = tuple(stop - begin for stop in stops[first:last])
            blocks.append((text[begin : stops[last - 1]], tuple(kept[first:last]), ends))
            begin = stops[last - 1]
        return position

    def _start(self, position: int) -> int | None:
        """Where the row after `position` begins; None if the list ends there."""
        if position > self._begin:
            if not self._text.startswith(self._gap, position):
                return None
            position += len(self._gap)
        return position if self._text.startswith(b"{", position) else None

    def _stop(self, start: int) -> int:
        """Where the row ends that begins at `start`."""
        found = self._text.find(self._marker, start)
        if found < 0:
            found = self._text.find(self._end, start)
        if found < 0:
            raise Odd
        return found + 1

    def _came(self, seat: Seat) -> None:
        key = (seat.group, seat.extension)
        if key in self._new or self._shown(seat):
            raise Odd  # it was elsewhere before, or is there twice
        self._new.add(key)
        self.pairs.append((None, seat))
        self.more += 1

    def _gone(self, seats: Sequence[Seat]) -> None:
        self.pairs += [(seat, None) for seat in seats]
        self.more -= len(seats)


def _same(one: Seat, other: Seat) -> bool:
    """Are they rows of one extension in one group?"""
    return one.extension == other.extension and one.group == other.group
