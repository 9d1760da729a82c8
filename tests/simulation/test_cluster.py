"""The fake Kafka does what a real one does, by its rules: fencing, isolation, markers, time-outs; and lies."""

from __future__ import annotations

import asyncio
import os
import random
import subprocess
import sys
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import pytest
from aiokafka import errors

from streamer.config import Kafka
from streamer.errors import Fenced, KafkaError, KafkaUnavailable
from streamer.kafka.connection import CALL_TIMEOUT, STOP_TIMEOUT
from streamer.kafka.restore import partitions_of, read_to_end
from streamer.kafka.serde import Record
from streamer.kafka.sink import TRANSACTION_TIMEOUT_MS, Sink
from streamer.kafka.store import KafkaStore
from tests.runtime.fakes import VirtualLoop
from tests.simulation.clients import FakeConnection, settled
from tests.simulation.cluster import Cluster
from tests.simulation.faults import WRITES, Cut, Delay, Fail, Hang, Nth, Outage, Plan, Storm

T = TypeVar("T")

TOPIC = Kafka().state_topic


def made(seed: int = 1, **options: Any) -> Cluster:
    """A cluster with a deployment's topics."""
    topics = Kafka()
    names = (topics.events_topic, TOPIC, topics.feed_topic, topics.rejected_topic)
    return Cluster(random.Random(seed), dict.fromkeys(names, 3), **options)


def simulated(work: Callable[[], Awaitable[T]]) -> T:
    """Run `work` in virtual time that starts at 0."""

    async def main() -> T:
        return await work()

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main())


def now() -> float:
    return asyncio.get_running_loop().time()


def store(cluster: Cluster, *plans: Plan, host: str = "a") -> KafkaStore:
    return KafkaStore(FakeConnection(cluster, host, plans), managed=False)


def records(*names: str, topic: str = TOPIC) -> list[Record]:
    """Records whose value is their key."""
    return [Record(topic, name.encode(), name.encode(), 1_795_399_200_000) for name in names]


async def opened(kafka: KafkaStore, slot: int = 1) -> Sink:
    sink = kafka.sink(slot)
    await sink.open()
    return sink


async def read(kafka: KafkaStore, topic: str = TOPIC) -> list[str]:
    """What the true reader finds."""
    return sorted([record.value.decode() async for record in read_to_end(kafka.connection, [topic])])


def held(cluster: Cluster, topic: str = TOPIC) -> list[str]:
    """What the cluster says is committed, for good."""
    return sorted((stored.value or b"").decode() for stored in cluster.committed(topic))


async def begun(kafka: KafkaStore, slot: int, *names: str) -> Any:
    """A producer that has written these records in a transaction which it leaves open."""
    producer = kafka.connection.producer(f"{TOPIC}-slot-{slot}", TRANSACTION_TIMEOUT_MS)
    await producer.start()
    await producer.begin_transaction()
    sent = [await producer.send(r.topic, r.value, key=r.key, timestamp_ms=r.timestamp) for r in records(*names)]
    await asyncio.gather(*sent)
    return producer


def test_what_was_committed_is_read_back_in_order_and_with_all_its_fields() -> None:
    """Three transactions of up to 40 records come back partition by partition, in the order of writing."""

    async def work() -> None:
        kafka = store(made(fetch_limit=3))
        sink = await opened(kafka)
        for first in (0, 100):
            await sink.write([Record(TOPIC, b"k%d" % n, b"%d" % (n + first), 5, (("h", b"v"),)) for n in range(40)])
        await sink.write([Record(TOPIC, b"k7", None, 6)])
        found = [record async for record in read_to_end(kafka.connection, [TOPIC])]
        assert len(found) == 81
        assert [r.value for r in found if r.key == b"k7"] == [b"7", b"107", None]
        assert {(r.topic, r.timestamp, r.headers) for r in found if r.value} == {(TOPIC, 5, (("h", b"v"),))}
        places = [(r.partition, r.offset) for r in found]
        assert len({partition for partition, _ in places}) == 3
        for number in range(3):
            offsets = [offset for partition, offset in places if partition == number]
            assert offsets == sorted(set(offsets))

    simulated(work)


