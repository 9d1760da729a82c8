"""The floor and the stub that benchmarks measure with: they are what they promise, or the figures mean nothing."""

from __future__ import annotations

import json
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer

from benchmarks.answers import STEPS, Floor
from benchmarks.stub import BODIES, LOGIN, STATUS, Stub
from streamer.core.envelope import Opened, open_envelope

NOW = 1_795_000_000.0


def rows(body: bytes) -> dict[str, dict[str, Any]]:
    """The rows of an answer by extension."""
    opened = open_envelope(body)
    assert isinstance(opened, Opened)
    return {row["extnumber"]: row for row in json.loads(opened.result)}


@pytest.mark.parametrize("share", [0.0, 0.02, 0.2, 0.7, 1.0])
@pytest.mark.parametrize("shuffled", [False, True])
def test_any_two_answers_in_a_row_differ_in_the_share_of_rows(share: float, shuffled: bool) -> None:
    floor = Floor(100, share, shuffled=shuffled)
    before = rows(floor.answer(NOW))
    for second in range(1, 120):
        after = rows(floor.answer(NOW + second))
        changed = [after[name] for name in after if after[name] != before[name]]
        assert len(changed) == round(100 * share)
        assert {row["externalcallscount"] for row in changed} <= {floor.answers}
        before = after


def test_every_answer_holds_the_same_mixture_of_changes() -> None:
    floor = Floor(1000, 0.2)
    floor.change(NOW)
    moved = [row for row in rows(floor.body(NOW)).values() if row["externalcallscount"] == floor.answers]
    for entered in ("ringing", "talking", "paused"):
        assert sum((row["state"], row["status"]) == codes(entered) for row in moved) == pytest.approx(
            len(moved) / len(STEPS), rel=0.5
        )


def codes(state: str) -> tuple[int, int]:
    return {"ringing": (1214, 1213), "talking": (1215, 1213), "paused": (1213, 1217)}[state]


async def test_the_stub_tells_which_answer_it_gave_and_when() -> None:
    async with TestClient(TestServer(Stub(Floor(50, 0.1), 50).app)) as client:
        bodies: list[bytes] = []
        for number in range(1, 2 * BODIES + 1):
            async with client.post("/", data={"service": STATUS, "token": "any"}) as answer:
                assert answer.headers["X-Body"] == str(number % BODIES)
                bodies.append(await answer.read())
        times = await (await client.get("/times")).json()
        assert [number for number, _ in times] == [1, 2, 3, 4]
        assert await (await client.get("/count")).json() == {"polls": 4}
        expected = await (await client.get("/expect")).json()
        assert expected == {"rows": 50, "changed": 5, "bodies": BODIES, "bytes": len(bodies[-1])}


async def test_what_is_learnt_of_the_stub_holds_round_the_cycle() -> None:
    """From the last body that is learnt back to the first, too, `changed` rows differ."""
    async with TestClient(TestServer(Stub(Floor(50, 0.1), 50).app)) as client:
        learnt: list[dict[str, dict[str, Any]]] = []
        for _ in range(BODIES):
            async with client.post("/", data={"service": STATUS}) as answer:
                learnt.append(rows(await answer.read()))
        for at in range(BODIES):
            assert sum(learnt[at][name] != learnt[at - 1][name] for name in learnt[at]) == 5


async def test_the_stub_logs_in_whoever_asks() -> None:
    async with TestClient(TestServer(Stub(Floor(5, 0.2), 5).app)) as client:
        answer = await (await client.post("/", data={"service": LOGIN, "appid": "a", "accesskey": "k"})).json()
        assert answer["data"]["result"]["token"]
