"""Writing and reading back on a real Kafka: transactions, fencing, and the true end."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from aiokafka.admin import NewPartitions
from cloudevents.core.bindings.kafka import KafkaMessage, from_binary_event
from cloudevents.core.formats.json import JSONFormat

from streamer.config import Kafka
from streamer.core import wire
from streamer.core.model import AgentState, AgentStateChanged, Batch, Seat, When
from streamer.core.rejected import Told
from streamer.errors import Fenced
from streamer.kafka.connection import Connection
from streamer.kafka.restore import PORTION, read_in_portions, read_to_end
from streamer.kafka.serde import Record, encode, key
from streamer.kafka.store import KafkaStore
from streamer.tasks import ended
from tests.conftest import Topics
from tests.validation import validate

NOW = 1_795_399_205_120


def agent(extension: str, sequence: int = 1) -> AgentState:
    """A record such as the core makes."""
    seat = Seat(
        "queue-1", extension, "9026004", "talking", "available", 1215, 1213, None, NOW // 1000 * 1000, None, 13, 0, 10
    )
    return AgentState(
        source="floor",
        extension=extension,
        agent="9026004",
        epoch="6741a2f0",
        sequence=sequence,
        event_id=f"floor/{extension}/6741a2f0/{sequence}",
        occurred_at=NOW,
        state="talking",
        since=NOW,
        occurred_not_before=NOW,
        occurred_not_after=NOW + 1000,
        groups=(seat,),
        observed_at=NOW,
        poll_id=f"floor/{NOW}",
    )


def state_record(topics: Topics, extension: str, sequence: int = 1) -> Record:
    """The state topic's record of it."""
    value = wire.dumps(wire.agent_state(agent(extension, sequence)))
    return Record(topics.state, key("floor", extension), value, NOW)


@pytest.fixture
async def store(kafka: str, topics: Topics) -> KafkaStore:
    """A deployment of this test's own, its topics created."""
    config = Kafka(
        bootstrap_servers=kafka,
        events_topic=topics.events,
        state_topic=topics.state,
        feed_topic=topics.feed,
        rejected_topic=topics.rejected,
    )
    made = KafkaStore(Connection(config))
    await made.prepare()
    return made


async def test_what_was_committed_is_restored(store: KafkaStore, topics: Topics) -> None:
    """The newest state of each extension comes back as it was written; a tombstone takes one away."""
    sink = store.sink(1)
    await sink.open()
    await sink.write([state_record(topics, "1"), state_record(topics, "2")])
    await sink.write([state_record(topics, "1", 2), Record(topics.state, key("floor", "2"), None, NOW)])
    await sink.close()
    restored = await store.restore(["floor"])
    assert restored.agents == {"floor": {"1": agent("1", 2)}}
    assert restored.problems == ()


async def test_reading_to_the_true_end_waits_for_another_slots_open_transaction(
    store: KafkaStore, topics: Topics
) -> None:
    """What was committed behind another slot's open transaction counts: stopping short would repeat numbers."""
    one, other = store.sink(1), store.sink(2)
    await one.open()
    await other.open()
    blocking: Any = store.connection.producer(f"{topics.state}-open", 20_000)
    await store.connection.start(blocking)
    await blocking.begin_transaction()
    await blocking.send_and_wait(topics.state, b"{}", key=key("floor", "1"))
    await one.write([state_record(topics, "1", 7)])
    reading = asyncio.create_task(store.restore(["floor"]))
    done, _ = await asyncio.wait([reading], timeout=2)
    assert not done
    await blocking.abort_transaction()
    restored = await reading
    assert restored.agents["floor"]["1"].sequence == 7
    for client in (one, other):
        await client.close()
    await store.connection.discard(blocking)


async def test_a_zombie_can_write_no_more(store: KafkaStore, topics: Topics) -> None:
    """Once a slot's producer was started anew, the older one's write fails and leaves nothing."""
    old, new = store.sink(1), store.sink(1)
    await old.open()
    await old.write([state_record(topics, "1", 1)])
    await new.open()
    with pytest.raises(Fenced):
        await old.write([state_record(topics, "1", 99)])
    await new.write([state_record(topics, "1", 2)])
    await old.close()
    await new.close()
    assert (await store.restore(["floor"])).agents["floor"]["1"].sequence == 2


async def test_a_foreign_record_is_named_and_skipped(store: KafkaStore, topics: Topics) -> None:
    """What somebody else wrote to the state and feed topics is no reason to fail, nor to be silent."""
    sink = store.sink(1)
    await sink.open()
    await sink.write(
        [
            Record(topics.state, key("floor", "1"), b"\xff not JSON", NOW),
            Record(topics.state, key("floor", "2"), b'{"type": "AgentState"}', NOW),
            Record(topics.state, key("floor", "3"), wire.dumps(wire.agent_state(agent("4"))), NOW),
            Record(topics.state, key("floor", "6"), b'{"type":"AgentState","x":' + b"[" * 100_000, NOW),
            Record(topics.feed, b"floor", b"[]", NOW),
            Record(topics.feed, b"other", b'{"type":"FeedStatus","x":' + b"[" * 100_000, NOW),
            state_record(topics, "5"),
        ]
    )
    await sink.close()
    restored = await store.restore(["floor"])
    assert list(restored.agents["floor"]) == ["5"]
    assert len(restored.problems) == 6
    assert all(problem.startswith((f"{topics.state}[", f"{topics.feed}[")) for problem in restored.problems)


