"""What each stage of a poll costs, in one process, beside `orjson.loads` of the same answer.

    .venv/bin/python -m benchmarks.poll_cost_stages --kafka HOST:PORT [--rows 5000] [--share 0.02] [--shuffled]

A poll is: an answer of a stub is read, over HTTP, as the program reads it; an answer of a floor in virtual time, one
second after the last, is parsed by orjson (or, every other time, after our own stages, so that neither always finds it
in the caches), then decoded, judged and compared, its events encoded and written in a transaction to a real
Kafka. All figures are milliseconds of this process's CPU time, the median over the polls; those of the stages that
wait (`read`, `transaction`) are given by the clock, too. Prints one line of JSON.

`decode` opens the envelope, finds the rows that changed and reads these; `gate+step` makes the batch of them.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import statistics
import time
import uuid
from collections import defaultdict
from typing import Any

import orjson

from benchmarks.answers import Floor
from benchmarks.poll_cost_systems import LARGEST, Cell, sixfold, stubbed
from streamer.config import Config, Kafka, Source
from streamer.core.envelope import Opened
from streamer.core.model import Batch, Settings, SourceState
from streamer.core.quick.door import Quick
from streamer.core.rejected import Told
from streamer.kafka.connection import Connection
from streamer.kafka.serde import encode
from streamer.kafka.sink import Sink
from streamer.runtime.clock import SystemClock
from streamer.vendor.client import Session, VendorClient, http_session
from tests.topics import settings as kafka_settings

WARM_UP = 5
"""Polls that are not counted."""

AT_ONCE = 0.001
"""Poll interval of the reading client, seconds: its budget must not make it wait."""

TRIP = 5
"""Milliseconds from request to answer in virtual time."""


class Laps:
    """Times of one poll's stages; `mark` ends the one that began with the last mark, or with `start`."""

    def __init__(self) -> None:
        self.cpu: dict[str, float] = {}
        self.wall: dict[str, float] = {}
        self.start()

    def start(self) -> None:
        """What went before is nobody's."""
        self._wall, self._cpu = time.perf_counter(), time.process_time()

    def mark(self, stage: str) -> None:
        """`stage` is over."""
        cpu, wall = time.process_time(), time.perf_counter()
        self.cpu[stage], self.wall[stage] = (cpu - self._cpu) * 1e3, (wall - self._wall) * 1e3
        self.start()


class Core:
    """All that lies between an answer's bytes and its batch, as runtime.poller does it for each answer."""

    def __init__(self, settings: Settings) -> None:
        self._state = SourceState(agents={})
        self._quick = Quick(settings)

    def batch(self, body: bytes, at: int, laps: Laps) -> Batch:
        """The batch of an answer asked for at this moment (unix ms)."""
        opened = self._quick.open(body)
        laps.mark("decode")
        assert isinstance(opened, Opened)
        self._state, batch, _ = self._quick.advance(self._state, opened, at, at + TRIP)
        laps.mark("gate+step")
        return batch


async def polls(cell: Cell, source: Source, kafka: Kafka, count: int) -> list[Laps]:
    """The laps of `count` polls, after the warm-up. The garbage collector is as the program leaves it: as Python has
    it."""
    floor = Floor(cell.rows, cell.share, shuffled=cell.shuffled)
    core, told = Core(Config().settings(source)), Told()
    sink = Sink(Connection(kafka), f"stages-{uuid.uuid4().hex[:8]}")
    await sink.open()
    found: list[Laps] = []
    begun = time.time()
    try:
        async with http_session() as http:
            client = reader(source, http)
            for number in range(WARM_UP + count):
                now = begun + number
                laps, body = Laps(), floor.answer(now)
                laps.start()
                await client.poll()
                laps.mark("read")
                if number % 2:
                    parse(body, laps)
                await own(core, body, round(now * 1000), sink, kafka, told, laps)
                if not number % 2:
                    parse(body, laps)
                found.append(laps)
    finally:
        await sink.close()
    return found[WARM_UP:]


def reader(source: Source, http: Any) -> VendorClient:
    """The program's client, which may ask as often as it likes."""
    assert source.token is not None
    session = Session(
        url=source.url,
        appid="",
        accesskey="",
        token=source.token.get_secret_value(),
        http=http,
        clock=SystemClock(),
        max_body=LARGEST,
    )
    client = VendorClient(session, name=source.name, poll_interval=AT_ONCE)
    client.opener = lambda _: Opened(b"[]", None, None)  # what the answer holds is the next stage's
    return client


def parse(body: bytes, laps: Laps) -> None:
    """The least that anybody must do who looks at every row as objects; freeing them is part of it."""
    laps.start()
    orjson.loads(body)
    laps.mark("orjson.loads")


async def own(core: Core, body: bytes, at: int, sink: Sink, kafka: Kafka, told: Told, laps: Laps) -> None:
    """One answer's way through our stages; `at` is its request's moment, unix ms."""
    laps.start()
    batch = core.batch(body, at, laps)
    records = encode(batch, kafka, told, ())
    laps.mark("encode")
    if records:
        await sink.write(records)
    laps.mark("transaction")
    laps.cpu["records"] = len(records)


def medians(found: list[Laps], kind: str) -> dict[str, float]:
    """Stage → the median over the polls."""
    times: defaultdict[str, list[float]] = defaultdict(list)
    for laps in found:
        for stage, value in getattr(laps, kind).items():
            times[stage].append(value)
    return {stage: statistics.median(values) for stage, values in times.items()}


def measured(cell: Cell, kafka: str, count: int) -> dict[str, Any]:
    """One cell's figures."""
    with stubbed(cell, kafka, None) as place, sixfold(kafka) as topics:
        source = Source(name="floor", url=place.url, token="0" * 32, max_body=LARGEST)  # pyright: ignore[reportArgumentType]
        found = asyncio.run(polls(cell, source, kafka_settings(kafka, topics), count))
    cpu, wall = medians(found, "cpu"), medians(found, "wall")
    loads, records = cpu.pop("orjson.loads"), cpu.pop("records")
    return {
        "rows": cell.rows,
        "share": cell.share,
        "shuffled": cell.shuffled,
        "records": records,
        "orjson.loads": loads,
        "cpu": cpu,
        "wall": {stage: wall[stage] for stage in ("read", "transaction")},
    }


def main() -> None:
    """One cell."""
    asking = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asking.add_argument("--kafka", required=True)
    asking.add_argument("--rows", type=int, default=5000)
    asking.add_argument("--share", type=float, default=0.02)
    asking.add_argument("--shuffled", action="store_true")
    asking.add_argument("--polls", type=int, default=50)
    asked = asking.parse_args()
    # The first transaction may come before a new topic's partitions have leaders: it is tried again, and not counted.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    print(json.dumps(measured(Cell(asked.rows, asked.share, asked.shuffled), asked.kafka, asked.polls)))


if __name__ == "__main__":
    main()