def test_a_new_producer_fences_the_old_one() -> None:
    """Whatever an old producer tries then fails, also with a transaction open, which is aborted."""

    async def work() -> None:
        cluster = made()
        old, new = store(cluster, host="a"), store(cluster, host="b")
        idle = await opened(old, 2)
        busy = await begun(old, 1, "lost")
        for slot in (1, 2):
            await opened(new, slot)
        with pytest.raises(errors.ProducerFenced):
            await busy.commit_transaction()
        with pytest.raises(Fenced):
            await idle.write(records("never"))
        assert await read(new) == held(cluster) == []
        assert [(found.state, found.why) for found in cluster.transactions] == [("aborted", "superseded")]

    simulated(work)


def test_abort_hides_and_the_producer_goes_on() -> None:
    """An aborted record is passed over by read_committed, shown by read_uncommitted, and keeps its offset."""

    async def work() -> None:
        cluster = made()
        kafka = store(cluster)
        producer = await begun(kafka, 1, "gone")
        await producer.abort_transaction()
        await producer.begin_transaction()
        await (await producer.send(TOPIC, b"stays", key=b"gone", timestamp_ms=1))
        await producer.commit_transaction()
        assert await read(kafka) == ["stays"]
        [stays] = cluster.committed(TOPIC)
        assert stays.offset == 2  # after the aborted record and its marker
        consumer = kafka.connection.consumer(committed=False)
        consumer.assign([cluster.tp_of(TOPIC, b"gone")])
        [got] = (await consumer.getmany(timeout_ms=200)).values()
        assert [record.value for record in got] == [b"gone", b"stays"]
        assert await consumer.position(cluster.tp_of(TOPIC, b"gone")) == 4

    simulated(work)


def test_the_last_stable_offset_is_a_trap_and_the_true_reader_does_not_step_into_it() -> None:
    """With another slot's transaction open, a read_committed end stops short of what is committed behind it."""

    async def work() -> None:
        cluster = made()
        kafka = store(cluster)
        open_one = await begun(kafka, 1, "key")
        other = await opened(kafka, 2)
        await other.write([Record(TOPIC, b"key", b"committed", 1)])
        await asyncio.sleep(2.1)  # until its marker is surely written
        ends: list[int] = []
        for committed in (True, False):
            consumer = kafka.connection.consumer(committed=committed)
            tps = await partitions_of(kafka.connection, consumer, TOPIC)
            ends.append((await consumer.end_offsets(tps))[cluster.tp_of(TOPIC, b"key")])
        assert ends == [0, 3]
        began = now()
        reading = asyncio.ensure_future(read(kafka))
        await asyncio.sleep(5)
        assert not reading.done()
        await open_one.abort_transaction()
        assert await reading == ["committed"]
        assert now() - began < 8

    simulated(work)


def test_a_transaction_left_open_is_ended_by_the_broker() -> None:
    """After its time-out it is aborted and its producer fenced; the slot's next producer is welcome."""

    async def work() -> None:
        cluster = made()
        kafka = store(cluster)
        producer = await begun(kafka, 1, "late")
        opened_at = cluster.transactions[0].opened_at
        assert await read(kafka) == []  # waits for it: less than the reader's own patience
        assert TRANSACTION_TIMEOUT_MS / 1000 <= now() - opened_at < TRANSACTION_TIMEOUT_MS / 1000 + 10 + 2.5
        with pytest.raises(errors.ProducerFenced):
            await producer.commit_transaction()
        assert cluster.transactions[0].why == "timed out"
        await (await opened(kafka)).write(records("next"))
        assert await read(kafka) == ["next"]

    simulated(work)


