"""Fault schedules by the hundred thousand: the whole runtime on a fake cluster, each schedule from its seed.

    .venv/bin/python -m benchmarks.simulate [--schedules 100000] [--first 0] [--processes 2]

Prints each seed under which a promise was broken, and how. Exit code 0 only if there is none. A seed is run again by
`--first SEED --schedules 1`.
"""

from __future__ import annotations

import argparse
import multiprocessing
import sys
import time

from tests.simulation import schedule

PORTION = 50
"""Schedules that a process takes at a time."""

REPORT = 10_000
"""Schedules between two lines of progress."""


def portion(first: int, last: int) -> dict[int, list[str]]:
    """The violations of some seeds that have any."""
    return {seed: found for seed in range(first, last) if (found := schedule.run(seed))}


def main() -> int:
    """Run them all; 1 if any broke a promise."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--schedules", type=int, default=100_000)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--processes", type=int, default=multiprocessing.cpu_count())
    asked = parser.parse_args()
    end = asked.first + asked.schedules
    began = time.monotonic()
    broken = done = 0
    with multiprocessing.get_context("spawn").Pool(asked.processes) as pool:
        work = [(first, min(first + PORTION, end)) for first in range(asked.first, end, PORTION)]
        for found in pool.imap(_portion, work):
            for seed, violations in found.items():
                broken += 1
                print(f"seed {seed}: {violations}", flush=True)
            done += PORTION
            if done % REPORT == 0:
                print(f"{done} schedules, {broken} broken, {time.monotonic() - began:.0f} s", flush=True)
    seconds = time.monotonic() - began
    rate = asked.schedules / seconds * 60
    print(f"{asked.schedules} schedules, {broken} with violations, {seconds:.0f} s ({rate:.0f} a minute)")
    return 1 if broken else 0


def _portion(seeds: tuple[int, int]) -> dict[int, list[str]]:
    return portion(*seeds)


if __name__ == "__main__":
    sys.exit(main())
