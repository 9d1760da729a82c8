"""How many sources one process carries, and what their records weigh: the figures that capacity is planned from.

    .venv/bin/python -m benchmarks.capacity [--sources 40] [--rows 2500] [--interval 2] [--per-second 0.02]
        [--seconds 60]

A stub answers for every source with a floor of its own, of which a share changes each second; `streamer run` polls all
of them and publishes to a real Kafka, topics of 6 partitions. Printed: the share of a core, how late polls began,
events a second, and what a record takes on the broker's disk (compressed, with its batch's share; one replica).
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import re
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from pathlib import Path

from aiohttp import web

from benchmarks.answers import Floor
from benchmarks.poll_cost_systems import LARGEST, end, sixfold
from benchmarks.stub import Stub
from benchmarks.used import cpu_seconds, memory
from tests.conftest import Topics
from tests.e2e.deployment import wait_for
from tests.kafka_server import KafkaServer, free_port

WARM_UP = 15.0
"""Seconds after the first polls of all sources."""


async def serve(sources: int, rows: int, share: float, port: int) -> None:
    """A floor for each source, under a path of its own, until cancelled."""
    app = web.Application()
    for number in range(sources):
        app.add_subapp(f"/{number}/", Stub(Floor(rows, share, seed=number), rows).app)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    print("ready", flush=True)
    await asyncio.Event().wait()


def configuration(asked: argparse.Namespace, kafka: str, topics: Topics, vendor: int, port: int) -> str:
    """One source for each floor."""
    lines = [
        f'[kafka]\nbootstrap_servers = "{kafka}"\nevents_topic = "{topics.events}"\nstate_topic = "{topics.state}"',
        f'feed_topic = "{topics.feed}"\nrejected_topic = "{topics.rejected}"\n[http]\nlisten = "127.0.0.1:{port}"',
    ]
    lines += [
        f'[[sources]]\nname = "floor-{number}"\nurl = "http://127.0.0.1:{vendor}/{number}/"\n'
        f'token = "{"0" * 32}"\npoll_interval = {asked.interval}\nmax_body = {LARGEST}\ntotal_timeout = 30'
        for number in range(asked.sources)
    ]
    return "\n".join(lines)


def metrics(port: int) -> Counter[str]:
    """Each metric's sum over its labels; a bucket by its bound."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30) as answer:
        text = answer.read().decode()
    found: Counter[str] = Counter()
    for line in text.splitlines():
        if line.startswith("streamer_") and (matched := re.match(r'(\w+)(?:\{(?:.*le="([^"]+)")?.*\})? (\S+)$', line)):
            found[matched[1] + (f"<={matched[2]}" if matched[2] else "")] += int(float(matched[3]))
    return found


def on_disk(folder: Path, topic: str) -> int:
    """Bytes of a topic's segments, all partitions."""
    return sum(file.stat().st_size for file in folder.rglob(f"{topic}-*/*.log"))


def main() -> int:
    """Measure one setting."""
    asking = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asking.add_argument("--sources", type=int, default=40)
    asking.add_argument("--rows", type=int, default=2500)
    asking.add_argument("--interval", type=float, default=2.0)
    asking.add_argument("--per-second", type=float, default=0.02, help="share of the rows that changes in a second")
    asking.add_argument("--seconds", type=float, default=60.0)
    asking.add_argument("--serve", type=int, help="only answer, on this port")
    asked = asking.parse_args()
    if asked.serve:
        asyncio.run(serve(asked.sources, asked.rows, asked.per_second * asked.interval, asked.serve))
    with contextlib.ExitStack() as stack:
        kafka = stack.enter_context(KafkaServer())
        topics = stack.enter_context(sixfold(kafka.bootstrap))
        vendor, port = free_port(), free_port()
        stub = subprocess.Popen([sys.executable, "-m", "benchmarks.capacity", *sys.argv[1:], f"--serve={vendor}"])
        stack.callback(end, stub)
        folder = kafka.log.parent
        file, log = folder / "streamer.toml", stack.enter_context((folder / "streamer.log").open("wb"))
        file.write_text(configuration(asked, kafka.bootstrap, topics, vendor, port))
        time.sleep(2.0)
        run = subprocess.Popen([sys.executable, "-m", "streamer", "run", f"--config={file}"], stdout=log, stderr=log)
        stack.callback(end, run)
        polls = "streamer_polls_total"
        with_all = asked.sources * 3
        wait_for(lambda: port_answers(port) and metrics(port)[polls] >= with_all, "every source to be polled", 300)
        time.sleep(WARM_UP)
        before, used = metrics(port), cpu_seconds(run.pid)
        disk = {topic: on_disk(folder, topic) for topic in (topics.events, topics.state)}
        time.sleep(asked.seconds)
        after, core = metrics(port) - before, (cpu_seconds(run.pid) - used) / asked.seconds
        report(asked, after, core, memory(run.pid))
        for topic, size in disk.items():
            each = (on_disk(folder, topic) - size) / max(1, after["streamer_events_total"])
            print(f"{topic}: {each:.0f} bytes on disk for each event")
    return 0


def report(asked: argparse.Namespace, found: Counter[str], core: float, held: float) -> None:
    """What the process did meanwhile."""
    polls, late = found["streamer_polls_total"], "streamer_poll_lateness_seconds_bucket<="
    wanted = asked.sources * asked.seconds / asked.interval
    bounds = sorted((float(name.removeprefix(late)), count) for name, count in found.items() if name.startswith(late))
    p99 = next((bound for bound, count in bounds if count >= 0.99 * bounds[-1][1]), float("inf"))
    print(
        f"{asked.sources} sources of {asked.rows} rows, every {asked.interval:g} s: {core:.1%} of a core, "
        f"{held:.0f} MB, {polls} of {wanted:.0f} polls, begun at most {p99:g} s late (p99), "
        f"{found['streamer_events_total'] / asked.seconds:.0f} events a second"
    )


def port_answers(port: int) -> bool:
    """Does it serve metrics yet?"""
    try:
        metrics(port)
    except OSError:
        return False
    return True


if __name__ == "__main__":
    sys.exit(main())
