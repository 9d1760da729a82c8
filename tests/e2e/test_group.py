"""Several instances as processes on a real Kafka: take-overs, restarts under a name, zombies, reloads, disks."""

from __future__ import annotations

import signal
import time
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer

from tests.conftest import StartKafka, Topics
from tests.e2e.audit import audit, told_otherwise, visible
from tests.e2e.deployment import wait_for
from tests.e2e.fleet import SESSION, Fleet

SOURCES = ("floor", "north", "south", "east")


@pytest.mark.timeout(180)
def test_a_standby_takes_over_and_a_zombie_publishes_nothing(kafka: str, topics: Topics, tmp_path: Path) -> None:
    """kill -9: within the session time-out and 2 s. SIGSTOP beyond it: whoever comes back has nothing more to say."""
    with Fleet(tmp_path, kafka, topics, SOURCES) as fleet:
        fleet.group("a", "b")
        fleet.wait_until_live()
        wait_for(lambda: set(fleet.owners().values()) == {"a", "b"}, "both to have sources")
        fleet.kill("a")
        killed = time.monotonic()
        wait_for(lambda: set(fleet.owners().values()) == {"b"}, "b to take over")
        taken = [at for name in SOURCES for at, feed in fleet.follower.feeds[name] if feed["instance"] == "b"]
        assert max(at for at in taken if at < killed + 60) - killed < SESSION + 2 + 1  # the last slot's first word
        fleet.start("a")
        wait_for(lambda: set(fleet.owners().values()) == {"a", "b"}, "a to get its share again")
        fleet.wait_until_live()
        fleet.signal("b", signal.SIGSTOP)
        wait_for(lambda: set(fleet.owners().values()) == {"a"}, "a to take over")
        fleet.signal("b", signal.SIGCONT)
        wait_for(lambda: set(fleet.owners().values()) == {"a", "b"}, "b to rejoin")
        fleet.wait_until_live()
        assert fleet.stop("a", "b") == [0, 0], fleet.log()
        found = audit(kafka, topics)
        assert found.violations == []
        for name in SOURCES:
            writers = [feed["cursor"]["writer"] for feed in found.feeds if feed["source"] == name]
            tenures = [w for w, before in zip(writers, [None, *writers], strict=False) if w != before]
            assert len(tenures) == len(set(tenures)), "a writer came back"
        assert "stopped" not in {feed["status"] for feed in found.feeds}


@pytest.mark.timeout(180)
def test_an_instance_that_restarts_under_its_name_gets_its_sources_back(
    kafka: str, topics: Topics, tmp_path: Path
) -> None:
    """At once, killed or stopped, and without a new tenure at the other."""
    with Fleet(tmp_path, kafka, topics, SOURCES) as fleet:
        fleet.group("a", "b")
        # Slots change hands one by one: a share is final when it is even.
        wait_for(lambda: sorted(fleet.owners().values()) == ["a", "a", "b", "b"], "both to have their sources")
        fleet.wait_until_live()
        owners = fleet.owners()
        mine = [name for name in SOURCES if owners[name] == "a"]
        others = {name: fleet.follower.last(name)["cursor"]["writer"] for name in SOURCES if owners[name] == "b"}
        for end in (lambda: fleet.kill("a"), lambda: fleet.stop("a")):
            writers = {name: fleet.follower.last(name)["cursor"]["writer"] for name in mine}
            end()
            fleet.start("a")
            wait_for(
                lambda writers=writers: all(
                    fleet.follower.last(name)["cursor"]["writer"] != writer for name, writer in writers.items()
                ),
                "a to go on",
            )
            fleet.wait_until_live()
            assert fleet.owners() == owners
        assert {name: fleet.follower.last(name)["cursor"]["writer"] for name in others} == others
        assert fleet.stop("a", "b") == [0, 0], fleet.log()
        assert audit(kafka, topics).violations == []


@pytest.mark.timeout(180)
async def test_no_number_repeats_behind_another_slots_open_transaction(
    kafka: str, topics: Topics, tmp_path: Path
) -> None:
    """One instance is stopped with a transaction open, another is killed and taken over: the record is read to its true
    end, not to where the open transaction hides it.
    """
    with Fleet(tmp_path, kafka, topics, ["floor"]) as fleet:
        fleet.configure("a")
        fleet.start("a")
        fleet.wait_until_live()
        stopped: Any = AIOKafkaProducer(
            bootstrap_servers=kafka, transactional_id=f"{topics.state}-slot-99", transaction_timeout_ms=12_000
        )
        await stopped.start()
        await stopped.begin_transaction()
        for topic in (topics.state, topics.feed):
            for partition in await stopped.partitions_for(topic):
                await stopped.send_and_wait(topic, b"{}", key=b"nowhere/1", partition=partition)
        polls = fleet.polls("a")
        wait_for(lambda: fleet.polls("a") > polls + 5, "polls whose records no consumer can read yet")
        fleet.kill("a")
        fleet.start("a")
        before = fleet.follower.last("floor")["cursor"]["writer"]
        wait_for(lambda: fleet.follower.last("floor")["cursor"]["writer"] != before, "the next life")
        fleet.wait_until_live()
        assert fleet.stop("a") == [0], fleet.log()
        await stopped.stop()
        found = audit(kafka, topics)
        assert [text for text in found.violations if "nowhere" not in text] == []


