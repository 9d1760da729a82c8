"""Events → intervals: examples, and properties over histories in which anything may be missing or come again."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from streamer.client import AgentStateChanged
from tests.consumers.wfm.histories import Memory, Telephone, check, histories


def test_a_day_at_the_phone() -> None:
    """Each event ends one interval and opens the next; the last one is open; bounds are the closing event's."""
    phone, ledger = Telephone(), Memory()
    ledger.take(phone.first("available", 0), phone.to("ringing", 10), phone.to("talking", 14, "inferred"))
    changed = ledger.take(phone.to("signed_out", 60))
    assert ledger.shown() == [
        ("available", 0, 10, "observed"),
        ("ringing", 10, 14, "observed"),
        ("talking", 14, 60, "inferred"),
        ("signed_out", 60, None, "observed"),
    ]
    talk, out = changed
    assert (talk.opened, talk.closed, talk.revision, out.revision) == (3, 4, 2, 1)
    assert (talk.min_s, talk.max_s, out.min_s) == (45, 47, None)


def test_groups_change_agent_and_groups_only() -> None:
    """The interval goes on, with the next revision."""
    phone, ledger = Telephone(), Memory()
    ledger.take(phone.first("available", 0))
    (one,) = ledger.take(phone.groups(("b", "a"), 5, agent="Bea"))
    assert (one.agent, one.groups, one.start, one.end, one.revision) == ("Bea", ("a", "b"), one.start, None, 2)
    ledger.take(phone.to("talking", 9))
    assert ledger.shown() == [("available", 0, 9, "observed"), ("talking", 9, None, "observed")]


def test_what_was_between_is_not_known() -> None:
    """Where events are missing there is an interval without a state, up to what the next event tells of the past."""
    phone, ledger = Telephone(), Memory()
    told = [phone.first("available", 0), phone.to("ringing", 10), phone.to("talking", 14), phone.to("available", 60)]
    ledger.take(told[0], told[3])
    assert ledger.shown() == [
        (None, 0, 14, "gap"),
        ("talking", 14, 60, "previous"),
        ("available", 60, None, "observed"),
    ]
    ledger.take(told[2])
    assert ledger.shown()[:3] == [
        ("available", 0, 10, "observed"),
        ("ringing", 10, 14, "previous"),
        ("talking", 14, 60, "observed"),
    ]
    ledger.take(*told)
    assert ledger.shown() == [
        ("available", 0, 10, "observed"),
        ("ringing", 10, 14, "observed"),
        ("talking", 14, 60, "observed"),
        ("available", 60, None, "observed"),
    ]
    assert [one.revision for one in ledger.line] == [4, 2, 2, 1]


def test_missing_changes_of_groups_leave_nothing_unknown() -> None:
    """The next event proves that the state was the same one all along."""
    phone, ledger = Telephone(), Memory()
    told = [phone.first("available", 0), phone.groups(("a",), 3), phone.groups(("b",), 4), phone.to("paused", 9)]
    ledger.take(told[0], told[3])
    assert ledger.shown() == [("available", 0, 9, "observed"), ("paused", 9, None, "observed")]


def test_a_lost_epoch_has_no_state() -> None:
    """Nobody knows how long the last state before it lasted; time does not go back over it."""
    phone, ledger = Telephone(), Memory()
    ledger.take(phone.first("available", 0), phone.to("talking", 10))
    ledger.take(phone.first("talking", 50, epoch="6b039011"), phone.first("paused", 40, epoch="6b039012"))
    assert ledger.shown() == [
        ("available", 0, 10, "observed"),
        (None, 10, 50, "epoch_lost"),
        (None, 50, 50, "epoch_lost"),
        ("paused", 50, None, "observed"),
    ]


def test_signed_out_lasts_until_the_next_epoch() -> None:
    """An epoch ends only after signed_out: nothing is unknown between the two."""
    phone, ledger = Telephone(), Memory()
    ledger.take(phone.first("available", 0), phone.to("signed_out", 10), phone.first("idle", 90, epoch="6b039011"))
    assert ledger.shown()[1:] == [("signed_out", 10, 90, "observed"), ("idle", 90, None, "observed")]


