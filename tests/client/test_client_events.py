"""`AgentEvents` on a real Kafka: what is given out, what is found, and where reading goes on."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from streamer.client import (
    AgentEvents,
    AgentStateChanged,
    Batch,
    EpochLost,
    Finding,
    Gap,
    Interrupted,
    Poison,
    Rebalanced,
    Repeat,
    session,
)
from streamer.client.session import Ends, Session
from streamer.errors import KafkaUnavailable, TopicsWrong
from tests.client.produced import START, agent_state, event, feed, producing, ready, sent, soon, written
from tests.conftest import StartKafka, Topics
from tests.topics import made, settings


async def batches_until(events: AgentEvents, enough: Callable[[list[Batch]], bool]) -> list[Batch]:
    """Batches until there are enough."""
    found: list[Batch] = []
    async with asyncio.timeout(30), aclosing(events.batches()) as batches:
        async for batch in batches:
            found.append(batch)
            if enough(found):
                break
    return found


def ids(batches: list[Batch]) -> list[str]:
    return [item.event.event_id for batch in batches for item in batch.items]


def findings(batches: list[Batch]) -> list[Finding]:
    return [finding for batch in batches for finding in batch.findings]


def events_in(count: int) -> Callable[[list[Batch]], bool]:
    return lambda found: len(ids(found)) >= count


async def test_events_come_typed_and_in_order(kafka: str, topics: Topics) -> None:
    """What a new user writes: a loop over events."""
    config = await ready(kafka, topics)
    await written(config, *(event("100001", n, at=n) for n in range(1, 6)))
    found: list[AgentStateChanged] = []
    async with asyncio.timeout(30), AgentEvents(config) as events:
        async for one in events:
            found.append(one)
            if len(found) == 5:
                break
    assert [one.sequence for one in found] == [1, 2, 3, 4, 5]
    assert found[1].occurred_at == START + timedelta(seconds=2)
    assert found[1].current.state == "available"


async def test_what_was_not_committed_is_not_given_out(kafka: str, topics: Topics) -> None:
    """read_committed: an aborted transaction is none."""
    config = await ready(kafka, topics)
    async with producing(config, f"{topics.prefix}-t") as producer:
        for state, commit in (("talking", False), ("available", True)):
            await producer.begin_transaction()
            for topic, key, value in sent(config, event("100001", 1, state)):
                await producer.send(topic, key=key, value=value)
            await (producer.commit_transaction() if commit else producer.abort_transaction())
    async with AgentEvents(config) as events:
        found = await batches_until(events, events_in(1))
    assert [item.event.current.state for batch in found for item in batch.items] == ["available"]


async def test_gaps_repeats_lost_epochs_and_poison_are_found_and_pass(kafka: str, topics: Topics) -> None:
    """Each is reported as what it is, once, and what is good around it is given out once."""
    config = await ready(kafka, topics, partitions=1)
    key = b"floor/100001"
    await written(
        config,
        *(event("100001", n) for n in (1, 2, 2, 5)),
        (topics.events, key, b"{broken"),
        (topics.events, key, b"\xff\xfe"),
        (topics.events, key, None),
        (topics.events, b"floor/100009", sent(config, event("100001", 6))[0][2]),
        (topics.events, key, sent(config, agent_state("100001", 6))[0][2]),
        event("100001", 6, schema_version="2.0"),
        event("100001", 2**63),
        event("100001", 6),
        event("100001", 1, epoch="6b039099"),
        event("100001", 2, "signed_out", epoch="6b039099"),
        event("100001", 1, epoch="6b0390aa"),
        event("100001", 6),
        event("100002", 3),
        event("100003", 1),
    )
    async with AgentEvents(config) as events:
        found = await batches_until(events, lambda batches: any("100003" in one for one in ids(batches)))
    assert [one.removeprefix("floor/") for one in ids(found)] == [
        *(f"100001/6b039010/{n}" for n in (1, 2, 5, 6)),
        "100001/6b039099/1",
        "100001/6b039099/2",
        "100001/6b0390aa/1",
        "100002/6b039010/3",
        "100003/6b039010/1",
    ]
    told = findings(found)
    poison = [one.offset for one in told if isinstance(one, Poison)]
    assert poison == [4, 5, 6, 7, 8, 9, 10]
    lost = [(one.before.epoch, one.before.sequence, one.epoch) for one in told if isinstance(one, EpochLost)]
    assert lost == [("6b039010", 6, "6b039099")]
    assert [one for one in told if isinstance(one, Gap | Repeat)] == [
        Repeat("floor/100001/6b039010/2", 0, 2),
        Gap("floor/100001", "6b039010", 3, 4),
        Repeat("floor/100001/6b039010/6", 0, 15),
        Gap("floor/100002", "6b039010", 1, 2),
    ]
    assert len(told) == len(poison) + len(lost) + 4


async def test_findings_are_warnings_unless_somebody_takes_them(
    kafka: str, topics: Topics, caplog: pytest.LogCaptureFixture
) -> None:
    """Who loops over events alone still learns of a gap."""
    config = await ready(kafka, topics)
    await written(config, event("100001", 1), event("100001", 3))
    with caplog.at_level(logging.WARNING, "streamer.client"):
        async with asyncio.timeout(30), AgentEvents(config) as events:
            async for one in events:
                if one.sequence == 3:
                    break
    assert [r.getMessage() for r in caplog.records if r.name == "streamer.client"] == [
        "floor/100001: number 2 is missing in epoch 6b039010"
    ]


async def test_kept_positions_and_numbers_go_on_exactly(kafka: str, topics: Topics) -> None:
    """Over a restart nothing is given out again, and a gap between the two runs is found."""
    config = await ready(kafka, topics)
    await written(config, event("100001", 1), event("100001", 2), event("100002", 1))
    async with AgentEvents(config) as events:
        first = await batches_until(events, events_in(3))
    numbers = {key: last for batch in first for key, last in batch.numbers.items()}
    assert numbers["floor/100001"].sequence == 2
    await written(config, event("100001", 4), event("100003", 2), event("100002", 2))
    async with AgentEvents(config, start=first[-1].positions, numbers=numbers) as events:
        second = await batches_until(events, events_in(3))
    assert sorted(ids(second)) == [
        f"floor/{one}" for one in ("100001/6b039010/4", "100002/6b039010/2", "100003/6b039010/2")
    ]
    assert set(findings(second)) == {Gap("floor/100001", "6b039010", 3, 3), Gap("floor/100003", "6b039010", 1, 1)}


async def test_reading_begins_at_a_moment_or_at_the_end(kafka: str, topics: Topics) -> None:
    """From there on only; what lay before is no gap."""
    config = await ready(kafka, topics)
    await written(config, event("100001", 1))
    moment = datetime.now(UTC)
    await soon(lambda: datetime.now(UTC) > moment + timedelta(milliseconds=5))
    await written(config, event("100001", 2))
    async with AgentEvents(config, start=moment) as events:
        found = await batches_until(events, events_in(1))
    assert (ids(found), findings(found)) == (["floor/100001/6b039010/2"], [])
    async with AgentEvents(config, start="end") as events, aclosing(events.batches()) as batches:
        async for batch in batches:  # the first one without events tells that the end was looked for
            if ids([batch]):
                assert ids([batch]) == ["floor/100001/6b039010/3"]
                break
            await written(config, event("100001", 3))


async def test_a_missing_topic_is_named(kafka: str, topics: Topics) -> None:
    """And not created, nor waited for."""
    with pytest.raises(TopicsWrong, match=topics.events):
        async for _ in AgentEvents(settings(kafka, topics)):
            pass


async def test_the_feed_tells_live_stale_and_complete(kafka: str, topics: Topics) -> None:
    """Three missed heartbeats are stale; complete is what was confirmed before the events' end that we have read."""
    config = await ready(kafka, topics)
    clock = START
    await written(config, event("100001", 1), feed(at=START, confirmed=-60.0))
    async with AgentEvents(config, now=lambda: clock) as events:
        found = await batches_until(events, lambda batches: any(batch.complete for batch in batches))
        assert ids(found) == ["floor/100001/6b039010/1"]
        assert events.complete_until("floor") == START - timedelta(minutes=1)
        assert events.live("floor")
        clock = START + timedelta(seconds=30)
        assert not events.live("floor")
        assert not events.live("elsewhere")
    await written(config, feed("stale", at=clock))
    async with AgentEvents(config, now=lambda: clock) as events:
        await batches_until(events, lambda batches: any(batch.complete for batch in batches))
        assert not events.live("floor")
        assert events.feeds["floor"].reason == "because"


