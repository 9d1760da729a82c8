"""The main job as an operator runs it: simulator, streamer and consumer as separate parties around a real Kafka."""

from __future__ import annotations

import json
import math
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.conftest import StartKafka, Topics
from tests.e2e.audit import Audit, audit, last_poll, told_otherwise, transitions, true_states, true_transitions, visible
from tests.e2e.deployment import Deployment, wait_for
from tests.kafka_server import free_port
from tests.topics import at_rest
from tests.truth import score

AGENTS = 300
POLLS = 20


def assert_final_state_is_the_floors(found: Audit, deployment: Deployment) -> None:
    """Each extension ends as the simulator truly was at the last poll (a moment either way for what changed in it)."""
    begin, end = last_poll(deployment.recordings)
    truly = true_states(deployment.truth, begin - 0.05, end + 0.05)
    final = {key.partition("/")[2]: state["state"] for key, state in found.states.items()}
    final = {name: "available" if state == "wrap_up" else state for name, state in final.items()}
    wrong = {name: (state, truly.get(name)) for name, state in final.items() if state not in truly.get(name, set())}
    assert not wrong
    assert {name for name, states in truly.items() if "signed_out" not in states} <= final.keys()


@pytest.mark.timeout(180)
def test_every_visible_transition_is_published_once_and_in_order(kafka: str, topics: Topics, tmp_path: Path) -> None:
    """What the polls show is on the topic: each transition once, gapless, valid, ending as the floor is."""
    with Deployment(tmp_path, kafka, topics) as deployment:
        deployment.simulate(agents=AGENTS, seed=1)
        deployment.run()
        wait_for(lambda: deployment.polls() >= POLLS, f"{POLLS} polls")
        assert deployment.stop() == 0, deployment.log()
        found = audit(kafka, topics)
        assert found.violations == []
        assert told_otherwise(visible(deployment.recordings), found) == []
        assert_final_state_is_the_floors(found, deployment)
        assert found.feeds[-1]["status"] == "stopped"
        assert len(found.events) > AGENTS
        told = score(true_transitions(deployment.truth), transitions(found), begin=0.0, end=math.inf)
        assert (told.right, told.held) == (told.told, told.found)


@pytest.mark.timeout(180)
def test_a_stop_in_mid_poll_loses_nothing_and_repeats_nothing(kafka: str, topics: Topics, tmp_path: Path) -> None:
    """SIGTERM while the vendor takes its time over an answer; the next life goes on where the first ended."""
    with Deployment(tmp_path, kafka, topics) as deployment:
        deployment.simulate(agents=AGENTS, seed=2, faults="always:slow=0.6@poll")
        for _ in range(3):
            before = deployment.polls()
            deployment.run()
            deployment.wait_until_live()
            wait_for(lambda before=before: deployment.polls() >= before + 4, "polls")
            # The simulator counts a poll when it arrives, so its slow answer is under way now.
            assert deployment.stop() == 0, deployment.log()
        found = audit(kafka, topics)
        assert found.violations == []
        assert told_otherwise(visible(deployment.recordings), found) == []
        assert_final_state_is_the_floors(found, deployment)


@pytest.mark.timeout(400)
def test_twenty_kills_lose_nothing_and_repeat_nothing(kafka: str, topics: Topics, tmp_path: Path) -> None:
    """kill -9 at random moments, the start among them; then one quiet life to the end."""
    chance = random.Random(20)
    with Deployment(tmp_path, kafka, topics) as deployment:
        deployment.simulate(agents=AGENTS, seed=3)
        for _ in range(20):
            deployment.run()
            if chance.random() < 0.8:
                deployment.wait_until_live()
            time.sleep(chance.uniform(0.0, 1.5))  # the moment of death is drawn, not waited for
            deployment.kill()
        deployment.run()
        deployment.wait_until_live()
        assert deployment.stop() == 0, deployment.log()
        found = audit(kafka, topics)
        assert found.violations == []
        assert_final_state_is_the_floors(found, deployment)
        writers = {feed["cursor"]["writer"] for feed in found.feeds}
        assert len(writers) > 10


