"""What follows what, without Kafka."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from streamer.client import AgentStateChanged, EpochLost, Gap, Last, Repeat
from streamer.client.sequences import check
from tests.client.produced import event


def typed(extension: str, sequence: int, state: str = "available", epoch: str = "6b039010") -> AgentStateChanged:
    return msgspec.convert(event(extension, sequence, state, epoch=epoch), AgentStateChanged)


def read(*events: AgentStateChanged, whole: bool = True) -> list[Gap | Repeat | EpochLost | None]:
    numbers: dict[str, Last] = {}
    return [check(numbers, f"floor/{e.extension}", e, 0, n, whole=whole) for n, e in enumerate(events)]


def test_one_after_another_is_in_order() -> None:
    """The usual case finds nothing."""
    assert read(typed("1", 1), typed("2", 1), typed("1", 2), typed("1", 3)) == [None] * 4


def test_what_began_before_us_is_no_gap_unless_we_have_seen_all() -> None:
    """Older events may have been deleted with age; then the first one counts as it is."""
    assert read(typed("1", 7), typed("1", 8), whole=False) == [None, None]
    assert read(typed("1", 7), typed("1", 8)) == [Gap("floor/1", "6b039010", 1, 6), None]


def test_an_epoch_ends_with_signed_out_or_is_lost() -> None:
    """A new epoch without it means that what happened is not known, and it begins with number 1."""
    out, new = typed("1", 2, "signed_out"), typed("1", 1, epoch="6b039fff")
    assert read(typed("1", 1), out, new) == [None, None, None]
    assert read(typed("1", 1), new) == [None, EpochLost("floor/1", Last("6b039010", 1, "available"), "6b039fff")]
    late = typed("1", 3, epoch="6b039fff")
    assert read(typed("1", 1), out, late) == [None, None, Gap("floor/1", "6b039fff", 1, 2)]


def test_an_older_epoch_is_a_repeat() -> None:
    """The epoch's name is the second in which it began: records of an older one come a second time."""
    new = typed("1", 1, epoch="6b039fff")
    found = read(typed("1", 1), typed("1", 2, "signed_out"), new, typed("1", 2, "signed_out"))
    assert found == [None, None, None, Repeat("floor/1/6b039010/2", 0, 3)]


@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(1, 12)), max_size=40))
def test_each_number_is_given_out_once_or_told_missing(sent: list[tuple[str, int]]) -> None:
    """Whatever comes in whatever order: given out rises, and given out and gaps together are all numbers up to it."""
    told = read(*(typed(extension, number) for extension, number in sent))
    for extension in "ab":
        accounted: list[int] = []
        for (one, number), found in zip(sent, told, strict=True):
            if one != extension or isinstance(found, Repeat):
                continue
            assert not isinstance(found, EpochLost)
            if found is not None:
                accounted += range(found.first, found.last + 1)
            accounted.append(number)
        highest = max((number for one, number in sent if one == extension), default=0)
        assert accounted == list(range(1, highest + 1))
