"""The wallboard is kept whatever becomes of Kafka, and says what is wrong meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager

from streamer.config import Config, Feed, Source
from streamer.kafka import topics as ours
from streamer.kafka.connection import Connection
from streamer.kafka.serde import Record
from streamer.kafka.sink import Sink
from streamer.observe.observer import Observer
from streamer.observe.troubles import Troubles
from streamer.runtime.clock import SystemClock
from streamer.web.board import Board
from streamer.web.floor import Floor
from streamer.web.watch import watch
from tests.conftest import StartKafka, Topics
from tests.topics import settings, shown
from tests.web.floor import agent, records


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


class Complaints(Observer):
    """What was told as a problem."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def problem(self, what: str, **details: object) -> None:
        self.told.append(what)


@asynccontextmanager
async def watching(connection: Connection, board: Board, observer: Observer) -> AsyncGenerator[None]:
    """A watch whose feeds beat each second, so that a silence is noticed within two."""
    source = Source(name="floor", url="http://127.0.0.1:1", appid="a")
    config = Config(kafka=connection.config, sources=(source,), feed=Feed(heartbeat=1.0))
    task = asyncio.create_task(watch(board, connection, config, SystemClock(), observer))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()


async def test_topics_that_are_made_later_are_shown_then(kafka: str, topics: Topics) -> None:
    """The wallboard is there before the first `run` has created them."""
    connection = Connection(settings(kafka, topics))
    board = Board(Troubles())
    async with watching(connection, board, Observer()):
        await until(lambda: "has no topic" in board.snapshot(0)["feeds"]["kafka"])
        await ours.ensure(connection)
        await until(lambda: board.snapshot(0)["feeds"]["kafka"] == "")


async def test_kafkas_restart_is_survived(own_kafka: StartKafka, topics: Topics) -> None:
    """Meanwhile what was known is still shown, with what is wrong; then what was committed."""
    server = own_kafka()
    connection = Connection(settings(server.bootstrap, topics))
    await ours.ensure(connection)
    await shown(connection, set(ours.wanted(connection.config)))
    board = Board(Troubles())
    async with watching(connection, board, Observer()):
        await written(connection, records(states=[agent("1")]), topics)
        await until(lambda: ("floor", "1") in board.floor.agents)
        await asyncio.to_thread(server.stop)
        await until(lambda: board.snapshot(0)["feeds"]["kafka"] != "")
        assert [tile.extension for tile in board.snapshot(0)["agents"]] == ["1"]
        await asyncio.to_thread(server.start)
        await written(connection, records(states=[agent("2")]), topics)
        await until(lambda: set(board.floor.agents) == {("floor", "1"), ("floor", "2")})
        await until(lambda: board.snapshot(0)["feeds"]["kafka"] == "")


async def test_an_error_of_its_own_is_told_and_does_not_end_it(kafka: str, topics: Topics) -> None:
    """A defect here must not leave a page that looks alive and is not."""
    connection = Connection(settings(kafka, topics))
    await ours.ensure(connection)
    await shown(connection, set(ours.wanted(connection.config)))

    class Defective(Board):
        def show(self, floor: Floor, now: int) -> None:
            raise LookupError("a defect")

    board, complaints = Defective(Troubles()), Complaints()
    async with watching(connection, board, complaints):
        await until(lambda: len(complaints.told) == 2)
    assert board.snapshot(0)["feeds"]["kafka"] == "internal error: LookupError"
    assert set(complaints.told) == {"internal error of the wallboard"}


async def written(connection: Connection, some: list[Record], topics: Topics) -> None:
    """Commit records that were made for the topics' usual names."""
    sink = Sink(connection, f"{topics.state}-slot-0")
    await sink.open()
    await sink.write([Record(topics.state, r.key, r.value, r.timestamp) for r in some])
    await sink.close()
