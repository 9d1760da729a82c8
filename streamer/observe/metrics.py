"""Prometheus metrics. No label ever names an extension: their number is bounded by sources × kinds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from streamer.core.codes import BUSIEST
from streamer.core.feed import Status
from streamer.core.model import AgentState, AgentStateChanged, Findings, Snapshot
from streamer.errors import KafkaError, VendorError, VendorRefused
from streamer.observe.observer import Silent

STATUSES: tuple[Status, ...] = ("live", "recovering", "stale", "refused", "stopped")


LATENESS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
"""Upper bounds in seconds: a poll that is later than 0.2 s is one that others have kept waiting."""


class MetricsObserver(Silent):
    """Counts what happens, in the registry it is given."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._polls = Counter("streamer_polls", "Polls by outcome.", ["source", "outcome"], registry=registry)
        self._seconds = Histogram(
            "streamer_poll_duration_seconds", "From the request to the compared answer.", ["source"], registry=registry
        )
        self._good_at = Gauge(
            "streamer_last_good_poll_timestamp_seconds",
            "When the last good poll was answered.",
            ["source"],
            registry=registry,
        )
        self._rows = Gauge("streamer_rows", "Rows in the last good poll.", ["source"], registry=registry)
        self._rejected = Counter("streamer_rejected_rows", "Rows not understood.", ["source"], registry=registry)
        self._contradictions = Counter(
            "streamer_contradictions",
            "Evidence of the vendor's that contradicts itself, by kind.",
            ["source", "kind"],
            registry=registry,
        )
        self._held = Gauge(
            "streamer_absences_held", "Missing extensions that are not believed yet.", ["source"], registry=registry
        )
        self._believed = Counter(
            "streamer_absences_believed", "Missing extensions that were believed.", ["source"], registry=registry
        )
        self._offset = Gauge(
            "streamer_vendor_clock_offset_seconds",
            "The vendor's clock minus ours: the least and the most it can be.",
            ["source", "bound"],
            registry=registry,
        )
        self._jumps = Counter(
            "streamer_vendor_clock_jumps", "Jumps of the vendor's clock, or of ours.", ["source"], registry=registry
        )
        self._zone = Gauge(
            "streamer_vendor_zone_offset_seconds",
            "How far all fresh stamps are off where that looks like a wrong time zone; else 0.",
            ["source"],
            registry=registry,
        )
        self._events = Counter(
            "streamer_events", "Committed events by change and basis.", ["source", "change", "basis"], registry=registry
        )
        self._latency = Histogram(
            "streamer_commit_latency_seconds",
            "From the poll's request to the commit of its events.",
            ["source"],
            registry=registry,
        )
        self._feed = Gauge(
            "streamer_feed_status", "1 for the feed's present status.", ["source", "status"], registry=registry
        )
        self._late = Histogram(
            "streamer_poll_lateness_seconds",
            "From when a poll was due to when it began.",
            ["source"],
            buckets=LATENESS,
            registry=registry,
        )
        self._waiting = Gauge("streamer_outbox_batches", "Batches that wait for Kafka.", ["source"], registry=registry)
        self._bytes = Gauge(
            "streamer_outbox_bytes", "Bytes that wait for Kafka, as packed.", ["source"], registry=registry
        )
        self._blocked = Gauge(
            "streamer_polling_blocked", "1 while nothing more can be kept.", ["source"], registry=registry
        )
        self._disk = Gauge("streamer_outbox_on_disk", "0 while batches are kept in memory only.", registry=registry)
        self._superseded = Counter(
            "streamer_superseded_batches",
            "Batches kept on disk that were dropped: another instance had gone on.",
            ["source"],
            registry=registry,
        )
        self._hints = Counter("streamer_hints", "Callbacks by outcome.", ["source", "outcome"], registry=registry)
        self._of_owned_sources = (
            self._good_at,
            self._rows,
            self._held,
            self._offset,
            self._zone,
            self._waiting,
            self._bytes,
            self._blocked,
            self._feed,
        )
        self._kafka = Gauge("streamer_kafka_up", "1 while Kafka takes what we write.", registry=registry)

    def polling(self, source: str, late: float) -> None:
        self._late.labels(source).observe(late)

    def hint(self, source: str, outcome: str) -> None:
        self._hints.labels(source, outcome).inc()

    def outbox(self, source: str, batches: int, size: int) -> None:
        self._waiting.labels(source).set(batches)
        self._bytes.labels(source).set(size)

    def disk(self, problem: str) -> None:
        self._disk.set(not problem)

    def superseded(self, source: str, batches: int) -> None:
        self._superseded.labels(source).inc(batches)

    def released(self, source: str) -> None:
        # What another instance has now is no longer ours to tell.
        for gauge in self._of_owned_sources:
            gauge.remove_by_labels({"source": source})

    def blocked(self, source: str, reason: str) -> None:
        self._blocked.labels(source).set(bool(reason))

    def polled(self, source: str, snapshot: Snapshot, seconds: float) -> None:
        self._polls.labels(source, "good").inc()
        self._seconds.labels(source).observe(seconds)
        self._good_at.labels(source).set(snapshot.answered_at / 1000)
        self._rows.labels(source).set(len(snapshot.seats))
        self._rejected.labels(source).inc(len(snapshot.rejected))

    def compared(self, source: str, findings: Findings) -> None:
        for kind, count in findings.contradictions.items():
            self._contradictions.labels(source, kind).inc(count)
        self._held.labels(source).set(findings.held)
        self._believed.labels(source).inc(findings.believed)
        self._jumps.labels(source).inc(findings.jumped)
        self._zone.labels(source).set((findings.zone_off or 0) / 1000)
        if findings.offset is not None:
            self._offset.labels(source, "min").set(findings.offset.low / 1000)
            self._offset.labels(source, "max").set(findings.offset.high / 1000)

    def poll_failed(self, source: str, error: VendorError) -> None:
        self._polls.labels(source, "refused" if isinstance(error, VendorRefused) else "failed").inc()

    def committed(
        self,
        source: str,
        events: Sequence[AgentStateChanged],
        states: Sequence[AgentState],
        forgotten: Sequence[str],
        at: int,
    ) -> None:
        for event in events:
            self._events.labels(source, event.change, event.basis).inc()
        if events:
            self._latency.labels(source).observe((at - events[0].after.observed_at) / 1000)

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
