"""The programs that benchmarks.poll_cost compares, as processes: how they are started, and what their polls cost.

| system | what it is |
| --- | --- |
| `streamer` | `streamer run` with one source and a configured token, as an operator would start it |
| `orjson+aiokafka` | a bare minimum in Python: `orjson.loads`, ready-made events, `producer.send`, one transaction |
| `raw+batch` | a barer one: rows compared as bytes at their places, whole batches sent; not for an order that changes |
| `rpconnect` | Redpanda Connect, a stream processor written in Go, with the pipeline that a skilled user would write |

All but ours come from a folder beside this repository: `bound.py`, `rpconnect/per_row.yaml`, and `build/` with a Python
that has their libraries and the built Redpanda Connect.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import sys
import tempfile
import time
import urllib.request
import uuid
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from aiokafka.admin import NewTopic
from confluent_kafka.admin import AdminClient

from benchmarks.used import TICK, cpu_seconds
from streamer.kafka.topics import wanted as our_topics
from tests.conftest import Topics
from tests.kafka_server import free_port
from tests.topics import make
from tests.topics import settings as kafka_settings

BARE = {"orjson+aiokafka": ("orjson", "aiokafka"), "raw+batch": ("raw", "batch")}
OURS, PEER = "streamer", "rpconnect"
PARTITIONS = 6
"""Of each topic."""

LARGEST = 64 * 2**20
"""Bytes of an answer that ours is told to take: 50,000 rows are 16 MB."""

PATIENCE = 120.0
"""Seconds that a program has to get going; the first poll of 50,000 rows publishes all of them."""

LEVEL = 0.1
"""A program has settled when two windows in a row cost the same, but for this share or two ticks of the account."""

SETTLED = 2.0
"""Seconds of such a window, at least."""

SETTLING = 60.0
"""Seconds after which it is measured all the same."""

LEAST_POLLS = 6
"""Of a measurement, however long they take."""

COMMIT, POLL = "streamer_commit_latency_seconds", "streamer_poll_duration_seconds"
Cost = dict[str, float]


@dataclass(frozen=True)
class Cell:
    """One floor that is polled: so many rows, this share of them changed in each answer."""

    rows: int
    share: float
    shuffled: bool

    def __str__(self) -> str:
        return f"{self.rows} rows, {self.share:.0%} changed, {'shuffled' if self.shuffled else 'stable'}"


@dataclass(frozen=True)
class Place:
    """Where a system runs: against the stub at `address` and this Kafka; `peers` is the folder with the others."""

    address: str
    kafka: str
    folder: Path
    peers: Path | None

    @property
    def url(self) -> str:
        """Where the stub is polled."""
        return f"http://{self.address}/"

    def get(self, path: str) -> Any:
        """What the stub says about itself."""
        with urllib.request.urlopen(f"http://{self.address}/{path}", timeout=60) as answer:
            return json.load(answer)

    @property
    def polls(self) -> int:
        """How often the stub was polled."""
        return self.get("count")["polls"]

    @property
    def learnt(self) -> Path:
        """The ready-made events of the bare minima."""
        return self.folder / "events.bin"


@contextlib.contextmanager
def stubbed(cell: Cell, kafka: str, peers: Path | None) -> Generator[Place]:
    """A stub of the cell, from which the bare minima have learnt their events."""
    with tempfile.TemporaryDirectory() as folder:
        port = free_port()
        options = [f"--port={port}", f"--rows={cell.rows}", f"--share={cell.share}", *["--shuffled"] * cell.shuffled]
        command = [sys.executable, "-m", "benchmarks.stub", *options]
        stub = subprocess.Popen(command, stdout=subprocess.PIPE)
        try:
            assert stub.stdout is not None
            assert stub.stdout.readline(), "the stub did not start"
            place = Place(f"127.0.0.1:{port}", kafka, Path(folder), peers)
            if peers is not None:
                subprocess.run([*_bound(peers, place.url), "--learn", place.learnt], check=True)
            yield place
        finally:
            end(stub)


def end(process: subprocess.Popen[bytes]) -> None:
    """Ask it to end, and see to it that it does."""
    process.terminate()
    try:
        process.wait(30)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _bound(peers: Path, url: str) -> list[str | Path]:
    return [peers / "build" / "venv" / "bin" / "python", peers / "bound.py", "--url", url]


def command(system: str, place: Place, topics: Topics, interval: float) -> tuple[list[str | Path], dict[str, str]]:
    """The command that starts a system, and what it needs in the environment. `interval` 0: as fast as it can."""
    if system == OURS:
        file = place.folder / "streamer.toml"
        file.write_text(configuration(place, topics, interval))
        return [sys.executable, "-m", "streamer", "run", f"--config={file}"], {}
    assert place.peers is not None, "without --peers only ours is measured"
    if system == PEER:
        settings = {"URL": place.url, "TOPIC": topics.events, "BROKER": place.kafka, "INTERVAL": f"{interval:g}s"}
        return [place.peers / "build" / "rpconnect", "run", place.peers / "rpconnect" / "per_row.yaml"], settings
    mode, send = BARE[system]
    options = ["--broker", place.kafka, "--mode", mode, "--send", send, "--interval", f"{interval:g}"]
    options += ["--events", topics.events, "--state", topics.state, "--pre", str(place.learnt)]
    return [*_bound(place.peers, place.url), *options], {}


def configuration(place: Place, topics: Topics, interval: float) -> str:
    """Ours: one source, and whatever else is the default."""
    return f"""
