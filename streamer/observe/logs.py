"""Structured logs, on edges: the first failure, the recovery with what was missed, a feed's changes."""

from __future__ import annotations

import logging
import math
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

import structlog

from streamer.core.feed import Status
from streamer.core.model import AgentState, AgentStateChanged, Findings, Snapshot
from streamer.core.rejected import redact
from streamer.errors import KafkaError, VendorError, VendorRefused
from streamer.observe.observer import Silent


def configure(level: str, secrets: Sequence[str], *, plain: bool) -> None:
    """Log to standard error: readable lines on a terminal, JSON elsewhere; never one of `secrets`.

    Control characters, which names from the vendor may hold, are shown as `·`: one event is one line.
    """

    def fit(_: object, __: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
        return {name: _fit(value, secrets, many_lines=name == "exception") for name, value in event.items()}

    shared: list[structlog.typing.Processor] = [
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    render = structlog.dev.ConsoleRenderer() if plain else structlog.processors.JSONRenderer()
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                fit,
                _rendered(render),
            ],
        )
    )
    logging.root.handlers = [handler]
    logging.root.setLevel(level.upper())
    logging.getLogger("asyncio").addFilter(_worth_telling)
    detailed = level.lower() == "debug"
    for name, least in LEAST_LEVELS.items():
        # The Kafka client tells of every attempt to reach a broker that is away; we tell once that it is, and why.
        logging.getLogger(name).setLevel(least if detailed or name == "asyncio" else logging.CRITICAL)


def _worth_telling(record: logging.LogRecord) -> bool:
    """Not the errors of records whose producer was thrown away: what failed was told, and settled, already."""
    error = record.exc_info[1] if record.exc_info else None
    dropped = type(error).__module__.startswith("aiokafka.") and "never retrieved" in record.getMessage()
    return not dropped


LEAST_LEVELS = {
    "aiokafka": logging.DEBUG,
    "aiokafka.conn": logging.INFO,  # below that it writes out every request, and one of them holds the password
    "aiohttp.access": logging.DEBUG,
    "asyncio": logging.WARNING,
}
"""Of libraries' loggers, at --log-level debug."""


def _fit(value: object, secrets: Sequence[str], *, many_lines: bool) -> object:
    """A value as it may be written: numbers as they are, the rest as text without secrets and control characters."""
    if value is None or isinstance(value, bool | int | float):
        return value
    text = redact(str(value), secrets)
    return "".join(c if c.isprintable() or (many_lines and c == "\n") else "·" for c in text)


def _rendered(render: structlog.typing.Processor) -> structlog.typing.Processor:
    """`render`, but an exception's traceback is written as it is: it is text already."""

    def rendered(logger: Any, method: str, event: structlog.typing.EventDict) -> str:
        if not isinstance(render, structlog.dev.ConsoleRenderer):
            return str(render(logger, method, event))
        traceback = event.pop("exception", "")
        line = str(render(logger, method, event))
        return f"{line}\n{traceback}" if traceback else line

    return rendered


HINT_TROUBLES = {
    "refused": (
        "a callback was refused",
        "if it is the vendor's: compare its URL with callback_secret, and its address with callback_addresses",
    ),
    "malformed": ("a callback was not understood", "see that the vendor posts a form with the field `detail`"),
    "too_large": ("a callback was too large", "see that nobody else has the callback's secret"),
    "limited": ("callbacks come too fast", "see that nobody else has the callback's secret"),
}
"""Outcome of a callback → what is wrong, and the remedy."""

HINT_TROUBLES_EVERY = 600.0
"""Seconds between two lines about the same trouble: whoever sends forged callbacks must not fill the log."""


def wrong_zone(off: int) -> tuple[str, str]:
    """What is wrong where all stamps are off by `off` milliseconds, and the remedy."""
    hours, where = off / 3_600_000, "east" if off > 0 else "west"
    problem = f"all fresh timestamps are off by {hours:+g} h"
    return problem, f"the source's timezone should be one that is {abs(hours):g} h further {where}"


