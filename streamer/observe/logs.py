"""Structured logs, on edges: the first failure, the recovery with what was missed, a feed's changes."""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping, Sequence

import structlog

from streamer.core.feed import Status
from streamer.core.model import AgentState, AgentStateChanged, Snapshot
from streamer.core.rejected import redact
from streamer.errors import KafkaError, VendorError, VendorRefused
from streamer.runtime.ports import Silent


def configure(level: str, secrets: Sequence[str], *, plain: bool) -> None:
    """Log to standard error: readable lines on a terminal, JSON elsewhere; never one of `secrets`."""

    def hide(_: object, __: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
        return {name: redact(value, secrets) if isinstance(value, str) else value for name, value in event.items()}

    shared: list[structlog.typing.Processor] = [
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        hide,
    ]
    renderer = structlog.dev.ConsoleRenderer() if plain else structlog.processors.JSONRenderer()
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared[:2], structlog.stdlib.ExtraAdder(), *shared[2:]],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, hide, renderer],
        )
    )
    logging.root.handlers = [handler]
    logging.root.setLevel(level.upper())
    # The Kafka client tells of every attempt to reach a broker that is away; we tell once that it is, and why.
    chatty = logging.DEBUG if level.lower() == "debug" else logging.CRITICAL
    for name in ("aiokafka", "aiohttp.access", "asyncio"):
        logging.getLogger(name).setLevel(chatty if name != "asyncio" else logging.WARNING)


class LogObserver(Silent):
    """Writes what an operator would want to read afterwards."""

    def __init__(self) -> None:
        self._log = structlog.get_logger("streamer")
        self._failures: dict[str, int] = {}
        self._kafka_away = False

    def serving(self, address: str) -> None:
        """Where the wallboard is."""
        self._log.info("serving the wallboard", address=address)

    def polled(self, source: str, snapshot: Snapshot, seconds: float) -> None:
        missed = self._failures.pop(source, 0)
        if missed:
            self._log.info("polling recovered", source=source, failed_polls=missed, rows=len(snapshot.seats))
        if snapshot.rejected:
            first = snapshot.rejected[0]
            self._log.debug(
                "rows rejected", source=source, rows=len(snapshot.rejected), first=first.reason, path=first.path
            )

    def poll_failed(self, source: str, error: VendorError) -> None:
        before = self._failures.get(source, 0)
        self._failures[source] = before + 1
        if before == 0:
            say = self._log.error if isinstance(error, VendorRefused) else self._log.warning
            say("poll failed", source=source, problem=error.problem, remedy=error.remedy)
        else:
            self._log.debug("poll failed again", source=source, problem=error.problem, failed_polls=before + 1)

    def committed(
        self,
        source: str,
        events: Sequence[AgentStateChanged],
        states: Sequence[AgentState],
        forgotten: Sequence[str],
        at: int,
    ) -> None:
        self._log.debug("committed", source=source, events=len(events), states=len(states), forgotten=len(forgotten))

    def restored(self, source: str, agents: Mapping[str, AgentState]) -> None:
        self._log.info("restored", source=source, extensions=len(agents))

    def feed(self, source: str, status: Status, reason: str) -> None:
        say = self._log.info if status in ("live", "stopped") else self._log.warning
        say("feed", source=source, status=status, reason=reason)

    def kafka(self, error: KafkaError | None) -> None:
        if error is not None and not self._kafka_away:
            self._log.warning("Kafka is away", problem=error.problem, remedy=error.remedy)
        if error is None and self._kafka_away:
            self._log.info("Kafka is back")
        self._kafka_away = error is not None

    def problem(self, what: str, **details: object) -> None:
        exception = details.pop("exception", None)
        self._log.error(what, exc_info=exception, **details)
