"""What instances said of themselves before and during a fault → an hour as Prometheus would have seen it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from prometheus_client.parser import text_string_to_metric_families

STEP = 15
"""Seconds between two samples, as prometheus.yml scrapes."""

BEFORE, AFTER = 80, 160
"""Samples of the healthy time and of the fault."""

Series = tuple[str, str]
"""Name and labels, as Prometheus writes them."""


@dataclass(frozen=True)
class Scrape:
    """The pages of all instances at one moment (unix seconds); None of one that does not answer."""

    at: float
    pages: Mapping[str, str | None]

    def series(self) -> dict[Series, float]:
        """Every sample."""
        found: dict[Series, float] = {}
        for instance, page in self.pages.items():
            own = {"instance": instance, "job": "streamer"}
            found["up", _labels(own)] = float(page is not None)
            for family in text_string_to_metric_families(page or ""):
                for sample in family.samples:
                    found[sample.name, _labels({**sample.labels, **own})] = sample.value
        return found


def _labels(labels: Mapping[str, str]) -> str:
    return "{" + ",".join(f'{name}="{value}"' for name, value in sorted(labels.items())) + "}"


def hour(before: Scrape, during: Sequence[Scrape]) -> dict[str, list[str]]:
    """Twenty healthy minutes, then forty in which all goes on as it went between the scrapes `during` the fault."""
    early, (first, last) = before.series(), [scrape.series() for scrape in during]
    seconds = during[1].at - during[0].at
    world: dict[str, list[str]] = {}
    for key in early.keys() | last.keys():
        name, labels = key
        moment = name.endswith(("_timestamp_seconds", "_created"))
        zero = during[1].at - BEFORE * STEP if moment else 0.0
        runs = STEP if name.endswith("_timestamp_seconds") else 0.0
        samples = ["_"] * BEFORE
        if key in early:
            value = early[key] + (during[1].at - before.at if runs else 0.0) - zero
            samples = [f"{value - runs * (BEFORE - n):.3f}" for n in range(BEFORE)]
        if key in last:
            grew = last[key] - first.get(key, 0.0)
            if runs:  # how far it moved is by chance of where between two polls the scrapes fell
                each = runs if grew else 0.0
            else:
                each = STEP * grew / seconds if name.endswith(("_total", "_count", "_sum", "_bucket")) else 0.0
            samples += [f"{last[key] - zero + each * n:.3f}" for n in range(AFTER)]
        else:
            samples += ["stale"] + ["_"] * (AFTER - 1)
        world[name + labels] = samples
    return world


def question(rules: str, world: Mapping[str, Sequence[str]], firing: Sequence[str]) -> Mapping[str, object]:
    """promtool's test: at the end of that hour these alerts fire, and no others."""
    return {
        "rule_files": [rules],
        "evaluation_interval": f"{STEP}s",
        "tests": [
            {
                "interval": f"{STEP}s",
                "input_series": [{"series": name, "values": " ".join(values)} for name, values in world.items()],
                "promql_expr_test": [
                    {
                        "expr": 'group by (alertname) (ALERTS{alertstate="firing"})',
                        "eval_time": f"{(BEFORE + AFTER - 1) * STEP}s",
                        "exp_samples": [{"labels": f'{{alertname="{alert}"}}', "value": 1} for alert in firing],
                    }
                ],
            }
        ],
    }
