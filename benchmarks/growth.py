"""Does a process grow? A floor polled in virtual time for a day, or a real instance for a while.

    .venv/bin/python -m benchmarks.growth [--hours 24] [--rows 500] [--share 0.02]
    .venv/bin/python -m benchmarks.growth --minutes 20 [--rows 500] [--share 0.02] [--kafka HOST:PORT]

Virtual: a poll each second through the core and the encoding, in one process, and the memory it holds after every hour.
Real: `streamer run` against a stub and a real Kafka at one poll a second, and what it holds after every minute. Memory
is resident MB, by the system's account. Exit code 1 if the second half holds more than the first by ROOM.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import subprocess
import sys
import time

from benchmarks.answers import MORNING, Floor
from benchmarks.poll_cost_systems import OURS, Cell, command, end, sixfold, stubbed
from benchmarks.used import memory
from streamer.config import Kafka
from streamer.core.envelope import Opened
from streamer.core.model import Settings, SourceState
from streamer.core.quick.door import Quick
from streamer.core.rejected import Told
from streamer.kafka.serde import encode
from tests.kafka_server import KafkaServer

ROOM = 4.0
"""MB between the largest of the second half and the largest of the first: an allocator's play."""

HOUR = 3600


def virtual(rows: int, share: float, hours: int) -> list[float]:
    """After every hour."""
    floor, quick, state, told = (
        Floor(rows, share),
        Quick(Settings("floor", poll_interval_ms=1000)),
        SourceState({}),
        Told(),
    )
    topics, found, events = Kafka(), list[float](), 0
    for second in range(hours * HOUR):
        now = MORNING + HOUR + second
        opened = quick.open(floor.answer(now))
        assert isinstance(opened, Opened)
        state, batch, _ = quick.advance(state, opened, round(now * 1000), round(now * 1000) + 5)
        encode(batch, topics, told, ())
        events += len(batch.events)
        if (second + 1) % HOUR == 0:
            found.append(memory(os.getpid()))
            print(f"hour {(second + 1) // HOUR}: {found[-1]:.1f} MB, {events} events", flush=True)
    return found


def real(rows: int, share: float, minutes: int, kafka: str) -> list[float]:
    """After every minute."""
    found: list[float] = []
    with stubbed(Cell(rows, share, False), kafka, None) as place, sixfold(kafka) as topics:
        line, environment = command(OURS, place, topics, 1.0)
        with (place.folder / "log.txt").open("wb") as log:
            process = subprocess.Popen(line, stdout=log, stderr=log, env={**os.environ, **environment})
        try:
            for minute in range(1, minutes + 1):
                time.sleep(60)
                found.append(memory(process.pid))
                print(f"minute {minute}: {found[-1]:.1f} MB, {place.polls} polls", flush=True)
        finally:
            end(process)
    return found


def main() -> int:
    """Measure; 1 if it grows."""
    asking = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asking.add_argument("--hours", type=int, default=24)
    asking.add_argument("--minutes", type=int, default=0, help="of a real run, in place of the virtual one")
    asking.add_argument("--rows", type=int, default=500)
    asking.add_argument("--share", type=float, default=0.02)
    asking.add_argument("--kafka", help="a real Kafka's address; one is started without it")
    asked = asking.parse_args()
    if asked.minutes:
        with contextlib.ExitStack() as stack:
            kafka = asked.kafka or stack.enter_context(KafkaServer()).bootstrap
            found = real(asked.rows, asked.share, asked.minutes, kafka)
    else:
        found = virtual(asked.rows, asked.share, asked.hours)
    half = len(found) // 2
    grown = max(found[half:]) - max(found[:half] or found)
    print(f"the second half holds {grown:+.1f} MB more than the first at most")
    return int(grown > ROOM)


if __name__ == "__main__":
    sys.exit(main())
