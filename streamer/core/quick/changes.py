"""What an answer holds beside the one before it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Protocol, overload

import msgspec

from streamer.core.model import Seat

Row = bytes | msgspec.Raw
"""A row's text."""

Pair = tuple[Seat | None, Seat | None]
"""A row before and after, by its group and extension; None where it was or is not there."""


class Odd(Exception):
    """The answer is not written as the fast path expects it: whoever reads every row has to say what it means."""


class Layout(msgspec.Struct, frozen=True):
    """How the vendor writes the list: what stands between two rows, and between the last row and the list's bracket."""

    gap: bytes
    trail: bytes

    @property
    def marker(self) -> bytes:
        """What parts two rows; no row that is remembered holds it."""
        return b"}" + self.gap + b"{"

    @property
    def end(self) -> bytes:
        """What ends the last row and the list."""
        return b"}" + self.trail + b"]"


class Changes(msgspec.Struct, frozen=True):
    """The rows that are not as before, and the answer to remember in place of the last one.

    `end` is where the last row ends in the text."""

    rows: Sequence[Pair]
    last: Answer
    end: int


class Answer(Protocol):
    """An answer whose rows are known."""

    layout: Layout

    def __len__(self) -> int:
        """How many rows it has."""
        ...

    def seats(self) -> Sequence[Seat]:
        """All of its seats, in order."""
        ...

    def texts(self) -> Sequence[bytes]:
        """Each row's text, in order."""
        ...

    def changes(self, text: bytes, begin: int) -> Changes:
        """What another answer, whose first row begins at `begin`, holds beside this one. Raises Odd."""
        ...


class Rows(Sequence[Seat]):
    """The seats of an answer, gathered only for who asks for them."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer

    def __len__(self) -> int:
        return len(self._answer)

    @overload
    def __getitem__(self, index: int) -> Seat: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Seat]: ...
    def __getitem__(self, index: int | slice) -> Seat | Sequence[Seat]:
        return self._answer.seats()[index]

    def __iter__(self) -> Iterator[Seat]:
        return iter(self._answer.seats())


_WHITE = re.compile(rb"[ \t\r\n]*")
_GAP = re.compile(rb"[ \t\r\n]*,[ \t\r\n]*")


def layout_of(result: bytes, rows: Sequence[Row]) -> tuple[Layout, int] | None:
    """How the list `result`, whose rows these are, seems to be written, and where its first row begins; None where it
    is surely not written alike everywhere."""
    first = _WHITE.match(result, 1)
    begin = first.end() if first else 1
    gap = _GAP.match(result, begin + len(rows[0])) if len(rows) > 1 else None
    layout = Layout(b"," if gap is None else gap[0], result[result.rindex(b"}") + 1 : -1])
    return (layout, begin) if result.count(layout.marker) == len(rows) - 1 else None
