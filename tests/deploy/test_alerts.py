"""Each alert fires in its case and in no other's, and none in a deployment that does what it should."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

PLACE = Path(__file__).resolve().parents[2] / "deploy" / "prometheus"
RULES = PLACE / "alerts.yml"

STEP = 15  # seconds between two samples, as prometheus.yml scrapes
COUNT = 320  # samples of each series: 80 minutes
END = COUNT - 1
ONE, TWO = "streamer-1:8080", "streamer-2:8080"

World = dict[str, list[object]]
"""Series → its samples; `_` is none, `stale` says that the instance no longer has it."""


def name(metric: str, **labels: str) -> str:
    """A series as promtool writes it."""
    return metric + "{" + ",".join(f'{key}="{value}"' for key, value in labels.items()) + "}"


def steady(value: object, begin: int = 0, end: int = COUNT) -> list[object]:
    """The same at each sample of [begin, end)."""
    return line(itertools.repeat(value), begin, end)


def rising(each: float, begin: int = 0, end: int = COUNT, start: float = 0) -> list[object]:
    """A counter."""
    return line(itertools.count(start, each), begin, end)


def line(values: Iterable[object], begin: int = 0, end: int = COUNT) -> list[object]:
    """`values` in [begin, end), nothing before and after."""
    shown = list(itertools.islice(values, end - begin))
    return (["_"] * begin + shown + ["stale"] + ["_"] * COUNT)[:COUNT]


def moment(usual: object, off: object, samples: int) -> list[object]:
    """For so many samples something is off."""
    return [*[usual] * 200, *[off] * samples, *[usual] * (COUNT - 200 - samples)]


def instance(where: str) -> World:
    """What an instance says of itself when all is well."""
    own = {"instance": where, "job": "streamer"}
    return {
        name("up", **own): steady(1),
        name("streamer_kafka_up", **own): steady(1),
        name("streamer_outbox_on_disk", **own): steady(1),
        **{name("streamer_source_configured", **own, source=source): steady(1) for source in ("floor", "annex")},
        name("streamer_transaction_duration_seconds_created", **own): steady(1000),
        name("streamer_transactions_total", **own, outcome="committed"): rising(15),
        **histogram("streamer_poll_lateness_seconds", own, "0.05", 15),
    }


def histogram(metric: str, labels: Mapping[str, str], most: str, each: float, begin: int = 0) -> World:
    """A histogram all of whose values are below `most` (and not below the bound before it)."""
    bounds = ("0.05", "0.5", "1.0", "5.0", "10.0", "+Inf")
    full = bounds.index(most)
    return {
        name(f"{metric}_bucket", **labels, le=bound): rising(each if at >= full else 0, begin)
        for at, bound in enumerate(bounds)
    }


def polling(source: str, where: str, begin: int = 0, end: int = COUNT, *, status: str = "live") -> World:
    """What an instance says of a source that it polls."""
    own = {"instance": where, "job": "streamer", "source": source}
    gauges = {
        "streamer_polling_blocked": 0,
        "streamer_absences_held": 0,
        "streamer_outbox_age_seconds": 0.2,
        "streamer_outbox_bytes": 0,
        "streamer_vendor_zone_offset_seconds": 0,
    }
    good = line(itertools.count(begin * STEP, STEP), begin, end)
    if status in ("stale", "refused"):
        good = steady(begin * STEP, begin, end)
    return {
        **{name(metric, **own): steady(value, begin, end) for metric, value in gauges.items()},
        **{
            name("streamer_feed_status", **own, status=each): steady(int(each == status), begin, end)
            for each in ("live", "recovering", "stale", "refused", "stopped")
        },
        name("streamer_vendor_clock_offset_seconds", **own, bound="min"): steady(-0.5, begin, end),
        name("streamer_vendor_clock_offset_seconds", **own, bound="max"): steady(0.5, begin, end),
        name("streamer_last_good_poll_timestamp_seconds", **own): good,
        # Counters stay when the source goes.
        name("streamer_polls_total", **own, outcome="good"): rising(15, begin),
        name("streamer_contradictions_total", **own, kind="wrap-up"): rising(0.2, begin),
        name("streamer_rejected_rows_total", **own, reason="no extension"): rising(0, begin),
        name("streamer_vendor_clock_jumps_total", **own): rising(0, begin),
        **histogram("streamer_event_latency_seconds", own, "1.0", 30, begin),
    }


def healthy() -> World:
    """Two instances, each with a source."""
    return instance(ONE) | instance(TWO) | polling("floor", ONE) | polling("annex", TWO)


def floor(metric: str, values: list[object], **labels: str) -> World:
    """A series of the source `floor` at the first instance, in place of the healthy one."""
    return {name(metric, instance=ONE, job="streamer", source="floor", **labels): values}


def first(metric: str, values: list[object], **labels: str) -> World:
    """A series of the first instance."""
    return {name(metric, instance=ONE, job="streamer", **labels): values}


def second(metric: str, values: list[object], **labels: str) -> World:
    """A series of the other instance."""
    return {name(metric, instance=TWO, job="streamer", **labels): values}


def without(world: World, where: str, since: int) -> World:
    """`world`, where an instance does not answer since then."""
    return {
        series: [*samples[:since], *([0] * (COUNT - since) if series.startswith("up{") else ["stale"])]
        if where in series
        else samples
        for series, samples in world.items()
    }


QUIET: dict[str, World] = {
    "all is well": healthy(),
    "an instance is taken over and comes back": without(instance(TWO) | healthy(), TWO, COUNT - 12)
    | polling("annex", TWO, 0, COUNT - 12)
    | polling("annex", ONE, COUNT - 9)
    | second("up", [*steady(1, 0, COUNT - 12)[: COUNT - 12], *[0] * 6, *[1] * 6]),
    "an instance cut off from Kafka shows old statuses": healthy()
    | polling("annex", ONE, COUNT - 20)
    | second("streamer_feed_status", steady(1), source="annex", status="stale")
    | second("streamer_feed_status", steady(1), source="annex", status="refused")
    | second("streamer_feed_status", steady(1), source="annex", status="recovering"),
    "everything is off for a moment": healthy()
    | first("up", moment(1, 0, 3))
    | second("up", moment(1, 0, 3))
    | first("streamer_kafka_up", moment(1, 0, 3))
    | first("streamer_outbox_on_disk", moment(1, 0, 3))
    | floor("streamer_outbox_age_seconds", moment(0, 90, 3))
    | floor("streamer_outbox_bytes", moment(0, 200_000_000, 3))
    | floor("streamer_polling_blocked", moment(0, 1, 1))
    | floor("streamer_absences_held", moment(0, 30, 12))
    | floor("streamer_vendor_clock_offset_seconds", moment(0, 9, 20), bound="min")
    | floor("streamer_vendor_zone_offset_seconds", moment(0, 3600, 12))
    | floor("streamer_feed_status", moment(1, 0, 15), status="live")
    | floor("streamer_feed_status", moment(0, 1, 3), status="stale")
    | floor("streamer_feed_status", moment(0, 1, 3), status="refused")
    | floor("streamer_feed_status", moment(0, 1, 15), status="recovering"),
    "a restart": healthy() | first("streamer_transaction_duration_seconds_created", [*[1000] * 200, *[4000] * 120]),
    "fenced once": healthy()
    | first("streamer_transactions_total", [*[0] * 260, *[5] * 60], outcome="fenced")
    | first("streamer_transactions_total", [*[0] * 260, *[2] * 60], outcome="unknown"),
    "an outbox in memory": healthy() | first("streamer_outbox_on_disk", steady(0)),
    "a poll that failed": healthy() | floor("streamer_feed_status", [*[0] * 316, 1, 1, 0, 0], status="stale"),
    "a broken answer": healthy() | floor("streamer_rejected_rows_total", [*[0] * 200, *[80] * 120], reason="not JSON"),
    "contradictions as ever": healthy() | floor("streamer_contradictions_total", rising(30), kind="wrap-up"),
    "no longer in the group's care for a moment": healthy() | polling("annex", TWO, 0, COUNT - 3),
}

FIRING: dict[str, World] = {
    "StreamerDown": without(healthy(), TWO, 280) | polling("annex", TWO, 0, 280) | polling("annex", ONE, 282),
    "StreamerAllDown": {
        series: [*samples[:300], *[0] * 20] if series.startswith("up{") else [*samples[:300], "stale"]
        for series, samples in healthy().items()
    },
    "StreamerRestarting": healthy()
    | first("streamer_transaction_duration_seconds_created", [1000 + 300 * (at // 20) for at in range(COUNT)]),
    "StreamerFenced": healthy() | first("streamer_transactions_total", rising(0.1), outcome="fenced"),
    "StreamerPollsLate": healthy()
    | histogram("streamer_poll_lateness_seconds", {"instance": ONE, "job": "streamer"}, "1.0", 15),
    "StreamerKafkaAway": healthy() | first("streamer_kafka_up", [*[1] * 310, *[0] * 10]),
    "StreamerCommitsUnknown": healthy() | first("streamer_transactions_total", rising(2), outcome="unknown"),
    "StreamerOutboxOld": healthy() | floor("streamer_outbox_age_seconds", rising(15)),
    "StreamerOutboxFilling": healthy() | floor("streamer_outbox_bytes", rising(1_000_000)),
    "StreamerPollingBlocked": healthy() | floor("streamer_polling_blocked", [*[0] * 316, *[1] * 4]),
    "StreamerOutboxDiskFailing": healthy() | first("streamer_outbox_on_disk", [*[1] * 300, *[0] * 20]),
    "StreamerBatchesSuperseded": healthy() | floor("streamer_superseded_batches_total", steady(3, COUNT - 40)),
    "StreamerSourceUnpolled": healthy() | polling("annex", TWO, 0, COUNT - 10),
    "StreamerSourceStale": healthy() | polling("floor", ONE, status="stale"),
    "StreamerSourceRefused": healthy() | polling("floor", ONE, status="refused"),
    "StreamerSourceRecovering": healthy() | polling("floor", ONE, status="recovering"),
    "StreamerAbsencesHeld": healthy() | floor("streamer_absences_held", steady(7, COUNT - 40)),
    "StreamerEventsLate": healthy()
    | histogram("streamer_event_latency_seconds", {"instance": ONE, "job": "streamer", "source": "floor"}, "10.0", 15),
    "StreamerVendorClockOff": healthy()
    | floor("streamer_vendor_clock_offset_seconds", steady(-31), bound="min")
    | floor("streamer_vendor_clock_offset_seconds", steady(-29), bound="max"),
    "StreamerVendorClockJumping": healthy() | floor("streamer_vendor_clock_jumps_total", rising(0.02)),
    "StreamerTimeZoneWrong": healthy() | floor("streamer_vendor_zone_offset_seconds", steady(-28_800)),
    "StreamerRowsRejected": healthy() | floor("streamer_rejected_rows_total", rising(15), reason="no extension"),
    "StreamerContradictionsRising": healthy()
    | floor("streamer_contradictions_total", [*rising(0.2)[: COUNT - 90], *rising(20)[:90]], kind="wrap-up"),
}

ALSO: dict[str, World] = {
    "StreamerSourceStale": healthy()
    | first("streamer_kafka_up", steady(1))
    | floor("streamer_last_good_poll_timestamp_seconds", line(itertools.chain(range(0, 3000, STEP), [3000] * COUNT))),
    "StreamerSourceUnpolled": healthy() | first("streamer_source_configured", steady(1), source="never-polled"),
    "StreamerVendorClockOff": healthy()
    | floor("streamer_vendor_clock_offset_seconds", steady(29), bound="min")
    | floor("streamer_vendor_clock_offset_seconds", steady(31), bound="max"),
    "StreamerContradictionsRising": healthy()
    | floor("streamer_contradictions_total", rising(20, COUNT - 90), kind="stamps"),
    "StreamerBatchesSuperseded": healthy() | floor("streamer_superseded_batches_total", [*[3] * 280, *[5] * 40]),
}
"""A second way in which some come about: while Kafka is away, from the beginning, in the other direction, anew."""

TOGETHER = {"StreamerAllDown": {"StreamerDown"}}
"""What the one brings with it, as it should."""


def alerts() -> list[dict[str, Any]]:
    """All rules."""
    return [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]


def test_each_alert_has_its_case_and_says_what_it_must() -> None:
    """Severity, summary, description and the section of the handbook; and a case in which it fires."""
    names = [rule["alert"] for rule in alerts()]
    assert sorted(names) == sorted(FIRING)
    assert set(ALSO) <= set(names)
    for rule in alerts():
        assert rule["labels"]["severity"] in ("critical", "warning"), rule["alert"]
        assert set(rule["annotations"]) == {"summary", "description", "runbook"}, rule["alert"]
        assert rule["annotations"]["runbook"] == f"docs/operations.md#{rule['alert'].lower()}"


def test_each_alert_has_its_section_in_the_handbook_and_each_section_an_alert() -> None:
    """In the order of the rules."""
    handbook = (PLACE.parents[1] / "docs" / "operations.md").read_text()
    sections = re.findall(r"^### (\S+)$", handbook.split("\n## Alerts\n")[1], re.MULTILINE)
    assert sections == [rule["alert"] for rule in alerts()]


def test_configuration_and_rules_are_valid(promtool: Callable[..., str], tmp_path: Path) -> None:
    """By Prometheus's own word. Debian's knows no discovery in a cluster, so that part is not looked at."""
    assert f"{len(alerts())} rules found" in promtool("check", "config", PLACE / "prometheus.yml")
    cluster = yaml.safe_load((PLACE.parent / "kubernetes" / "prometheus.yml").read_text())
    for job in cluster["scrape_configs"]:
        assert job.pop("kubernetes_sd_configs")
    (tmp_path / "prometheus.json").write_text(json.dumps(cluster))
    promtool("check", "config", "--syntax-only", tmp_path / "prometheus.json")


def test_alerts_fire_in_their_case_alone(promtool: Callable[..., str], tmp_path: Path) -> None:
    """In each world: what fires in its last minute is what has fired at any time. By Prometheus's own evaluation."""
    worlds = [(what, set[str](), world) for what, world in QUIET.items()]
    worlds += [
        (alert, {alert} | TOGETHER.get(alert, set()), world)
        for cases in (FIRING, ALSO)
        for alert, world in cases.items()
    ]
    tests = [
        {
            "name": what,
            "interval": f"{STEP}s",
            "input_series": [
                {"series": series, "values": " ".join(map(str, samples))} for series, samples in world.items()
            ],
            "promql_expr_test": [
                {
                    "expr": f"group by (alertname) ({alerts})",
                    "eval_time": f"{END * STEP}s",
                    "exp_samples": [{"labels": f'{{alertname="{alert}"}}', "value": 1} for alert in firing],
                }
                for alerts in ('ALERTS{alertstate="firing"}', 'last_over_time(ALERTS{alertstate="firing"}[1d])')
            ],
        }
        for what, firing, world in worlds
    ]
    file = tmp_path / "tests.yml"
    file.write_text(json.dumps({"rule_files": [str(RULES)], "evaluation_interval": f"{STEP}s", "tests": tests}))
    assert re.search("SUCCESS", promtool("test", "rules", file))