@pytest.mark.timeout(180)
def test_sources_come_and_go_on_sighup(kafka: str, topics: Topics, tmp_path: Path) -> None:
    """Added, removed, and an invalid file that changes nothing and says why; the others' tenures go on."""
    with Fleet(tmp_path, kafka, topics, ("floor", "north", "south")) as fleet:
        fleet.configure("a", ["floor", "north"])
        fleet.start("a")
        fleet.wait_until_live("floor", "north")
        writer = fleet.follower.last("floor")["cursor"]["writer"]
        fleet.configure("a", ["floor", "south"])
        fleet.signal("a", signal.SIGHUP)
        fleet.wait_until_live("south")
        wait_for(lambda: fleet.follower.last("north")["status"] == "stopped", "north to end")
        fleet.configure("a", ["floor"], more="[gate]\nabsent_mni = 3")
        for _ in range(50):
            fleet.signal("a", signal.SIGHUP)
        wait_for(lambda: "the configuration was not reloaded" in fleet.log(), "the refusal")
        assert "did you mean 'absent_min'?" in fleet.log()
        assert fleet.log().count("the configuration was not reloaded") < 5
        fleet.configure("a", ["floor"], more="[outbox]\nmax_bytes = 1000000")
        fleet.signal("a", signal.SIGHUP)
        wait_for(lambda: "outbox - cannot change while running" in fleet.log(), "the refusal")
        assert fleet.follower.last("south")["status"] == "live"
        assert fleet.follower.last("floor")["cursor"]["writer"] == writer
        assert fleet.stop("a") == [0], fleet.log()
        assert audit(kafka, topics).violations == []


@pytest.mark.timeout(240)
def test_a_crash_while_kafka_is_away_loses_nothing_with_an_outbox_on_disk(
    own_kafka: StartKafka, topics: Topics, tmp_path: Path
) -> None:
    """What was polled before kill -9 is told after the next start, with its own times."""
    broker = own_kafka()
    with Fleet(tmp_path, broker.bootstrap, topics, ["floor"], agents=100) as fleet:
        outbox = f'[outbox]\npath = "{tmp_path / "outbox"}"'
        fleet.configure("a", None, outbox)
        fleet.start("a")
        fleet.wait_until_live()
        broker.stop()
        polls = fleet.polls("a")
        wait_for(lambda: fleet.polls("a") >= polls + 8, "polls without Kafka")
        fleet.kill("a")
        fleet.start("a")
        broker.restart()
        wait_for(lambda: "publishing what was kept on disk" in fleet.log(), "the disk's batches")
        wait_for(lambda: fleet.polls("a") >= 3, "polls of the next life")
        assert fleet.stop("a") == [0], fleet.log()
        found = audit(broker.bootstrap, topics)
        assert found.violations == []
        # The last answer before the kill may have been recorded and not yet compared.
        first = fleet.recordings["a"][0].read_text().splitlines()
        fleet.recordings["a"][0].write_text("\n".join(first[:-1]) + "\n")
        assert told_otherwise(visible(fleet.recordings["a"]), found) == []
        assert found.feeds[-1]["superseded"] == 0


@pytest.mark.timeout(240)
def test_a_machine_that_comes_back_after_another_went_on_publishes_nothing_stale(
    own_kafka: StartKafka, topics: Topics, tmp_path: Path
) -> None:
    """Its unpublished batches are dropped, and its feed counts them."""
    broker = own_kafka()
    with Fleet(tmp_path, broker.bootstrap, topics, ["floor"], agents=100) as fleet:
        fleet.configure("a", None, f'[outbox]\npath = "{tmp_path / "outbox"}"')
        fleet.configure("b")
        fleet.start("a")
        fleet.wait_until_live()
        broker.stop()
        polls = fleet.polls("a")
        wait_for(lambda: fleet.polls("a") >= polls + 8, "polls without Kafka")
        fleet.kill("a")
        fleet.start("b")
        broker.restart()
        wait_for(lambda: fleet.polls("b") >= 5, "polls of the other")
        assert fleet.stop("b") == [0], fleet.log()
        fleet.start("a")
        wait_for(lambda: fleet.follower.last("floor").get("superseded", 0) >= 5, "the count of what was superseded")
        fleet.wait_until_live()
        assert fleet.stop("a") == [0], fleet.log()
        assert audit(broker.bootstrap, topics).violations == []
