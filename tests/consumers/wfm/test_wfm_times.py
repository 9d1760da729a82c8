"""Time in state: what counts where, what is final, and that every millisecond is somewhere."""

from __future__ import annotations

from datetime import date
from itertools import pairwise
from zoneinfo import ZoneInfo

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from streamer.client import AgentStateChanged
from streamer.consumers.wfm.times import NOT_YET, QUARTER, day_of, quarters, times
from tests.consumers.wfm.histories import Memory, Telephone, histories, ms


def test_days_and_quarters() -> None:
    """A day is the zone's, also where clocks are put back or forth."""
    shanghai = day_of(date(2026, 11, 23), ZoneInfo("Asia/Shanghai"))
    assert shanghai == (ms(-10 * 3600), ms(14 * 3600))
    assert len(quarters(shanghai)) == 96
    berlin = ZoneInfo("Europe/Berlin")
    assert [len(quarters(day_of(date(2026, m, d), berlin))) for m, d in ((3, 29), (10, 25))] == [92, 100]


def test_open_intervals_count_until_complete_and_no_further() -> None:
    """The rest is not known yet; only a span that ends by then is final."""
    phone, ledger = Telephone(), Memory()
    ledger.take(phone.first("available", 0), phone.to("talking", 60))
    spans = [(ms(0), ms(0) + QUARTER), (ms(900), ms(1800)), (ms(1800), ms(2700))]
    found = times(ledger.line, {"floor": ms(1000)}, spans)
    assert [(one.in_state, one.final) for one in found] == [
        ({"available": 60_500, "talking": 839_500}, True),
        ({"talking": 100_000, NOT_YET: 800_000}, False),
    ]
    assert [one.in_state for one in times(ledger.line, {}, spans)] == [{"available": 60_500, NOT_YET: 839_500}]
    assert [one.final for one in times(ledger.line, {"floor": ms(900)}, spans)] == [True]
    assert [one.final for one in times(ledger.line, {"floor": ms(899)}, spans)] == [False]


def test_by_agent_and_by_extension_without_a_name() -> None:
    """An agent with two extensions has the sum."""
    ledgers = [Memory(), Memory(), Memory()]
    for ledger, extension, agent in zip(ledgers, "123", ("Ann", "Ann", ""), strict=True):
        ledger.take(Telephone(extension, agent).first("available", 0))
    line = [one for ledger in ledgers for one in ledger.line]
    found = times(line, {"floor": ms(10)}, [(ms(0), ms(10))])
    assert [(one.name, dict(one.in_state)) for one in found] == [
        ("3", {"available": 10_000}),
        ("Ann", {"available": 20_000}),
    ]


def test_gaps_are_not_known() -> None:
    """Neither in the state before nor in the one after."""
    phone, ledger = Telephone(), Memory()
    told = [phone.first("available", 0), phone.to("ringing", 2), phone.to("talking", 5), phone.to("paused", 8)]
    ledger.take(told[0], told[3])
    (one,) = times(ledger.line, {"floor": ms(10)}, [(ms(0), ms(10))])
    assert one.in_state == {"not_known": 5500, "talking": 3000, "paused": 1500}


@given(histories(), st.integers(-5, 100), st.lists(st.integers(1, 40), min_size=1, max_size=6))
def test_every_millisecond_is_somewhere(told: list[AgentStateChanged], complete: int, lengths: list[int]) -> None:
    """From the first event on each span's times are its length, and spans add up to the whole."""
    ledger = Memory()
    ledger.take(*told)
    line = [msgspec.structs.replace(one, agent="Ann") for one in ledger.line]
    cuts = [line[0].start]
    for length in lengths:
        cuts.append(cuts[-1] + length * 1000)
    spans = list(pairwise(cuts))
    found = times(line, {"floor": ms(complete)}, spans)
    for one in found:
        assert sum(one.in_state.values()) == one.end - one.start
    (whole,) = times(line, {"floor": ms(complete)}, [(cuts[0], cuts[-1])]) or [None]
    if whole:
        for state in whole.in_state.keys() - {NOT_YET}:
            assert whole.in_state[state] == sum(one.in_state.get(state, 0) for one in found)