[kafka]
bootstrap_servers = "{place.kafka}"
events_topic = "{topics.events}"
state_topic = "{topics.state}"
feed_topic = "{topics.feed}"
rejected_topic = "{topics.rejected}"
[http]
listen = "127.0.0.1:{free_port()}"
[[sources]]
name = "floor"
url = "{place.url}"
token = "{"0" * 32}"
poll_interval = {interval}
max_body = {LARGEST}
total_timeout = 30
"""


class Running:
    """A system, started; it ends with the block."""

    def __init__(self, system: str, place: Place, topics: Topics, interval: float) -> None:
        line, environment = command(system, place, topics, interval)
        self.system = system
        self._place = place
        self._log = place.folder / "log.txt"
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(line, stdout=log, stderr=log, env={**os.environ, **environment})

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        end(self.process)

    def polled(self, least: int, seconds: float = 0.0) -> Cost:
        """The cost of the next polls: `least` of them or more, for `seconds` or longer. Begins and ends with a poll."""
        first, begun, used = self._edge()
        while time.monotonic() - begun < seconds or self._place.polls - first < least - 1:
            time.sleep(0.05)
        last, now, total = self._edge()
        polls = last - first
        return {"cpu_ms": (total - used) / polls * 1e3, "every_ms": (now - begun) / polls * 1e3, "polls": polls}

    def settle(self) -> None:
        """Until the start is over: events of every row published and read back, buffers grown, memory mapped."""
        begun, before = time.monotonic(), self.polled(3, 1.0)["cpu_ms"]
        while time.monotonic() - begun < SETTLING:
            cost = self.polled(3, SETTLED)
            if abs(cost["cpu_ms"] - before) <= max(LEVEL * before, 2e3 / TICK / cost["polls"]):
                return
            before = cost["cpu_ms"]

    def _edge(self) -> tuple[int, float, float]:
        """The moment the next poll is answered: how many there were, when it was, CPU seconds used until then."""
        was, until = self._place.polls, time.monotonic() + PATIENCE
        while (polls := self._place.polls) == was:
            if self.process.poll() is not None or time.monotonic() > until:
                raise RuntimeError(f"{self.system} does not poll:\n{self._log.read_text(errors='replace')[-2000:]}")
            time.sleep(0.002)
        return polls, time.monotonic(), cpu_seconds(self.process.pid)

    def histograms(self) -> dict[str, tuple[float, float]]:
        """Ours tells how long its polls take: the sum (seconds) and the count of each histogram."""
        config = (self._place.folder / "streamer.toml").read_text()
        listen = re.search(r'listen = "([^"]+)"', config)
        assert listen is not None
        with urllib.request.urlopen(f"http://{listen[1]}/metrics", timeout=10) as answer:
            text = answer.read().decode()

        def value(name: str) -> float:
            return sum(float(found) for found in re.findall(rf"^{name}(?:{{.*}})? (\S+)$", text, re.MULTILINE))

        return {name: (value(f"{name}_sum"), value(f"{name}_count")) for name in (COMMIT, POLL)}


def took(before: dict[str, tuple[float, float]], after: dict[str, tuple[float, float]]) -> float:
    """Milliseconds of a poll of ours between two looks at its histograms: from its request to the commit of its events,
    or to the compared answer where there was nothing to commit."""
    for name in (COMMIT, POLL):
        total, count = (b - a for a, b in zip(before[name], after[name], strict=True))
        if count:
            return total / count * 1e3
    raise RuntimeError("ours has polled nothing")


@contextlib.contextmanager
def sixfold(kafka: str) -> Generator[Topics]:
    """Our four topics with PARTITIONS partitions each, deleted after the block."""
    topics = Topics(f"cost-{uuid.uuid4().hex[:8]}")
    wanted = our_topics(kafka_settings(kafka, topics))
    make(kafka, *(NewTopic(name, PARTITIONS, 1, topic_configs=settings) for name, settings in wanted.items()))
    try:
        yield topics
    finally:
        client: Any = AdminClient({"bootstrap.servers": kafka, "log_level": 0})
        for outcome in client.delete_topics(list(wanted)).values():
            outcome.result(timeout=30)
