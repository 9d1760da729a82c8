"""A million events read by the typed client, every sequence verified, beside bare aiokafka and orjson.

    .venv/bin/python -m benchmarks.client [--events 1000000] [--runs 3] [--seed 1]

A real Kafka of its own is started and filled with events of 2,000 extensions on 12 partitions, as `run` writes them.
Then each reader reads all of them, one after the other, in processes of their own, `--runs` times in turn. The bare one
parses each record to a dict and counts it, and does nothing else. Gaps, repeats and damaged records are injected (their
number by the seed) and must be found exactly. Prints events a second and the ratio; exit code 0 if the client's median
is at least 0.6 of the bare one's and all that was injected was reported.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import statistics
import subprocess
import sys
import time
from typing import Any

import orjson
from aiokafka import AIOKafkaConsumer

from streamer.client import AgentEvents, Gap, Poison, Repeat
from tests.client.produced import event, producing, ready
from tests.conftest import Topics
from tests.kafka_server import KafkaServer
from tests.topics import settings

EXTENSIONS = 2000
PARTITIONS = 12
ATLEAST = 0.6


async def fill(address: str, topics: Topics, count: int, seed: int) -> dict[str, int]:
    """Write the events; how many records there are, and what was injected."""
    chance = random.Random(seed)
    config = await ready(address, topics, PARTITIONS)
    numbers = dict.fromkeys((f"1{n:05}" for n in range(EXTENSIONS)), 0)
    states = (b"available", b"ringing", b"talking", b"wrap_up")
    told = {"gaps": 0, "repeats": 0, "poison": 0, "events": count}
    template = orjson.dumps(event("EXTENSION", 424242, "STATE"))
    async with producing(config) as producer:
        for n in range(count):
            extension = f"1{n % EXTENSIONS:05}"
            fault = chance.random() if n > EXTENSIONS else 1.0
            numbers[extension] += 2 if fault < 1e-4 else 1
            told["gaps"] += fault < 1e-4
            value = template.replace(b"EXTENSION", extension.encode()).replace(b"STATE", states[n % 4])
            value = value.replace(b"424242", b"%d" % numbers[extension])
            key = f"floor/{extension}".encode()
            await producer.send(topics.events, key=key, value=value)
            if 1e-4 <= fault < 2e-4:
                await producer.send(topics.events, key=key, value=value)
                told["repeats"] += 1
            elif 2e-4 <= fault < 3e-4:
                await producer.send(topics.events, key=key, value=value[: len(value) // 2])
                told["poison"] += 1
        await producer.flush()
    return told | {"records": count + told["repeats"] + told["poison"]}


async def bare(address: str, topics: Topics, told: dict[str, int]) -> dict[str, Any]:
    """aiokafka's getmany and orjson."""
    consumer: Any = AIOKafkaConsumer(
        topics.events, bootstrap_servers=address, isolation_level="read_committed", auto_offset_reset="earliest"
    )
    await consumer.start()
    begun, read, bad = time.perf_counter(), 0, 0
    while read < told["records"]:
        for records in (await consumer.getmany(timeout_ms=200, max_records=5000)).values():
            for record in records:
                try:
                    read += bool(orjson.loads(record.value))
                except orjson.JSONDecodeError:
                    read, bad = read + 1, bad + 1
    seconds = time.perf_counter() - begun
    await consumer.stop()
    return {"seconds": seconds, "poison": bad}


async def client(address: str, topics: Topics, told: dict[str, int]) -> dict[str, Any]:
    """`async for event in AgentEvents(...)`, and what it found."""
    found = {Gap: 0, Repeat: 0, Poison: 0}

    def take(finding: Any) -> None:
        found[type(finding)] += 1

    begun, read = time.perf_counter(), 0
    async with AgentEvents(settings(address, topics), on_finding=take) as events:
        async for _ in events:
            read += 1
            if read == told["events"]:
                break
    seconds = time.perf_counter() - begun
    return {"seconds": seconds, "gaps": found[Gap], "repeats": found[Repeat], "poison": found[Poison], "events": read}


def measured(reader: str, address: str, topics: Topics, told: dict[str, int]) -> dict[str, Any]:
    """One reader's run in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.client", "--reader", reader, "--at", address, topics.prefix]
    done = subprocess.run([*command, json.dumps(told)], check=True, capture_output=True, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def main() -> int:
    """Fill, read in turn, compare."""
    asking = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asking.add_argument("--events", type=int, default=1_000_000)
    asking.add_argument("--runs", type=int, default=3)
    asking.add_argument("--seed", type=int, default=1)
    asking.add_argument("--reader", choices=("bare", "client"), help=argparse.SUPPRESS)
    asking.add_argument("--at", nargs=3, help=argparse.SUPPRESS)
    asked = asking.parse_args()
    if asked.reader:
        address, prefix, told = asked.at
        reader = {"bare": bare, "client": client}[asked.reader]
        print(json.dumps(asyncio.run(reader(address, Topics(prefix), json.loads(told)))))
        return 0
    topics = Topics("client")
    with KafkaServer() as server:
        told = asyncio.run(fill(server.bootstrap, topics, asked.events, asked.seed))
        print(f"{told['records']} records written; injected: {told}", flush=True)
        rates: dict[str, list[float]] = {"bare": [], "client": []}
        exact = True
        for run in range(asked.runs):
            for reader, found in rates.items():
                got = measured(reader, server.bootstrap, topics, told)
                found.append(told["records"] / got["seconds"])
                if reader == "client":
                    exact &= all(got[what] == told[what] for what in ("gaps", "repeats", "poison", "events"))
                print(f"run {run + 1}, {reader}: {found[-1]:,.0f} records/s, {got}", flush=True)
    ratio = statistics.median(rates["client"]) / statistics.median(rates["bare"])
    print(f"client / bare: {ratio:.2f}; all that was injected was reported: {exact}")
    return 0 if ratio >= ATLEAST and exact else 1


if __name__ == "__main__":
    sys.exit(main())
