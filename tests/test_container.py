"""What is shipped: the image, its locked dependencies, and the composed set-up in which they run together."""

from __future__ import annotations

import http.client
import json
import os
import re
import shutil
import subprocess
import time
import tomllib
import urllib.request
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.kafka_container import IMAGE_VARIABLE
from tests.kafka_readiness import free_port
from tests.programs import ran

ROOT = Path(__file__).resolve().parent.parent
LOCKS = sorted((ROOT / "deploy").glob("requirements*.txt"))

PYTHON_IMAGE_VARIABLE = "STREAMER_TEST_PYTHON_IMAGE"
BUILD_TIMEOUT = 480  # seconds; the first build installs the dependencies, later ones a minute at most
PORTS = ("STREAMER_PORT", "STREAMER_2_PORT", "KAFKA_PORT", "SIMULATOR_PORT", "SIMULATOR_2_PORT")
UP_TIMEOUT = 120  # seconds until all services are healthy; 15 on an idle machine


def shell(
    *command: str, timeout: float = 60, environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a command in the checkout, errors and output in one text."""
    return ran(command, ROOT, timeout, environment)


def require_compose() -> None:
    """Skip where there is no `docker compose`."""
    if shutil.which("docker") is None or shell("docker", "compose", "version").returncode != 0:
        pytest.skip("no docker compose here")


def require_images() -> dict[str, str]:
    """The images to build from and to run with, or a skip if the engine or one of them is missing."""
    require_compose()
    images = {
        "PYTHON_IMAGE": os.environ.get(PYTHON_IMAGE_VARIABLE) or "python:3.11-slim",
        "KAFKA_IMAGE": os.environ.get(IMAGE_VARIABLE) or "apache/kafka:4.4.0",
    }
    for image in images.values():
        if shell("docker", "image", "inspect", image).returncode != 0:
            pytest.skip(f"no Docker engine, or no image {image}")
    return images


def compose_config(*arguments: str) -> dict[str, Any]:
    """The compose file as docker understands it."""
    require_compose()
    told = shell(
        "docker", "compose", "--profile", "tests", "--profile", "watch", "config", "--format", "json", *arguments
    )
    assert told.returncode == 0, told.stdout
    return json.loads(told.stdout)


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.name)
def test_lock_pins_every_package_by_hash_and_names_no_address(lock: Path) -> None:
    """An image built from a lock holds what was locked, wherever it is fetched from."""
    text = lock.read_text()
    assert "://" not in text
    assert not re.search(r"^\s*-", re.sub(r"^\s+--hash=sha256:[0-9a-f]{64}( \\)?$", "", text, flags=re.MULTILINE))
    packages = [block for block in re.split(r"\n(?=[a-z0-9])", text.strip()) if not block.startswith("#")]
    assert packages
    for package in packages:
        assert re.match(r"[a-z0-9-]+==\S+", package), package
        assert "--hash=sha256:" in package, package


def test_lock_holds_every_direct_dependency() -> None:
    """A dependency added to pyproject.toml without `deploy/lock` would be missing from the image."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    wanted = {
        "requirements.txt": project["project"]["dependencies"],
        "requirements-dev.txt": project["project"]["optional-dependencies"]["dev"],
        "requirements-build.txt": project["build-system"]["requires"],
    }
    for lock, dependencies in wanted.items():
        locked = set(re.findall(r"^([a-z0-9-]+)==", (ROOT / "deploy" / lock).read_text(), re.MULTILINE))
        names = {re.split(r"[\[<>=!~; ]", dependency)[0].lower().replace("_", "-") for dependency in dependencies}
        assert names <= locked, f"{lock} lacks {names - locked}; run deploy/lock"