@pytest.mark.parametrize("lands", [None, 0.0, 5.0, 14.0, 16.0, 30.0])
@pytest.mark.parametrize("seed", range(5))
def test_a_hung_commit_is_settled_by_the_next_producers_start(lands: float | None, seed: int) -> None:
    """Once a new producer has started, the commit's fate is known to every reader and does not change."""

    async def work() -> None:
        cluster = made(seed)
        kafka = store(cluster, Nth(1, Hang(lands), kinds=["commit"]))
        sink = await opened(kafka)
        began = now()
        with pytest.raises(KafkaUnavailable):
            await sink.write(records("a", "b", "c", "d"))
        assert now() - began == pytest.approx(CALL_TIMEOUT)
        await sink.open()
        found, there = await read(kafka), held(cluster)
        assert now() - began < CALL_TIMEOUT + STOP_TIMEOUT + 5
        assert found == there == (["a", "b", "c", "d"] if lands is not None and lands < 17 else [])
        await asyncio.sleep(60)
        cluster.settle()
        assert await read(kafka) == held(cluster) == there

    simulated(work)


def test_a_start_waits_for_the_markers_of_a_commit_already_decided() -> None:
    """With markers that take seconds, a new producer is ready only when all of them are written."""

    async def work() -> None:
        cluster = made(marker_delay=(3.0, 4.0))
        kafka = store(cluster, Nth(1, Fail(errors.UnknownError, after=True), kinds=["commit"]))
        sink = await opened(kafka)
        with pytest.raises(KafkaUnavailable):
            await sink.write(records("a", "b", "c", "d"))
        began = now()
        await sink.open()
        assert 2.5 < now() - began < 4.5
        assert held(cluster) == ["a", "b", "c", "d"]

    simulated(work)


def test_a_start_that_arrives_late_fences_the_newer_producer() -> None:
    """An InitProducerId that its caller has given up may still land: the next producer is fenced, its successor not."""

    async def work() -> None:
        cluster = made()
        kafka = store(cluster, Nth(1, Hang(40.0), kinds=["init"]))
        sink = kafka.sink(1)
        with pytest.raises(KafkaUnavailable):
            await sink.open()
        await sink.open()
        await sink.write(records("before"))
        await asyncio.sleep(60)
        with pytest.raises(Fenced):
            await sink.write(records("fenced"))
        await sink.open()
        await sink.write(records("after"))
        assert await read(kafka) == ["after", "before"]

    simulated(work)


def test_a_failed_record_spoils_its_transaction() -> None:
    """After an error inside a transaction commit raises that error; abort is allowed, and all begins anew."""

    async def work() -> None:
        cluster = made()
        kafka = store(cluster, Nth(2, Fail(errors.UnknownError, after=True), kinds=["produce"]))
        producer = await begun(kafka, 1, "a")
        with pytest.raises(errors.UnknownError):
            await (await producer.send(TOPIC, b"b", key=b"b", timestamp_ms=1))
        with pytest.raises(errors.UnknownError):
            await producer.commit_transaction()
        await producer.abort_transaction()
        await settled(cluster)
        await producer.begin_transaction()
        await producer.commit_transaction()  # of nothing, which asks nobody
        assert held(cluster) == []
        assert kafka.connection.calls["commit"] == 0  # type: ignore[attr-defined]

    simulated(work)


def test_a_commit_that_failed_is_the_end_of_its_producer() -> None:
    """Nobody knows what became of it: neither abort nor begin is valid any more."""

    async def work() -> None:
        producer = await begun(store(made(), Nth(1, Fail(errors.UnknownError), kinds=["commit"])), 1, "a")
        with pytest.raises(errors.UnknownError):
            await producer.commit_transaction()
        for call in (producer.abort_transaction, producer.begin_transaction, producer.commit_transaction):
            with pytest.raises(AssertionError):
                await call()

    simulated(work)


