"""How soon a start goes on: many extensions read back from the state topic, and the first event after that.

    .venv/bin/python -m benchmarks.start [--extensions 100000] [--versions 1] [--runs 3]

A real Kafka of its own is given one state record an extension, as a compacted topic holds them, or as many more as
`--versions` says: the core makes them from a floor's answers, the sink writes them. Then, in turn and in processes of
their own, a bare consumer reads the topic and parses each value with orjson, and `restore` reads it. Both are timed
from before they connect. After that `streamer run` goes on from there, polling a stub of the vendor that shows the same
rows but one. Prints the times, the ratio of their medians, the memory, and how long after "restored" the event could be
read; exit code 0 if the ratio is at most 2 and that was within a second.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import re
import subprocess
import sys
import tempfile
import time
import uuid
from collections import Counter
from collections.abc import AsyncGenerator
from datetime import datetime
from pathlib import Path
from statistics import median
from typing import Any

import orjson
from aiohttp import web
from aiokafka import AIOKafkaConsumer

from benchmarks.answers import CHINA, Floor
from benchmarks.used import memory
from streamer.core.decode import decode
from streamer.core.envelope import Opened, open_envelope
from streamer.core.feed import Cursor, FeedStatus
from streamer.core.model import AgentState, Batch, Settings, SourceState
from streamer.core.rejected import Told
from streamer.core.step import step
from streamer.kafka.connection import Connection
from streamer.kafka.restore import restore
from streamer.kafka.serde import Record, encode, encode_feed
from streamer.kafka.store import KafkaStore
from streamer.vendor.protocol import LOGIN
from tests.conftest import Topics
from tests.e2e.deployment import Deployment, start
from tests.kafka_server import KafkaServer
from tests.topics import settings

SOURCE = "floor"
SHARE, POLLS = 0.3, 8
"""Of the floor that makes the records: at the end some extensions wait after a call, some talk, some never changed."""

PORTION = 5000
"""Records of one transaction."""

PATIENCE = 120.0
"""Seconds for a life of `streamer run` to come to its first event."""

MOST_RATIO, MOST_SECONDS = 2.0, 1.0

_WAITING = re.compile(rb'"state":1213,("lastanswertime":"[^"]*"),"lastassigntime":"[^"]*"')


def rows_of(answer: bytes) -> bytes:
    """The answer up to its last row."""
    return answer.rpartition(b'],"reqtime":')[0]


def rest_at(moment: float) -> bytes:
    """What comes after its last row, where it is given at that moment (unix seconds)."""
    return b'],"reqtime":%d,"rsptime":%d},"msg":""}' % (moment, moment)


def one_rings(answer: bytes, moment: float) -> bytes:
    """The same rows, but for one that waited: it is offered a call then."""
    stamp = datetime.fromtimestamp(moment, CHINA).strftime("%Y-%m-%d %H:%M:%S")
    return _WAITING.sub(rb'"state":1214,\1,"lastassigntime":"%s"' % stamp.encode(), answer, count=1)


def made(extensions: int) -> tuple[SourceState, bytes]:
    """What the core knows after some polls of a floor, the last of them just now, and the last answer."""
    floor, rules, state = Floor(extensions, SHARE), Settings(source=SOURCE), SourceState(agents={})
    seats: Any = {}
    moment, answer = time.time() - POLLS * 60, b""
    for number in range(POLLS + 1):
        # The last one shows nothing new but that wrap-up is over everywhere.
        answer = floor.answer(moment) if number < POLLS else rows_of(answer) + rest_at(moment)
        opened = open_envelope(answer)
        assert isinstance(opened, Opened)
        at = int(moment * 1000)
        snapshot = decode(opened, at, at + 100, rules, seats)
        state, _ = step(state, snapshot, rules)
        seats, moment = snapshot.by_bytes, moment + 60
    return state, answer


def records(state: SourceState, config: Any) -> list[Record]:
    """The state topic's records, and the feed's."""
    at = state.polled_at or 0
    batch = Batch(SOURCE, f"{SOURCE}/{at}", at, (), tuple(state.agents.values()), ())
    feed = FeedStatus(
        source=SOURCE, status="live", since=at, reason="", at=at, confirmed_until=state.complete_until,
        poll_interval_s=1.0, heartbeat_s=10.0, extensions=len(state.agents), delivery="exactly_once",
        cursor=Cursor("earlier", POLLS), outbox_batches=0, outbox_bytes=0, superseded=0, clock_offset=state.offset,
        config_digest="", instance="earlier",
    )  # fmt: skip
    return [*encode(batch, config, Told(), ()), encode_feed(feed, config)]


async def fill(address: str, topics: Topics, state: SourceState, versions: int) -> None:
    """The topics as an earlier life of the streamer left them, with so many records of each extension."""
    store = KafkaStore(Connection(settings(address, topics)))
    await store.prepare()
    sink = store.sink(1)
    await sink.open()
    written = records(state, store.connection.config) * versions
    for at in range(0, len(written), PORTION):
        await sink.write(written[at : at + PORTION])
    await sink.close()


async def bare(address: str, topics: Topics, count: int) -> int:
    """aiokafka's getmany and orjson."""
    consumer: Any = AIOKafkaConsumer(
        topics.state, bootstrap_servers=address, isolation_level="read_committed", auto_offset_reset="earliest"
    )
    await consumer.start()
    read = 0
    while read < count:
        for found in (await consumer.getmany(timeout_ms=200)).values():
            for record in found:
                orjson.loads(record.value)
                read += 1
    await consumer.stop()
    return read


