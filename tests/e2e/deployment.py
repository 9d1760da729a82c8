"""A simulator and a streamer as processes of their own, on a given Kafka: what an operator would start."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

from tests.conftest import Topics
from tests.kafka_server import free_port

ACCESSKEY = "key-1"


class Deployment:
    """`streamer simulate` and any number of lives of `streamer run` in `folder`."""

    def __init__(self, folder: Path, kafka: str, topics: Topics, *, extra: str = "") -> None:
        self.folder = folder
        self.kafka = kafka
        self.topics = topics
        self.vendor_port = free_port()
        self.port = free_port()
        self.truth = folder / "truth.jsonl"
        self.config = folder / "streamer.toml"
        self.config.write_text(f"""
[kafka]
bootstrap_servers = "{kafka}"
events_topic = "{topics.events}"
state_topic = "{topics.state}"
feed_topic = "{topics.feed}"
rejected_topic = "{topics.rejected}"
[http]
listen = "127.0.0.1:{self.port}"
[[sources]]
name = "floor"
url = "http://127.0.0.1:{self.vendor_port}"
appid = "app-1"
accesskey_env = "FLOOR_ACCESSKEY"
{extra}
""")
        self.recordings: list[Path] = []
        self.simulator: subprocess.Popen[bytes] | None = None
        self.streamer: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for process in (self.streamer, self.simulator):
            if process is not None and process.poll() is None:
                process.kill()
                process.wait()

    def simulate(self, *, agents: int, seed: int, floor: str = "default", faults: str = "") -> None:
        """Start the simulator and wait until it answers."""
        self.simulator = start(
            self.folder,
            "simulate",
            f"--port={self.vendor_port}",
            f"--agents={agents}",
            f"--seed={seed}",
            f"--floor={floor}",
            f"--faults={faults}",
            f"--truth={self.truth}",
        )
        wait_for(lambda: get(f"http://127.0.0.1:{self.vendor_port}/control/stats") is not None, "the simulator")

    def run(self) -> subprocess.Popen[bytes]:
        """Start one life of the streamer; it records what it polls."""
        recording = self.folder / f"recording-{len(self.recordings)}.jsonl"
        self.recordings.append(recording)
        self.streamer = start(self.folder, "run", f"--config={self.config}", f"--record={recording}")
        return self.streamer

    def wait_until_live(self) -> None:
        """Every source's feed is live."""
        wait_for(lambda: get(f"http://127.0.0.1:{self.port}/readyz") is not None, "the streamer to be live")

    def not_ready(self) -> dict[str, Any]:
        """What /readyz says is not ready; empty too while nobody answers there."""
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{self.port}/readyz", timeout=2).close()
        except urllib.error.HTTPError as error:
            with error:
                return json.load(error)["not_ready"]
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            pass
        return {}

    def move(self, port: int) -> None:
        """The next life serves its wallboard on another port."""
        self.config.write_text(self.config.read_text().replace(f"127.0.0.1:{self.port}", f"127.0.0.1:{port}"))
        self.port = port

    def stop(self) -> int:
        """SIGTERM; the exit code."""
        assert self.streamer is not None
        self.streamer.send_signal(signal.SIGTERM)
        return self.streamer.wait(30)

    def kill(self) -> None:
        """SIGKILL."""
        assert self.streamer is not None
        self.streamer.kill()
        self.streamer.wait()

    def polls(self) -> int:
        """How many status calls the simulator has answered."""
        stats = get(f"http://127.0.0.1:{self.vendor_port}/control/stats")
        assert stats is not None
        return stats["polls"]

    def log(self) -> str:
        """What all lives of both programs wrote."""
        return (self.folder / "log.txt").read_text()


def start(folder: Path, *arguments: str) -> subprocess.Popen[bytes]:
    """A command of ours as a process that writes to `log.txt` in `folder`."""
    with (folder / "log.txt").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "streamer", *arguments],
            env={**os.environ, "FLOOR_ACCESSKEY": ACCESSKEY},
            stdout=log,
            stderr=log,
            stdin=subprocess.DEVNULL,
        )


def wait_for(condition: Callable[[], bool], what: str, timeout: float = 60.0) -> None:
    """Wait until `condition` holds; TimeoutError names `what` after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {timeout:.0f} s for {what}")
        time.sleep(0.02)


def get(url: str) -> dict[str, Any] | None:
    """The JSON that is served there; None if nobody answers, or not well."""
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:  # noqa: S310 - our own address on loopback
            return json.load(answer)
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return None
