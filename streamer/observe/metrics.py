"""Prometheus metrics. No label ever names an extension: their number is bounded by sources × kinds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from streamer.core.codes import BUSIEST
from streamer.core.feed import Status
from streamer.core.model import AgentState, AgentStateChanged, Snapshot
from streamer.errors import KafkaError, VendorError, VendorRefused
from streamer.observe.observer import Silent

STATUSES: tuple[Status, ...] = ("live", "recovering", "stale", "refused", "stopped")


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
        self._kafka = Gauge("streamer_kafka_up", "1 while Kafka takes what we write.", registry=registry)

    def polled(self, source: str, snapshot: Snapshot, seconds: float) -> None:
        self._polls.labels(source, "good").inc()
        self._seconds.labels(source).observe(seconds)
        self._good_at.labels(source).set(snapshot.answered_at / 1000)
        self._rows.labels(source).set(len(snapshot.seats))
        self._rejected.labels(source).inc(len(snapshot.rejected))

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
