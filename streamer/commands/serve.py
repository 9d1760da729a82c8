"""`run`: poll, publish, serve the wallboard, until told to stop."""

from __future__ import annotations

import asyncio
import random
import signal
import socket
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from prometheus_client import CollectorRegistry

from streamer.commands.sources import clients, recording_to
from streamer.config import Config
from streamer.kafka.connection import Connection
from streamer.kafka.store import KafkaStore
from streamer.observe.logs import LogObserver
from streamer.observe.metrics import MetricsObserver
from streamer.observe.observer import Observer, Observers
from streamer.runtime.clock import SystemClock
from streamer.runtime.supervisor import Supervisor
from streamer.web.app import make_app, serving
from streamer.web.board import Board


@contextmanager
def stopping_on_signals() -> Generator[asyncio.Event]:
    """An event that SIGTERM and SIGINT set."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    try:
        yield stop
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)


async def run(config: Config, record: Path | None = None) -> None:
    """The command: ends on SIGTERM or SIGINT."""
    store = KafkaStore(Connection(config.kafka))
    if config.kafka.delivery == "at_least_once":
        LogObserver().notice("delivery is at_least_once: a consumer may see an event twice, with the same event_id")
    with stopping_on_signals() as stop:
        await serve(config, store, stop, record=record)


async def serve(
    config: Config,
    store: KafkaStore,
    stop: asyncio.Event,
    *observers: Observer,
    record: Path | None = None,
    started: asyncio.Future[str] | None = None,
) -> None:
    """Run every source of `config` until `stop`; `started` is given the wallboard's address."""
    clock = SystemClock()
    log = LogObserver()
    board = Board()
    registry = CollectorRegistry()
    everyone = Observers(log, MetricsObserver(registry), board, *observers)
    with ExitStack() as stack:
        recorder = stack.enter_context(recording_to(record, log.notice)) if record else None
        async with clients(config, clock, log.notice, recorder) as sources:
            instance = config.cluster.instance if config.cluster else socket.gethostname()
            rng = random.Random()  # noqa: S311 - spreads retries; nothing secret depends on it
            supervisor = Supervisor(config, store, sources, clock, everyone, rng, instance)
            app = make_app(board, registry, lambda: not_ready(supervisor, board, clock.now_ms()))
            async with serving(app, *config.http.address) as address:
                log.serving(address)
                if started is not None:
                    started.set_result(address)
                await supervisor.run(stop)


def not_ready(supervisor: Supervisor, board: Board, now: int) -> dict[str, str]:
    """What keeps this instance from being live: Kafka, or a source, with the reason."""
    if not supervisor.ready:
        return {"kafka": supervisor.trouble or "stopping"}
    troubles = {"kafka": board.kafka_trouble} if board.kafka_trouble else {}
    for name, channel in supervisor.channels.items():
        status, reason = channel.status(now)
        if status != "live":
            troubles[name] = f"{status}: {reason}"
    return troubles
