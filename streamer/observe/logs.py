"""Structured logs, on edges: the first failure, the recovery with what was missed, a feed's changes."""

from __future__ import annotations

import logging
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
import structlog

from streamer.core.feed import STALE_AFTER, Status
from streamer.core.model import AgentState, AgentStateChanged, Findings, RejectedRow, Snapshot
from streamer.core.rejected import redact
from streamer.errors import KafkaError, VendorError, VendorRefused
from streamer.observe.observer import Observer
from streamer.observe.quiet import Quiet


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
    handler.addFilter(_worth_telling)
    logging.root.handlers = [handler]
    logging.root.setLevel(level.upper())
    detailed = level.lower() == "debug"
    for name, least in LEAST_LEVELS.items():
        # Libraries tell of every attempt to reach what is away (Kafka, a collector); we tell once that it is, and why.
        logging.getLogger(name).setLevel(least if detailed or name == "asyncio" else logging.CRITICAL)


def _worth_telling(record: logging.LogRecord) -> bool:
    """Not the errors of records whose producer was thrown away: what failed was told, and settled, already. And not
    what is wrong with a request: its sender is told, and whoever may connect could fill the log with it.
    """
    error = record.exc_info[1] if record.exc_info else None
    module = type(error).__module__
    dropped = module.startswith("aiokafka.") and "never retrieved" in record.getMessage()
    return not (dropped or module in ("aiohttp.http_exceptions", "aiohttp.web_protocol"))


