"""Prometheus metrics. No label ever names an extension: their number is bounded by sources × kinds."""

from __future__ import annotations

import platform
import time
from collections import Counter as Count
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from importlib.metadata import version
from typing import get_args

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info

from streamer.core.codes import BUSIEST
from streamer.core.feed import Status
from streamer.core.model import AgentState, AgentStateChanged, Findings, RejectedRow, Snapshot
from streamer.errors import KafkaError, VendorError, VendorRefused
from streamer.observe.observer import Hinted, Observer, Written

STATUSES: tuple[Status, ...] = ("live", "recovering", "stale", "refused", "stopped")

POLLS = ("good", "failed", "refused")
"""How a poll can end."""

LATENESS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
"""Upper bounds in seconds: a poll that is later than 0.2 s is one that others have kept waiting."""

WRITING = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 15.0)
"""Upper bounds in seconds: after 15 s a call to Kafka is given up."""

TOLD = (0.1, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0, 20.0, 30.0, 60.0)
"""Upper bounds in seconds: half a second is a good poll each second, a minute is an outage."""


class MetricsObserver(Observer):
    """Counts what happens, in the registry it is given. `now` is our clock, in unix seconds."""

    def __init__(self, registry: CollectorRegistry, now: Callable[[], float] = time.time) -> None:
        self._now = now
        self._oldest: dict[str, int | None] = {}

        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(name, text, labels, registry=registry)

        def gauge(name: str, text: str, *labels: str) -> Gauge:
            return Gauge(name, text, labels, registry=registry)

        def histogram(
            name: str, text: str, *labels: str, buckets: Sequence[float] = Histogram.DEFAULT_BUCKETS
        ) -> Histogram:
            return Histogram(name, text, labels, buckets=buckets, registry=registry)

        Info("streamer_build", "The version that runs, and its Python.", registry=registry).info(
            {"version": version("streamer"), "python": platform.python_version()}
        )
        self._configured = gauge("streamer_source_configured", "1 for each source in this instance's file.", "source")
        self._hints = counter(
            "streamer_hints_total",
            "Callbacks of the vendor's by outcome; those for a source that is none of ours have none.",
            "source",
            "outcome",
        )
        self._slots = gauge("streamer_slots_held", "Slots with sources that this instance works on.")
        self._polls = counter("streamer_polls_total", "Polls by outcome: good, failed or refused.", "source", "outcome")
        self._seconds = histogram(
            "streamer_poll_duration_seconds", "From a good poll's request to the compared answer.", "source"
        )
        self._late = histogram(
            "streamer_poll_lateness_seconds", "From when a poll was due to when it began.", "source", buckets=LATENESS
        )
        self._good_at = gauge(
            "streamer_last_good_poll_timestamp_seconds", "When the last good poll was answered.", "source"
        )
        self._rows = gauge("streamer_rows", "Rows in the last good poll.", "source")
        self._rejected = counter(
            "streamer_rejected_rows_total",
            "Rows not understood, by kind of reason; an answer that is none at all counts once, as `body`.",
            "source",
            "reason",
        )
        self._contradictions = counter(
            "streamer_contradictions_total",
            "Evidence of the vendor's that contradicts itself, by kind.",
            "source",
            "kind",
        )
        self._held = gauge("streamer_absences_held", "Missing extensions that are not believed yet.", "source")
        self._believed = counter("streamer_absences_believed_total", "Missing extensions that were believed.", "source")
        self._returned = counter(
            "streamer_absences_returned_total", "Missing extensions that came back before they were believed.", "source"
        )
        self._offset = gauge(
            "streamer_vendor_clock_offset_seconds",
            "The vendor's clock minus ours: the least and the most it can be.",
            "source",
            "bound",
        )
        self._jumps = counter("streamer_vendor_clock_jumps_total", "Jumps of the vendor's clock, or of ours.", "source")
        self._zone = gauge(
            "streamer_vendor_zone_offset_seconds",
            "How far all fresh stamps are off where that looks like a wrong time zone; else 0.",
            "source",
        )
        self._feed = gauge("streamer_feed_status", "1 for the feed's present status.", "source", "status")
        self._blocked = gauge("streamer_polling_blocked", "1 while nothing more can be kept.", "source")
        self._waiting = gauge("streamer_outbox_batches", "Batches that wait for Kafka.", "source")
        self._bytes = gauge("streamer_outbox_bytes", "Bytes that wait for Kafka, as packed.", "source")
        self._age = gauge(
            "streamer_outbox_age_seconds", "Since when the oldest batch has waited for Kafka; 0 if none does.", "source"
        )
        self._disk = gauge("streamer_outbox_on_disk", "0 while batches are kept in memory only.")
        self._superseded = counter(
            "streamer_superseded_batches_total",
            "Batches kept on disk that were dropped: another instance had gone on.",
            "source",
        )
        self._kafka = gauge("streamer_kafka_up", "1 while Kafka takes what we write.")
        self._transactions = counter(
            "streamer_transactions_total",
            "Transactions (at least once: writes) by outcome: committed, unknown (looked up later) or fenced.",
            "outcome",
        )
        self._writing = histogram(
            "streamer_transaction_duration_seconds",
            "How long a transaction (at least once: a write) took, whatever its outcome.",
            buckets=WRITING,
        )
        self._events = counter(
            "streamer_events_total", "Committed events by change and basis.", "source", "change", "basis"
        )
        self._commit = histogram(
            "streamer_commit_latency_seconds", "From the poll's request to the commit of its events.", "source"
        )
        self._latency = histogram(
            "streamer_event_latency_seconds",
            "From when a change that a poll shows happened (occurred_at, on our clock) to its event's commit. As the "
            "vendor's stamps are whole seconds, it may be up to 1 s too much.",
            "source",
            buckets=TOLD,
        )
        self._of_owned_sources = (
            self._good_at,
            self._rows,
            self._held,
            self._offset,
            self._zone,
            self._feed,
            self._blocked,
            self._waiting,
            self._bytes,
            self._age,
        )
        # What has happened but once would not show as an increase if there had been no series before.
        for outcome in get_args(Written):
            self._transactions.labels(outcome)

    def configured(self, sources: Sequence[str]) -> None:
        self._configured.clear()
        for source in sources:
            self._configured.labels(source).set(1)

    def hint(self, source: str, outcome: Hinted) -> None:
        self._hints.labels(source, outcome).inc()

    def slots(self, held: int) -> None:
        self._slots.set(held)

    def restored(self, source: str, agents: Mapping[str, AgentState]) -> None:
        for outcome in POLLS:
            self._polls.labels(source, outcome)
        for each in (self._believed, self._returned, self._jumps, self._superseded):
            each.labels(source)
        self._blocked.labels(source)

    def polling(self, source: str, late: float) -> None:
        self._late.labels(source).observe(late)

    def outbox(self, source: str, batches: int, size: int, oldest: int | None) -> None:
        self._waiting.labels(source).set(batches)
        self._bytes.labels(source).set(size)
        if source not in self._oldest:
            self._age.labels(source).set_function(partial(self._waited, source))
        self._oldest[source] = oldest

    def _waited(self, source: str) -> float:
        oldest = self._oldest.get(source)
        return 0.0 if oldest is None else max(0.0, self._now() - oldest / 1000)

    def disk(self, problem: str) -> None:
        self._disk.set(not problem)

    def superseded(self, source: str, batches: int) -> None:
        self._superseded.labels(source).inc(batches)

    def released(self, source: str) -> None:
        # What another instance has now is no longer ours to tell.
        self._oldest.pop(source, None)
        for gauge in self._of_owned_sources:
            gauge.remove_by_labels({"source": source})

    def blocked(self, source: str, reason: str) -> None:
        self._blocked.labels(source).set(bool(reason))

    def rejected(self, source: str, rows: Sequence[RejectedRow]) -> None:
        for row in rows:
            self._rejected.labels(source, row.fault).inc()

    def polled(self, source: str, snapshot: Snapshot, seconds: float) -> None:
        self._polls.labels(source, "good").inc()
        self._seconds.labels(source).observe(seconds)
        self._good_at.labels(source).set(snapshot.answered_at / 1000)
        self._rows.labels(source).set(len(snapshot.seats))

    def compared(self, source: str, findings: Findings) -> None:
        for kind, count in findings.contradictions.items():
            self._contradictions.labels(source, kind).inc(count)
        self._held.labels(source).set(findings.held)
        self._believed.labels(source).inc(findings.believed)
        self._returned.labels(source).inc(findings.returned)
        self._jumps.labels(source).inc(findings.jumped)
        self._zone.labels(source).set((findings.zone_off or 0) / 1000)
        if findings.offset is not None:
            self._offset.labels(source, "min").set(findings.offset.low / 1000)
            self._offset.labels(source, "max").set(findings.offset.high / 1000)

    def poll_failed(self, source: str, error: VendorError) -> None:
        self._polls.labels(source, "refused" if isinstance(error, VendorRefused) else "failed").inc()

    def written(self, outcome: Written, seconds: float) -> None:
        self._transactions.labels(outcome).inc()
        self._writing.observe(seconds)

    def committed(
        self,
        source: str,
        events: Sequence[AgentStateChanged],
        states: Sequence[AgentState],
        forgotten: Sequence[str],
        at: int,
    ) -> None:
        for (change, basis), count in Count((event.change, event.basis) for event in events).items():
            self._events.labels(source, change, basis).inc(count)
        if events:
            self._commit.labels(source).observe((at - events[0].after.observed_at) / 1000)

    def told_after(self, source: str, seconds: Sequence[float]) -> None:
        latency = self._latency.labels(source)
        for value in seconds:
            latency.observe(value)

    def feed(self, source: str, status: Status, reason: str) -> None:
        for name in STATUSES:
            self._feed.labels(source, name).set(name == status)

    def kafka(self, error: KafkaError | None) -> None:
        self._kafka.set(error is None)


def states_by_name(agents: Mapping[str, AgentState]) -> dict[str, int]:
    """How many extensions are in each state, busiest first, without those that are in none."""
    counts = dict.fromkeys(BUSIEST, 0)
    for agent in agents.values():
        counts[agent.state] += 1
    return {str(state): count for state, count in counts.items() if count}
