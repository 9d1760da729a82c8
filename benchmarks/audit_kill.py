"""Is every event in the audit trail exactly once, however often its writer is killed?

    .venv/bin/python -m benchmarks.audit_kill [--kills 50] [--seed 1]

A real Kafka, events all the time, `streamer audit run` killed with SIGKILL at random moments. Exit code 0 only if the
store then holds each event of the topic once, and `streamer audit verify` finds nothing.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
import uuid
from pathlib import Path

from tests.conftest import Topics
from tests.consumers.audit.killing import killed
from tests.kafka_server import KafkaServer


def main() -> int:
    """Kill, look, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    parsed = parser.parse_args()
    began = time.monotonic()
    server = KafkaServer().start()
    try:
        with tempfile.TemporaryDirectory() as name:
            topics = Topics(f"audit-{uuid.uuid4().hex[:8]}")
            found = killed(server.bootstrap, topics, Path(name), parsed.kills, random.Random(parsed.seed))
    finally:
        server.close()
    missing = len(set(found.on_topic) - set(found.in_store))
    print(
        f"{found.kills} kills, {len(found.on_topic)} events: {missing} missing, {found.repeated} repeated, "
        f"{len(set(found.in_store) - set(found.on_topic))} invented; {found.files} sealed files, "
        f"{found.checkpoints} checkpoints; integrity {found.verified['integrity']['ok']}, "
        f"completeness {found.verified['completeness']['ok']}; {time.monotonic() - began:.0f} s"
    )
    return 0 if found.in_store == found.on_topic else 1


if __name__ == "__main__":
    sys.exit(main())
