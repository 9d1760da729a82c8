"""The group of a deployment on a real Kafka: every slot has one owner, and moves only when it must."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import sys
import time
from collections.abc import AsyncGenerator, Callable, Collection
from pathlib import Path
from typing import Any

import pytest
from aiokafka.admin import NewTopic
from aiokafka.consumer.group_coordinator import GroupCoordinator

from streamer.config import Kafka
from streamer.errors import ConfigError, Fenced, KafkaRefused, TopicsWrong
from streamer.kafka import membership as ours
from streamer.kafka.connection import Connection
from streamer.kafka.membership import Membership
from streamer.kafka.topics import ensure_slots
from tests.conftest import StartKafka, Topics
from tests.kafka_server import KafkaServer
from tests.topics import made, shown

SLOTS = 12
SESSION = 2.0
"""Seconds after which a silent member is dead: well below what a broker allows unless told otherwise."""

PATIENCE = 30.0
"""Seconds that anything may take."""


class Member:
    """A membership that runs, and claims what it was assigned, as an instance does."""

    def __init__(self, address: str, names: Topics, instance: str = "", **more: Any) -> None:
        self.told: list[frozenset[int]] = []
        self.joins = 0
        self.problems: list[str] = []
        options: dict[str, Any] = {"session_timeout": SESSION, "slots": SLOTS, "busy": lambda: range(4)} | more
        config = options.pop("config", None) or Kafka(bootstrap_servers=address)
        self.failure: Exception | None = None
        self.membership = Membership(
            Connection(config, options.pop("client_id", "streamer")),
            group=names.group,
            topic=slots_topic(names),
            instance=instance,
            problem=self.problems.append,
            **options,
        )
        self.task = asyncio.ensure_future(self.membership.run(self._claims, self._assigned))

    @property
    def slots(self) -> frozenset[int]:
        return self.told[-1] if self.told else frozenset()

    def _claims(self) -> frozenset[int]:
        self.joins += 1  # it is asked for every join
        return self.slots

    def _assigned(self, slots: frozenset[int]) -> None:
        if self.failure is not None:
            raise self.failure
        self.told.append(slots)

    async def stop(self) -> float:
        """Cancel it; the seconds that this took."""
        began = time.monotonic()
        self.task.cancel()
        await asyncio.wait({self.task}, timeout=PATIENCE)
        return time.monotonic() - began


def slots_topic(names: Topics) -> str:
    return f"{names.prefix}-slots"


class Members:
    """Those of one test."""

    def __init__(self, address: str, names: Topics) -> None:
        self.address, self.names = address, names
        self.all: list[Member] = []

    def join(self, instance: str = "", **more: Any) -> Member:
        self.all.append(Member(self.address, self.names, instance, **more))
        return self.all[-1]

    async def until(self, condition: Callable[[], bool], what: str) -> float:
        """Wait until it holds; fails if a member fails, or after PATIENCE seconds. The seconds that it took."""
        began = time.monotonic()
        while not condition():
            for member in self.all:
                if member.task.done() and not member.task.cancelled():
                    member.task.result()
            assert time.monotonic() - began < PATIENCE, f"{what}: {[sorted(m.slots) for m in self.all]}"
            await asyncio.sleep(0.02)
        return time.monotonic() - began

    async def share(self, *members: Member) -> float:
        """Wait until these have all slots between them, evenly; the seconds that it took."""
        return await self.until(lambda: shared([m.slots for m in members]), f"{len(members)} share all slots")


def shared(parts: Collection[frozenset[int]], slots: int = SLOTS) -> bool:
    sizes = [len(part) for part in parts]
    return sorted(slot for part in parts for slot in part) == list(range(slots)) and max(sizes) - min(sizes) <= 1


@contextlib.asynccontextmanager
async def members(address: str, names: Topics) -> AsyncGenerator[Members]:
    """Ends all of them, whatever happens."""
    group = Members(address, names)
    try:
        yield group
    finally:
        for member in group.all:
            member.task.cancel()
        await asyncio.gather(*(member.task for member in group.all), return_exceptions=True)


async def test_a_third_member_is_given_what_must_move_and_no_more(kafka: str, topics: Topics) -> None:
    """Two share all slots; a third gets a third of them, and each of the two hears what it keeps."""
    async with members(kafka, topics) as group:
        one, two = (group.join(session_timeout=10.0) for _ in range(2))
        await group.share(one, two)
        before = one.slots, two.slots
        three = group.join(session_timeout=10.0)
        await group.share(one, two, three)
        assert one.slots < before[0]
        assert two.slots < before[1]
        assert [len(m.slots & set(range(4))) for m in (one, two, three)].count(1) == 2  # of the four busy ones
        assert [m.problems for m in group.all] == [[], [], []]


async def test_a_member_that_is_cancelled_leaves_at_once(kafka: str, topics: Topics) -> None:
    """Its slots are another's within two heartbeats, not only after a session time-out."""
    async with members(kafka, topics) as group:
        one, two = (group.join(session_timeout=10.0) for _ in range(2))
        await group.share(one, two)
        kept = two.slots
        assert await one.stop() < 3
        assert await group.share(two) < 5
        assert kept < two.slots


