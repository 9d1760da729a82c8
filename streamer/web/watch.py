"""Keeps the wallboard equal to what is committed, whatever becomes of Kafka."""

from __future__ import annotations

import asyncio
import random
from contextlib import aclosing

from streamer.config import Config
from streamer.errors import KafkaError
from streamer.kafka.connection import Connection
from streamer.kafka.follower import follow_all
from streamer.observe.observer import Observer
from streamer.runtime.ports import Clock
from streamer.vendor.budget import backoff
from streamer.web.board import BEAT, Board
from streamer.web.floor import HOUR, Changes, Floor

SILENT_BEATS = 2
"""Heartbeats without any record after which reading begins anew."""

RETRY_BASE, RETRY_CAP = 0.5, 5.0
"""Seconds between two attempts to read."""


async def watch_on_demand(
    board: Board, connection: Connection, config: Config, clock: Clock, observer: Observer
) -> None:
    """`watch` while somebody looks, and for a while after that, and let the board tell its pages; until cancelled."""
    while True:
        await board.wanted()
        watching = asyncio.create_task(watch(board, connection, config, clock, observer), name="wallboard")
        try:
            while not board.unseen(now := clock.now_ms()):
                board.beat(now)
                await clock.sleep(BEAT / 1000)
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)
        board.rest()


async def watch(board: Board, connection: Connection, config: Config, clock: Clock, observer: Observer) -> None:
    """Read and show until cancelled. What is shown already stays until it was read anew, and says what is wrong."""
    rng = random.Random()  # noqa: S311 - spreads retries; nothing secret depends on it
    failures = 0
    while True:
        floor = Floor(agent_names=config.http.agent_names)
        try:
            await _read(connection, board, floor, clock, SILENT_BEATS * config.feed.heartbeat)
        except KafkaError as error:
            board.away(str(error))
        except Exception as error:  # what only shows must not end what it shows
            observer.problem("internal error of the wallboard", error=repr(error), exception=error)
            board.away(f"internal error: {type(error).__name__}")
        failures = 0 if board.floor is floor else failures + 1
        await clock.sleep(backoff(failures, RETRY_BASE, RETRY_CAP, rng))


async def _read(connection: Connection, board: Board, floor: Floor, clock: Clock, patience: float) -> None:
    now = clock.now_ms()
    async with aclosing(follow_all(connection, now - HOUR, patience)) as everything:
        async for news in everything:
            shown = board.floor is floor
            floor.take(news.records, board.changes if shown else Changes())
            if news.current and not shown:
                board.show(floor, clock.now_ms())
