"""The generic push against a receiver that takes each key once, and fails, stalls, restarts and refuses."""

from __future__ import annotations

import asyncio
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from streamer.consumers.wfm.outputs import tables
from tests.consumers.wfm.wfm_receivers import CODES, Bench, PushReceiver, batch, feed, now, play, until
from tests.runtime.fakes import virtually


def made(folder: Path, receiver: PushReceiver, agents: int, **more: Any) -> Bench:
    return Bench(folder, receiver, "push", agents, states=CODES, **more)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_every_event_arrives_once_and_in_order_whatever_fails(tmp_path: Path, seed: int) -> None:
    """30 % of the requests fail, receiver and sender restart, an agent is refused for a while."""

    async def work() -> None:
        receiver = PushReceiver(seed, 0.3)
        await receiver.start()
        with closing(made(tmp_path, receiver, 30)) as bench:
            refused = f"A{bench.agents[7]}"
            receiver.refuses = {refused}
            items, _ = play(bench.agents, 1000, seed)
            for life in range(4):
                async with bench.running() as outputs:
                    for n in range(life * 250, (life + 1) * 250 if life < 3 else len(items), 25):
                        bench.take(outputs, batch(items[n : n + 25], [feed(now(), 30)]))
                        await asyncio.sleep(3)
                    await receiver.stop()
                    await asyncio.sleep(5)
                    await receiver.start()
            async with bench.running() as outputs:
                bench.take(outputs, batch((), [feed(now(), 30)]))
                others = [item.event.event_id for item in items if f"A{item.event.extension}" != refused]
                await until(lambda: receiver.taken.keys() >= set(others))
                assert not any(item.get("agent") == refused for item in receiver.of("state"))
                receiver.refuses = set()
                await until(lambda: len(receiver.of("state")) == len(items))
            for extension in bench.agents:
                right = [item.event.event_id for item in items if item.event.extension == extension]
                assert [item["key"] for item in receiver.of("state", extension)] == right
            assert receiver.repeats  # it did fail after taking effect
        await receiver.stop()

    virtually(work)


def test_what_was_committed_before_a_crash_is_sent_after_it(tmp_path: Path) -> None:
    """And a batch that the ledger reads again because its transaction was lost is told of once."""

    async def work() -> None:
        receiver = PushReceiver()
        await receiver.start()
        with closing(made(tmp_path, receiver, 5)) as bench:
            items, _ = play(bench.agents, 50, 1)
            crashed = bench.open()  # never runs, never ends
            bench.take(crashed, batch(items[:30]))
            db = tables.opened(bench.file)
            db.execute("begin immediate")
            crashed.take(db, batch(items[30:]))
            db.close()
            async with bench.running() as outputs:
                bench.take(outputs, batch(items[20:], [feed(now(), 5)]), batch(items))
                await until(lambda: len(receiver.of("state")) == len(items) and bench.waits() == 0)
                assert receiver.repeats == 0
        await receiver.stop()

    virtually(work)


def test_what_is_too_much_is_dropped_the_oldest_first_and_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The receiver hears how many before it hears what is left; the log has an error."""

    async def work() -> None:
        receiver = PushReceiver()
        await receiver.start()
        receiver.down = True
        with closing(made(tmp_path, receiver, 5, max_items=1000)) as bench:
            items, _ = play(bench.agents, 2495, 1)
            async with bench.running() as outputs:
                for n in range(0, 2500, 50):
                    bench.take(outputs, batch(items[n : n + 50]))
                    await asyncio.sleep(1)
                assert bench.waits() <= 1000
                receiver.down = False
                await until(lambda: bench.waits() == 0)
            (dropped,) = receiver.of("dropped")
            arrived = [item["key"] for item in receiver.of("state")]
            assert arrived == [item.event.event_id for item in items[dropped["count"] :]]
            assert next(iter(receiver.taken.values()))["type"] == "dropped"
            assert dropped["first_at"] <= dropped["last_at"]
        await receiver.stop()

    virtually(work)
    assert "EVENTS WERE DROPPED" in capsys.readouterr().out


def test_the_feeds_status_is_told_as_it_changes_and_when_we_shut_down(tmp_path: Path) -> None:
    """In the receiver's own words, where it has any."""

    async def work() -> None:
        receiver = PushReceiver()
        await receiver.start()
        with closing(made(tmp_path, receiver, 1, feeds={"unavailable": "NOT OK"})) as bench:
            async with bench.running() as outputs:
                await asyncio.sleep(5)
                assert receiver.of("feed") == []  # not read yet
                bench.take(outputs, batch((), [feed(now(), 0)]))
                await asyncio.sleep(5)
                bench.live = False
                await asyncio.sleep(5)
                bench.take(outputs, batch((), [feed(now(), 0, "stopped")]))
                await asyncio.sleep(5)
                bench.live = True
                bench.take(outputs, batch((), [feed(now(), 0)]))
                await asyncio.sleep(5)
            told = [item["status"] for item in receiver.of("feed")]
            assert told == ["normal", "NOT OK", "graceful_shutdown", "normal", "graceful_shutdown"]
        await receiver.stop()

    virtually(work)


