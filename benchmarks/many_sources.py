"""Hundreds of sources in one process on a real Kafka, some of them hanging and some refusing: are the others late?

    .venv/bin/python -m benchmarks.many_sources [--sources 200] [--agents 100] [--interval 2] [--bad 10] [--minutes 3]

`--bad` sources accept a connection and never answer, as many more refuse it. All good sources are polled from a few
simulated floors: what they cost the process is the same as if each had one of its own. Prints how late the good
sources' polls began, from the process's own metrics, and its share of a core; exit code 0 if p99 is at most 0.2 s and
every good feed is live.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import re
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
import uuid
from collections import Counter
from pathlib import Path

from benchmarks.used import cpu_seconds
from tests.conftest import Topics
from tests.e2e.deployment import ACCESSKEY, wait_for
from tests.kafka_server import KafkaServer, free_port

FLOORS = 2
WARM_UP = 20.0
"""Seconds until the start's rush is over."""


def configuration(asked: argparse.Namespace, kafka: str, port: int, floors: list[int], hanging: int) -> str:
    """The instance's file: good sources first, then those that hang, then those that refuse."""
    topics = Topics(f"many-{uuid.uuid4().hex[:8]}")
    lines = [
        f'[kafka]\nbootstrap_servers = "{kafka}"\nevents_topic = "{topics.events}"\nstate_topic = "{topics.state}"',
        f'feed_topic = "{topics.feed}"\nrejected_topic = "{topics.rejected}"\n[http]\nlisten = "127.0.0.1:{port}"',
    ]
    good = asked.sources - 2 * asked.bad
    for number in range(asked.sources):
        kind = "good" if number < good else "hanging" if number < good + asked.bad else "refusing"
        vendor = {"good": floors[number % FLOORS], "hanging": hanging, "refusing": 1}[kind]
        lines.append(
            f'[[sources]]\nname = "{kind}-{number}"\nurl = "http://127.0.0.1:{vendor}"\nappid = "app-1"\n'
            f'accesskey = "{ACCESSKEY}"\npoll_interval = {asked.interval}'
        )
    return "\n".join(lines)


def lateness(port: int) -> Counter[float]:
    """Upper bound in seconds → how many polls of good sources began by then, all together."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        text = answer.read().decode()
    found: Counter[float] = Counter()
    pattern = r'streamer_poll_lateness_seconds_bucket\{(?:le="([^"]+)",source="good-|source="good-\d+",le="([^"]+)")'
    for line in text.splitlines():
        if matched := re.match(pattern, line):
            found[float(matched[1] or matched[2])] += int(float(line.rsplit(" ", 1)[1]))
    return found


def not_ready(port: int) -> dict[str, str]:
    """What /readyz says."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=10):
            return {}
    except urllib.error.HTTPError as error:
        with error:
            return json.load(error)["not_ready"]
    except OSError:
        return {"kafka": "no answer"}


def good_ones_live(port: int) -> bool:
    """Is every source live but those that are meant to fail?"""
    return not any(name.startswith(("good", "kafka")) for name in not_ready(port))


def main() -> int:
    """Start everything, wait, read the metrics."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sources", type=int, default=200)
    parser.add_argument("--agents", type=int, default=100)
    parser.add_argument("--interval", type=float, default=2.0)
    parser.add_argument("--bad", type=int, default=10)
    parser.add_argument("--minutes", type=float, default=3.0)
    asked = parser.parse_args()
    with contextlib.ExitStack() as stack:
        kafka = stack.enter_context(KafkaServer()).bootstrap
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        hanging = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=1024))
        port, floors = free_port(), [free_port() for _ in range(FLOORS)]
        file = folder / "streamer.toml"
        file.write_text(configuration(asked, kafka, port, floors, hanging.getsockname()[1]))
        log = stack.enter_context((folder / "log.txt").open("wb"))

        def started(*command: str) -> subprocess.Popen[bytes]:
            process = subprocess.Popen([sys.executable, "-m", "streamer", *command], stdout=log, stderr=log)
            stack.callback(process.wait)
            stack.callback(process.terminate)
            return process

        for floor in floors:
            started("simulate", f"--port={floor}", f"--agents={asked.agents}")
        process = started("run", f"--config={file}")
        wait_for(lambda: good_ones_live(port), "the good sources to be live", 120)
        time.sleep(WARM_UP)
        before, cpu = lateness(port), cpu_seconds(process.pid)
        time.sleep(asked.minutes * 60)
        live, used = good_ones_live(port), cpu_seconds(process.pid) - cpu
        return report(lateness(port) - before, used / (asked.minutes * 60), live=live)


def report(late: Counter[float], core: float, *, live: bool) -> int:
    """Print the figures; 1 if they are not as wanted."""
    total = late[float("inf")]
    for bound, count in sorted(late.items()):
        print(f"  began within {bound:5g} s: {count:7d}  {count / total:8.3%}")
    quantiles = {q: min(b for b, count in late.items() if count >= q * total) for q in (0.5, 0.99, 0.999)}
    print(
        f"{total} polls of good sources; late by at most: "
        + ", ".join(f"p{100 * q:g} {b:g} s" for q, b in quantiles.items())
    )
    print(f"{core:.0%} of a core; good feeds {'all live' if live else 'NOT all live'}")
    return 0 if live and quantiles[0.99] <= 0.2 else 1


if __name__ == "__main__":
    sys.exit(main())
