"""Callbacks at real processes: passed on within a group, and a flood of forged ones that costs nobody anything."""

from __future__ import annotations

import asyncio
import json
import time
from itertools import pairwise
from pathlib import Path

import aiohttp

from tests.conftest import Topics
from tests.e2e.deployment import Deployment, wait_for
from tests.e2e.fleet import SESSION, Fleet

SECRET = "s3cret-callback"
GOOD = {"detail": json.dumps({"extnumber": "100001", "status": "ring", "type": "call"})}

INTERVAL = 10
"""Seconds between two regular polls; one that was hinted at comes half an interval after the one before."""

FLOOD = 10_000
AT_ONCE = 32

GROWTH = 24 * 2**20
"""Bytes that a process may grow by meanwhile: buffers of so many connections, and what the allocator keeps."""


async def post(address: str, form: dict[str, str], headers: dict[str, str] | None = None) -> int:
    """The status that a callback is answered with."""
    async with aiohttp.ClientSession() as session, session.post(address, data=form, headers=headers) as answer:
        return answer.status


def test_a_hint_reaches_whoever_polls_the_source(kafka: str, topics: Topics, tmp_path: Path) -> None:
    """Whichever instance of the group is called: a poll comes well before the next regular one."""
    with Fleet(tmp_path, kafka, topics, ["floor"]) as fleet:
        for name in ("a", "b"):
            cluster = {"group": topics.group, "instance": name, "session_timeout": SESSION}
            fleet.configure(name, more=f'poll_interval = {INTERVAL}\ncallback_secret = "{SECRET}"', cluster=cluster)
            fleet.start(name)
        fleet.wait_until_live()
        recording = fleet.recordings[fleet.owner("floor")][-1]

        def polls() -> list[float]:
            whole, _, _ = recording.read_text().rpartition("\n")  # the last line may be half written
            return [json.loads(line)["requested_at"] for line in whole.splitlines()]

        for called in ("a", "b"):
            address = f"http://127.0.0.1:{fleet.ports[called]}/callbacks/floor"
            before = len(polls())

            def hastened(address: str = address, before: int = before) -> bool:
                assert asyncio.run(post(address, GOOD, {"X-Streamer-Secret": SECRET})) == 204
                times = polls()
                gaps = [later - earlier for earlier, later in pairwise(times)]
                return any(gap < 0.75 * INTERVAL for gap in gaps[before - 1 :])

            # Again and again: a hint is lost where the other does not listen yet.
            wait_for(hastened, f"a poll after a hint at {called}")
        assert fleet.stop("a", "b") == [0, 0], fleet.log()


def memory(pid: int) -> int:
    """Bytes of a process in memory."""
    status = Path(f"/proc/{pid}/status").read_text()
    return 1024 * int(status.split("VmRSS:")[1].split()[0])


async def flood(address: str) -> dict[int, int]:
    """Forged and malformed callbacks as fast as they are taken; how many were answered with which status."""
    answers: dict[int, int] = {}
    kinds: list[tuple[str, dict[str, str], dict[str, str]]] = [
        (f"{address}/callbacks/floor", GOOD, {"X-Streamer-Secret": "wrong"}),
        (f"{address}/callbacks/floor/guess", GOOD, {}),
        (f"{address}/callbacks/nowhere/{SECRET}", GOOD, {}),
        (f"{address}/callbacks/floor/{SECRET}", {"detail": "[" * 9000}, {}),
        (f"{address}/callbacks/floor/{SECRET}", {"detail": "x" * 20_000}, {}),
    ]
    numbers = iter(range(FLOOD))

    async def some(session: aiohttp.ClientSession) -> None:
        for number in numbers:
            where, form, headers = kinds[number % len(kinds)]
            async with session.post(where, data=form, headers=headers) as answer:
                answers[answer.status] = answers.get(answer.status, 0) + 1

    async with aiohttp.ClientSession() as session:
        await asyncio.gather(*(some(session) for _ in range(AT_ONCE)))
    return answers


def test_a_flood_of_forged_callbacks_costs_nobody_anything(kafka: str, topics: Topics, tmp_path: Path) -> None:
    """No poll more at the vendor than without it, memory stays, the feed stays live, and the log does not fill."""
    with Deployment(tmp_path, kafka, topics, extra=f'callback_secret = "{SECRET}"') as site:
        site.simulate(agents=40, seed=5)
        process = site.run()
        site.wait_until_live()
        address = f"http://127.0.0.1:{site.port}"
        asyncio.run(flood(address))  # what the allocator takes for so many connections, it keeps
        polls, size, began = site.polls(), memory(process.pid), time.monotonic()
        answers = asyncio.run(flood(address))
        most = time.monotonic() - began + 2
        assert site.polls() - polls <= most
        assert memory(process.pid) - size < GROWTH
        assert sum(answers.values()) == FLOOD
        assert set(answers) <= {400, 403, 413, 429}
        assert answers[403] == FLOOD * 3 // 5
        assert not site.not_ready()
        complaints = [line for line in site.log().splitlines() if "callback" in line]
        assert 1 <= len(complaints) <= 8
        assert SECRET not in site.log()
        assert site.stop() == 0