def test_saying_goodbye_to_a_receiver_that_hangs_takes_seconds(tmp_path: Path) -> None:
    """Three at most, however long its time-out is."""

    async def work() -> None:
        receiver = PushReceiver(1, 1.0)
        receiver.rng.random = lambda: 0.5  # stalls
        await receiver.start()
        with closing(made(tmp_path, receiver, 1, timeout=600)) as bench:
            async with bench.running() as outputs:
                bench.take(outputs, batch(play(bench.agents, 0, 1)[0]))
                await asyncio.sleep(5)
                began = now()
            assert now() - began < 3.5
        await receiver.stop()

    virtually(work)


def test_all_states_are_told_again_every_quarter_of_an_hour_while_live(tmp_path: Path) -> None:
    """With the seconds that they have lasted; not while the feed is not live."""

    async def work() -> None:
        receiver = PushReceiver()
        await receiver.start()
        with closing(made(tmp_path, receiver, 20)) as bench:
            items, states = play(bench.agents, 100, 1)
            async with bench.running() as outputs:
                for n in range(361):
                    bench.live = n < 180
                    bench.take(outputs, batch(items, [feed(now(), 20)]))
                    await asyncio.sleep(10)
            again = [item for item in receiver.taken.values() if item.get("event") == "refresh"]
            assert len(again) == 40
            assert {item["extension"]: item["state"] for item in again} == states
            assert all(item["seconds_in_state"] >= 0 for item in again)
            assert max(item["seconds_in_state"] for item in again) in range(895, 915)
        await receiver.stop()

    virtually(work)


def test_one_receiver_that_hangs_does_not_hold_up_another(tmp_path: Path) -> None:
    """Nor the ledger: taking a batch waits for nobody."""

    async def work() -> None:
        good, bad = PushReceiver(), PushReceiver(1, 1.0)
        bad.rng.random = lambda: 0.5
        await good.start()
        await bad.start()
        with closing(made(tmp_path, good, 5)) as bench:
            bench.beside = {"name": "bad", "url": f"http://127.0.0.1:{bad.port}/base"}
            items, _ = play(bench.agents, 100, 1)
            async with bench.running() as outputs:
                for n in range(0, 105, 5):
                    bench.take(outputs, batch(items[n : n + 5]))
                    await until(lambda n=n: len(good.of("state")) == min(n + 5, len(items)), 1)
            assert bad.taken == {}
            assert bench.waits() == len(items)
        await good.stop()
        await bad.stop()

    virtually(work)


def test_what_follows_a_refused_event_of_an_agent_waits_for_it(tmp_path: Path) -> None:
    """Although the receiver would take it: otherwise the order would be lost."""

    async def work() -> None:
        receiver = PushReceiver()
        await receiver.start()
        with closing(made(tmp_path, receiver, 2)) as bench:
            bench.live = False
            items, _ = play(bench.agents, 50, 1)
            first = items[0].event
            receiver.refuses = {first.event_id}
            others = [item for item in items if item.event.extension != first.extension]
            async with bench.running() as outputs:
                bench.take(outputs, batch(items))
                await until(lambda: len(receiver.of("state")) == len(others))
                await asyncio.sleep(60)
                assert receiver.of("state", first.extension) == []
                receiver.refuses = set()
                await until(lambda: len(receiver.of("state")) == len(items))
            right = [item.event.event_id for item in items if item.event.extension == first.extension]
            assert [item["key"] for item in receiver.of("state", first.extension)] == right
        await receiver.stop()

    virtually(work)
