"""A Prometheus with the configuration that is shipped reads what `run` serves, and every rule and query works on it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml
from prometheus_client import CollectorRegistry

from streamer.config import Http
from streamer.observe.metrics import MetricsObserver
from streamer.observe.troubles import Troubles
from streamer.web.app import make_app, serving
from streamer.web.board import Board
from tests.conftest import without
from tests.deploy.prometheus_tools import ToolUnobtainable, obtain
from tests.kafka_readiness import free_port

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
PATIENCE = 60.0
"""Seconds in which Prometheus starts and scrapes; 3 on an idle machine."""


@pytest.fixture
async def prometheus(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[str]:
    """The address of a Prometheus that scrapes one instance's pages."""
    try:
        tool = obtain("prometheus")
    except ToolUnobtainable as error:
        without(request.config, "tools", str(error))
    registry = CollectorRegistry()
    metrics = MetricsObserver(registry)
    metrics.feed("floor", "live", "")
    metrics.kafka(None)
    app = make_app(Board(Troubles()), registry, lambda: ({}, {}), Http(), lambda: 0)
    async with serving(app, "127.0.0.1", 0) as served:
        config: dict[str, Any] = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yml").read_text())
        config["global"] |= {"scrape_interval": "1s", "evaluation_interval": "1s"}
        config["rule_files"] = [str(DEPLOY / "prometheus" / name) for name in config["rule_files"]]
        config["scrape_configs"][0]["static_configs"][0]["targets"] = [served.removeprefix("http://")]
        file = tmp_path / "prometheus.json"
        file.write_text(json.dumps(config))
        address = f"127.0.0.1:{free_port()}"
        command = [tool, f"--config.file={file}", f"--storage.tsdb.path={tmp_path}", f"--web.listen-address={address}"]
        with (tmp_path / "log").open("wb") as log:
            process = await asyncio.create_subprocess_exec(
                *command, stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log
            )
        try:
            yield f"http://{address}/api/v1"
        finally:
            process.kill()
            await process.wait()


async def test_prometheus_scrapes_and_evaluates(prometheus: str) -> None:
    """An instance that is well is up, no rule fires or fails, and the dashboard's queries are answered."""
    async with aiohttp.ClientSession() as session:

        async def ask(what: str, **parameters: str) -> Any:
            async with session.get(f"{prometheus}/{what}", params=parameters) as answer:
                told: Any = await answer.json()
                assert told["status"] == "success", told
                return told["data"]

        async def well() -> bool:
            """The instance is up, and every rule was evaluated and fires not."""
            try:
                up = await ask("query", query='sum(up{job="streamer"})')
                groups = (await ask("rules"))["groups"]
            except aiohttp.ClientError:  # not started yet
                return False
            rules = {(rule["health"], rule["state"]) for group in groups for rule in group["rules"]}
            return [found["value"][1] for found in up["result"]] == ["1"] and rules == {("ok", "inactive")}

        async with asyncio.timeout(PATIENCE):
            while not await well():  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0.2)
        dashboard = json.loads((DEPLOY / "grafana" / "dashboards" / "streamer.json").read_text())
        for panel in dashboard["panels"]:
            for target in panel["targets"]:
                expr = target["expr"].replace("$__rate_interval", "1m").replace("$source", ".*")
                await ask("query", query=expr)
        (feed,) = (await ask("query", query='max by (source) (streamer_feed_status{status="live"})'))["result"]
        assert (feed["metric"], feed["value"][1]) == ({"source": "floor"}, "1")
