"""The least between having records in hand and their being readable: one transaction of ready-made batches a second.

benchmarks.latency starts it, as a process of its own. The records are ours, made beforehand by our own stages from the
same kind of floor: the same topics' keys, values and headers, compressed alike, in the same partitions. Nothing is left
to do but to put them into batches and to write these in a transaction; uvloop runs it where that is installed.

Prints `ready` and the loop's name, then for each transaction the unix ns at which it began; the events' timestamp is
that moment in ms. Ends on SIGTERM.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import importlib.util
import signal
import time
from collections.abc import Callable, Sequence
from typing import Any, cast

from aiokafka import AIOKafkaProducer
from aiokafka.partitioner import DefaultPartitioner

from benchmarks.answers import Floor
from benchmarks.poll_cost_stages import Core, Laps
from streamer.config import Config, Kafka, Source
from streamer.core.rejected import Told
from streamer.kafka.serde import Record, encode
from tests.conftest import Topics
from tests.topics import settings

WARM_UP = 15
"""Polls until wrap-ups end as often as they begin."""

CYCLE = 20
"""Polls whose records are kept, and written in turn."""

BATCH = 2**20
"""Bytes of a batch, at most: all of a poll's records for a partition go in one."""

Poll = Sequence[tuple[str, int, Sequence[Record]]]
"""Topic, partition, records."""


def made(rows: int, share: float, kafka: Kafka, partitions: Sequence[int]) -> list[Poll]:
    """The records of CYCLE polls one second apart."""
    floor, core, told = Floor(rows, share), Core(Config().settings(Source(name="floor", url="http://floor"))), Told()
    found: list[Poll] = []
    begun, partition = time.time(), cast(Callable[..., int], DefaultPartitioner())
    for number in range(WARM_UP + CYCLE):
        now = begun + number
        batch = core.batch(floor.answer(now), round(now * 1000), Laps())
        places: dict[tuple[str, int], list[Record]] = {}
        for record in encode(batch, kafka, told, ()):
            place = record.topic, partition(record.key, list(partitions), list(partitions))
            places.setdefault(place, []).append(record)
        found.append([(*place, records) for place, records in places.items()])
    return found[WARM_UP:]


async def transaction(producer: Any, poll: Poll, at: int) -> None:
    """Write one poll's records, with the timestamp `at` (unix ms)."""
    async with producer.transaction():
        written: list[Any] = []
        for topic, partition, records in poll:
            batch = producer.create_batch()
            for record in records:
                if batch.append(key=record.key, value=record.value, timestamp=at, headers=list(record.headers)) is None:
                    written.append(await producer.send_batch(batch, topic, partition=partition))
                    batch = producer.create_batch()
                    batch.append(key=record.key, value=record.value, timestamp=at, headers=list(record.headers))
            written.append(await producer.send_batch(batch, topic, partition=partition))
        await asyncio.gather(*written)


async def run(asked: argparse.Namespace) -> None:
    """A transaction a second, `--phase` seconds after each whole one, until told to stop."""
    topics = Topics(asked.topics)
    kafka = settings(asked.kafka, topics)
    producer: Any = AIOKafkaProducer(
        bootstrap_servers=asked.kafka,
        transactional_id=topics.state,
        acks="all",
        compression_type=kafka.compression_type,
        max_batch_size=BATCH,
    )
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await producer.start()
    try:
        partitions = sorted(await producer.partitions_for(topics.events))
        polls = made(asked.rows, asked.share, kafka, partitions)
        gc.collect()
        gc.freeze()
        print("ready", type(asyncio.get_running_loop()).__module__, flush=True)
        number = 0
        while not await over(stop, (asked.phase - time.time()) % 1):
            begun = time.time_ns()
            await transaction(producer, polls[number % CYCLE], begun // 1_000_000)
            print(begun, flush=True)
            number += 1
    finally:
        await producer.stop()


async def over(stop: asyncio.Event, seconds: float) -> bool:
    """Was it told to stop within so many seconds?"""
    try:
        async with asyncio.timeout(seconds):
            await stop.wait()
    except TimeoutError:
        return False
    return True


def main() -> None:
    """With the quickest loop there is."""
    asking = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asking.add_argument("--kafka", required=True)
    asking.add_argument("--topics", required=True, help="how their names begin")
    asking.add_argument("--rows", type=int, required=True)
    asking.add_argument("--share", type=float, required=True)
    asking.add_argument("--phase", type=float, required=True, help="seconds after each whole one")
    asked = asking.parse_args()
    if importlib.util.find_spec("uvloop"):
        importlib.import_module("uvloop").run(run(asked))
    else:
        asyncio.run(run(asked))


if __name__ == "__main__":
    main()
