"""`run`: poll, publish, serve the wallboard, until told to stop."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import socket
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry

from streamer.commands.sources import Vendors, recording_to, vendors
from streamer.config import Config
from streamer.errors import ConfigError
from streamer.kafka.connection import Connection
from streamer.kafka.hints import Hints
from streamer.kafka.membership import Membership
from streamer.kafka.registry import Registrar
from streamer.kafka.store import KafkaStore
from streamer.observe.logs import LogObserver
from streamer.observe.metrics import MetricsObserver
from streamer.observe.observer import Observer, Observers
from streamer.observe.tracing import tracing_to
from streamer.observe.troubles import Troubles
from streamer.runtime import ports
from streamer.runtime.clock import SystemClock
from streamer.runtime.journal import DiskJournal
from streamer.runtime.supervisor import Supervisor
from streamer.runtime.watchdog import unblocked
from streamer.web.app import make_app, serving
from streamer.web.board import Board
from streamer.web.callbacks import Callbacks, Hint
from streamer.web.watch import watch_on_demand

RELOAD_AFTER = 0.5
"""Seconds from SIGHUP to the reading of the file: reading it takes a while, in which nothing else is done."""

FIXED = ("kafka", "http", "cluster", "outbox", "tracing", "registry")
"""Sections that are read at the start only."""


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


Load = Callable[[], Config]
"""Reads the configuration anew; ConfigError where it is not valid."""


async def run(load: Load, record: Path | None = None) -> None:
    """The command: ends on SIGTERM or SIGINT, reads its configuration anew on SIGHUP."""
    config = load()
    registrar = Registrar(config.registry, config.kafka) if config.registry else None
    store = KafkaStore(Connection(config.kafka), slots=config.slots, registrar=registrar)
    if config.kafka.delivery == "at_least_once":
        LogObserver().notice("delivery is at_least_once: a consumer may see an event twice, with the same event_id")
    with stopping_on_signals() as stop:
        await serve(config, store, stop, record=record, load=load)


async def serve(
    config: Config,
    store: KafkaStore,
    stop: asyncio.Event,
    *observers: Observer,
    record: Path | None = None,
    started: asyncio.Future[str] | None = None,
    load: Load | None = None,
) -> None:
    """Run the sources of `config` until `stop`; `started` is given the wallboard's address."""
    clock = SystemClock()
    log = LogObserver()
    troubles = Troubles()
    registry = CollectorRegistry()
    everyone = Observers(log, MetricsObserver(registry), troubles, *observers)
    async with AsyncExitStack() as stack:
        stack.enter_context(unblocked())
        recorder = stack.enter_context(recording_to(record, log.notice)) if record else None
        made = await stack.enter_async_context(vendors(config, clock, log.notice, recorder))
        instance = instance_of(config)
        tracer = await stack.enter_async_context(tracing_to(config.tracing.endpoint, instance, log.tracing))
        journal = await stack.enter_async_context(journal_of(config, everyone))
        rng = random.Random()  # noqa: S311 - spreads retries; nothing secret depends on it
        supervisor = Supervisor(config, store, made, clock, everyone, rng, instance, journal=journal, tracer=tracer)
        supervisor.membership = membership_of(config, store, supervisor, log)
        if load is not None:
            stack.enter_context(reloading(supervisor, made, load, log))
        board = Board(troubles)
        app = make_app(board, registry, lambda: not_ready(supervisor, troubles), config.http, clock.now_ms)
        hint = await stack.enter_async_context(hinting(config, store, supervisor, log))
        Callbacks(lambda: supervisor.config, hint, clock, everyone).add_to(app)
        address = await stack.enter_async_context(serving(app, *config.http.address))
        await stack.enter_async_context(beside(watch_on_demand(board, store.connection, config, clock, everyone)))
        log.serving(address)
        if started is not None:
            started.set_result(address)
        await supervisor.run(stop)