async def test_what_came_before_a_foreign_record_counts_and_what_came_after_it_makes_up_for_it(
    store: KafkaStore, topics: Topics
) -> None:
    """Whether they are read together or not: a foreign record takes nothing away, and is told until ours is newer."""
    foreign = [Record(topics.state, key("floor", str(n)), b"{}", NOW) for n in range(5)]
    gone = [Record(topics.state, key("floor", str(n)), None, NOW) for n in range(5)]
    ours = [[state_record(topics, str(n), sequence) for n in range(5)] for sequence in range(3)]
    order = [
        [ours[1][0], ours[2][0], foreign[0], foreign[0]],
        [foreign[1], ours[1][1], foreign[1], ours[2][1]],
        [ours[1][2], gone[2], foreign[2]],
        [ours[1][3], foreign[3], gone[3]],
        [foreign[4], foreign[4]],
    ]
    sink = store.sink(1)
    await sink.open()
    await sink.write([record for records in order for record in records])
    await sink.close()
    restored = await store.restore(["floor"])
    assert restored.agents["floor"] == {"0": agent("0", 2), "1": agent("1", 2)}
    newest = {
        r.key: f"{r.topic}[{r.partition}]@{r.offset}" async for r in read_to_end(store.connection, [topics.state])
    }
    told = {problem.partition(":")[0] for problem in restored.problems}
    assert told == {newest[key("floor", str(n))] for n in (0, 2, 4)}
    assert len(restored.problems) == 3


async def test_records_left_in_other_partitions_do_not_come_back(store: KafkaStore, topics: Topics) -> None:
    """An operator gave the topic more partitions: a key's older record stays where the key belongs no longer."""
    sink = store.sink(1)
    await sink.open()
    await sink.write([state_record(topics, str(n)) for n in range(40)])
    await sink.close()
    admin = store.connection.admin()
    await store.connection.start(admin)
    await admin.create_partitions({topics.state: NewPartitions(30)})
    await store.connection.discard(admin)
    await sink.open()  # a producer that knows the new partitions
    await sink.write([state_record(topics, str(n), 2) for n in range(20)])
    await sink.write([Record(topics.state, key("floor", str(n)), None, NOW) for n in range(5)])
    await sink.close()
    assert len({record.partition async for record in read_to_end(store.connection, [topics.state])}) > 12
    restored = await store.restore(["floor"])
    assert restored.agents["floor"] == {
        **{str(n): agent(str(n), 2) for n in range(5, 20)},
        **{str(n): agent(str(n)) for n in range(20, 40)},
    }


async def test_a_long_record_leaves_turns_to_everything_else(store: KafkaStore, topics: Topics) -> None:
    """What was fetched at once is not taken at once: polls and heartbeats of other slots go on meanwhile."""
    sink = store.sink(1)
    await sink.open()
    await sink.write([state_record(topics, "1", n) for n in range(3 * PORTION)])
    await sink.close()
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    other = asyncio.create_task(others())
    portions = [(len(found), turns) async for found in read_in_portions(store.connection, [topics.state])]
    await ended([other])
    assert sum(size for size, _ in portions) == 3 * PORTION
    assert max(size for size, _ in portions) <= PORTION
    assert len({turn for _, turn in portions}) == len(portions)


async def test_events_and_states_of_an_extension_share_a_partition_and_read_as_cloudevents(
    store: KafkaStore, topics: Topics
) -> None:
    """Joined by partition, stamped with observed_at, and a CloudEvent for the specification's own library."""
    agents = [agent(str(100_000 + number)) for number in range(40)]
    when = When(NOW, NOW, NOW + 1000, ("presence", "lastanswertime"))
    events = tuple(AgentStateChanged("first_seen", None, a, when, "observed") for a in agents)
    batch = Batch("floor", f"floor/{NOW}", NOW, events, tuple(agents), ())
    sink = store.sink(1)
    await sink.open()
    await sink.write(encode(batch, store.connection.config, Told(), ()))
    await sink.close()
    places: dict[str, dict[bytes, int]] = {topics.events: {}, topics.state: {}}
    async for record in read_to_end(store.connection, [topics.events, topics.state]):
        places[record.topic][record.key] = record.partition
        assert record.timestamp == NOW
        validate(record.value)
        if record.topic == topics.events:
            message = KafkaMessage(dict(record.headers), record.key, record.value)
            event = from_binary_event(message, JSONFormat())
            assert event.get_id() == wire.orjson.loads(record.value)["event_id"]
            assert event.get_type() == "AgentStateChanged"
            assert event.get_time() is not None
    assert places[topics.events] == places[topics.state]
    assert len(set(places[topics.events].values())) > 6


async def test_at_least_once_needs_no_transactions(kafka: str, topics: Topics) -> None:
    """The sink for brokers without transactions writes the same records."""
    config = Kafka(
        bootstrap_servers=kafka,
        events_topic=topics.events,
        state_topic=topics.state,
        feed_topic=topics.feed,
        rejected_topic=topics.rejected,
        delivery="at_least_once",
    )
    store = KafkaStore(Connection(config))
    await store.prepare()
    sink = store.sink(1)
    assert store.delivery == "at_least_once"
    await sink.open()
    await sink.write([state_record(topics, "1")])
    await sink.close()
    assert (await store.restore(["floor"])).agents["floor"]["1"] == agent("1")
