"""The dashboard is one that Grafana reads, and asks for nothing that nobody counts; neither does an alert."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import yaml
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard

from tests.observe.metrics_page import families

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
GRAFANA = DEPLOY / "grafana"
DASHBOARD = json.loads((GRAFANA / "dashboards" / "streamer.json").read_text())


def queries() -> list[str]:
    """Every expression of the dashboard, its variables filled in."""
    found = [target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]]
    return [expr.replace("$__rate_interval", "1m").replace("$source", ".*") for expr in found]


def rules() -> list[str]:
    """Every expression of an alert."""
    groups = yaml.safe_load((DEPLOY / "prometheus" / "alerts.yml").read_text())["groups"]
    return [rule["expr"] for group in groups for rule in group["rules"]]


def exported() -> set[str]:
    """Every name that a metric of ours is scraped under."""
    return {sample.name for metric in families() for sample in metric.samples}


def test_every_metric_that_is_asked_for_exists() -> None:
    """A renamed metric would leave an alert silent for ever."""
    asked = {name for expr in queries() + rules() for name in re.findall(r"\bstreamer_\w+", expr)}
    assert asked
    assert asked <= exported()


def test_queries_are_valid(promtool: Callable[..., str], tmp_path: Path) -> None:
    """Prometheus reads each one, as if it were a rule."""
    file = tmp_path / "queries.yml"
    named = [{"record": f"query:{number}", "expr": expr} for number, expr in enumerate(queries())]
    file.write_text(json.dumps({"groups": [{"name": "dashboard", "rules": named}]}))
    assert f"{len(named)} rules found" in promtool("check", "rules", file)


def test_dashboard_keeps_to_grafanas_types() -> None:
    """Read into Grafana's own published types and written again, nothing is lost: so it holds no key that they lack."""
    register_default_plugins()
    understood = json.loads(json.dumps(Dashboard.from_json(DASHBOARD), cls=JSONEncoder))
    kept = leaves(understood)
    assert {place: leaf for place, leaf in leaves(DASHBOARD).items() if kept.get(place) != leaf} == {}


def leaves(value: Any, path: str = "") -> dict[str, Any]:
    """What is in a JSON document, by place."""
    if isinstance(value, dict):
        items = list(cast(dict[str, Any], value).items())
    elif isinstance(value, list):
        items = [(str(number), inner) for number, inner in enumerate(cast(list[Any], value))]
    else:
        return {path: value}
    return {place: leaf for key, inner in items for place, leaf in leaves(inner, f"{path}/{key}").items()}


def test_dashboard_fits_its_grid_and_its_provisioning() -> None:
    """No panel lies over another, ids are unique, and it names the data source that is provisioned."""
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not cells & taken, panel["title"]
        assert max(x for x, _ in cells) < 24, panel["title"]
        taken |= cells
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(set(ids)) == len(ids)
    (source,) = yaml.safe_load((GRAFANA / "provisioning/datasources/prometheus.yml").read_text())["datasources"]
    named = {json.dumps(panel["datasource"], sort_keys=True) for panel in DASHBOARD["panels"]}
    assert named == {json.dumps({"type": source["type"], "uid": source["uid"]}, sort_keys=True)}