def instance_of(config: Config) -> str:
    """This instance's name: its own if it has one, else one that only this process has in its group."""
    if config.cluster is None:
        return socket.gethostname()
    return config.cluster.instance or f"{socket.gethostname()}-{os.getpid()}"


@asynccontextmanager
async def journal_of(config: Config, observer: Observer) -> AsyncGenerator[DiskJournal | None]:
    """The outbox on disk, where one is configured."""
    if config.outbox.path is None:
        yield None
        return
    journal = DiskJournal(config.outbox.path, observer.disk)
    observer.disk("")
    try:
        yield journal
    finally:
        await journal.close()


def membership_of(
    config: Config, store: KafkaStore, supervisor: Supervisor, log: LogObserver
) -> ports.Membership | None:
    """The way into the group, where there is one."""
    cluster = config.cluster
    if cluster is None:
        return None
    return Membership(
        store.connection,
        group=cluster.group,
        topic=config.kafka.slots_topic,
        slots=cluster.slots,
        instance=cluster.instance,
        session_timeout=cluster.session_timeout,
        busy=lambda: supervisor.busy,
        problem=log.notice,
    )


@asynccontextmanager
async def hinting(config: Config, store: KafkaStore, supervisor: Supervisor, log: LogObserver) -> AsyncGenerator[Hint]:
    """What takes a hint: its source is polled here, or in a group the others are told."""
    hints = Hints(
        store.connection,
        slots=config.slots,
        hint=supervisor.hint,
        wanted=lambda: supervisor.config.called_back,
        problem=log.notice,
    )

    def hint(source: str) -> bool:
        if supervisor.hint(source) or config.cluster is None:
            return False
        hints.pass_on(source)
        return True

    async with beside(*([hints.run()] if config.cluster else [])):
        yield hint


@contextmanager
def reloading(supervisor: Supervisor, made: Vendors, load: Load, log: LogObserver) -> Generator[None]:
    """SIGHUP: the configuration is read anew. One that cannot be used changes nothing, and the log says why."""
    pending: list[asyncio.TimerHandle] = []

    def hang_up() -> None:
        # Many at once are one.
        if not pending:
            pending.append(loop.call_later(RELOAD_AFTER, reload))

    def reload() -> None:
        pending.clear()
        try:
            config = load()
            for section in FIXED:
                if getattr(config, section) != getattr(supervisor.config, section):
                    raise ConfigError(f"{section}: cannot change while running", "restart to change it")
            for source in config.sources:
                made.source(source)
        except ConfigError as error:
            # The log would mask what looks like a secret's name with its value.
            problem = error.problem.replace(": ", " - ")
            log.problem("the configuration was not reloaded", problem=problem, remedy=error.remedy)
        else:
            log.reloaded([source.name for source in config.sources])
            supervisor.reload(config)

    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGHUP, hang_up)
    try:
        yield
    finally:
        # From here on it is of no use, but it must not end us either.
        signal.signal(signal.SIGHUP, signal.SIG_IGN)


@asynccontextmanager
async def beside(*work: Coroutine[Any, Any, None]) -> AsyncGenerator[None]:
    """What goes on for ever, while the block runs."""
    tasks = [asyncio.create_task(one) for one in work]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def not_ready(supervisor: Supervisor, here: Troubles) -> tuple[dict[str, str], dict[str, str]]:
    """What keeps this instance from being live: Kafka, the group, or a source, with the reason; and what is at risk."""
    warnings = {"outbox": here.disk_problem} if here.disk_problem else {}
    if supervisor.trouble:
        return {"kafka": supervisor.trouble}, warnings
    troubles = {"kafka": here.kafka_away} if here.kafka_away else {}
    for name, channel in supervisor.channels.items():
        status, reason = channel.status()
        if status != "live":
            troubles[name] = f"{status}: {reason}"
    troubles |= dict.fromkeys(supervisor.silent, "stale: no instance polls it")
    return troubles, warnings