class LogObserver(Silent):
    """Writes what an operator would want to read afterwards."""

    def __init__(self) -> None:
        self._log = structlog.get_logger("streamer")
        self._failures: dict[str, int] = {}
        self._told: set[str] = set()
        self._contradictions: set[tuple[str, str]] = set()
        self._zones: dict[str, int | None] = {}
        self._kafka_away = False
        self._disk_full = False
        self._hints: dict[tuple[str, str], tuple[float, int]] = {}

    def serving(self, address: str) -> None:
        """Where the wallboard is."""
        self._log.info("serving the wallboard", address=address)

    def notice(self, what: str) -> None:
        """Something about the set-up that an operator may not have meant."""
        self._log.warning(what)

    def reloaded(self, sources: Sequence[str]) -> None:
        """A new configuration is in force."""
        self._log.info("the configuration was reloaded", sources=", ".join(sources))

    def blocked(self, source: str, reason: str) -> None:
        if reason:
            self._log.warning("polling has stopped", source=source, reason=reason)
        else:
            self._log.info("polling goes on", source=source)

    def polled(self, source: str, snapshot: Snapshot, seconds: float) -> None:
        missed = self._failures.pop(source, 0)
        if missed:
            self._log.info("polling recovered", source=source, failed_polls=missed, rows=len(snapshot.seats))
        if snapshot.rejected:
            first = snapshot.rejected[0]
            self._log.debug(
                "rows rejected", source=source, rows=len(snapshot.rejected), first=first.reason, path=first.path
            )

    def compared(self, source: str, findings: Findings) -> None:
        for kind in findings.contradictions:
            if (source, kind) not in self._contradictions:
                self._contradictions.add((source, kind))
                self._log.warning("the vendor's evidence contradicts itself", source=source, kind=kind)
        if findings.jumped and findings.offset is not None:
            bounds = f"{findings.offset.low / 1000:.1f} to {findings.offset.high / 1000:.1f} s"
            self._log.warning("a clock jumped, the vendor's or ours", source=source, vendor_minus_ours=bounds)
        if findings.zone_off != self._zones.get(source):
            self._zones[source] = findings.zone_off
            if findings.zone_off is None:
                self._log.info("the time zone looks right again", source=source)
            else:
                problem, remedy = wrong_zone(findings.zone_off)
                self._log.warning("the time zone looks wrong", source=source, problem=problem, remedy=remedy)

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

    def resumed(self, source: str, batches: int, events: int) -> None:
        self._log.info("publishing what was kept on disk", source=source, batches=batches, events=events)

    def disk(self, problem: str) -> None:
        if problem:
            self._disk_full = True
            remedy = "make room on outbox.path's disk; a damaged file can be moved away, then restart"
            self._log.error("batches wait in memory only", problem=problem, remedy=remedy)
        elif self._disk_full:
            self._disk_full = False
            self._log.info("batches wait on disk again")

    def superseded(self, source: str, batches: int) -> None:
        self._log.warning(
            "batches kept on disk were dropped: another instance had gone on", source=source, batches=batches
        )

    def released(self, source: str) -> None:
        self._failures.pop(source, None)
        self._told.discard(source)
        self._log.info("released", source=source)

    def feed(self, source: str, status: Status, reason: str) -> None:
        # Every start begins with `recovering`; later on it means that something is wrong.
        usual = status in ("live", "stopped") or (status == "recovering" and source not in self._told)
        self._told.add(source)
        say = self._log.info if usual else self._log.warning
        say("feed", source=source, status=status, reason=reason)

    def hint(self, source: str, outcome: str) -> None:
        if (trouble := HINT_TROUBLES.get(outcome)) is None:
            return
        now = time.monotonic()
        told, since = self._hints.get((source, outcome), (-math.inf, 0))
        if now - told < HINT_TROUBLES_EVERY:
            self._hints[source, outcome] = (told, since + 1)
            return
        self._hints[source, outcome] = (now, 0)
        what, remedy = trouble
        self._log.warning(what, source=source or "unknown", more_since_last_told=since, remedy=remedy)

    def kafka(self, error: KafkaError | None) -> None:
        if error is not None and not self._kafka_away:
            self._log.warning("Kafka is away", problem=error.problem, remedy=error.remedy)
        if error is None and self._kafka_away:
            self._log.info("Kafka is back")
        self._kafka_away = error is not None

    def problem(self, what: str, **details: object) -> None:
        exception = details.pop("exception", None)
        self._log.error(what, exc_info=exception, **details)