def test_service_runs_without_root_and_no_image_floats() -> None:
    """The last USER is not root, and every base image has a version."""
    text = (ROOT / "Dockerfile").read_text()
    assert re.findall(r"^USER (.+)$", text, re.MULTILINE)[-1] == "10001:10001"
    for file in ("Dockerfile", "docker-compose.yml"):
        assert ":latest" not in (ROOT / file).read_text()
    assert re.search(r"^ARG PYTHON_IMAGE=\S+:\d", text, re.MULTILINE)


def test_compose_publishes_on_loopback_only_and_checks_every_service() -> None:
    """Nothing is open to the network, and no service waits for another by luck."""
    services = compose_config()["services"]
    started = {"kafka", "simulator", "simulator-2", "streamer-1", "streamer-2"}
    assert {name for name, service in services.items() if not service.get("profiles")} == started
    assert set(services) - started == {"tests", "prometheus", "grafana", "kafka-ui"}
    for name, service in services.items():
        assert all(port["host_ip"] == "127.0.0.1" for port in service.get("ports", [])), name
        assert "healthcheck" in service, name
        assert all(need["condition"] == "service_healthy" for need in service.get("depends_on", {}).values())


@pytest.fixture
def composed() -> Iterator[dict[str, str]]:
    """The environment under which `docker compose` builds and runs a set-up of this test's own; removed after."""
    images = require_images()
    environment = {
        **images,
        "STREAMER_IMAGE": "streamer:test",
        "BUILD_NETWORK": "host",
        "COMPOSE_PROJECT_NAME": f"streamer-test-{uuid.uuid4().hex[:8]}",
        **{variable: str(free_port()) for variable in PORTS},
    }
    yield environment
    removed = shell("docker", "compose", "down", "--volumes", "--timeout", "15", timeout=90, environment=environment)
    assert removed.returncode == 0, removed.stdout


@pytest.mark.timeout(BUILD_TIMEOUT + UP_TIMEOUT + 120)
def test_composed_set_up_becomes_ready(composed: dict[str, str]) -> None:
    """The image builds; two instances share the two sources, and one has both when the other is killed."""
    built = shell("docker", "compose", "build", "streamer-1", timeout=BUILD_TIMEOUT, environment=composed)
    assert built.returncode == 0, built.stdout[-4000:]
    up = shell(
        *("docker", "compose", "up", "--detach", "--wait", "--wait-timeout", str(UP_TIMEOUT), "--no-build"),
        timeout=UP_TIMEOUT + 30,
        environment=composed,
    )
    logs = shell("docker", "compose", "logs", "--no-color", "--tail", "60", environment=composed).stdout
    assert up.returncode == 0, f"{up.stdout}\n{logs}"

    one, two = int(composed["STREAMER_PORT"]), int(composed["STREAMER_2_PORT"])
    for port in (one, two):
        assert [status_of(port, path) for path in ("/readyz", "/healthz", "/")] == [200, 200, 200], logs
    assert sorted(sources_of(one) + sources_of(two)) == ["annex", "floor"]
    killed = shell("docker", "compose", "kill", "streamer-1", environment=composed)
    assert killed.returncode == 0, killed.stdout
    deadline = time.monotonic() + 60
    while sources_of(two) != ["annex", "floor"]:
        assert time.monotonic() < deadline, shell(
            "docker", "compose", "logs", "streamer-2", environment=composed
        ).stdout
        time.sleep(0.5)


def sources_of(port: int) -> list[str]:
    """The sources that an instance polls, as its metrics say."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
        return sorted(re.findall(r'^streamer_last_good_poll_[a-z_]+\{source="(\w+)"', answer.read().decode(), re.M))


def status_of(port: int, path: str, patience: float = 30.0) -> int:
    """The HTTP status of a page on loopback, asked for `patience` seconds while it is not 200; 0 for no answer."""
    deadline = time.monotonic() + patience
    while True:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        try:
            connection.request("GET", path)
            status = connection.getresponse().status
        except OSError:
            status = 0
        finally:
            connection.close()
        if status == 200 or time.monotonic() > deadline:
            return status
        time.sleep(0.5)