LEAST_LEVELS = {
    "aiokafka": logging.DEBUG,
    "aiokafka.conn": logging.INFO,  # below that it writes out every request, and one of them holds the password
    "aiohttp.access": logging.DEBUG,
    "asyncio": logging.WARNING,
    "opentelemetry": logging.DEBUG,
    "urllib3": logging.DEBUG,
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


def wrong_zone(off: int) -> tuple[str, str]:
    """What is wrong where all stamps are off by `off` milliseconds, and the remedy."""
    hours, where = off / 3_600_000, "east" if off > 0 else "west"
    problem = f"all fresh timestamps are off by {hours:+g} h"
    return problem, f"the source's timezone should be one that is {abs(hours):g} h further {where}"


class _Outage(msgspec.Struct):
    """Polls of a source that fail: how many, since when, and what was told of it: 1 that they fail, 2 that the vendor
    refuses them."""

    since: float
    failed: int = 0
    told: int = 0


class LogObserver(Observer):
    """Writes what an operator would want to read afterwards. `now` is a clock that does not jump, in seconds."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._log = structlog.get_logger("streamer")
        self._now = now
        self._outages: dict[str, _Outage] = {}
        self._untold: Counter[str] = Counter()
        self._good_at: dict[str, int] = {}
        self._told: set[str] = set()
        self._hushed: set[str] = set()
        self._quiet = Quiet(now)
        self._zones: dict[str, int | None] = {}
        self._waiting: dict[str, int] = {}
        self._away_since: float | None = None
        self._late_events: int | None = None
        self._disk_full = False
        self._spans_lost = False

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
        outage, before = self._outages.pop(source, None), self._good_at.get(source)
        self._good_at[source] = snapshot.answered_at
        if outage is None:
            return
        if not outage.told:
            self._untold[source] += outage.failed
            return
        lasted = round(self._now() - outage.since, 1)
        gap = {} if before is None else {"gap_s": (snapshot.answered_at - before) / 1000}
        self._log.info("polling recovered", source=source, failed_polls=outage.failed, lasted_s=lasted, **gap)

    def rejected(self, source: str, rows: Sequence[RejectedRow]) -> None:
        for row in rows:
            # That a whole body is none is why the poll failed, and told as such.
            if row.fault != "body" and self._quiet.first(source, f"fault {row.fault}"):
                self._log.warning(
                    "a row is not understood",
                    source=source,
                    reason=row.reason,
                    path=row.path,
                    remedy="its extension keeps its state; the rejected topic has the row, and all others like it",
                )

    def compared(self, source: str, findings: Findings) -> None:
        for kind in findings.contradictions:
            if self._quiet.first(source, f"contradiction {kind}"):
                self._log.warning("the vendor's evidence contradicts itself", source=source, kind=kind)
        if findings.jumped and findings.offset is not None and not self._quiet.lately(source, "jump"):
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
        outage = self._outages.setdefault(source, _Outage(self._now()))
        outage.failed += 1
        refused = isinstance(error, VendorRefused)
        news = outage.told <= refused
        # Polls that fail now and then are told of now and then; what goes on is told at once.
        if not news or (self._quiet.lately(source, f"refused {refused}") and outage.failed < STALE_AFTER):
            self._log.debug("poll failed again", source=source, problem=error.problem, failed_polls=outage.failed)
            return
        outage.told = 1 + refused
        untold = self._untold.pop(source, 0)
        say = self._log.error if refused else self._log.warning
        more = {"failed_meanwhile": untold} if untold else {}
        say("poll failed", source=source, problem=error.problem, remedy=error.remedy, **more)

    def committed(
        self,
        source: str,
        events: Sequence[AgentStateChanged],
        states: Sequence[AgentState],
        forgotten: Sequence[str],
        at: int,
    ) -> None:
        self._log.debug("committed", source=source, events=len(events), states=len(states), forgotten=len(forgotten))
        if self._late_events is not None:
            self._late_events += len(events)

    def outbox(self, source: str, batches: int, size: int, oldest: int | None) -> None:
        self._waiting[source] = batches
        if self._late_events is not None and not any(self._waiting.values()):
            self._log.info("what waited for Kafka is published", events=self._late_events)
            self._late_events = None

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

    def tracing(self, problem: str, lost: int) -> None:
        """Spans cannot be sent, and why; empty when they can again, after so many were lost."""
        if problem:
            self._spans_lost = not self._quiet.lately("", "spans")
            if self._spans_lost:
                remedy = "check tracing.endpoint and the collector; polls and events go on without"
                self._log.warning("spans are lost", problem=problem, remedy=remedy)
        elif self._spans_lost:
            self._log.info("spans are sent again", lost=lost)

    def superseded(self, source: str, batches: int) -> None:
        self._log.warning(
            "batches kept on disk were dropped: another instance had gone on", source=source, batches=batches
        )

    def released(self, source: str) -> None:
        for known in (self._outages, self._untold, self._good_at, self._waiting, self._zones):
            known.pop(source, None)
        self._told.discard(source)
        self._hushed.discard(source)
        self._quiet.forget(source)
        self._log.info("released", source=source)

    def feed(self, source: str, status: Status, reason: str) -> None:
        # Every start begins with `recovering`; later on it means that something is wrong.
        begins = status == "recovering" and source not in self._told
        usual = status in ("live", "stopped") or begins
        self._told.add(source)
        # The gate ends what it doubts within a minute; a vendor whose every other list is doubtful is told of once.
        if status == "recovering" and not begins and self._quiet.lately(source, status):
            self._hushed.add(source)
            return
        if source in self._hushed:
            self._hushed.discard(source)
            if status == "live":
                return
        say = self._log.info if usual else self._log.warning
        say("feed", source=source, status=status, reason=reason)

    def kafka(self, error: KafkaError | None) -> None:
        if error is not None and self._away_since is None:
            self._away_since = self._now()
            self._log.warning("Kafka is away", problem=error.problem, remedy=error.remedy)
        if error is None and self._away_since is not None:
            waiting = sum(self._waiting.values())
            self._late_events = 0 if waiting else None
            self._log.info("Kafka is back", lasted_s=round(self._now() - self._away_since, 1), batches_held=waiting)
            self._away_since = None

    def problem(self, what: str, **details: object) -> None:
        exception = details.pop("exception", None)
        self._log.error(what, exc_info=exception, **details)
