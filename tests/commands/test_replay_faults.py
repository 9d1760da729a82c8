"""`replay` of a floor whose vendor lies: lists that lack rows sign nobody out, a real end of shift does."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from random import Random
from typing import Any

import orjson
import pytest

from streamer.simulator.api import VendorApi
from streamer.simulator.faults import Faults
from streamer.simulator.floor import Floor
from streamer.simulator.world import World
from tests.commands.shell import Cli

START = 1_795_399_200.0
AGENTS = 60
FLOOR = Floor(agents=AGENTS, talk=10.0, pause=3.0, wrapuptime=5, sign_out_every=0.0, offline_every=0.0, warm_up=300.0)
KINDS = ("partial", "empty", "null", "truncated", "html", "http500", "partial=0.97")
FAULTS = ",".join(f"nth={10 * number}:{KINDS[number % len(KINDS)]}@poll" for number in range(1, 80))
MAX_DELAY = 60.0


def answers(interval: float, seconds: float, ends_at: float) -> Iterator[dict[str, Any]]:
    """What the vendor answers: every tenth time something wrong; after `ends_at` seconds nobody is signed in."""
    world, random = World(FLOOR, 1, START), Random(1)
    api = VendorApi(world, {"app": "key"})
    login = {"service": "App.Sip_Auth.Login", "appid": "app", "accesskey": "key"}
    token = str(orjson.loads(api.answer(login, START).body)["data"]["result"]["token"])
    api.set_faults(Faults.parse(FAULTS, 1), START)
    for turn in range(round(seconds / interval)):
        asked = START + turn * interval
        read = asked + random.uniform(0.01, 0.05)
        reply = api.answer({"service": "App.Sip_Queue.GetQueueSipStatus", "token": token}, read)
        body = reply.body
        if read >= START + ends_at and reply.status == 200 and body.endswith(b"}"):
            answer = orjson.loads(body)
            if isinstance(answer["data"], dict) and answer["data"].get("result"):
                answer["data"]["result"] = []
            body = orjson.dumps(answer)
        yield {
            "source": "floor",
            "requested_at": asked,
            "answered_at": read + 0.03,
            "status": reply.status,
            "body": body.decode(),
        }


@pytest.mark.parametrize("interval", [1.0, 5.0, 20.0])
def test_lists_that_lie_sign_nobody_out_and_an_end_of_shift_everybody(
    cli: Cli, tmp_path: Path, interval: float
) -> None:
    """Not one false sign-out; the true one within max_delay and one poll, with bounds that hold its time."""
    ends_at = interval * 63.4
    file = tmp_path / "floor.jsonl"
    with file.open("w") as out:
        for answer in answers(interval, ends_at + MAX_DELAY + 5 * interval, ends_at):
            out.write(json.dumps(answer) + "\n")
    done = cli("replay", file, "--json")
    assert (done.code, done.err) == (0, "")
    events = [json.loads(line) for line in done.out.splitlines()]
    gone = [event for event in events if event["change"] == "signed_out"]
    assert len(gone) == len({event["extension"] for event in events}) == AGENTS
    for event in gone:
        low, high, told = (
            datetime.fromisoformat(event[name]).timestamp() - START
            for name in ("occurred_not_before", "occurred_not_after", "observed_at")
        )
        assert low <= ends_at <= high
        assert told <= ends_at + MAX_DELAY + interval