async def test_a_member_that_is_cancelled_during_a_rebalance_leaves_at_once_too(kafka: str, topics: Topics) -> None:
    """It does not wait for those that the rebalance waits for."""
    async with members(kafka, topics) as group:
        quick, slow = group.join(session_timeout=2.0), group.join(session_timeout=20.0)
        await group.share(quick, slow)
        joins, told = quick.joins, len(quick.told)
        other = group.join(session_timeout=20.0)
        # They hear of it at their next heartbeat: quick after a third of a second, slow after three.
        await group.until(lambda: quick.joins > joins, "quick joins again")
        assert await quick.stop() < 2
        assert len(quick.told) == told
        assert await group.share(slow, other) < 10


RUN = """
import asyncio, json, sys
from streamer.config import Kafka
from streamer.kafka.connection import Connection
from streamer.kafka.membership import Membership
address, options = sys.argv[1], json.loads(sys.argv[2])
mine = frozenset()
def assigned(slots):
    global mine
    mine = slots
    print(json.dumps(sorted(slots)), flush=True)
membership = Membership(
    Connection(Kafka(bootstrap_servers=address)), busy=lambda: range(4), problem=lambda text: None, **options
)
asyncio.run(membership.run(lambda: mine, assigned))
"""


@contextlib.asynccontextmanager
async def process(
    address: str, names: Topics, instance: str = "", session: float = SESSION
) -> AsyncGenerator[asyncio.subprocess.Process]:
    """A member in a process of its own, that prints what it is assigned."""
    options = {
        "group": names.group,
        "topic": slots_topic(names),
        "slots": SLOTS,
        "instance": instance,
        "session_timeout": session,
    }
    program = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", RUN, address, json.dumps(options)),
        cwd=Path(__file__).parent.parent.parent,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        yield program
    finally:
        with contextlib.suppress(ProcessLookupError):
            program.kill()
        await program.communicate()


async def printed(program: asyncio.subprocess.Process, count: int) -> frozenset[int]:
    """What it prints, once it has been assigned so many slots."""
    assert program.stdout is not None
    async with asyncio.timeout(PATIENCE):
        while len(slots := json.loads(await program.stdout.readline())) != count:
            pass
    return frozenset(slots)