async def ours(address: str, topics: Topics) -> dict[str, AgentState]:
    """What a start of the source reads."""
    restored = await restore(Connection(settings(address, topics)), [SOURCE])
    assert not restored.problems
    assert restored.feeds[SOURCE].cursor == Cursor("earlier", POLLS)
    return restored.agents[SOURCE]


async def slowest_turn(worst: list[float]) -> None:
    """Keep the longest time (seconds) for which the loop did nothing else, as its first element."""
    while True:
        begun = time.perf_counter()
        await asyncio.sleep(0.001)
        worst[0] = max(worst[0], time.perf_counter() - begun - 0.001)


async def read(reader: str, address: str, topics: Topics, count: int, versions: int) -> dict[str, float]:
    """One reader's run: its seconds, those of CPU, for how long it held up the loop at most, and its memory."""
    before, worst = memory(os.getpid()), [0.0]
    watching = asyncio.create_task(slowest_turn(worst))
    begun, cpu = time.perf_counter(), time.process_time()
    kept = await (bare(address, topics, versions * count) if reader == "bare" else ours(address, topics))
    seconds, cpu = time.perf_counter() - begun, time.process_time() - cpu
    watching.cancel()
    assert kept == versions * count if isinstance(kept, int) else len(kept) == count
    after, peak = memory(os.getpid()), memory(os.getpid(), "VmHWM")
    return {"seconds": seconds, "cpu": cpu, "held_up": worst[0], "before": before, "after": after, "peak": peak}


def measured(reader: str, address: str, topics: Topics, asked: argparse.Namespace) -> dict[str, float]:
    """The same, in a process of its own."""
    numbers = (f"--extensions={asked.extensions}", f"--versions={asked.versions}")
    command = [sys.executable, "-m", "benchmarks.start", *numbers, "--reader", reader, "--at", address, topics.prefix]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1])


def compared(address: str, topics: Topics, asked: argparse.Namespace) -> dict[str, dict[str, list[float]]]:
    """Both readers in turn: for each the runs' seconds, and those of CPU."""
    took = {reader: {"seconds": list[float](), "cpu": list[float]()} for reader in ("bare", "restore")}
    for run in range(asked.runs):
        for reader, found in took.items():
            got = measured(reader, address, topics, asked)
            for what, values in found.items():
                values.append(got[what])
            print(
                f"run {run + 1}, {reader}: {got['seconds']:.2f} s, {got['cpu']:.2f} of CPU; the loop held up for at "
                f"most {got['held_up'] * 1000:.0f} ms; resident {got['before']:.0f} MiB before, {got['after']:.0f} "
                f"after, {got['peak']:.0f} at most",
                flush=True,
            )
    return took


