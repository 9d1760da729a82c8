"""Several instances of `streamer run` over several simulated floors, as processes on a given Kafka."""

from __future__ import annotations

import json
import signal
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Self

from confluent_kafka import Consumer, TopicPartition

from tests.conftest import Topics
from tests.e2e.deployment import get, start, wait_for
from tests.kafka_server import free_port

SESSION = 6.0
"""Seconds: the shortest that a broker allows unless told otherwise."""


class Follower(threading.Thread):
    """Reads the feed topic as it is committed: `feeds` by source, each with the moment of its arrival here."""

    def __init__(self, kafka: str, topics: Topics) -> None:
        super().__init__(daemon=True)
        self._kafka = kafka
        self._topic = topics.feed
        self._over = threading.Event()
        self.feeds: dict[str, list[tuple[float, dict[str, Any]]]] = defaultdict(list)

    def run(self) -> None:
        consumer = Consumer(
            {
                "bootstrap.servers": self._kafka,
                "group.id": "follower",
                "enable.auto.commit": False,
                "isolation.level": "read_committed",
                "auto.offset.reset": "earliest",
            }
        )
        while not (found := consumer.list_topics(timeout=10).topics.get(self._topic)) or not found.partitions:
            if self._over.wait(0.2):
                return
        consumer.assign([TopicPartition(self._topic, number, 0) for number in found.partitions])
        while not self._over.is_set():
            message = consumer.poll(0.1)
            value = message.value() if message is not None and message.error() is None else None
            if isinstance(value, bytes):
                feed = json.loads(value)
                self.feeds[feed["source"]].append((time.monotonic(), feed))
        consumer.close()

    def last(self, source: str) -> dict[str, Any]:
        """The newest status of a source; {} if there is none."""
        return self.feeds[source][-1][1] if self.feeds[source] else {}

    def end(self) -> None:
        """Stop reading."""
        self._over.set()
        self.join(20)


class Fleet:
    """Simulated floors by source name, instances by name. Everything ends with the block."""

    def __init__(self, folder: Path, kafka: str, topics: Topics, sources: Iterable[str], agents: int = 20) -> None:
        self.folder = folder
        self.kafka = kafka
        self.topics = topics
        self.sources = tuple(sources)
        self.vendors = {name: free_port() for name in self.sources}
        self.ports: dict[str, int] = {}
        self.instances: dict[str, subprocess.Popen[bytes]] = {}
        self.recordings: dict[str, list[Path]] = defaultdict(list)
        self._simulators: list[subprocess.Popen[bytes]] = []
        for seed, (name, port) in enumerate(self.vendors.items()):
            truth = folder / f"{name}.truth"
            self._simulators.append(
                start(folder, "simulate", f"--port={port}", f"--agents={agents}", f"--seed={seed}", f"--truth={truth}")
            )
        self.follower = Follower(kafka, topics)
        self.follower.start()

    def __enter__(self) -> Self:
        for port in self.vendors.values():
            wait_for(lambda port=port: get(f"http://127.0.0.1:{port}/control/stats") is not None, "a simulator")
        return self

    def __exit__(self, *_: object) -> None:
        self.follower.end()
        for process in (*self.instances.values(), *self._simulators):
            if process.poll() is None:
                process.kill()
                process.wait()

    def configure(
        self,
        instance: str,
        sources: Iterable[str] | None = None,
        more: str = "",
        cluster: Mapping[str, object] | None = None,
    ) -> None:
        """Write an instance's file; without `cluster` it is in no group."""
        self.ports.setdefault(instance, free_port())
        lines = [
            "[kafka]",
            f'bootstrap_servers = "{self.kafka}"',
            f'events_topic = "{self.topics.events}"',
            f'state_topic = "{self.topics.state}"',
            f'feed_topic = "{self.topics.feed}"',
            f'rejected_topic = "{self.topics.rejected}"',
            "[http]",
            f'listen = "127.0.0.1:{self.ports[instance]}"',
        ]
        if cluster is not None:
            lines += ["[cluster]", *(f"{key} = {json.dumps(value)}" for key, value in cluster.items())]
        for name in self.sources if sources is None else sources:
            lines += [
                "[[sources]]",
                f'name = "{name}"',
                f'url = "http://127.0.0.1:{self.vendors[name]}"',
                'appid = "app-1"',
                'accesskey_env = "FLOOR_ACCESSKEY"',
            ]
        (self.folder / f"{instance}.toml").write_text("\n".join([*lines, more]))

    def group(self, *instances: str) -> None:
        """Configure and start instances of one group, each under its name."""
        for name in instances:
            cluster = {"group": self.topics.group, "instance": name, "session_timeout": SESSION}
            self.configure(name, cluster=cluster)
            self.start(name)

    def polls(self, instance: str) -> int:
        """How many answers the present life of an instance has had."""
        recording = self.recordings[instance][-1]
        return len(recording.read_bytes().splitlines()) if recording.exists() else 0

    def start(self, instance: str) -> subprocess.Popen[bytes]:
        """Begin a life of an instance; it records what it polls."""
        recording = self.folder / f"{instance}-{len(self.recordings[instance])}.jsonl"
        self.recordings[instance].append(recording)
        command = ("run", f"--config={self.folder / instance}.toml", f"--record={recording}")
        self.instances[instance] = start(self.folder, *command)
        return self.instances[instance]

    def signal(self, instance: str, number: signal.Signals) -> None:
        """Send a signal to an instance."""
        self.instances[instance].send_signal(number)

    def kill(self, instance: str) -> None:
        """SIGKILL."""
        self.instances[instance].kill()
        self.instances[instance].wait()

    def stop(self, *instances: str) -> list[int]:
        """SIGTERM to all of them at once; their exit codes."""
        for name in instances:
            self.signal(name, signal.SIGTERM)
        return [self.instances[name].wait(40) for name in instances]

    def owner(self, source: str) -> str:
        """Which instance wrote the source's newest feed status."""
        return self.follower.last(source).get("instance", "")

    def owners(self) -> Mapping[str, str]:
        """Source → instance."""
        return {name: self.owner(name) for name in self.sources}

    def wait_until_live(self, *sources: str) -> None:
        """All of `sources` (of all, if none is given) say so on the feed topic."""
        wanted = sources or self.sources
        wait_for(lambda: all(self.follower.last(name).get("status") == "live" for name in wanted), "live feeds")

    def log(self) -> str:
        """What all processes wrote."""
        return (self.folder / "log.txt").read_text()

    def not_ready(self, instance: str) -> dict[str, Any]:
        """What an instance's /readyz says is not ready."""
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{self.ports[instance]}/readyz", timeout=2).close()
        except urllib.error.HTTPError as error:
            with error:
                return json.load(error)["not_ready"]
        return {}