def test_reading_that_begins_in_the_middle() -> None:
    """The first event tells what was before it, and not more."""
    phone, ledger = Telephone(), Memory()
    told = [phone.first("available", 0), phone.to("ringing", 10), phone.to("talking", 14)]
    ledger.take(told[2])
    assert ledger.shown() == [("ringing", 10, 14, "previous"), ("talking", 14, None, "observed")]
    later = Memory()
    later.take(phone.groups(("a",), 20))
    assert later.shown() == [("talking", 14, None, "previous")]


@given(histories(), st.data())
def test_never_overlapping_whatever_is_missing(told: list[AgentStateChanged], data: st.DataObject) -> None:
    """Of any part of a history in any order: contiguous, nothing negative, the sum is the span."""
    part = data.draw(st.lists(st.sampled_from(told), unique_by=lambda e: (e.epoch, e.sequence)))
    ledger = Memory()
    for event in part:
        ledger.take(event)
        check(ledger.line)
    if line := ledger.line:
        spent = sum(one.end - one.start for one in line if one.end is not None)
        assert spent == line[-1].start - line[0].start


@given(histories(), st.data())
def test_reading_again_changes_nothing(told: list[AgentStateChanged], data: st.DataObject) -> None:
    """No interval and no revision, whichever of the events come again."""
    ledger = Memory()
    ledger.take(*told)
    kept = dict(ledger.kept)
    for event in data.draw(st.lists(st.sampled_from(told))):
        assert ledger.take(event) == []
    assert ledger.kept == kept


@given(histories(), st.data())
def test_what_is_known_of_a_part_is_true(told: list[AgentStateChanged], data: st.DataObject) -> None:
    """Where a part of the events leads to a state, all of them lead to the same one at that moment.

    The last event of each epoch is there: that others followed a signed_out could not be known.
    """
    part = data.draw(st.lists(st.sampled_from(told), unique_by=lambda e: (e.epoch, e.sequence)))
    ends = {event.epoch: event for event in told}.values()
    part += [event for event in ends if event not in part]
    whole, some = Memory(), Memory()
    whole.take(*told)
    some.take(*sorted(part, key=lambda e: (e.epoch, e.sequence)))
    for one in some.line:
        if one.state is None or one.end is None or one.start == one.end:
            continue
        for true in whole.line:
            if true.start < one.end and (true.end is None or true.end > one.start) and true.start != true.end:
                assert true.state in (one.state, None)


@given(histories(back=0), st.data())
def test_a_gap_is_filled_by_reading_from_the_beginning(told: list[AgentStateChanged], data: st.DataObject) -> None:
    """Then all that has a length is as if nothing had ever been missing, and no interval has a lower revision."""
    whole, ledger = Memory(), Memory()
    whole.take(*told)
    part = data.draw(st.lists(st.sampled_from(told), unique_by=lambda e: (e.epoch, e.sequence)))
    ledger.take(*sorted(part, key=lambda e: (e.epoch, e.sequence)))
    before = dict(ledger.kept)
    ledger.take(*told)
    assert _merged(ledger) == _merged(whole)
    assert all(ledger.kept[key].revision >= one.revision for key, one in before.items())
    assert all(
        ledger.kept[key].revision > one.revision
        for key, one in before.items()
        if msgspec.structs.replace(one, through=ledger.kept[key].through) != ledger.kept[key]
    )


def _merged(ledger: Memory) -> list[tuple[str | None, int, int | None]]:
    found: list[tuple[str | None, int, int | None]] = []
    for one in ledger.line:
        if one.start == one.end:
            continue
        if found and found[-1][0] == one.state:
            found[-1] = (one.state, found[-1][1], one.end)
        else:
            found.append((one.state, one.start, one.end))
    return found
