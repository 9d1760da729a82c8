"""Is every change to a signed audit trail found? Thousands of random ones by somebody who has all rights but the key.

    .venv/bin/python -m benchmarks.audit_tamper [--trials 13000] [--seed 1]

Prints a line for each way of tampering: how many were tried, changed what is signed, and were found. Exit code 0 only
if all that changed something were found, and nothing raised.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from pathlib import Path

from tests.consumers.audit.tampering import trial, ways
from tests.consumers.audit.trails import made


def main() -> int:
    """Make a trail, tamper, verify."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=13_000)
    parser.add_argument("--seed", type=int, default=1)
    parsed = parser.parse_args()
    rng = random.Random(parsed.seed)
    began = time.monotonic()
    missed = 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        snapshots: list[Path] = []
        trail = made(folder / "trail", snapshots=snapshots)
        assert trail.verify().ok
        trail.folder = folder / "trial"
        print(f"seed {parsed.seed}: 240 entries, {len(trail.anchors)} checkpoints, one sealed file")
        print(f"{'way':<34} {'tried':>6} {'changed':>8} {'found':>6}")
        every = ways(snapshots)
        for way, tamper in every.items():
            tried = parsed.trials // len(every)
            changed = found = 0
            for _ in range(tried):
                if trial(folder / "trail", trail.folder, tamper, rng):
                    changed += 1
                    found += not trail.verify().integrity.ok
            missed += changed - found
            print(f"{way:<34} {tried:>6} {changed:>8} {found:>6}", flush=True)
    print(f"{missed} missed, {time.monotonic() - began:.0f} s")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
