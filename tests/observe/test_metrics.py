"""Metrics: what is counted, that their number stays bounded, how they are called, and that the page shows them."""

from __future__ import annotations

import re

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import Metric

from streamer.core.model import Findings, Offset, RejectedRow, Snapshot
from streamer.errors import KafkaUnavailable, VendorRefused, VendorUnavailable
from streamer.observe.metrics import MetricsObserver, states_by_name
from tests.observe.metrics_page import PAGE, VALUES, everything, families, labels, page, shown
from tests.web.floor import AT, agent, event


class Metrics:
    """An observer, and what it has counted of source `floor`. `now` is the clock's time, in seconds."""

    def __init__(self) -> None:
        self.now = AT / 1000
        self.registry = CollectorRegistry()
        self.observer = MetricsObserver(self.registry, lambda: self.now)

    def __call__(self, name: str, **labels: str) -> float | None:
        return self.registry.get_sample_value(f"streamer_{name}", {"source": "floor", **labels})

    def of_all(self, name: str, **labels: str) -> float | None:
        return self.registry.get_sample_value(f"streamer_{name}", labels)


def test_what_happens_is_counted() -> None:
    """Polls by outcome, rows, events, latencies, transactions, the feed, Kafka, slots."""
    value = Metrics()
    observer = value.observer
    observer.polled("floor", Snapshot("floor", AT, AT + 100, None, None, (), frozenset(), 0, (), {}), 0.1)
    observer.poll_failed("floor", VendorUnavailable("no answer"))
    observer.poll_failed("floor", VendorRefused("601"))
    observer.committed("floor", [event(agent())], [agent()], [], AT + 250)
    observer.told_after("floor", [0.4, 61.0])
    observer.written("committed", 0.02)
    observer.written("unknown", 15.0)
    observer.written("committed", 0.02)
    observer.feed("floor", "stale", "why")
    observer.kafka(KafkaUnavailable("away"))
    observer.slots(3)
    assert [value("polls_total", outcome=o) for o in ("good", "failed", "refused")] == [1, 1, 1]
    assert value("last_good_poll_timestamp_seconds") == (AT + 100) / 1000
    assert value("events_total", change="first_seen", basis="observed") == 1
    assert value("commit_latency_seconds_sum") == 0.25
    assert [value("event_latency_seconds_bucket", le=le) for le in ("0.25", "0.5", "60.0", "+Inf")] == [0, 1, 1, 2]
    assert [value.of_all("transactions_total", outcome=o) for o in ("committed", "unknown", "fenced")] == [2, 1, 0]
    assert value.of_all("transaction_duration_seconds_sum") == 15.04
    assert [value("feed_status", status=s) for s in ("live", "stale")] == [0, 1]
    assert (value.of_all("kafka_up"), value.of_all("slots_held")) == (0, 3)


def test_what_was_not_understood_is_counted_by_its_kind() -> None:
    """Whatever its words: these may quote what the vendor sent."""
    value = Metrics()
    rows = [RejectedRow("row", f"a second row for group '{n}'", "", "1", b"", "duplicate") for n in range(9)]
    value.observer.rejected("floor", rows)
    value.observer.rejected("floor", [RejectedRow("body", "no answer", "", None, b"", "body")])
    assert [value("rejected_rows_total", reason=r) for r in ("duplicate", "body", "time")] == [9, 1, None]


def test_what_comparing_showed_is_counted() -> None:
    """Contradictions by kind, the gate's decisions, the vendor's clock and its zone."""
    value = Metrics()
    value.observer.compared("floor", Findings({"past": 2, "order": 1}, 4, 3, Offset(-250, 750), True, 28_800_000, 5))
    value.observer.compared("floor", Findings({"past": 1}, held=0, believed=1))
    assert [value("contradictions_total", kind=kind) for kind in ("past", "order")] == [3, 1]
    assert [value(f"absences_{name}") for name in ("held", "believed_total", "returned_total")] == [0, 4, 5]
    assert [value("vendor_clock_offset_seconds", bound=b) for b in ("min", "max")] == [-0.25, 0.75]
    assert value("vendor_clock_jumps_total") == 1
    assert value("vendor_zone_offset_seconds") == 0


def test_what_waits_grows_older_between_two_polls() -> None:
    """Its age is right whenever it is asked for, 0 once nothing waits, and never negative when a clock goes back."""
    value = Metrics()
    value.observer.outbox("floor", 2, 100, AT - 3_000)
    assert value("outbox_age_seconds") == 3
    value.now += 60
    assert value("outbox_age_seconds") == 63
    value.now -= 120
    assert value("outbox_age_seconds") == 0
    value.observer.outbox("floor", 0, 0, None)
    assert value("outbox_age_seconds") == 0


def test_what_is_anothers_now_has_no_gauge_and_comes_back_with_the_source() -> None:
    """Neither an old age nor an old status is left behind; counters go on."""
    value = Metrics()
    everything(value.observer)
    value.observer.released("floor")
    left = {metric.name for metric in value.registry.collect() if metric.type == "gauge" and metric.samples}
    assert left == {f"streamer_{name}" for name in ("slots_held", "source_configured", "outbox_on_disk", "kafka_up")}
    assert value("polls_total", outcome="good") == 1
    value.observer.released("floor")
    everything(value.observer)
    assert (value("outbox_age_seconds"), value("polls_total", outcome="good")) == (0, 2)


def test_a_first_failure_is_an_increase() -> None:
    """Its series is there, at 0, before it happens."""
    value = Metrics()
    value.observer.restored("floor", {})
    assert [value("polls_total", outcome=o) for o in ("good", "failed", "refused")] == [0, 0, 0]
    assert value("superseded_batches_total") == 0


def test_extensions_make_no_series() -> None:
    """A thousand extensions cost as much as one."""
    sizes: list[int] = []
    for count in (1, 1000):
        value = Metrics()
        value.observer.committed("floor", [event(agent(str(n))) for n in range(count)], [], [], AT)
        sizes.append(sum(len(metric.samples) for metric in value.registry.collect()))
    assert sizes[0] == sizes[1]


@pytest.mark.parametrize("metric", families(), ids=lambda metric: metric.name)
def test_metrics_are_called_as_prometheus_wants_it(metric: Metric) -> None:
    """Base units, `_total` on counters and nowhere else, no unit within a name, help in a sentence, labels known."""
    name = shown(metric)
    assert re.fullmatch(r"streamer(_[a-z]+)+", name)
    assert not re.search(r"_(milliseconds?|ms|minutes?|hours?|kilobytes?|kb|mb|percent|seconds_[a-su-z]\w*)(_|$)", name)
    assert (metric.type == "counter") == name.endswith("_total")
    assert metric.type != "histogram" or name.endswith(("_seconds", "_bytes"))
    assert not name.endswith(("_count", "_sum", "_bucket", "_gauge", "_counter"))
    assert re.fullmatch(r"\S.*\S[.]", metric.documentation)
    assert metric.samples, "let `everything` cause it"
    assert all(label in VALUES or f"{name} {label}" in VALUES for label in labels(metric) if metric.type != "info")


def test_the_page_shows_every_metric() -> None:
    """docs/metrics.md is what the registry says."""
    assert PAGE.read_text("utf-8") == page(), "write it anew: python -m tests.observe.metrics_page"


def test_states_are_counted_busiest_first() -> None:
    """And those that nobody is in are left out."""
    floor = {"1": agent(), "2": agent(state="talking"), "3": agent()}
    assert states_by_name(floor) == {"talking": 1, "available": 2}
