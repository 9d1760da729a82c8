"""Structured logs, on edges: the first failure, the recovery with what was missed, a feed's changes."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

import msgspec
import structlog

from streamer.core.feed import STALE_AFTER, Status
from streamer.core.model import AgentState, AgentStateChanged, Findings, RejectedRow, Snapshot
from streamer.errors import KafkaError, VendorError, VendorRefused
from streamer.observe.observer import Hinted, Observer
from streamer.observe.quiet import Quiet

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

    def hint(self, source: str, outcome: Hinted) -> None:
        if (trouble := HINT_TROUBLES.get(outcome)) is None:
            return
        key = f"hint {outcome}"
        if self._quiet.lately(source, key):
            self._untold[source + key] += 1
            return
        what, remedy = trouble
        untold = self._untold.pop(source + key, 0)
        more = {"as_many_meanwhile": untold} if untold else {}
        self._log.warning(what, source=source or "unknown", remedy=remedy, **more)

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
