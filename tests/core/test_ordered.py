"""An answer in the same order as the last: only what changed is read, and it is remembered as it is written."""

from __future__ import annotations

from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from streamer.core.model import Seat
from streamer.core.quick.changes import Layout, Row
from streamer.core.quick.ordered import ordered
from tests.core.builders import seat


class Reading:
    """Reads rows that hold their extension's number, and counts them."""

    def __init__(self) -> None:
        self.read: list[bytes] = []

    def __call__(self, row: Row) -> Seat:
        text = bytes(row)
        self.read.append(text)
        return named(text)


def named(text: bytes) -> Seat:
    """What `row` makes is read as this seat."""
    return seat(extension=text[1:5].decode(), answers=len(text))


def row(number: int, random: Random) -> bytes:
    """A row of this extension that differs from its others, mostly in its length too."""
    return b"{%04d%s}" % (number, b"".join(random.choices((b"x", b"yy", b"zzz"), k=random.randrange(1, 9))))


@settings(max_examples=100)
@given(st.integers(0, 2**32), st.integers(1, 40), st.sampled_from((b",", b" , \n")))
def test_rows_that_changed_in_their_places_are_read_once_and_no_others(seed: int, count: int, gap: bytes) -> None:
    """However many of a block, whatever their length; and again with the answer after it."""
    random, reading, layout = Random(seed), Reading(), Layout(gap, b"")
    rows = [row(number, random) for number in range(count)]
    last = ordered(layout, rows, [named(text) for text in rows], reading, lambda _: False)
    for _ in range(3):
        before, reading.read = rows, []
        rows = [row(number, random) if random.random() < 0.2 else text for number, text in enumerate(before)]
        answer = b"[" + gap.join(rows) + b"]"
        found = last.changes(answer, 1)
        changed = [(named(old), named(new)) for old, new in zip(before, rows, strict=True) if old != new]
        assert found.rows == changed
        assert reading.read == [new for old, new in zip(before, rows, strict=True) if old != new]
        assert found.end == len(answer) - 1
        last = found.last
        assert (last.texts(), last.seats()) == (rows, [named(text) for text in rows])
