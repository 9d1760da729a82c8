"""Kafka is away for minutes while polling goes on: does memory stay within its bound, and does everything arrive?

    .venv/bin/python -m benchmarks.outage [--minutes 10] [--agents 1000] [--max-bytes "256 MiB"] [--seed 1]

A real broker is stopped and started again. Prints the process's memory and what its outbox holds once a minute, how
long it took to catch up, and the audit of everything that was published. Exit code 0 only if all is as promised.
"""

from __future__ import annotations

import argparse
import contextlib
import re
import sys
import tempfile
import time
import urllib.request
import uuid
from pathlib import Path

from benchmarks.soak import report
from benchmarks.used import memory
from tests.conftest import Topics
from tests.e2e.deployment import Deployment, wait_for
from tests.kafka_server import KafkaServer

BEFORE, AFTER = 60.0, 20.0
"""Seconds of ordinary work before and after the outage."""

SAMPLE = 60.0


def outbox(port: int) -> tuple[int, float]:
    """How many batches wait, and their MiB."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        text = answer.read().decode()
    values = [
        re.search(rf"^streamer_outbox_{name}\{{.*\}} (\S+)$", text, re.MULTILINE) for name in ("batches", "bytes")
    ]
    batches, size = (float(found[1]) if found else 0.0 for found in values)
    return int(batches), size / 2**20


def line(deployment: Deployment, when: str) -> None:
    """Print how the process stands."""
    assert deployment.streamer is not None
    batches, size = outbox(deployment.port)
    print(
        f"{when:>16}: {memory(deployment.streamer.pid):6.1f} MiB resident, {batches:4d} batches ({size:.2f} MiB) wait",
        flush=True,
    )


def main() -> int:
    """Run, stop the broker, start it, audit."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--agents", type=int, default=1000)
    parser.add_argument("--max-bytes", default="256 MiB")
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    with contextlib.ExitStack() as stack:
        broker = stack.enter_context(KafkaServer())
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        topics = Topics(f"outage-{uuid.uuid4().hex[:8]}")
        extra = f'[outbox]\nmax_bytes = "{asked.max_bytes}"'
        deployment = stack.enter_context(Deployment(folder, broker.bootstrap, topics, extra=extra))
        deployment.simulate(agents=asked.agents, seed=asked.seed)
        deployment.run()
        deployment.wait_until_live()
        time.sleep(BEFORE)
        line(deployment, "before")
        broker.stop()
        for minute in range(1, round(asked.minutes) + 1):
            time.sleep(SAMPLE)
            line(deployment, f"{minute} min away")
        broker.restart()
        back = time.monotonic()
        wait_for(lambda: outbox(deployment.port)[0] == 0, "the backlog to be published", 120)
        print(f"caught up {time.monotonic() - back:.1f} s after the broker was there again")
        time.sleep(AFTER)
        line(deployment, "after")
        code = deployment.stop()
        return report(broker.bootstrap, topics, deployment, code)


if __name__ == "__main__":
    sys.exit(main())