@contextlib.asynccontextmanager
async def vendor(port: int, answer: bytes) -> AsyncGenerator[None]:
    """A vendor that lets everybody in and always shows these rows."""
    logged_in = {"ret": 200, "data": {"status": 0, "desc": "", "result": {"token": "0123456789abcdef"}}, "msg": ""}

    rows = rows_of(answer)

    async def answered(request: web.Request) -> web.StreamResponse:
        if (await request.post())["service"] == LOGIN:
            return web.json_response(logged_in)
        rest = rest_at(time.time())
        response = web.StreamResponse()
        response.content_length = len(rows) + len(rest)
        await response.prepare(request)
        await response.write(rows)
        await response.write(rest)
        return response

    app = web.Application()
    app.router.add_post("/{path:.*}", answered)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    try:
        yield
    finally:
        await runner.cleanup()


async def first_event(deployment: Deployment, answer: bytes) -> dict[str, float]:
    """One life of `streamer run`: seconds from its start to "restored", from there to its first poll's request, and
    from "restored" until the event of the row that changed could be read."""
    consumer: Any = AIOKafkaConsumer(
        deployment.topics.events, bootstrap_servers=deployment.kafka, isolation_level="read_committed"
    )
    await consumer.start()
    # Nothing is written before all of its positions are known: they are asked for here.
    await asyncio.gather(*(consumer.position(tp) for tp in consumer.assignment()))
    async with vendor(deployment.vendor_port, answer), asyncio.timeout(PATIENCE):
        begun = time.time()
        deployment.streamer = start(deployment.folder, "run", f"--config={deployment.config}")
        record = await consumer.getone()
        seen = time.time()
        await consumer.stop()
        deployment.streamer.terminate()
        await asyncio.to_thread(deployment.streamer.wait)
    restored = [line for line in map(orjson.loads, deployment.log().splitlines()) if line["event"] == "restored"]
    at = datetime.fromisoformat(restored[-1]["timestamp"]).timestamp()
    return {"restored": at - begun, "asked": record.timestamp / 1000 - at, "readable": seen - at}


def lives(kafka: str, topics: Topics, answer: bytes, runs: int) -> list[float]:
    """Several lives, each of which is shown one more row that changed: how late its event was."""
    found: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        for run in range(runs):
            extra = 'max_body = "64 MiB"'
            with Deployment(Path(folder), kafka, topics, extra=extra) as deployment:
                answer = one_rings(answer, time.time())
                got = asyncio.run(first_event(deployment, answer))
                found.append(got["readable"])
            print(
                f"run {run + 1}: restored {got['restored']:.2f} s after its start; asked {got['asked']:.3f} s after "
                f"that; the event readable {got['readable']:.3f} s after it",
                flush=True,
            )
    return found


def main() -> int:
    """Fill, read in turn, go on from there."""
    asking = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asking.add_argument("--extensions", type=int, default=100_000)
    asking.add_argument("--versions", type=int, default=1)
    asking.add_argument("--runs", type=int, default=3)
    asking.add_argument("--reader", choices=("bare", "restore"), help=argparse.SUPPRESS)
    asking.add_argument("--at", nargs=2, help=argparse.SUPPRESS)
    asked = asking.parse_args()
    if asked.reader:
        address, prefix = asked.at
        print(json.dumps(asyncio.run(read(asked.reader, address, Topics(prefix), asked.extensions, asked.versions))))
        return 0
    topics = Topics(f"start-{uuid.uuid4().hex[:8]}")
    state, answer = made(asked.extensions)
    with KafkaServer() as server:
        asyncio.run(fill(server.bootstrap, topics, state, asked.versions))
        told = Counter(agent.state for agent in state.agents.values())
        print(f"{asked.versions} records each of {asked.extensions} extensions: {dict(told)}", flush=True)
        del state
        took = compared(server.bootstrap, topics, asked)
        late = lives(server.bootstrap, topics, answer, asked.runs)
    ratio, cpu = (median(took["restore"][what]) / median(took["bare"][what]) for what in ("seconds", "cpu"))
    print(f"restore / bare: {ratio:.2f}, of CPU {cpu:.2f}; first event {median(late):.2f} s after restored (medians)")
    return 0 if ratio <= MOST_RATIO and median(late) <= MOST_SECONDS else 1


if __name__ == "__main__":
    sys.exit(main())
