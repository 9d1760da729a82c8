"""docs/metrics.md, from the registry itself: `python -m tests.observe.metrics_page` writes it anew."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import get_args

from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import Metric

from streamer.core.evidence import Kind
from streamer.core.feed import Status
from streamer.core.loose import Fault
from streamer.core.model import Basis, Change, Findings, Offset, RejectedRow, Snapshot
from streamer.errors import VendorRefused, VendorUnavailable
from streamer.observe.metrics import POLLS, MetricsObserver
from streamer.observe.observer import Hinted, Observer, Written
from tests.web.floor import AT, agent, event

PAGE = Path(__file__).parents[2] / "docs" / "metrics.md"

VALUES = {
    "source": "a source's name",
    "streamer_polls_total outcome": ", ".join(POLLS),
    "streamer_hints_total outcome": ", ".join(get_args(Hinted)),
    "streamer_transactions_total outcome": ", ".join(get_args(Written)),
    "reason": ", ".join(get_args(Fault)),
    "kind": ", ".join(get_args(Kind)),
    "status": ", ".join(get_args(Status)),
    "change": ", ".join(get_args(Change)),
    "basis": ", ".join(get_args(Basis)),
    "bound": "min, max",
}
"""Label → the values that it can have."""

HEAD = """# Metrics

What `/metrics` shows. No label names an extension: there are as many series as sources × the values below. A gauge of
a source is there only while this instance has the source.

| name | type | labels | meaning |
| --- | --- | --- | --- |
"""

LABELS = """
| label | values |
| --- | --- |
"""


def everything(observer: Observer, source: str = "floor") -> None:
    """All that an observer can be told, once."""
    rejected = [RejectedRow("row", "why", "result[0]", None, b"{}", "time")]
    observer.configured([source])
    observer.hint(source, "accepted")
    observer.slots(1)
    observer.restored(source, {})
    observer.polling(source, 0.01)
    observer.blocked(source, "the outbox is full")
    observer.compared(
        source, Findings({"past": 1}, 2, 1, Offset(-250, 750), jumped=True, zone_off=28_800_000, returned=1)
    )
    observer.rejected(source, rejected)
    observer.polled(source, Snapshot(source, AT, AT + 100, None, None, (), frozenset(), 0, (), {}), 0.1)
    observer.poll_failed(source, VendorUnavailable("no answer"))
    observer.poll_failed(source, VendorRefused("601"))
    observer.outbox(source, 1, 100, AT)
    observer.written("committed", 0.02)
    observer.committed(source, [event(agent())], [agent()], [], AT + 250)
    observer.told_after(source, [0.5])
    observer.disk("")
    observer.resumed(source, 1, 1)
    observer.superseded(source, 1)
    observer.feed(source, "live", "")
    observer.kafka(None)
    observer.problem("something", why="else")


def families() -> list[Metric]:
    """Every metric, with samples."""
    registry = CollectorRegistry()
    everything(MetricsObserver(registry, lambda: AT / 1000))
    return list(registry.collect())


def labels(metric: Metric) -> list[str]:
    """The names of a metric's labels."""
    return list(dict.fromkeys(name for sample in metric.samples for name in sample.labels if name != "le"))


def shown(metric: Metric) -> str:
    """A metric's name as it is asked for."""
    return metric.name + {"counter": "_total", "info": "_info"}.get(metric.type, "")


def page() -> str:
    """The page."""
    lines = [
        f"| `{shown(metric)}` | {metric.type} | {_code(labels(metric))} | {metric.documentation} |\n"
        for metric in families()
    ]
    values = [f"| {_code(name.split())} | {text} |\n" for name, text in VALUES.items()]
    return "".join([HEAD, *lines, LABELS, *values])


def _code(names: Sequence[str]) -> str:
    return " ".join(f"`{name}`" for name in names)


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
