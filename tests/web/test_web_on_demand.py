"""The wallboard follows Kafka for who looks, and for nobody else."""

from __future__ import annotations

import asyncio

from streamer.config import Config, Source
from streamer.kafka import topics as ours
from streamer.kafka.connection import Connection
from streamer.observe.observer import Observer
from streamer.observe.troubles import Troubles
from streamer.runtime.clock import SystemClock
from streamer.web.board import READING, UNSEEN, Board
from streamer.web.watch import watch_on_demand
from tests.conftest import Topics
from tests.topics import settings, shown
from tests.web.floor import agent, records
from tests.web.test_web_watch import until, written


class Hurrying(SystemClock):
    """A clock that can be put forward, and under which nobody sleeps for long."""

    ahead = 0

    def now_ms(self) -> int:
        return super().now_ms() + self.ahead

    async def sleep(self, seconds: float) -> None:
        await super().sleep(min(seconds, 0.01))


async def test_nothing_is_followed_for_nobody(kafka: str, topics: Topics) -> None:
    """Whoever looks first, or again after a long time, waits for the record, and then sees what there is."""
    connection, clock, board = Connection(settings(kafka, topics)), Hurrying(), Board(Troubles())
    await ours.ensure(connection)
    await shown(connection, set(ours.wanted(connection.config)))
    config = Config(kafka=connection.config, sources=(Source(name="floor", url="http://127.0.0.1:1", appid="a"),))
    await written(connection, records(states=[agent("1")]), topics)
    task = asyncio.create_task(watch_on_demand(board, connection, config, clock, Observer()))
    try:
        board.look(clock.now_ms())
        await until(lambda: ("floor", "1") in board.floor.agents)
        clock.ahead += UNSEEN + 1
        await until(lambda: not board.floor.agents)
        assert board.snapshot(0)["feeds"]["kafka"] == READING
        await written(connection, records(states=[agent("2")]), topics)
        page = board.open_page(clock.now_ms())
        await until(lambda: set(board.floor.agents) == {("floor", "1"), ("floor", "2")})
        await written(connection, records(states=[agent("3")]), topics)
        async with asyncio.timeout(30):
            while (await page.get())[0] != "change":
                pass
        clock.ahead += UNSEEN + 1
        assert not board.unseen(clock.now_ms()), "a page is open"
        board.close_page(page, clock.now_ms())
        assert not board.unseen(clock.now_ms())
        clock.ahead += UNSEEN + 1
        await until(lambda: not board.floor.agents)
    finally:
        task.cancel()
        await asyncio.wait([task])