async def test_an_open_transaction_holds_completeness_back(kafka: str, topics: Topics) -> None:
    """What was confirmed is not complete for us while a transaction before it is unread."""
    config = await ready(kafka, topics)
    async with producing(config, f"{topics.prefix}-t") as producer:
        await producer.begin_transaction()
        for topic, key, value in sent(config, event("100001", 1)):
            await producer.send(topic, key=key, value=value)
        await producer.flush()
        await written(config, feed(at=START))
        async with AgentEvents(config) as events, aclosing(events.batches()) as batches:
            seen: list[Batch] = []
            async for batch in batches:
                seen.append(batch)
                if batch.feeds:
                    assert events.complete_until("floor") is None
                    await producer.commit_transaction()
                if batch.complete:
                    break
            assert ids(seen) == ["floor/100001/6b039010/1"]


async def test_a_group_goes_on_at_its_offsets_and_still_knows_the_numbers(kafka: str, topics: Topics) -> None:
    """Another member of the group begins behind the first one's last, and finds the gap between the two."""
    config = await ready(kafka, topics)
    await written(config, *(event("100001", n) for n in (1, 2, 3)))
    async with asyncio.timeout(30), AgentEvents(config, group=topics.group) as events:
        async for one in events:
            if one.sequence == 3:
                await events.commit()
                break
    await written(config, event("100001", 6), event("100002", 1))
    async with AgentEvents(config, group=topics.group) as events:
        found = await batches_until(events, events_in(3))
    assert sorted(ids(found)) == [
        "floor/100001/6b039010/3",  # in hand when the first one left
        "floor/100001/6b039010/6",
        "floor/100002/6b039010/1",
    ]
    assert [one for one in findings(found) if not isinstance(one, Rebalanced)] == [
        Gap("floor/100001", "6b039010", 4, 5)
    ]


