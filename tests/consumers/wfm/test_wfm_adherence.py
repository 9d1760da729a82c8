"""Adherence: the example of docs/wfm.md, worked out by hand there, and what schedule files may get wrong."""

from __future__ import annotations

import re
from datetime import datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.client import AgentStateChanged
from streamer.config.wfm import BREAK, PHONE
from streamer.consumers.wfm.adherence import adherence
from streamer.consumers.wfm.schedule import Activity, read_schedule
from streamer.errors import ConfigError
from tests.consumers.wfm.histories import Memory, Telephone, histories, ms

ACTIVITIES = {"phone": PHONE, "break": BREAK}
HOUR, MINUTE = 3600, 60


def clock(text: str) -> float:
    """HH:MM:SS of that day, in seconds after 10:00."""
    hours, minutes, seconds = map(int, text.split(":"))
    return (hours - 10) * HOUR + minutes * MINUTE + seconds


def test_the_example_of_the_page(tmp_path: Path) -> None:
    """docs/wfm.md works the same numbers out by hand."""
    phone, ledger = Telephone(agent="Ann"), Memory()
    ledger.take(phone.first("signed_out", clock("08:50:00")))
    for state, when in (
        ("available", "09:04:00"),
        ("talking", "09:20:00"),
        ("paused", "10:00:30"),
        ("available", "10:17:00"),
        ("paused", "10:40:00"),
        ("talking", "10:45:00"),
        ("signed_out", "11:58:00"),
    ):
        ledger.take(phone.to(state, clock(when)))
    file = tmp_path / "schedule.csv"
    file.write_text(
        "agent,start,end,activity\n"
        "Ann,2026-11-23T09:00:00+08:00,2026-11-23T10:00:00+08:00,phone\n"
        "Ann,2026-11-23T10:00:00+08:00,2026-11-23T10:15:00+08:00,break\n"
        "Ann,2026-11-23T10:15:00+08:00,2026-11-23T12:00:00+08:00,phone\n"
    )
    schedule = read_schedule(file, ACTIVITIES)
    found = adherence(schedule, ledger.line, {"floor": ms(clock("11:59:30"))}, ACTIVITIES, 60_000)
    assert [(one.in_ms, one.out_ms, one.unknown_ms, one.percent) for one in found] == [
        (3_420_000, 180_000, 0, 95.0),
        (900_000, 0, 0, 100.0),
        (5_850_000, 420_000, 30_000, 93.3),
    ]
    assert [[(d.kind, d.start, d.end) for d in one.deviations] for one in found] == [
        [("late", ms(clock("09:01:00")), ms(clock("09:04:00")))],
        [],
        [
            ("late", ms(clock("10:16:00")), ms(clock("10:17:00"))),
            ("away", ms(clock("10:40:00")), ms(clock("10:45:00"))),
            ("early", ms(clock("11:58:00")), ms(clock("11:59:00"))),
        ],
    ]


def one(start: float, end: float, name: str = "phone", who: str = "Ann", source: str | None = None) -> Activity:
    return Activity("agent", who, source, ms(start), ms(end), name, 2)


def test_absent_all_the_time_unknown_and_nobody() -> None:
    """Away from one grace to the other; a gap and an unknown code are not known; so is whoever was never seen."""
    phone, ledger = Telephone(), Memory()
    ledger.take(phone.first("signed_out", 0), phone.to("unknown", 500))
    complete = {"floor": ms(900)}
    (away,) = adherence([one(0, 400)], ledger.line, complete, ACTIVITIES, 60_000)
    assert (away.in_ms, away.out_ms) == (120_000, 280_000)
    assert [d.kind for d in away.deviations] == ["away"]
    (unsure,) = adherence([one(500, 1000)], ledger.line, complete, ACTIVITIES, 0)
    assert (unsure.in_ms, unsure.out_ms, unsure.unknown_ms, unsure.percent) == (0, 0, 500_000, None)
    (nobody,) = adherence([one(0, 400, who="Bea")], ledger.line, complete, ACTIVITIES, 0)
    assert nobody.unknown_ms == 400_000
    (elsewhere,) = adherence([one(0, 400, source="other")], ledger.line, complete, ACTIVITIES, 0)
    assert elsewhere.unknown_ms == 400_000


