"""What hints are worth: from a change at the vendor to its event on Kafka at slow polls, with and without callbacks.

    .venv/bin/python -m benchmarks.callbacks [--minutes 3] [--poll-interval 5] [--seed 1]

A quiet and a busy floor, each polled by two instances at once, of which one is called back; a real Kafka. Then a flood
of forged and malformed callbacks at one instance that polls each second: how late its polls begin. Exit code 0 unless
a poll begins more than 0.2 s late.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import re
import statistics
import sys
import tempfile
import threading
import time
import urllib.request
import uuid
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson
from confluent_kafka import Consumer, TopicPartition

from streamer.core.wire import milliseconds
from tests.conftest import Topics
from tests.e2e.deployment import Deployment, start, wait_for
from tests.e2e.test_callbacks_end_to_end import FLOOD, SECRET, flood
from tests.kafka_server import KafkaServer

FLOORS = {"quiet (20 agents)": ("calm", 20), "busy (300 agents)": ("default", 300)}
LATE = 0.2


class Arrivals(threading.Thread):
    """Reads events as they are committed, each with the moment of its arrival."""

    def __init__(self, kafka: str, topic: str) -> None:
        super().__init__(daemon=True)
        self._over = threading.Event()
        options = {"bootstrap.servers": kafka, "group.id": topic, "isolation.level": "read_committed"}
        self._consumer = Consumer(options)
        partitions = self._consumer.list_topics(topic, timeout=10).topics[topic].partitions
        self._consumer.assign([TopicPartition(topic, number, 0) for number in partitions])
        self.events: list[tuple[float, dict[str, Any]]] = []

    def run(self) -> None:
        while not self._over.is_set():
            message = self._consumer.poll(0.05)
            value = message.value() if message is not None and message.error() is None else None
            if isinstance(value, bytes):
                self.events.append((time.time(), orjson.loads(value)))
        self._consumer.close()

    def end(self) -> list[tuple[float, dict[str, Any]]]:
        """Stop reading."""
        self._over.set()
        self.join()
        return self.events


def latencies(arrivals: Sequence[tuple[float, dict[str, Any]]], truth: Path, begin: float) -> list[float]:
    """Seconds from each change that truly happened since `begin` to its event's arrival, where one tells it."""
    happened: dict[str, list[tuple[float, str]]] = defaultdict(list)
    for line in truth.read_bytes().splitlines():
        entry = orjson.loads(line)
        if entry["group"] is None:
            happened[entry["extension"]].append((entry["at"], entry["state"]))
    found: list[float] = []
    for arrived, event in arrivals:
        if event["change"] != "state" or event["occurred_not_before"] is None:
            continue
        low, high = (milliseconds(event[f"occurred_not_{end}"]) / 1000 for end in ("before", "after"))
        for number, (at, state) in enumerate(happened[event["extension"]]):
            if state == event["current"]["state"] and low - 0.001 <= at <= high + 0.001:
                del happened[event["extension"]][number]
                if at >= begin:
                    found.append(arrived - at)
                break
    return found


def told(what: str, found: Sequence[float], polls: float) -> None:
    """One line of the result."""
    cuts = statistics.quantiles(found, n=100)
    print(
        f"{what:32} p50 {cuts[49]:5.2f} s   p99 {cuts[98]:5.2f} s   {len(found):5d} changes   {polls:5.1f} polls/min",
        flush=True,
    )


def compare(kafka: str, folder: Path, name: str, minutes: float, interval: float, seed: int) -> None:
    """Two instances over two floors that are the same, side by side."""
    floor, agents = FLOORS[name]
    with contextlib.ExitStack() as stack:
        sites: dict[str, tuple[Deployment, Arrivals]] = {}
        for kind in ("without hints", "with hints"):
            topics = Topics(f"callbacks-{uuid.uuid4().hex[:8]}")
            place = folder / topics.prefix
            place.mkdir()
            extra = f'poll_interval = {interval}\ncallback_secret = "{SECRET}"'
            site = stack.enter_context(Deployment(place, kafka, topics, extra=extra))
            called = (
                [f"--callback=http://127.0.0.1:{site.port}/callbacks/floor/{SECRET}"] if kind == "with hints" else []
            )
            options = (f"--port={site.vendor_port}", f"--agents={agents}", f"--floor={floor}", f"--seed={seed}")
            site.simulator = start(place, "simulate", *options, f"--truth={site.truth}", *called)
            site.run()
            site.wait_until_live()
            arrivals = Arrivals(kafka, topics.events)
            arrivals.start()
            sites[kind] = (site, arrivals)
        begin, before = time.time() + interval, {kind: site.polls() for kind, (site, _) in sites.items()}
        time.sleep(minutes * 60)
        for kind, (site, arrivals) in sites.items():
            polls = (site.polls() - before[kind]) / minutes
            site.stop()
            told(f"{name}, {kind}", latencies(arrivals.end(), site.truth, begin), polls)


def lateness(port: int) -> dict[str, float]:
    """Upper bound → how many polls began no later than that."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        text = answer.read().decode()
    found = re.findall(r'^streamer_poll_lateness_seconds_bucket\{le="([^"]+)",.*\} (\S+)$', text, re.MULTILINE)
    return {bound: float(count) for bound, count in found}


def flooded(kafka: str, folder: Path, seed: int) -> bool:
    """How late polls begin while callbacks that mean no good come as fast as they are answered."""
    topics = Topics(f"flood-{uuid.uuid4().hex[:8]}")
    with Deployment(folder, kafka, topics, extra=f'callback_secret = "{SECRET}"') as site:
        site.simulate(agents=300, seed=seed)
        site.run()
        site.wait_until_live()
        before, began = lateness(site.port), time.monotonic()
        rounds = 0
        while time.monotonic() < began + 20:
            answers = asyncio.run(flood(f"http://127.0.0.1:{site.port}"))
            assert sum(answers.values()) == FLOOD
            rounds += 1
        seconds = time.monotonic() - began
        wait_for(lambda: lateness(site.port)["+Inf"] > before["+Inf"], "a poll")
        after = lateness(site.port)
        polls = after["+Inf"] - before["+Inf"]
        prompt = after[str(LATE)] - before[str(LATE)]
        print(
            f"flood: {rounds * FLOOD} callbacks in {seconds:.0f} s ({rounds * FLOOD / seconds:.0f} a second), "
            f"{polls:.0f} polls meanwhile, {polls - prompt:.0f} of them more than {LATE} s late"
        )
        return polls == prompt


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=3)
    parser.add_argument("--poll-interval", type=float, default=5)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    with KafkaServer() as broker, tempfile.TemporaryDirectory() as folder:
        for name in FLOORS:
            compare(broker.bootstrap, Path(folder), name, asked.minutes, asked.poll_interval, asked.seed)
        return 0 if flooded(broker.bootstrap, Path(folder), asked.seed) else 1


if __name__ == "__main__":
    sys.exit(main())