def test_while_a_commit_hangs_the_producer_can_do_nothing_else() -> None:
    """As with aiokafka, abort and begin are invalid then, and stop waits until it is cancelled."""

    async def work() -> None:
        kafka = store(made(), Nth(1, Hang(), kinds=["commit"]))
        producer = await begun(kafka, 1, "a")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1):
                await producer.commit_transaction()
        for call in (producer.abort_transaction, producer.begin_transaction, producer.commit_transaction):
            with pytest.raises(AssertionError):
                await call()
        began = now()
        await kafka.connection.discard(producer)
        assert now() - began == pytest.approx(STOP_TIMEOUT)

    simulated(work)


@pytest.mark.parametrize("number", [1, 2, 5])
def test_the_nth_call_and_no_other_is_hit(number: int) -> None:
    """Of twelve commits exactly the chosen one fails, and only on the host that was meant."""

    async def work() -> None:
        cluster = made()
        plan = Nth(number, Fail(errors.UnknownError), kinds=["commit"], host="a")
        one, two = await opened(store(cluster, plan, host="a"), 1), await opened(store(cluster, plan, host="b"), 2)
        failed: list[int] = []
        for attempt in range(1, 7):
            await two.write(records(f"b{attempt}"))
            try:
                await one.write(records(f"a{attempt}"))
            except KafkaUnavailable:
                failed.append(attempt)
                await one.open()
        assert failed == [number]
        assert plan.hit
        assert plan.seen == 6

    simulated(work)


def test_every_call_of_a_write_can_be_hit_and_none_is_missed() -> None:
    """Counted on until a run passes unhit; what is committed is all or nothing each time."""

    async def run(number: int) -> bool:
        cluster = made()
        plan = Nth(number, Fail(errors.KafkaConnectionError, after=number % 2 == 0), kinds=WRITES)
        kafka = store(cluster, plan)
        sink = kafka.sink(1)
        try:
            await sink.open()
            await sink.write(records("a", "b", "c", "d", "e", "f"))
        except KafkaUnavailable:
            await sink.open()
        assert await read(kafka) in ([], ["a", "b", "c", "d", "e", "f"])
        return plan.hit

    number = 1
    while simulated(partial(run, number)):
        number += 1
    assert number == 1 + len(("init", "add_partitions", "produce", "produce", "produce", "commit"))


def test_a_cut_link_harms_one_host_and_an_outage_all() -> None:
    """Nothing passes while it lasts; what stalled goes through when it ends."""

    async def work() -> None:
        cluster = made()
        plans = (Cut(cluster.random, 10, 20, "a", "hang"), Outage(cluster, 40, 45, "stall"))
        a, b = store(cluster, *plans, host="a"), store(cluster, *plans, host="b")
        one, two = await opened(a, 1), await opened(b, 2)
        await asyncio.sleep(10)
        await two.write(records("b"))
        with pytest.raises(KafkaUnavailable):
            await one.write(records("a"))
        await one.open()
        await asyncio.sleep(40.5 - now())
        await two.write(records("late"))
        assert 45 < now() < 47
        assert await read(a) == ["b", "late"]

    simulated(work)


def test_a_stalled_start_takes_its_time() -> None:
    """A delay shorter than the caller's patience is only a delay."""

    async def work() -> None:
        kafka = store(made(), Nth(1, Delay(7.0), kinds=["init"]))
        await opened(kafka)
        assert 7 < now() < 7.1

    simulated(work)


def test_an_outage_puts_off_markers_and_time_outs() -> None:
    """What the brokers do by themselves waits as well until they are back."""

    async def work() -> None:
        cluster = made(marker_delay=(1.0, 1.0), check_delay=(0.0, 0.0))
        kafka = store(cluster, Outage(cluster, 2, 30))
        await begun(kafka, 2, "left open")
        sink = await opened(kafka, 1)
        await asyncio.sleep(1.5 - now())
        await sink.write(records("decided"))
        await asyncio.sleep(29.9 - now())
        cluster.advance(now())
        assert [found.state for found in cluster.transactions] == ["open", "committing"]
        await settled(cluster)
        assert [found.state for found in cluster.transactions] == ["aborted", "committed"]
        assert 30 < now() < 32.2

    simulated(work)


