"""Metrics: what is counted, and that their number stays bounded."""

from __future__ import annotations

from prometheus_client import CollectorRegistry

from streamer.core.model import Findings, Offset, RejectedRow, Snapshot
from streamer.errors import KafkaUnavailable, VendorRefused, VendorUnavailable
from streamer.observe.metrics import MetricsObserver, states_by_name
from tests.web.floor import AT, agent, event


def test_what_happens_is_counted() -> None:
    """Polls by outcome, rows, events, latency, the feed, Kafka."""
    registry = CollectorRegistry()
    observer = MetricsObserver(registry)
    rejected = (RejectedRow("row", "why", "result[0]", None, b"{}"),)
    observer.polled("floor", Snapshot("floor", AT, AT + 100, None, None, (), frozenset(), 0, rejected, {}), 0.1)
    observer.poll_failed("floor", VendorUnavailable("no answer"))
    observer.poll_failed("floor", VendorRefused("601"))
    observer.committed("floor", [event(agent())], [agent()], [], AT + 250)
    observer.feed("floor", "stale", "why")
    observer.kafka(KafkaUnavailable("away"))

    def value(name: str, **labels: str) -> float | None:
        return registry.get_sample_value(name, {"source": "floor", **labels})

    assert [value("streamer_polls_total", outcome=o) for o in ("good", "failed", "refused")] == [1, 1, 1]
    assert value("streamer_last_good_poll_timestamp_seconds") == (AT + 100) / 1000
    assert value("streamer_rejected_rows_total") == 1
    assert value("streamer_events_total", change="first_seen", basis="observed") == 1
    assert value("streamer_commit_latency_seconds_sum") == 0.25
    assert [value("streamer_feed_status", status=s) for s in ("live", "stale")] == [0, 1]
    assert registry.get_sample_value("streamer_kafka_up") == 0


def test_what_comparing_showed_is_counted() -> None:
    """Contradictions by kind, the gate's decisions, the vendor's clock and its zone."""
    registry = CollectorRegistry()
    observer = MetricsObserver(registry)
    observer.compared("floor", Findings({"past": 2, "order": 1}, 4, 3, Offset(-250, 750), True, 28_800_000))
    observer.compared("floor", Findings({"past": 1}, held=0, believed=1))

    def value(name: str, **labels: str) -> float | None:
        return registry.get_sample_value(name, {"source": "floor", **labels})

    assert [value("streamer_contradictions_total", kind=kind) for kind in ("past", "order")] == [3, 1]
    assert [value(f"streamer_absences_{name}") for name in ("held", "believed_total")] == [0, 4]
    assert [value("streamer_vendor_clock_offset_seconds", bound=b) for b in ("min", "max")] == [-0.25, 0.75]
    assert value("streamer_vendor_clock_jumps_total") == 1
    assert value("streamer_vendor_zone_offset_seconds") == 0


def test_extensions_make_no_series() -> None:
    """A thousand extensions cost as much as one."""
    sizes: list[int] = []
    for count in (1, 1000):
        registry = CollectorRegistry()
        observer = MetricsObserver(registry)
        observer.committed("floor", [event(agent(str(n))) for n in range(count)], [], [], AT)
        sizes.append(sum(len(metric.samples) for metric in registry.collect()))
    assert sizes[0] == sizes[1]


def test_states_are_counted_busiest_first() -> None:
    """And those that nobody is in are left out."""
    floor = {"1": agent(), "2": agent(state="talking"), "3": agent()}
    assert states_by_name(floor) == {"talking": 1, "available": 2}
