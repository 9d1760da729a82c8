"""The wallboard's state, as pages are told of it."""

from __future__ import annotations

import asyncio
import json

from streamer.errors import KafkaUnavailable
from streamer.web.board import BEHIND, LATEST, Board, Page
from tests.web.floor import AT, agent, event


async def next_of(page: Page) -> tuple[str, dict[str, object]]:
    async with asyncio.timeout(5):
        name, data = await page.get()
    return name, json.loads(data)


async def test_a_page_gets_everything_first_and_then_each_change() -> None:
    """In the order of the commits."""
    board = Board()
    board.restored("floor", {"1": agent("1")})
    page = board.open_page()
    board.committed("floor", [event(agent("2"))], [agent("2")], [], AT)
    board.committed("floor", [], [], ["1"], AT)
    board.feed("floor", "live", "")
    name, first = await next_of(page)
    assert (name, [a["extension"] for a in first["agents"]]) == ("snapshot", ["1"])  # type: ignore[index,attr-defined]
    name, change = await next_of(page)
    assert name == "change"
    assert len(change["events"]) == len(change["agents"]) == 1  # type: ignore[arg-type]
    assert (await next_of(page))[1]["forgotten"] == [["floor", "1"]]
    assert (await next_of(page))[1] == {"kafka": "", "sources": {"floor": {"status": "live", "reason": ""}}}
    assert [a["extension"] for a in board.snapshot()["agents"]] == ["2"]


async def test_a_page_that_lags_is_dropped_with_all_that_waits_for_it() -> None:
    """It costs no memory, and the others go on."""
    board = Board()
    slow, quick = board.open_page(), board.open_page()
    for _ in range(BEHIND + 5):
        board.committed("floor", [], [agent()], [], AT)
        await next_of(quick)
    assert slow.over.is_set()
    assert not quick.over.is_set()
    board.feed("floor", "live", "")
    assert (await next_of(quick))[0] in ("change", "feeds")


async def test_the_end_is_told_to_all_pages_also_to_late_ones() -> None:
    """Nobody keeps a stream open past the server's end."""
    board = Board()
    early = board.open_page()
    board.close_all()
    assert early.over.is_set()
    assert board.open_page().over.is_set()


def test_only_the_latest_transitions_are_kept() -> None:
    """A page that opens needs no more."""
    board = Board()
    for n in range(LATEST + 10):
        board.committed("floor", [event(agent(str(n)))], [agent(str(n))], [], AT)
    assert len(board.snapshot()["events"]) == LATEST


def test_kafkas_absence_and_return_are_shown() -> None:
    """While nothing can be committed the page must not look current."""
    board = Board()
    board.kafka(KafkaUnavailable("Kafka is away", "start it"))
    assert board.snapshot()["feeds"]["kafka"] == "Kafka is away; start it"
    board.kafka(None)
    assert board.snapshot()["feeds"]["kafka"] == ""