def test_an_answer_that_meets_a_cut_is_lost() -> None:
    """The commit is done, but its caller waits in vain."""

    async def work() -> None:
        cluster = made()
        kafka = store(cluster, Cut(cluster.random, 1.0, 2.0, "a"))
        producer = await begun(kafka, 1, "a")
        await asyncio.sleep(0.9999 - now())
        with pytest.raises(KafkaUnavailable):
            await kafka.connection.call(producer.commit_transaction(), "commit")
        cluster.advance(now())
        assert held(cluster) == ["a"]

    simulated(work)


def test_a_write_that_its_caller_gave_up_may_land() -> None:
    """Of the commits that were under way when their caller was cancelled, some are done all the same."""

    async def run(seed: int) -> bool:
        cluster = made(seed)
        producer = await begun(store(cluster, Nth(1, Delay(5.0), kinds=["commit"])), 1, "a")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1):
                await producer.commit_transaction()
        await asyncio.sleep(3)
        cluster.advance(now())
        assert held(cluster) == []
        cluster.settle()
        return held(cluster) == ["a"]

    assert {simulated(partial(run, seed)) for seed in range(20)} == {True, False}


async def tortured(seed: int) -> tuple[Cluster, list[str]]:
    """Two hosts write and read at once in a storm, over and over, each opening anew after every error. Returns also
    all that was read, in that order."""
    cluster, seen = made(seed), list[str]()
    plans = (Storm(cluster.random, [(5, 60)], 0.08), Cut(cluster.random, 30, 50, "a"))

    async def writer(host: str, slot: int) -> list[str]:
        kafka, sure = store(cluster, *plans, host=host), list[str]()
        sink = kafka.sink(slot)
        await sink.open()
        for attempt in range(60):
            names = [f"{host}/{attempt}/{n}" for n in range(5)]
            try:
                await sink.write(records(*names))
                sure += names
            except KafkaError:
                while True:
                    try:
                        await sink.open()
                        seen.extend([f"{r.offset} {r.key}" async for r in read_to_end(kafka.connection, [TOPIC])])
                        break
                    except KafkaError:
                        await asyncio.sleep(1)
            await asyncio.sleep(cluster.random.random())
        return sure

    sure = await asyncio.gather(writer("a", 1), writer("b", 2))
    await settled(cluster)
    there = held(cluster)
    assert len(set(there)) == len(there)
    assert {name for names in sure for name in names} <= set(there)
    return cluster, seen


def trace(seed: int) -> bytes:
    """The logs of a tortured run, and what was read of them, byte by byte."""
    cluster, seen = simulated(lambda: tortured(seed))
    return cluster.trace() + "\n".join(seen).encode()


@pytest.mark.parametrize("seed", range(20))
def test_in_any_storm_transactions_are_whole_and_what_was_acknowledged_is_there(seed: int) -> None:
    """All five records of a write or none; every acknowledged one, once; no epoch goes back."""
    cluster, _ = simulated(lambda: tortured(seed))
    attempts = [name.rpartition("/")[0] for name in held(cluster)]
    assert {attempts.count(attempt) for attempt in attempts} == {5}
    assert len({transaction.state for transaction in cluster.transactions}) == 2
    for slot in (1, 2):
        epochs = [t.epoch for t in cluster.transactions if t.transactional_id == f"{TOPIC}-slot-{slot}"]
        assert epochs == sorted(epochs)


def test_the_same_seed_gives_the_same_log() -> None:
    """Byte for byte: twice in this process, and in another one whose strings hash differently."""
    first = trace(7)
    assert first == trace(7)
    assert first != trace(8)
    program = "import sys; from tests.simulation.test_cluster import trace; sys.stdout.buffer.write(trace(7))"
    for hash_seed in ("1", "2"):
        other = subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            cwd=Path(__file__).parents[2],
            capture_output=True,
            check=True,
        )
        assert other.stdout == first