@pytest.mark.timeout(180)
def test_replay_of_a_recording_gives_what_run_published(kafka: str, topics: Topics, tmp_path: Path) -> None:
    """Byte for byte the same twice, and event for event what consumers read."""
    with Deployment(tmp_path, kafka, topics) as deployment:
        deployment.simulate(
            agents=60, seed=4, floor="breaks", faults="every=7:garbage_row,every=9:null,every=5:shuffle"
        )
        deployment.run()
        wait_for(lambda: deployment.polls() >= 12, "12 polls")
        assert deployment.stop() == 0, deployment.log()
        command = [sys.executable, "-m", "streamer", "replay", "--json", str(deployment.recordings[0])]
        first, second = (subprocess.run(command, capture_output=True, check=True).stdout for _ in range(2))
        assert first == second
        found = audit(kafka, topics)
        assert found.violations == []
        replayed = {event["event_id"]: event for event in map(json.loads, first.splitlines())}
        assert replayed == {event["event_id"]: event for event in found.events}


@pytest.mark.timeout(240)
def test_a_broker_that_dies_and_returns_costs_nothing(own_kafka: StartKafka, topics: Topics, tmp_path: Path) -> None:
    """Polling goes on while Kafka is away, /readyz says so, and what was seen arrives afterwards, in order."""
    broker = own_kafka()
    with Deployment(tmp_path, broker.bootstrap, topics) as deployment:
        deployment.simulate(agents=AGENTS, seed=5)
        deployment.run()
        deployment.wait_until_live()
        for how in (broker.kill, broker.stop):
            at_rest(broker.bootstrap, topics)
            how()
            polls = deployment.polls()
            wait_for(lambda: "Kafka" in str(deployment.not_ready()), "/readyz to say that Kafka is away")
            wait_for(lambda polls=polls: deployment.polls() >= polls + 3, "polls without Kafka")
            broker.restart()
            deployment.wait_until_live()
        assert deployment.stop() == 0, deployment.log()
        found = audit(broker.bootstrap, topics)
        assert found.violations == []
        assert told_otherwise(visible(deployment.recordings), found) == []


@pytest.mark.timeout(180)
def test_a_broker_that_is_down_at_the_start_is_waited_for(
    own_kafka: StartKafka, topics: Topics, tmp_path: Path
) -> None:
    """`run` stays up, says on /readyz and once in the log that Kafka is away, and begins when it is there."""
    broker = own_kafka()
    broker.stop()
    with Deployment(tmp_path, broker.bootstrap, topics) as deployment:
        deployment.simulate(agents=20, seed=6)
        deployment.run()
        wait_for(lambda: "Kafka" in str(deployment.not_ready()), "/readyz to say that Kafka is away")
        assert deployment.polls() == 0
        broker.restart()
        deployment.wait_until_live()
        assert deployment.stop() == 0, deployment.log()
        assert deployment.log().count("Kafka is away") == 1
        assert audit(broker.bootstrap, topics).violations == []


@pytest.mark.timeout(180)
def test_a_second_instance_takes_over_and_the_first_exits_with_4(kafka: str, topics: Topics, tmp_path: Path) -> None:
    """Outside a group the newer instance fences the older, which publishes nothing more and says why."""
    with Deployment(tmp_path, kafka, topics) as deployment:
        deployment.simulate(agents=60, seed=7)
        first = deployment.run()
        deployment.wait_until_live()
        deployment.move(free_port())
        deployment.run()
        assert first.wait(60) == 4, deployment.log()
        deployment.wait_until_live()
        assert deployment.stop() == 0, deployment.log()
        assert "another instance has taken over" in deployment.log()
        assert audit(kafka, topics).violations == []


@pytest.mark.timeout(240)
def test_a_broker_that_hangs_without_closing_costs_nothing(
    own_kafka: StartKafka, topics: Topics, tmp_path: Path
) -> None:
    """SIGSTOP of the broker: connections stay open and nothing answers. Time-outs find it, the cursor settles it."""
    broker = own_kafka()
    with Deployment(tmp_path, broker.bootstrap, topics) as deployment:
        deployment.simulate(agents=AGENTS, seed=8)
        deployment.run()
        deployment.wait_until_live()
        broker.freeze()
        wait_for(lambda: "Kafka" in str(deployment.not_ready()), "/readyz to say that Kafka is away")
        broker.thaw()
        deployment.wait_until_live()
        assert deployment.stop() == 0, deployment.log()
        found = audit(broker.bootstrap, topics)
        assert found.violations == []
        assert told_otherwise(visible(deployment.recordings), found) == []