async def test_a_rebalance_is_reported_and_neither_loses_nor_repeats(kafka: str, topics: Topics) -> None:
    """Two members share the partitions from the moment the second joins; each event is given out by one of them."""
    config = await ready(kafka, topics, partitions=4)
    got: list[str] = []
    told: list[Finding] = []
    shares: dict[int, tuple[int, ...]] = {}

    async def member(number: int) -> None:
        async with AgentEvents(config, group=topics.group) as events, aclosing(events.batches()) as batches:
            async for batch in batches:
                got.extend(ids([batch]))
                for one in batch.findings:
                    told.append(one)
                    if isinstance(one, Rebalanced):
                        shares[number] = one.partitions

    async def load() -> None:
        async with producing(config) as producer:
            for n in range(1, 101):
                for extension in range(20):
                    for topic, key, value in sent(config, event(f"1{extension:05}", n)):
                        await producer.send(topic, key=key, value=value)
                await asyncio.sleep(0)
                if n == 50:
                    running.append(asyncio.create_task(member(2)))
                    await soon(lambda: 2 in shares)
            await producer.flush()

    running = [asyncio.create_task(member(1))]
    await soon(lambda: 1 in shares)
    await load()
    await soon(lambda: len(set(got)) == 2000)
    for task in running:
        task.cancel()
    await asyncio.wait(running)
    assert sorted(shares[1] + shares[2]) == [0, 1, 2, 3]
    assert len(shares[1]) == len(shares[2]) == 2
    assert len(got) == 2000
    assert not [one for one in told if not isinstance(one, Rebalanced)]


