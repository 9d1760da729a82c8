"""The main job for minutes on a real Kafka, as processes; then everything that was published is audited.

    .venv/bin/python -m benchmarks.soak --minutes 10 --agents 300 [--kafka HOST:PORT] [--floor NAME] [--faults RULES]

Exit code 0 only if every transition that the polls show was published once, in order, with gapless sequences and valid
records, and a read_committed consumer ends with the simulator's final state.
"""

from __future__ import annotations

import argparse
import contextlib
import math
import sys
import tempfile
import time
import uuid
from pathlib import Path

from tests.conftest import Topics
from tests.e2e.audit import audit, last_poll, told_otherwise, transitions, true_states, true_transitions, visible
from tests.e2e.deployment import Deployment
from tests.kafka_server import KafkaServer
from tests.truth import score


def main() -> int:
    """Run, audit, print figures; 1 if a promise was broken."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--agents", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--floor", default="default")
    parser.add_argument("--faults", default="")
    parser.add_argument("--kafka", help="a real Kafka's address; one is started without it")
    asked = parser.parse_args()
    with contextlib.ExitStack() as stack:
        kafka = asked.kafka or stack.enter_context(KafkaServer()).bootstrap
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        topics = Topics(f"soak-{uuid.uuid4().hex[:8]}")
        deployment = stack.enter_context(Deployment(folder, kafka, topics))
        deployment.simulate(agents=asked.agents, seed=asked.seed, floor=asked.floor, faults=asked.faults)
        deployment.run()
        deployment.wait_until_live()
        time.sleep(asked.minutes * 60)
        code = deployment.stop()
        return report(kafka, topics, deployment, code)


def report(kafka: str, topics: Topics, deployment: Deployment, code: int) -> int:
    """Print what was found; 1 if anything is not as promised."""
    found = audit(kafka, topics)
    shown = visible(deployment.recordings)
    differing = told_otherwise(shown, found)
    told = score(true_transitions(deployment.truth), transitions(found), begin=0.0, end=math.inf)
    begin, end = last_poll(deployment.recordings)
    truly = true_states(deployment.truth, begin - 0.05, end + 0.05)
    final = {key.partition("/")[2]: state["state"] for key, state in found.states.items()}
    final = {name: "available" if state == "wrap_up" else state for name, state in final.items()}
    astray = sorted(name for name, state in final.items() if state not in truly.get(name, set()))
    visibly = sum(len(states) for states in shown.values())
    print(f"polls {deployment.polls()}  extensions {len(found.states)}  visible transitions {visibly}")
    print(f"told transitions {told.told}, true ones {told.right}, bounds that hold {told.held} of {told.found}")
    print(f"events {len(found.events)}  feed records {len(found.feeds)}  rejected {len(found.rejected)}")
    print(f"violations {len(found.violations)}  extensions told otherwise than seen {len(differing)}")
    print(f"extensions whose final state is not the floor's {len(astray)}  exit code of run {code}")
    for line in (*found.violations[:10], *differing[:10], *astray[:10]):
        print("  ", line)
    return int(bool(found.violations or differing or astray or code))


if __name__ == "__main__":
    sys.exit(main())
