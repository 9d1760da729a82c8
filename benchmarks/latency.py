"""How long from the vendor's answer to the event that a consumer reads, beside the least that Kafka takes for it.

    .venv/bin/python -m benchmarks.latency [--seconds 60] [--rows 5000] [--share 0.02] [--out FILE.json]

`streamer run` polls a stub once a second and publishes to a real Kafka. In the other half of each second a bare program
(benchmarks.latency_bare) writes as many bytes, of the same records, to the same partitions of a second pair of topics.
One consumer of committed records (librdkafka, its defaults) reads the events of both, so that both meet the same
machine, the same broker and the same reader.

| | begins | ends |
| --- | --- | --- |
| ours | the stub hands its answer to the socket | the consumer has the event in hand |
| bare | it has the records in hand and begins the transaction | the consumer has the event in hand |

So ours holds all that the bare one does, and also the answer's way through the socket, its reading, comparing and
encoding, and a third topic in the transaction (the feed's status). The difference is what we add to Kafka; the bare one
cannot be undercut by anybody who commits before he shows. A figure is of one event; all events of a poll count.

Prints p50, p99 and the most of both in ms, and the ratios.
"""

from __future__ import annotations

import argparse
import bisect
import contextlib
import json
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from confluent_kafka import OFFSET_END, Consumer, TopicPartition

from benchmarks.poll_cost_systems import OURS, PARTITIONS, Cell, Place, Running, end, sixfold, stubbed
from benchmarks.used import cpu_seconds
from tests.conftest import Topics
from tests.kafka_server import KafkaServer

INTERVAL = 1.0
"""Seconds between two polls, and between two transactions of the bare program."""

WARM_UP = 20
"""Polls of ours until wrap-ups end as often as they begin."""

LAST = 0.7
"""Seconds in which the events of the last poll still come."""

Begun = Sequence[int]
"""Unix ns of each beginning, ascending."""


def reader(kafka: str, topics: Sequence[str]) -> Any:
    """A consumer of what is committed on these topics from now on."""
    consumer: Any = Consumer(
        {
            "bootstrap.servers": kafka,
            "group.id": topics[0],
            "isolation.level": "read_committed",
            "enable.auto.commit": False,
        }
    )
    consumer.assign([TopicPartition(topic, n, OFFSET_END) for topic in topics for n in range(PARTITIONS)])
    return consumer


def read(consumer: Any, seconds: float) -> dict[str, list[tuple[int, int]]]:
    """Topic → for each event the moment it was in hand (unix ns) and its timestamp (unix ms), for so long."""
    found: defaultdict[str, list[tuple[int, int]]] = defaultdict(list)
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        message = consumer.poll(0.1)
        if message is not None and message.error() is None:
            found[message.topic()].append((time.time_ns(), message.timestamp()[1]))
    return found


def delays(read: Sequence[tuple[int, int]], begun: Begun, within: tuple[int, int]) -> list[float]:
    """Milliseconds of each event from its beginning, ascending, of those that began within these moments (unix ns).

    An event's timestamp is the last whole millisecond before its beginning, or a little earlier (the request): it
    belongs to the first beginning from there on.
    """
    found: list[float] = []
    for seen, stamp in read:
        at = bisect.bisect_left(begun, stamp * 1_000_000)
        if at < len(begun) and within[0] <= begun[at] < within[1]:
            assert begun[at] <= seen, "an event was read before its beginning: clocks or figures are wrong"
            found.append((seen - begun[at]) / 1e6)
    return sorted(found)