async def test_a_restart_of_the_broker_loses_and_repeats_nothing(own_kafka: StartKafka, topics: Topics) -> None:
    """Reading goes on where it was."""
    broker = own_kafka()
    config = await ready(broker.bootstrap, topics)
    await written(config, *(event("100001", n) for n in range(1, 4)))
    async with AgentEvents(config) as events, aclosing(events.batches()) as batches:
        seen: list[Batch] = []
        async with asyncio.timeout(60):
            async for batch in batches:
                seen.append(batch)
                if len(ids(seen)) == 3 and len(seen) > 1:
                    await asyncio.to_thread(broker.restart)
                    await written(config, *(event("100001", n) for n in range(4, 7)))
                    break
            async for batch in batches:
                seen.append(batch)
                if len(ids(seen)) >= 6:
                    break
    assert ids(seen) == [f"floor/100001/6b039010/{n}" for n in range(1, 7)]
    assert not [one for one in findings(seen) if not isinstance(one, Interrupted)]


async def test_what_was_fetched_when_kafka_failed_is_given_out_afterwards(
    kafka: str, topics: Topics, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Events count as taken only once nothing can fail any more before they are handed over."""
    config = await ready(kafka, topics)
    await written(config, *(event("100001", n) for n in (1, 2, 3)), feed(at=START))
    asked, truly = [0], Session.ends

    async def failing(session: Session, partitions: Collection[TopicPartition]) -> Ends:
        asked[0] += 1
        if asked[0] == 1:
            raise KafkaUnavailable("the broker has gone", "is it up?")
        return await truly(session, partitions)

    monkeypatch.setattr(Session, "ends", failing)
    async with AgentEvents(config) as events:
        found = await batches_until(events, lambda batches: any(batch.complete for batch in batches))
    assert asked[0] > 1
    assert ids(found) == [f"floor/100001/6b039010/{n}" for n in (1, 2, 3)]
    assert findings(found) == [Interrupted("the broker has gone")]


async def test_positions_that_the_topic_has_not_reached_end_the_reading(kafka: str, topics: Topics) -> None:
    """They are of a topic that was made anew: to go on would be to miss what is there, and to call it complete."""
    config = await ready(kafka, topics, partitions=1)
    await written(config, event("100001", 1), feed(at=START))
    with pytest.raises(TopicsWrong, match=r"stands at offset 1, and 7 was reached before: it was deleted and made"):
        await read_while(AgentEvents(config, start={0: 7}), lambda _: asyncio.sleep(0))


@pytest.mark.parametrize("grouped", [False, True])
async def test_a_topic_made_anew_ends_the_reading(
    kafka: str, topics: Topics, monkeypatch: pytest.MonkeyPatch, grouped: bool
) -> None:
    """While it is read: nothing is called complete that is not."""
    monkeypatch.setattr(session, "WATCH", 0.5)
    config = await ready(kafka, topics, partitions=1)
    await written(config, *(event("100001", n) for n in (1, 2, 3)), feed(at=START))
    events = AgentEvents(config, group=topics.group if grouped else None)
    admin: Any = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await admin.start()
    anew = False

    async def replace(batch: Batch) -> None:
        nonlocal anew
        assert not (anew and batch.complete)
        if len(batch.items) == 3:
            await events.commit()
            await admin.delete_topics([topics.events])
            await made(kafka, NewTopic(topics.events, 1, 1))
            await written(config, event("100001", 4), feed(at=START + timedelta(seconds=5)))
            anew = True

    with pytest.raises(TopicsWrong, match=topics.events):
        await read_while(events, replace)
    assert anew
    await admin.close()


async def read_while(events: AgentEvents, work: Callable[[Batch], Awaitable[None]]) -> None:
    """Work on batches until reading ends by itself."""
    async with asyncio.timeout(60), events, aclosing(events.batches()) as batches:
        async for batch in batches:
            await work(batch)