async def test_a_killed_member_is_replaced_when_its_session_is_over(kafka: str, topics: Topics) -> None:
    """Without a word from it: after the session time-out and a heartbeat, about a second."""
    async with members(kafka, topics) as group, process(kafka, topics) as doomed:
        one = group.join()
        await printed(doomed, SLOTS // 2)
        await group.until(lambda: len(one.slots) == SLOTS // 2, "both share")
        kept = one.slots
        doomed.send_signal(signal.SIGKILL)
        took = await group.share(one)
        print(f"taken over {took:.2f} s after kill -9, session time-out {SESSION} s")
        assert kept < one.slots
        assert took < SESSION + 2


async def test_a_killed_member_with_a_name_gets_its_slots_back(kafka: str, topics: Topics) -> None:
    """If it is there again before its session is over, nobody else notices."""
    async with members(kafka, topics) as group, process(kafka, topics, "a", 10.0) as first:
        other = group.join("b", session_timeout=10.0)
        before = await printed(first, SLOTS // 2)
        await group.until(lambda: len(other.slots) == SLOTS // 2, "both share")
        told = len(other.told)
        first.send_signal(signal.SIGKILL)
        async with process(kafka, topics, "a", 10.0) as second:
            assert await printed(second, SLOTS // 2) == before
            assert len(other.told) == told


async def test_a_named_member_that_restarts_gets_its_slots_back(kafka: str, topics: Topics) -> None:
    """At once, and nobody else hears of it, be it the leader of the group or not."""
    async with members(kafka, topics) as group:
        named = {name: group.join(name, session_timeout=10.0) for name in ("a", "b", "c")}
        await group.share(*named.values())
        for name, member in list(named.items()):
            told = {other: len(named[other].told) for other in named if other != name}
            assert await member.stop() < 3
            named[name] = group.join(name, session_timeout=10.0)
            assert await group.until(lambda name=name: bool(named[name].told), "its slots are back") < 5
            assert named[name].told == [member.slots]
            assert {other: len(named[other].told) for other in told} == told


async def test_of_two_with_one_name_the_newer_runs(kafka: str, topics: Topics) -> None:
    """The older one raises Fenced with what to do, and takes nothing back."""
    async with members(kafka, topics) as group:
        older, other = group.join("a"), group.join("b")
        await group.share(older, other)
        told = len(other.told)
        group.all.remove(older)
        newer = group.join("a")
        await group.share(newer, other)
        with pytest.raises(Fenced, match=r"as instance 'a'.*cluster\.instance"):
            await asyncio.wait_for(older.task, PATIENCE)
        assert newer.slots == older.slots
        assert len(other.told) == told
        assert not newer.task.done()


async def test_slots_are_created_once_and_fixed(kafka: str, topics: Topics) -> None:
    """With their number, kept for ever after: another number is refused with the remedy."""
    connection, name = Connection(Kafka(bootstrap_servers=kafka)), slots_topic(topics)
    await ensure_slots(connection, name, 5)
    await shown(connection, {name})
    await ensure_slots(connection, name, 5)
    with pytest.raises(TopicsWrong, match=r"5 partitions, but there are 6 slots.*set cluster\.slots = 5"):
        await ensure_slots(connection, name, 6)


async def test_a_member_with_another_number_of_slots_does_not_run(kafka: str, topics: Topics) -> None:
    """It would leave slots without an owner."""
    await made(kafka, NewTopic(slots_topic(topics), SLOTS + 1, 1))
    with pytest.raises(TopicsWrong, match=f"slots = {SLOTS + 1}"):
        await asyncio.wait_for(Member(kafka, topics).task, PATIENCE)


async def test_a_session_timeout_that_the_broker_refuses_is_a_config_error(kafka: str, topics: Topics) -> None:
    """With the key and the broker's limits, not an endless retry."""
    with pytest.raises(ConfigError, match=r"cluster\.session_timeout: .*allows no 0\.1 s.*min\.session\.timeout\.ms"):
        await asyncio.wait_for(Member(kafka, topics, session_timeout=0.1).task, PATIENCE)


async def test_without_rights_on_the_group_it_is_refused(sasl_kafka: KafkaServer, topics: Topics) -> None:
    """Exit code 3, not an endless retry."""
    await asyncio.to_thread(sasl_kafka.grant, "bob", "CREATE", "TOPIC", slots_topic(topics))
    await asyncio.to_thread(sasl_kafka.grant, "bob", "DESCRIBE", "TOPIC", slots_topic(topics))
    config = Kafka.model_validate(
        {
            "bootstrap_servers": sasl_kafka.bootstrap,
            "security_protocol": "SASL_PLAINTEXT",
            "sasl_plain_username": "bob",
            "sasl_plain_password": "bob-password",
        }
    )
    with pytest.raises(KafkaRefused, match=f"take part in group {topics.group}"):
        await asyncio.wait_for(Member("", topics, config=config).task, PATIENCE)


async def test_members_go_on_when_a_broker_was_killed(own_kafka: StartKafka, topics: Topics) -> None:
    """With the same slots each; the operator hears once that it is away, and once that it is back."""
    server = await asyncio.to_thread(own_kafka)
    async with members(server.bootstrap, topics) as group:
        one, two = group.join(), group.join("b")
        await group.share(one, two)
        before = one.slots, two.slots
        await asyncio.to_thread(server.kill)
        await group.until(lambda: all(len(m.problems) == 1 for m in group.all), "both say that it is away")
        await asyncio.to_thread(server.start)
        await group.until(lambda: all(len(m.problems) == 2 for m in group.all), "both say that it is back")
        assert all("out of reach" in m.problems[0] and "again" in m.problems[1] for m in group.all)
        three = group.join()
        await group.share(one, two, three)
        assert one.slots < before[0]
        assert two.slots < before[1]


async def test_members_wait_for_a_broker_that_is_away(own_kafka: StartKafka, topics: Topics) -> None:
    """They start before it, say so once, and can be ended meanwhile."""
    server = await asyncio.to_thread(own_kafka)
    await asyncio.to_thread(server.kill)
    async with members(server.bootstrap, topics) as group:
        one, two = group.join(), group.join()
        await group.until(lambda: all(len(m.problems) == 1 for m in group.all), "both say that it is away")
        assert await two.stop() < 3
        await asyncio.to_thread(server.start)
        await group.share(one)


async def test_members_that_were_forgotten_get_their_slots_again(own_kafka: StartKafka, topics: Topics) -> None:
    """A broker that answered nothing for longer than a session knows nobody any more: they tell it who has what."""
    server = await asyncio.to_thread(own_kafka)
    async with members(server.bootstrap, topics) as group:
        one, two = group.join(), group.join("b")
        await group.share(one, two)
        before = one.slots, two.slots
        server.freeze()
        await group.until(lambda: all(m.problems for m in group.all), "both say that it is away")
        server.thaw()
        await group.until(lambda: all(len(m.problems) == 2 for m in group.all), "both say that it is back")
        await group.until(lambda: (one.slots, two.slots) == before, "each has what it had")


async def test_a_member_ends_in_seconds_while_the_broker_is_frozen(own_kafka: StartKafka, topics: Topics) -> None:
    """Nothing of it is left behind that would go on."""
    server = await asyncio.to_thread(own_kafka)
    async with members(server.bootstrap, topics) as group:
        before = asyncio.all_tasks()
        one, two = group.join(), group.join("b")
        await group.share(one, two)
        server.freeze()
        await group.until(lambda: all(m.problems for m in group.all), "both say that it is away")
        took = await asyncio.gather(one.stop(), two.stop())
        print(f"ended within {took} s while the broker was frozen")
        assert max(took) < 10
        server.thaw()
        assert asyncio.all_tasks() <= before | {one.task, two.task}


async def test_what_the_caller_raises_ends_the_membership(kafka: str, topics: Topics) -> None:
    """It is not lost in the client's log."""
    member = Member(kafka, topics)
    member.failure = ZeroDivisionError("a defect")
    with pytest.raises(ZeroDivisionError, match="a defect"):
        await asyncio.wait_for(member.task, PATIENCE)


@pytest.mark.parametrize("instance", ["", "b"])
async def test_claims_survive_a_consumer_that_is_thrown_away(
    kafka: str, topics: Topics, monkeypatch: pytest.MonkeyPatch, instance: str
) -> None:
    """A consumer that hangs is replaced, and its member has the slots that it had."""
    monkeypatch.setattr(ours, "STUCK_AFTER", 0.0)
    heartbeats, hung = GroupCoordinator._heartbeat_routine, list[Any]()  # pyright: ignore

    async def hang(self: Any) -> None:
        if not hung and self._client._client_id == "hangs":
            hung.append(self)
        if self not in hung:
            await heartbeats(self)
            return
        with contextlib.suppress(asyncio.CancelledError):  # as the original does
            await asyncio.Event().wait()

    async with members(kafka, topics) as group:
        one, two = group.join("a"), group.join("c")
        await group.share(one, two)
        monkeypatch.setattr(GroupCoordinator, "_heartbeat_routine", hang)
        three = group.join(instance, client_id="hangs")
        await group.share(one, two, three)
        kept = three.slots
        await group.until(lambda: len(three.problems) == 2, "it has a new consumer")
        await group.share(one, two, three)
        assert three.slots == kept