def measure(kafka: str, place: Place, asked: argparse.Namespace) -> dict[str, Any]:
    """Both side by side."""
    with contextlib.ExitStack() as stack:
        ours, bare = (stack.enter_context(sixfold(kafka)) for _ in range(2))
        running = stack.enter_context(Running(OURS, place, ours, INTERVAL))
        running.polled(WARM_UP)
        process, loop = started(kafka, bare, asked, place.get("times")[-1][1])
        stack.callback(end, process)
        consumer = reader(kafka, (ours.events, bare.events))
        stack.callback(consumer.close)
        read(consumer, 3 * INTERVAL)
        begin, used, first = time.time_ns(), cpu_seconds(running.process.pid), place.polls
        found = read(consumer, asked.seconds)
        stop, total, last = time.time_ns(), cpu_seconds(running.process.pid), place.polls
        for topic, events in read(consumer, LAST).items():
            found[topic] += events
        answers = [at for _, at in place.get("times")]
        process.terminate()
        told, _ = process.communicate(timeout=30)
    transactions = [int(line) for line in told.split()]
    return {
        "rows": asked.rows,
        "share": asked.share,
        "seconds": asked.seconds,
        "cpu_ms": (total - used) / (last - first) * 1e3,
        "ours": summary(delays(found[ours.events], answers, (begin, stop)), answers, (begin, stop)),
        "bare": summary(delays(found[bare.events], transactions, (begin, stop)), transactions, (begin, stop)),
        "loop": loop,
    }


def started(
    kafka: str, topics: Topics, asked: argparse.Namespace, answered: int
) -> tuple[subprocess.Popen[bytes], str]:
    """The bare program, half an interval away from an answer to ours (unix ns), and the loop that runs it."""
    phase = (answered / 1e9 + INTERVAL / 2) % INTERVAL
    options = [f"--kafka={kafka}", f"--topics={topics.prefix}", f"--rows={asked.rows}", f"--share={asked.share}"]
    command = [sys.executable, "-m", "benchmarks.latency_bare", *options, f"--phase={phase}"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    assert process.stdout is not None
    ready, _, loop = process.stdout.readline().decode().strip().partition(" ")
    assert ready == "ready", "the bare program did not start"
    return process, loop


def summary(found: Sequence[float], begun: Begun, within: tuple[int, int]) -> dict[str, float]:
    """Its quantiles in ms, and how much they are of."""
    return {
        "p50_ms": found[len(found) // 2],
        "p99_ms": found[min(len(found) - 1, len(found) * 99 // 100)],
        "max_ms": found[-1],
        "events": len(found),
        "polls": sum(within[0] <= at < within[1] for at in begun),
    }


def table(found: Mapping[str, Any]) -> str:
    """The figures in Markdown."""
    ours, bare = found["ours"], found["bare"]
    lines = [
        f"{found['rows']:,} rows, {found['share']:.0%} changed, a poll a second for {found['seconds']:g} s; the bare "
        f"program's loop: {found['loop']}; CPU of ours {found['cpu_ms']:.1f} ms a poll.",
        "",
        "| | p50 ms | p99 ms | most ms | events | polls |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for name, of in (("answer → readable, ours", ours), ("transaction → readable, bare", bare)):
        figures = " | ".join(f"{of[key]:.1f}" for key in ("p50_ms", "p99_ms", "max_ms"))
        lines.append(f"| {name} | {figures} | {of['events']:,} | {of['polls']} |")
    ratios = " | ".join(f"{ours[key] / bare[key]:.2f}" for key in ("p50_ms", "p99_ms", "max_ms"))
    return "\n".join([*lines, f"| ratio | {ratios} | | |"])


def main() -> None:
    """Measure and print."""
    asking = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asking.add_argument("--seconds", type=float, default=60.0)
    asking.add_argument("--rows", type=int, default=5000)
    asking.add_argument("--share", type=float, default=0.02)
    asking.add_argument("--kafka", help="a real Kafka's address; one is started without it")
    asking.add_argument("--out", type=Path, help="where the figures are kept")
    asked = asking.parse_args()
    with contextlib.ExitStack() as stack:
        kafka = asked.kafka or stack.enter_context(KafkaServer(heap="1g")).bootstrap
        place = stack.enter_context(stubbed(Cell(asked.rows, asked.share, shuffled=False), kafka, None))
        found = measure(kafka, place, asked)
    if asked.out:
        asked.out.write_text(json.dumps(found, indent=1) + "\n")
    print(table(found))


if __name__ == "__main__":
    main()
