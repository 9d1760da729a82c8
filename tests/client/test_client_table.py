"""`AgentTable` and the blocking reader on a real Kafka."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from streamer.client import AgentEvents, AgentState, AgentTable, Finding, Interrupted, Poison, blocking, session
from streamer.errors import TopicsWrong
from tests.client.produced import START, agent_state, event, feed, producing, ready, sent, soon, written
from tests.conftest import StartKafka, Topics
from tests.topics import settings


async def test_the_table_is_complete_before_it_is_used_and_live_afterwards(kafka: str, topics: Topics) -> None:
    """The newest record of each extension; changes are told once, and a tombstone takes it away."""
    config = await ready(kafka, topics)
    await written(
        config,
        *(agent_state(f"1{n:05}", 1, "available") for n in range(50)),
        agent_state("100007", 2, "talking", group="sales"),
        feed(at=START),
    )
    changes: list[tuple[str, str]] = []

    def changed(before: AgentState | None, after: AgentState | None) -> None:
        changes.append((before.state if before else "-", after.state if after else "-"))

    clock = START + timedelta(seconds=5)
    async with asyncio.timeout(30), AgentTable(config, on_change=changed, now=lambda: clock) as table:
        assert len(table) == 50
        talking = table.get("floor", "100007")
        assert talking is not None
        assert talking.state == "talking"
        assert table.where(state="talking") == table.where(group="sales") == [talking]
        assert table.where(state="talking", group="queue-1") == []
        assert len(table.where(source="floor")) == 50
        assert changes == []
        await soon(lambda: table.live("floor"))
        clock = START + timedelta(seconds=30)
        assert not table.live("floor")
        await written(
            config,
            agent_state("100007", 3, "wrap_up"),
            agent_state("100007", 3, "wrap_up", group="sales"),  # new evidence without an event is no change
            agent_state("100050", 1),
            (config.state_topic, b"floor/100001", None),
        )
        await soon(lambda: len(changes) == 3)
        assert sorted(changes) == [("-", "available"), ("available", "-"), ("talking", "wrap_up")]
        assert table.get("floor", "100001") is None
        assert len(table.where(group="sales")) == 1


async def test_damaged_states_are_told_and_harm_nobody_else(kafka: str, topics: Topics) -> None:
    """The extension keeps the state that could be read."""
    config = await ready(kafka, topics)
    told: list[Finding] = []
    await written(
        config,
        agent_state("100001", 1),
        (config.state_topic, b"floor/100001", b"{"),
        (config.state_topic, b"floor/100001", sent(config, agent_state("100002", 9))[0][2]),
        (config.feed_topic, b"floor", b"[]"),
    )
    async with asyncio.timeout(30), AgentTable(config, on_finding=told.append) as table:
        await soon(lambda: len(told) == 3)
        assert {type(one) for one in told} == {Poison}
        found = table.get("floor", "100001")
        assert found is not None
        assert (found.sequence, len(table)) == (1, 1)


async def test_an_open_transaction_is_waited_for(kafka: str, topics: Topics) -> None:
    """The table is complete up to the true end: what was being committed while it was read belongs to it."""
    config = await ready(kafka, topics)
    async with producing(config, f"{topics.prefix}-t") as producer:
        await producer.begin_transaction()
        for topic, key, value in sent(config, agent_state("100001", 1)):
            await producer.send(topic, key=key, value=value)
        await producer.flush()
        table = AgentTable(config)
        entering = asyncio.create_task(table.__aenter__())
        done, _ = await asyncio.wait([entering], timeout=1.0)
        assert not done
        await producer.commit_transaction()
        async with asyncio.timeout(30):
            await entering
        assert len(table) == 1
        await table.__aexit__(None, None, None)


async def test_a_missing_state_topic_is_named(kafka: str, topics: Topics) -> None:
    """On entering."""
    with pytest.raises(TopicsWrong, match=topics.prefix):
        async with AgentTable(settings(kafka, topics)):
            pass


async def test_what_an_interruption_hid_is_told_afterwards(
    own_kafka: StartKafka, topics: Topics, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The watchdog gives a stuck reader up; the next one reads everything anew and tells the differences."""
    monkeypatch.setattr(session, "WATCH", 0.3)
    monkeypatch.setattr(session, "STUCK", 1.0)
    config = await ready(own_kafka().bootstrap, topics)
    await written(config, agent_state("100001", 1), agent_state("100002", 1))
    told: list[Finding] = []
    changes: list[str] = []

    def changed(before: AgentState | None, after: AgentState | None) -> None:
        changes.append(f"{before and before.extension} {after and after.state}")

    async with AgentTable(config, on_finding=told.append, on_change=changed) as table, asyncio.timeout(60):
        async with producing(config, f"{topics.prefix}-t") as producer:
            # No committed record passes an open transaction: to the reader it looks as if it were stuck.
            await producer.begin_transaction()
            for topic, key, value in sent(config, agent_state("100001", 2, "talking")):
                await producer.send(topic, key=key, value=value)
            await producer.flush()
            await soon(lambda: told)
            assert len(table) == 2
            await producer.commit_transaction()
        await soon(lambda: changes)
    assert changes == ["100001 talking"]
    assert {type(one) for one in told} == {Interrupted}
    assert "although there are more" in str(told[0])


def test_a_program_without_a_loop_reads_batches(kafka: str, topics: Topics) -> None:
    """An ordinary `for`; leaving it ends the reader and its thread."""
    config = asyncio.run(ready(kafka, topics))
    asyncio.run(written(config, *(event("100001", n) for n in range(1, 4)), event("100001", 5)))
    got: list[int] = []
    found: list[Finding] = []
    for batch in blocking(AgentEvents(config)):
        got += [item.event.sequence for item in batch.items]
        found += batch.findings
        if len(got) == 4:
            break
    assert got == [1, 2, 3, 5]
    assert [str(one) for one in found] == ["floor/100001: number 4 is missing in epoch 6b039010"]
