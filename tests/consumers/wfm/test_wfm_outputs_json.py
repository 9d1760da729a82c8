"""Teleopti's JSON batches against a receiver that fails, stalls, restarts and refuses, in virtual time."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.consumers.wfm.wfm_receivers import CODES, Bench, JsonReceiver, batch, coded, event, feed, now, play, until
from tests.runtime.fakes import virtually


def made(folder: Path, receiver: JsonReceiver, agents: int) -> Bench:
    return Bench(folder, receiver, "teleopti_json", agents, states=CODES)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_receiver_that_fails_and_restarts_shows_the_true_floor(tmp_path: Path, seed: int) -> None:
    """30 % of the requests fail, one agent is refused throughout, it restarts twice: the others' states are right."""

    async def work() -> None:
        receiver = JsonReceiver(seed, 0.3)
        await receiver.start()
        with closing(made(tmp_path, receiver, 40)) as bench:
            receiver.refuses = {f"A{bench.agents[7]}"}
            items, states = play(bench.agents, 600, seed)
            async with bench.running() as outputs:
                for n in range(0, len(items), 20):
                    bench.take(outputs, batch(items[n : n + 20], [feed(now(), 40)]))
                    await asyncio.sleep(2)
                    if n in (200, 400):
                        await receiver.stop()
                        await asyncio.sleep(5)
                        await receiver.start()
                right = {a: code for a, code in coded(states).items() if a not in receiver.refuses}
                await until(lambda: receiver.floor == right and bench.waits() == 1)
                receiver.refuses = set()
                await asyncio.sleep(0)
                bench.take(outputs, batch((), [feed(now(), 40)]))
                await until(lambda: receiver.floor == coded(states) and bench.waits() == 0)
        await receiver.stop()

    virtually(work)


def test_order_is_kept_for_each_agent(tmp_path: Path) -> None:
    """What arrives of an agent is a part of its true sequence, with repeats only of the newest."""

    async def work() -> None:
        receiver = JsonReceiver(4, 0.3)
        await receiver.start()
        with closing(made(tmp_path, receiver, 1)) as bench:
            truth = ["READY", "RINGING", "TALKING", "ACW"] * 50
            names = {code: state for state, code in CODES.items()}
            async with bench.running() as outputs:
                for n, code in enumerate(truth):
                    item = event(bench.agents[0], n + 1, names[code], now(), names[truth[n - 1]] if n else "")
                    bench.take(outputs, batch([item], [feed(now(), 1)]))
                    await asyncio.sleep(1.5)
                await until(lambda: bench.waits() == 0)
            place = -1
            for _, code in receiver.heard:
                if place < 0 or truth[place] != code:
                    place = truth.index(code, place + 1)
        await receiver.stop()

    virtually(work)


def test_states_that_wait_are_sent_once_the_newest_of_each(tmp_path: Path) -> None:
    """An outage of an hour: afterwards each agent is told of once, in the order of their last changes."""

    async def work() -> None:
        receiver = JsonReceiver()
        await receiver.start()
        receiver.down = True
        with closing(made(tmp_path, receiver, 5)) as bench:
            bench.live = False  # no refresh
            items, states = play(bench.agents, 200, 3)
            async with bench.running() as outputs:
                bench.take(outputs, batch(items, [feed(now(), 5)]))
                await asyncio.sleep(3600)
                assert receiver.requests < 130
                receiver.down = False
                await until(lambda: bench.waits() == 0)
            last = {item.event.extension: n for n, item in enumerate(items)}
            assert receiver.heard == [
                (f"A{e}", coded(states)[f"A{e}"]) for e in sorted(bench.agents, key=lambda e: last[e])
            ]
        await receiver.stop()

    virtually(work)


def test_what_a_retry_after_asks_for_is_kept_to(tmp_path: Path) -> None:
    """Not one request within those seconds, but for a little rounding."""

    async def work() -> None:
        receiver = JsonReceiver()
        await receiver.start()
        receiver.down, receiver.retry_after = True, "120"
        with closing(made(tmp_path, receiver, 1)) as bench:
            async with bench.running() as outputs:
                bench.take(outputs, batch(play(bench.agents, 0, 1)[0], [feed(now(), 1)]))
                await until(lambda: receiver.requests == 3)
            gaps = [after - before for before, after in zip(receiver.at, receiver.at[1:], strict=False)]
            assert all(119 < gap < 130 for gap in gaps)
        await receiver.stop()

    virtually(work)


def test_refused_agents_cost_few_requests_and_are_tried_again_with_the_next_refresh(tmp_path: Path) -> None:
    """3 of 100 are found by halves; nothing more is sent for them until a quarter of an hour later."""

    async def work() -> None:
        receiver = JsonReceiver()
        await receiver.start()
        with closing(made(tmp_path, receiver, 100)) as bench:
            receiver.refuses = {f"A{bench.agents[n]}" for n in (0, 50, 99)}
            bench.live = False
            items, states = play(bench.agents, 0, 1)
            async with bench.running() as outputs:
                bench.take(outputs, batch(items, [feed(now(), 100)]))
                await until(lambda: len(receiver.floor) == 97 and bench.waits() == 3)
                assert receiver.requests < 3 * 2 * 8
                told = receiver.requests
                await asyncio.sleep(800)
                assert receiver.requests == told
                receiver.refuses = set()
                await until(lambda: bench.waits() == 0, 150)
            assert receiver.floor == coded(states)
        await receiver.stop()

    virtually(work)


