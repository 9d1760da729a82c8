"""An instance in a group: it acts on what changes among its slots, and on nothing else."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from streamer.kafka.store import slot_of
from tests.runtime.fakes import (
    FakeKafka,
    FakeMembership,
    FakeVendor,
    Instance,
    Script,
    alternating,
    always,
    config,
    row,
    virtually,
)
from tests.runtime.test_supervisor import assert_gapless

NAMES = ("floor", "south")
FLOOR, SOUTH = (slot_of(name, 2) for name in NAMES)


@dataclass
class Member:
    """An instance with its group, and the vendors that it polls."""

    kafka: FakeKafka
    group: FakeMembership
    vendors: dict[str, FakeVendor]
    instance: Instance

    def polls(self) -> tuple[int, ...]:
        """Of each source."""
        return tuple(len(self.vendors[name].polls) for name in NAMES)


async def member(kafka: FakeKafka | None = None, name: str = "a", script: Script = alternating) -> Member:
    """An instance that waits for its first slots."""
    kafka, group = kafka or FakeKafka(), FakeMembership()
    vendors = {source: FakeVendor(script) for source in NAMES}
    instance = Instance(config(*NAMES, cluster={"slots": 2}), kafka, vendors, name, membership=group)
    await asyncio.sleep(0.1)
    return Member(kafka, group, vendors, instance)


def test_one_poller_per_source_by_kafkas_word() -> None:
    """Invariant 4: nothing is polled before the group assigns it, a lost slot ends at once, the other goes on."""

    async def work() -> None:
        m = await member()
        await asyncio.sleep(5)
        assert m.polls() == (0, 0)
        assert "has not assigned" in m.instance.supervisor.trouble
        m.group.assign(frozenset({FLOOR, SOUTH}))
        assert "about to begin" in m.instance.supervisor.trouble
        await asyncio.sleep(5)
        assert m.instance.supervisor.trouble == ""
        assert set(m.group.claims()) == {FLOOR, SOUTH}
        m.group.assign(frozenset({FLOOR}))
        await asyncio.sleep(0.01)
        before = m.polls()
        opened = m.kafka.calls.count(f"open {FLOOR}")
        await asyncio.sleep(5)
        assert m.polls()[1] == before[1]
        assert m.polls()[0] >= before[0] + 4
        assert m.kafka.calls.count(f"open {FLOOR}") == opened == 1
        assert m.instance.supervisor.channels.keys() == {"floor"}
        assert m.instance.witness.gone == ["south"]
        m.group.assign(frozenset({FLOOR, SOUTH}))
        await asyncio.sleep(5)
        assert m.polls()[1] > before[1]
        await m.instance.end()
        for name in NAMES:
            assert_gapless([event for event in m.kafka.events() if event["source"] == name])
        assert "stopped" not in {feed["status"] for feed in m.kafka.feed_records()}

    virtually(work)


def test_unpublished_batches_of_a_lost_slot_are_dropped() -> None:
    """Invariant 4: they are another's business, and would be fenced."""

    async def work() -> None:
        m = await member()
        m.group.assign(frozenset({FLOOR, SOUTH}))
        await asyncio.sleep(5)
        m.kafka.away = True
        await asyncio.sleep(10)
        m.group.assign(frozenset({SOUTH}))
        await asyncio.sleep(5)
        m.kafka.away = False
        told = len([event for event in m.kafka.events() if event["source"] == "floor"])
        await asyncio.sleep(20)
        assert len([event for event in m.kafka.events() if event["source"] == "floor"]) == told
        assert "batches were given up" in m.instance.witness.problems
        await m.instance.end()

    virtually(work)


def test_a_slot_that_another_had_meanwhile_proves_itself_after_a_rebalance() -> None:
    """A member that missed a generation of the group finds out at once, not with its next heartbeat."""

    async def work() -> None:
        quiet = always([row("1", 1213)])
        m = await member(script=quiet)
        m.group.assign(frozenset({FLOOR, SOUTH}))
        await asyncio.sleep(5)
        other = await member(m.kafka, "b", quiet)
        other.group.assign(frozenset({SOUTH}))
        await asyncio.sleep(0.2)
        await other.instance.die()
        m.group.assign(frozenset({FLOOR, SOUTH}))
        await asyncio.sleep(4)  # less than what is left until the next heartbeat
        assert m.kafka.calls.count(f"open {SOUTH}") == 3
        feeds = [feed for feed in m.kafka.feed_records() if feed["source"] == "south"]
        assert feeds[-1]["instance"] == "a"
        assert len({feed["cursor"]["writer"] for feed in feeds}) == 3
        await m.instance.end()
        assert_gapless([event for event in m.kafka.events() if event["source"] == "south"])

    virtually(work)


def test_kafka_is_back_when_a_slot_begins_anew_after_all_were_lost() -> None:
    """An instance that was cut off, and fenced on all its slots meanwhile, says so when it has reached Kafka again."""

    async def work() -> None:
        m = await member()
        m.group.assign(frozenset({FLOOR, SOUTH}))
        await asyncio.sleep(5)
        for sink in m.kafka.sinks:
            sink.cut_off = True
        await asyncio.sleep(5)
        assert m.instance.witness.kafka_news == [True, False]
        other = await member(m.kafka, "b")
        other.group.assign(frozenset({FLOOR, SOUTH}))
        await asyncio.sleep(5)
        await other.instance.die()
        await asyncio.sleep(20)
        assert m.instance.witness.kafka_news == [True, False, True]
        await m.instance.end()

    virtually(work)


def test_a_source_that_no_instance_polls_is_said_by_all_that_know_it() -> None:
    """One file has it, and the instance that was given its slot has another file."""

    async def work() -> None:
        m = await member()
        m.group.assign(frozenset({FLOOR}))
        await asyncio.sleep(25)
        assert m.instance.supervisor.silent == frozenset()
        await asyncio.sleep(25)
        assert m.instance.supervisor.silent == {"south"}
        assert m.instance.witness.problems == ["no instance polls a source"]
        m.group.assign(frozenset({FLOOR, SOUTH}))
        await asyncio.sleep(15)
        assert m.instance.supervisor.silent == frozenset()
        await m.instance.end()

    virtually(work)


def test_a_fenced_tenure_begins_anew_while_the_slot_is_ours() -> None:
    """Inside a group an instance does not end: it restores and goes on, unless the group says otherwise."""

    async def work() -> None:
        m = await member()
        m.group.assign(frozenset({FLOOR, SOUTH}))
        await asyncio.sleep(5)
        stranger = Instance(config("floor", cluster={"slots": 2}), m.kafka, {"floor": FakeVendor(alternating)}, "z")
        await asyncio.sleep(1)
        await stranger.die()
        await asyncio.sleep(20)
        assert "a slot was taken over" in m.instance.witness.problems
        feeds = [feed for feed in m.kafka.feed_records() if feed["source"] == "floor"]
        assert (feeds[-1]["instance"], feeds[-1]["status"]) == ("a", "live")
        await m.instance.end()
        assert_gapless([event for event in m.kafka.events() if event["source"] == "floor"])

    virtually(work)
