"""Teleopti's SOAP batches against a receiver that is strict about names, order and limits, in virtual time."""

from __future__ import annotations

import asyncio
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from tests.consumers.wfm.wfm_receivers import CODES, Bench, SoapReceiver, batch, coded, event, feed, now, play, until
from tests.runtime.fakes import virtually


def made(folder: Path, receiver: SoapReceiver, agents: int, **more: Any) -> Bench:
    return Bench(folder, receiver, "teleopti_soap", agents, states=CODES, **more)


@pytest.mark.parametrize("seed", [1, 2])
def test_a_receiver_that_fails_and_restarts_shows_the_true_floor(tmp_path: Path, seed: int) -> None:
    """30 % of the requests fail, one agent is refused throughout, it restarts: the others' states are right."""

    async def work() -> None:
        receiver = SoapReceiver(seed, 0.3)
        await receiver.start()
        with closing(made(tmp_path, receiver, 40)) as bench:
            receiver.refuses = {f"A{bench.agents[7]}"}
            items, states = play(bench.agents, 600, seed)
            async with bench.running() as outputs:
                for n in range(0, len(items), 20):
                    bench.take(outputs, batch(items[n : n + 20], [feed(now(), 40)]))
                    await asyncio.sleep(2)
                    if n == 300:
                        await receiver.stop()
                        await asyncio.sleep(5)
                        await receiver.start()
                right = {a: code for a, code in coded(states).items() if a not in receiver.refuses}
                await until(lambda: receiver.floor == right and bench.waits() == 1)
        await receiver.stop()

    virtually(work)


def test_the_snapshot_of_many_batches_is_one_and_is_closed_last(tmp_path: Path) -> None:
    """500 agents in batches of less than 200, tied by their BatchId, although 30 % of the requests fail."""

    async def work() -> None:
        receiver = SoapReceiver(3, 0.3)
        receiver.delay = 0.5
        receiver.floor["ghost"] = "TALKING"
        await receiver.start()
        with closing(made(tmp_path, receiver, 500)) as bench:
            items, states = play(bench.agents, 0, 1)
            async with bench.running() as outputs:
                for _ in range(30):
                    bench.take(outputs, batch(items, [feed(now(), 500)]))
                    await asyncio.sleep(10)
            assert receiver.snapshots
            assert receiver.snapshots[0] == {f"A{e}" for e in bench.agents}
            assert receiver.floor == coded(states) | {"ghost": "LOGGED-OFF"}
        await receiver.stop()

    virtually(work)


def test_a_snapshot_is_not_closed_when_its_source_fails_meanwhile(tmp_path: Path) -> None:
    """The feed ceases to be live while the first batch is on its way."""

    async def work() -> None:
        receiver = SoapReceiver()
        await receiver.start()
        with closing(made(tmp_path, receiver, 500)) as bench:
            answer = receiver.answer

            def answered(request: web.Request, body: bytes) -> web.Response:
                bench.live = False
                return answer(request, body)

            receiver.answer = answered
            async with bench.running() as outputs:
                for _ in range(30):
                    bench.take(outputs, batch(play(bench.agents, 0, 1)[0], [feed(now(), 500)]))
                    await asyncio.sleep(10)
            assert len(receiver.floor) == 500
            assert receiver.snapshots == []
        await receiver.stop()

    virtually(work)


def test_seconds_reasons_and_sign_outs_are_told(tmp_path: Path) -> None:
    """A vendor's clock that is ahead gives no negative seconds."""

    async def work() -> None:
        receiver = SoapReceiver()
        await receiver.start()
        with closing(made(tmp_path, receiver, 3, reasons={"paused": "Break & <lunch>"})) as bench:
            one, two, three = bench.agents
            bench.live = False
            async with bench.running() as outputs:
                items = [
                    event(one, 1, "paused", now() - 65),
                    event(two, 1, "talking", now() + 30),
                    event(three, 2, "signed_out", now(), "paused"),
                ]
                bench.take(outputs, batch(items, [feed(now(), 2)]))
                await until(lambda: bench.waits() == 0)
            heard = {values["UserCode"]: values for values in receiver.heard}
            assert 65 <= int(heard[f"A{one}"]["SecondsInState"]) <= 67
            assert heard[f"A{one}"]["StateDescription"] == "Break & <lunch>"
            assert heard[f"A{two}"]["SecondsInState"] == "0"
            assert heard[f"A{three}"]["IsLoggedOn"] == "false"
            assert {values["IsSnapshot"] for values in receiver.heard} == {"false"}
        await receiver.stop()

    virtually(work)


RESULT = "SaveBatchExternalUserStateResult"
GOOD = f'<a xmlns="http://tempuri.org/"><{RESULT}>1</{RESULT}></a>'
BOMB = '<!DOCTYPE b [<!ENTITY c "1">]>' + GOOD.replace(">1<", ">&c;<")


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"key": "wrong"}, None),
        ({"source_id": "8"}, None),
        ({}, BOMB.encode()),
        ({}, BOMB.encode("utf-16")),
        ({}, b"<html>"),
        ({}, GOOD.encode() + b" " * 100_000),
        ({}, b"<a/>"),
        ({}, b""),
    ],
    ids=["key", "source", "entities", "entities in utf-16", "html", "endless", "empty element", "nothing"],
)
def test_what_is_about_the_receiver_keeps_everything_waiting(
    tmp_path: Path, more: dict[str, Any], says: bytes | None
) -> None:
    """A fault, an unknown source and nonsense refuse no agent: all is sent when it is right again."""

    async def work() -> None:
        receiver = SoapReceiver()
        receiver.says = says
        await receiver.start()
        with closing(made(tmp_path, receiver, 10, **more)) as bench:
            bench.live = False
            async with bench.running() as outputs:
                bench.take(outputs, batch(play(bench.agents, 0, 1)[0], [feed(now(), 10)]))
                await asyncio.sleep(300)
                assert bench.waits() == 10
                assert 5 <= receiver.requests <= 15
        await receiver.stop()

    virtually(work)
