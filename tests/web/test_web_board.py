"""The wallboard's pages, and what they are told."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from streamer.errors import KafkaUnavailable
from streamer.observe.troubles import Troubles
from streamer.web.board import BEHIND, FEEDS_APART, FEEDS_DUE, MOST_PAGES, READING, Board, Page
from streamer.web.floor import HOUR
from tests.web.floor import AT, agent, event, feed, floor_of, records


async def next_of(page: Page) -> tuple[str, dict[str, Any]]:
    async with asyncio.timeout(5):
        name, data = await page.get()
    return name, json.loads(data)


def showing(*read: Any, troubles: Troubles | None = None) -> Board:
    """A board that shows a floor of those records."""
    board = Board(troubles or Troubles())
    board.show(floor_of(list(read)), AT)
    board.beat(AT)
    return board


async def test_a_page_gets_everything_first_and_then_each_change() -> None:
    """In the order in which it was committed."""
    board = showing(*records(states=[agent("1")]))
    page = board.open_page(AT)
    name, first = await next_of(page)
    assert (name, [a["extension"] for a in first["agents"]]) == ("snapshot", ["1"])
    board.floor.take(records([event(agent("2"))], [agent("2")]), board.changes)
    board.beat(AT + 100)
    name, change = await next_of(page)
    assert (name, [a["extension"] for a in change["agents"]]) == ("change", ["2"])
    assert [(line["extension"], line["from"], line["to"]) for line in change["events"]] == [("2", None, "available")]
    board.floor.take(records(forgotten=["1"]), board.changes)
    board.beat(AT + 200)
    assert (await next_of(page))[1]["forgotten"] == [["floor", "1"]]
    assert [a.extension for a in board.snapshot(AT)["agents"]] == ["2"]


async def test_a_floor_that_was_read_anew_is_told_whole() -> None:
    """What was lost from sight meanwhile shows."""
    board = showing(*records(states=[agent("1")]))
    page = board.open_page(AT)
    await next_of(page)
    board.show(floor_of(records(states=[agent("2")])), AT)
    name, again = await next_of(page)
    assert (name, [a["extension"] for a in again["agents"]]) == ("snapshot", ["2"])


async def test_feeds_are_told_when_they_change_but_not_at_every_commit() -> None:
    """And often enough for a page to know that it still has its server."""
    board = showing(*records(feeds=[feed()]))
    page = board.open_page(AT)
    await next_of(page)
    told: list[tuple[int, str]] = []
    for after in range(0, 3 * FEEDS_DUE, 100):
        if after < FEEDS_DUE:
            board.floor.take(records(feeds=[feed(at=AT + after)]), board.changes)
        board.beat(AT + after)
        while page._waiting:  # pyright: ignore[reportPrivateUsage]
            told.append((after, (await next_of(page))[0]))
    moments = [after for after, name in told if name == "feeds"]
    gaps = [b - a for a, b in zip([0, *moments], moments, strict=False)]
    assert min(gaps) >= FEEDS_APART
    assert max(gaps) <= FEEDS_DUE
    assert len(moments) > FEEDS_DUE / FEEDS_APART


def test_what_is_wrong_is_shown_before_anything_of_it_can_be_committed() -> None:
    """Kafka away, polling stopped, the record not read yet: a page must not look current then."""
    troubles = Troubles()
    board = Board(troubles)
    assert board.snapshot(AT)["feeds"]["kafka"] == READING
    board.show(floor_of(records(feeds=[feed(), feed("other")])), AT)
    assert board.snapshot(AT)["feeds"]["kafka"] == ""
    board.away("cannot read")
    assert board.snapshot(AT)["feeds"]["kafka"] == "cannot read"
    troubles.kafka(KafkaUnavailable("Kafka is away", "start it"))
    troubles.blocked("floor", "the outbox is full")
    feeds = board.snapshot(AT)["feeds"]
    assert feeds["kafka"] == "Kafka is away; start it"
    sources = feeds["sources"]
    assert (sources["floor"].status, sources["floor"].reason) == ("stale", "polling has stopped: the outbox is full")
    assert sources["other"].status == "live"
    troubles.released("floor")
    assert board.snapshot(AT)["feeds"]["sources"]["floor"].status == "live"


async def test_kafkas_absence_is_told_within_a_beat() -> None:
    """Not only with the next news of a feed, which cannot come."""
    troubles = Troubles()
    board = showing(troubles=troubles)
    page = board.open_page(AT)
    await next_of(page)
    troubles.kafka(KafkaUnavailable("away", "wait"))
    board.beat(AT + 100)
    assert (await next_of(page))[1]["kafka"] == "away; wait"


async def test_a_page_that_lags_is_dropped_with_all_that_waits_for_it() -> None:
    """It costs no memory, and the others go on."""
    board = showing()
    slow, quick = board.open_page(AT), board.open_page(AT)
    await next_of(quick)
    many = records(states=[agent(str(n), "x" * 10_000) for n in range(100)])
    for n in range(BEHIND // 1_000_000 + 2):
        board.floor.take(many, board.changes)
        board.beat(AT + 100 * n)
        while (await next_of(quick))[0] != "change":
            pass
    assert slow.over.is_set()
    assert not slow._waiting  # pyright: ignore[reportPrivateUsage]
    assert not quick.over.is_set()


async def test_the_end_is_told_to_all_pages_also_to_late_ones() -> None:
    """Nobody keeps a stream open past the server's end."""
    board = showing()
    early = board.open_page(AT)
    board.close_all()
    assert early.over.is_set()
    assert board.open_page(AT).over.is_set()


def test_so_many_pages_and_no_more() -> None:
    """Whoever opens streams by the thousand takes nothing from the others."""
    board = showing()
    pages = [board.open_page(AT) for _ in range(MOST_PAGES + 1)]
    assert [page.over.is_set() for page in pages[-2:]] == [False, True]


def test_a_timeline_is_the_last_hour_of_one_extension() -> None:
    """None of one that nobody knows."""
    board = showing(
        *records([event(agent("1"), AT - HOUR - 1), event(agent("1"), AT), event(agent("2"))], [agent("1")])
    )
    timeline = board.timeline("floor", "1", AT)
    assert timeline is not None
    assert [line.at for line in timeline["events"]] == [AT]
    assert (timeline["from"], timeline["state"]) == (AT - HOUR, "available")
    assert board.timeline("floor", "9", AT) is None


def test_old_transitions_are_let_go_of_by_the_minute() -> None:
    """A page that is left open for a year costs no more than one of today."""
    board = showing(*records([event(agent("1"))]))
    board.beat(AT + 2 * HOUR)
    assert board.floor.past(("floor", "1")) == []
