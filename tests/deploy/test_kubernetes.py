"""The manifests are ones that a cluster takes, hold no secret, and their configuration and probes do what they say."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from prometheus_client import CollectorRegistry
from pydantic import SecretStr

from streamer.config import Http
from streamer.configure import load
from streamer.observe.troubles import Troubles
from streamer.web.app import make_app, serving
from streamer.web.board import Board

FILE = Path(__file__).resolve().parents[2] / "deploy" / "kubernetes" / "streamer.yaml"
DOCUMENTS: list[dict[str, Any]] = list(yaml.safe_load_all(FILE.read_text()))
SECRETS = "/etc/streamer-secrets"


def only(kind: str) -> dict[str, Any]:
    """The one document of a kind."""
    (found,) = [document for document in DOCUMENTS if document["kind"] == kind]
    return found


POD: dict[str, Any] = only("StatefulSet")["spec"]["template"]["spec"]
CONTAINER: dict[str, Any] = POD["containers"][0]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document["kind"])
@pytest.mark.parametrize("version", ["1.31", "1.37"])
def test_manifests_are_valid(document: dict[str, Any], version: str) -> None:
    """By Kubernetes' own schemas, in which an unknown key is an error."""
    assert kubernetes_validate.validate(document, version, strict=True) == version


def test_no_manifest_holds_a_secret() -> None:
    """The Secret is made by hand, from files."""
    assert "Secret" not in {document["kind"] for document in DOCUMENTS}
    assert not [entry for entry in CONTAINER["env"] if "value" in entry]


@pytest.fixture
def configuration(tmp_path: Path) -> Path:
    """streamer.toml of the ConfigMap, with secrets where the test can write them."""
    for name in ("kafka-password", "http-token", "floor-accesskey"):
        (tmp_path / name).write_text("s3cret\n")
    text: str = only("ConfigMap")["data"]["streamer.toml"]
    assert text.count(SECRETS) == 3
    file = tmp_path / "streamer.toml"
    file.write_text(text.replace(SECRETS, str(tmp_path)))
    return file


def test_configuration_is_valid_and_fits_the_pod(configuration: Path) -> None:
    """It loads; its files are mounted, its port is the container's, and the pod waits for an orderly end."""
    config = load(configuration, {"STREAMER_CLUSTER__INSTANCE": "streamer-0"}, {}, needs=("kafka", "sources", "http"))
    assert config.cluster is not None
    assert config.cluster.instance == "streamer-0"
    assert CONTAINER["ports"] == [{"name": "http", "containerPort": config.http.address[1]}]
    assert POD["terminationGracePeriodSeconds"] > config.shutdown_timeout
    mounts = {mount["name"]: mount["mountPath"] for mount in CONTAINER["volumeMounts"]}
    assert config.outbox.path is not None
    assert mounts == {"config": "/etc/streamer", "secrets": SECRETS, "outbox": str(config.outbox.path.parent)}
    claims = only("StatefulSet")["spec"]["volumeClaimTemplates"]
    assert {*(volume["name"] for volume in POD["volumes"]), *(c["metadata"]["name"] for c in claims)} == set(mounts)


def test_every_selector_finds_the_pods() -> None:
    """A label that is spelt otherwise somewhere would leave a service without pods."""
    labels = only("StatefulSet")["spec"]["template"]["metadata"]["labels"]
    assert only("StatefulSet")["spec"]["selector"]["matchLabels"] == labels
    assert only("PodDisruptionBudget")["spec"]["selector"]["matchLabels"] == labels
    assert only("Service")["spec"]["selector"] == labels
    assert only("NetworkPolicy")["spec"]["podSelector"]["matchLabels"] == labels


@pytest.mark.parametrize(
    ("troubles", "ready"),
    [({}, True), ({"floor": "stale: no answer"}, True), ({"kafka": "no broker", "floor": "stale: no answer"}, False)],
)
async def test_readiness_probe_looks_at_kafka_alone(tmp_path: Path, troubles: dict[str, str], ready: bool) -> None:
    """The very command, against the pages that `run` serves."""
    token = tmp_path / "http-token"
    token.write_text("s3cret\n")
    http = Http(listen="0.0.0.0:8080", token=SecretStr("s3cret"))
    app = make_app(Board(Troubles()), CollectorRegistry(), lambda: (troubles, {}), http, lambda: 0)
    async with serving(app, "127.0.0.1", 0) as address:
        program, option, script = CONTAINER["readinessProbe"]["exec"]["command"]
        assert (program, option) == ("python", "-c")
        script = script.replace(f"{SECRETS}/http-token", str(token)).replace("8080", address.rpartition(":")[2])
        done = await asyncio.to_thread(
            subprocess.run, [sys.executable, "-c", script], capture_output=True, timeout=30, check=False
        )
    assert (done.returncode == 0) == ready, done
    assert not done.stderr