def test_the_snapshot_is_the_whole_floor_and_comes_every_quarter_of_an_hour(tmp_path: Path) -> None:
    """Who is not on our floor is logged out at the receiver by it."""

    async def work() -> None:
        receiver = JsonReceiver()
        receiver.floor["ghost"] = "TALKING"
        await receiver.start()
        with closing(made(tmp_path, receiver, 600)) as bench:
            items, states = play(bench.agents, 0, 1)
            async with bench.running() as outputs:
                bench.take(outputs, batch(items, [feed(now(), 600)]))
                for _ in range(361):
                    await asyncio.sleep(10)
                    bench.take(outputs, batch((), [feed(now(), 600)]))
            assert receiver.snapshots == [coded(states)] * 5
            assert receiver.floor == coded(states) | {"ghost": "OUT"}
        await receiver.stop()

    virtually(work)


def test_a_refused_agent_does_not_keep_the_snapshot_from_closing(tmp_path: Path) -> None:
    """It is found, and the floor without it is sent."""

    async def work() -> None:
        receiver = JsonReceiver()
        await receiver.start()
        with closing(made(tmp_path, receiver, 20)) as bench:
            receiver.refuses = {f"A{bench.agents[3]}"}
            async with bench.running() as outputs:
                bench.take(outputs, batch(play(bench.agents, 0, 1)[0], [feed(now(), 20)]))
                await until(lambda: bool(receiver.snapshots), 30)
            assert len(receiver.snapshots[0]) == 19
        await receiver.stop()

    virtually(work)


@pytest.mark.parametrize("why", ["not live", "not read to the end", "not all are known"])
def test_no_snapshot_of_a_list_that_is_not_believed(tmp_path: Path, why: str) -> None:
    """Not once in two hours; as soon as it is believed there is one."""

    async def work() -> None:
        receiver = JsonReceiver()
        await receiver.start()
        with closing(made(tmp_path, receiver, 10)) as bench:
            bench.live = why != "not live"
            items = play(bench.agents, 0, 1)[0]
            count = 11 if why == "not all are known" else 10
            async with bench.running() as outputs:
                for _ in range(720):
                    bench.take(outputs, batch(items, [feed(now(), count)], complete=why != "not read to the end"))
                    await asyncio.sleep(10)
                assert receiver.snapshots == []
                bench.live = True
                bench.take(outputs, batch((), [feed(now(), 10)]))
                await until(lambda: len(receiver.snapshots) == 1, 30)
        await receiver.stop()

    virtually(work)


def test_old_states_are_not_sent_as_if_they_were_new(tmp_path: Path) -> None:
    """While the events are read from the beginning, nothing goes out; then only the newest."""

    async def work() -> None:
        receiver = JsonReceiver()
        await receiver.start()
        with closing(made(tmp_path, receiver, 3)) as bench:
            items, states = play(bench.agents, 300, 1)
            async with bench.running() as outputs:
                for n in range(0, 303, 30):
                    bench.take(outputs, batch(items[n : n + 30], [feed(now(), 3)], complete=False))
                    await asyncio.sleep(3)
                bench.take(outputs, batch((), [feed(now() - 60, 3)]), batch((), [feed(now(), 3)], complete=False))
                await asyncio.sleep(3)
                assert receiver.heard == []
                bench.take(outputs, batch((), [feed(now(), 3)]))
                await until(lambda: receiver.floor == coded(states) and bench.waits() == 0)
        await receiver.stop()

    virtually(work)


def test_agents_without_an_id_are_told_of_once_and_never_sent(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Their number is in the log; no receiver hears of them."""

    async def work() -> None:
        receiver = JsonReceiver()
        await receiver.start()
        with closing(made(tmp_path, receiver, 2)) as bench:
            items = play([*bench.agents, "777001", "777002"], 0, 1)[0]
            async with bench.running() as outputs:
                bench.take(outputs, batch(items, [feed(now(), 4)]))
                assert bench.waits() == 2
                for _ in range(200):
                    await asyncio.sleep(10)
                    bench.take(outputs, batch((), [feed(now(), 4)]))
            assert Counter(agent for agent, _ in receiver.heard).keys() == {f"A{e}" for e in bench.agents}
            assert len(receiver.snapshots) == 3
        await receiver.stop()

    virtually(work)
    out = capsys.readouterr().out
    assert out.count("without an id") == 1
    assert "agents=2" in out


def test_a_wrong_key_is_told_once_without_the_key(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Although the receiver quotes it."""

    async def work() -> None:
        receiver = JsonReceiver()
        await receiver.start()
        with closing(Bench(tmp_path, receiver, "teleopti_json", 1, key="another-s3cret")) as bench:
            async with bench.running() as outputs:
                bench.take(outputs, batch(play(bench.agents, 0, 1)[0], [feed(now(), 1)]))
                await asyncio.sleep(4000)
            assert bench.waits() == 1
            assert receiver.requests < 30
        await receiver.stop()

    virtually(work)
    out = capsys.readouterr().out
    assert out.count("refuses an agent") == 1
    assert "Invalid authentication key" in out
    assert "another-s3cret" not in out


@pytest.fixture(autouse=True)
def plain_log() -> Iterator[None]:
    """The log as text, whatever other tests have set."""
    import structlog

    structlog.reset_defaults()
    structlog.configure(processors=[structlog.processors.KeyValueRenderer()], cache_logger_on_first_use=False)
    yield
    structlog.reset_defaults()