def test_one_extension_that_adheres_is_enough() -> None:
    """Who has two telephones need not talk on both."""
    first, second = Memory(), Memory()
    first.take(Telephone("1").first("paused", 0))
    second.take(Telephone("2").first("talking", 0))
    (both,) = adherence([one(0, 100)], [*first.line, *second.line], {"floor": ms(100)}, ACTIVITIES, 0)
    assert both.in_ms == 100_000


@given(histories(), st.integers(-5, 60), st.integers(1, 60), st.integers(0, 20), st.integers(-5, 100))
def test_every_millisecond_is_in_out_or_unknown(
    told: list[AgentStateChanged], start: int, length: int, grace: int, complete: int
) -> None:
    """And what is out is what the deviations say."""
    ledger = Memory()
    ledger.take(*told)
    plan = one(start, start + length)
    (found,) = adherence([plan], ledger.line, {"floor": ms(complete)}, ACTIVITIES, grace * 1000)
    assert found.in_ms + found.out_ms + found.unknown_ms == length * 1000
    assert sum(d.end - d.start for d in found.deviations) == found.out_ms
    (strict,) = adherence([plan], ledger.line, {"floor": ms(complete)}, ACTIVITIES, 0)
    assert found.unknown_ms == strict.unknown_ms
    assert found.out_ms <= strict.out_ms


ROW = "Ann,2026-11-23T09:00:00+08:00,2026-11-23T10:00:00+08:00,phone"
HEADER = "agent,start,end,activity\n"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "s.csv: it is empty; give it the header"),
        ("agent,start,end\n", "s.csv:1: no column activity"),
        ("start,end,activity\n", "s.csv:1: no column agent"),
        ("agent,extension,start,end,activity\n", "s.csv:1: column 'agent beside extension' is one too many"),
        ("agent,start,end,activity,pay\n", "s.csv:1: column 'pay' is one too many"),
        (HEADER + ROW + ",more", "s.csv:2: 5 values for 4 columns"),
        (HEADER + "\n" + ROW.replace("phone", "golf"), "s.csv:3: activity 'golf' is not in wfm.activities; add it"),
        (HEADER + ROW.replace("Ann", ""), "s.csv:2: agent is empty"),
        (HEADER + ROW.replace("2026-11-23T09:00:00+08:00", "nine"), "s.csv:2: start is no time; write it like"),
        (HEADER + ROW.replace("09:00:00+08:00", "09:00:00"), "s.csv:2: start has no zone"),
        (HEADER + ROW.replace("T10:", "T08:"), "s.csv:2: end is not after start"),
        (HEADER + ROW + "\n" + ROW.replace("T09:00", "T09:59"), "s.csv:3: overlaps with line 2"),
        (HEADER + '"Ann', "s.csv:2: not valid CSV"),
    ],
)
def test_each_wrong_row_is_named(text: str, words: str, tmp_path: Path) -> None:
    """File, line and remedy."""
    (tmp_path / "s.csv").write_text(text)
    with pytest.raises(ConfigError, match=re.escape(words)):
        read_schedule(tmp_path / "s.csv", ACTIVITIES)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    """None there, and none in UTF-8; a byte order mark is no harm."""
    path = tmp_path / "s.csv"
    with pytest.raises(ConfigError, match="give a readable file with --schedule"):
        read_schedule(path, ACTIVITIES)
    path.write_bytes(b"agent,start\xff")
    with pytest.raises(ConfigError, match="not UTF-8"):
        read_schedule(path, ACTIVITIES)
    path.write_bytes(b"\xef\xbb\xbf" + (HEADER + ROW).encode())
    (row,) = read_schedule(path, ACTIVITIES)
    assert row.start == datetime.fromisoformat("2026-11-23T09:00:00+08:00").timestamp() * 1000
