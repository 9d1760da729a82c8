"""The simulator over HTTP, and how it begins and ends."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from streamer.errors import ConfigError
from streamer.simulator.server import Reply, Simulator, serve
from streamer.simulator.world import Floor

START = 1795399205.0
POLL = "App.Sip_Queue.GetQueueSipStatus"


class Hand:
    """A clock moved by hand."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> float:
        return self.now


class Client:
    """A caller over the network, logged in."""

    def __init__(self, session: aiohttp.ClientSession, simulator: Simulator) -> None:
        self.session, self.url = session, simulator.url
        self.token = ""

    async def post(self, fields: Any, path: str = "/") -> tuple[int, bytes]:
        """Status and body of one POST; redirects are not followed."""
        async with self.session.post(self.url + path, data=fields, allow_redirects=False) as response:
            return response.status, await response.read()

    async def log_in(self) -> None:
        """Take a new token."""
        form = {"service": "App.Sip_Auth.Login", "appid": "app-1", "accesskey": "key-1"}
        self.token = json.loads((await self.post(form))[1])["data"]["result"]["token"]

    async def poll(self) -> tuple[int, bytes]:
        """Status and body of one poll."""
        return await self.post({"service": POLL, "token": self.token})

    async def faults(self, spec: str) -> tuple[int, bytes]:
        """Replace the rules."""
        return await self.post({"spec": spec}, "/control/faults")


@pytest.fixture
async def start() -> AsyncIterator[Callable[..., Awaitable[tuple[Simulator, Client]]]]:
    """Start a simulator and a client of it; both end with the test."""
    async with aiohttp.ClientSession() as session:
        running: list[Simulator] = []

        async def begin(**options: Any) -> tuple[Simulator, Client]:
            options = {"agents": 5, "clock": Hand(), **options}
            simulator = await serve(**options)
            running.append(simulator)
            client = Client(session, simulator)
            await client.log_in()
            return simulator, client

        yield begin
        for simulator in running:
            await simulator.close()


Start = Callable[..., Awaitable[tuple[Simulator, Client]]]


def arrival(simulator: Simulator, monkeypatch: pytest.MonkeyPatch) -> asyncio.Event:
    """Set once the next call has reached the API."""
    arrived = asyncio.Event()
    answer = simulator.api.answer

    def noticed(form: Mapping[str, str], now: float, peer: str = "") -> Reply:
        arrived.set()
        return answer(form, now, peer)

    monkeypatch.setattr(simulator.api, "answer", noticed)
    return arrived


async def test_a_poll_over_http_shows_the_floor(start: Start) -> None:
    """A form goes in at any path, rows come out."""
    simulator, client = await start()
    status, body = await client.poll()
    assert status == 200
    assert json.loads(body)["data"]["result"] == simulator.world.rows()
    elsewhere = await client.post({"service": POLL, "token": client.token}, "/any/path")
    assert elsewhere == (status, body)


async def test_multipart_forms_are_understood(start: Start) -> None:
    """Both encodings of a form are accepted."""
    _, client = await start()
    form = aiohttp.FormData(default_to_multipart=True)
    form.add_field("service", POLL)
    form.add_field("token", client.token)
    assert json.loads((await client.post(form))[1])["ret"] == 200


async def test_a_body_that_is_no_form_is_illegal(start: Start) -> None:
    """400 in the envelope, as for any call without a service."""
    _, client = await start()
    assert json.loads((await client.post(b"\x00\x01"))[1])["ret"] == 400


async def test_account_floor_and_url_are_as_asked(start: Start) -> None:
    """A floor of one's own, on the loopback, on a free port."""
    simulator, client = await start(floor=Floor(agents=2, groups=1, several_groups=0), seed=4)
    assert simulator.url.startswith("http://127.0.0.1:")
    assert {row["queuename"] for row in json.loads((await client.poll())[1])["data"]["result"]} == {"queue-1"}


async def test_a_dropped_connection_gives_no_answer(start: Start) -> None:
    """The caller is disconnected, and served again afterwards."""
    _, client = await start()
    await client.faults("always:drop")
    with pytest.raises(aiohttp.ServerDisconnectedError):
        await client.poll()
    await client.faults("")
    assert (await client.poll())[0] == 200


async def test_a_call_that_hangs_ends_with_the_simulator(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """No answer comes, and closing does not wait for the caller."""
    simulator, client = await start()
    await client.faults("always:hang")
    arrived = arrival(simulator, monkeypatch)
    poll = asyncio.create_task(client.poll())
    await arrived.wait()
    assert not poll.done()
    await simulator.close()
    with pytest.raises(aiohttp.ClientConnectionError):
        await poll


async def test_a_late_answer_is_not_waited_for_at_the_end(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """A long delay ends with the simulator."""
    simulator, client = await start()
    await client.faults("always:slow=1000")
    arrived = arrival(simulator, monkeypatch)
    poll = asyncio.create_task(client.poll())
    await arrived.wait()
    await simulator.close()
    await asyncio.gather(poll, return_exceptions=True)


async def test_an_endless_body_goes_on_after_the_answer(start: Start) -> None:
    """The caller can read on for as long as the rule says, or go away."""
    _, client = await start()
    await client.faults("always:endless=1")
    assert len((await client.poll())[1]) > 2**20
    await client.faults("always:endless=4096")
    form = {"service": POLL, "token": client.token}
    async with client.session.post(client.url, data=form) as response:
        assert await response.content.readexactly(100_000)
        response.close()
    await client.faults("")


async def test_a_redirect_and_a_server_error_keep_their_status(start: Start) -> None:
    """What the pure API answers is what is sent."""
    _, client = await start()
    await client.faults("nth=1:redirect,nth=2:http500")
    assert [(await client.poll())[0] for _ in range(2)] == [302, 500]


async def test_faults_are_replaced_at_run_time(start: Start) -> None:
    """The new rules' seconds begin with them; a wrong rule changes nothing and says why."""
    clock = Hand()
    _, client = await start(clock=clock, faults="always:empty")
    assert json.loads((await client.poll())[1])["data"]["result"] == []
    clock.now += 100
    status, text = await client.faults("at=0+5:null,at=5+5:bogus")
    assert status == 400
    assert b"unknown kind 'bogus'" in text
    assert json.loads((await client.poll())[1])["data"]["result"] == []
    await client.faults("at=0+5:null")
    assert json.loads((await client.poll())[1])["data"]["result"] is None


async def test_statistics_and_revocation_are_at_hand(start: Start) -> None:
    """Tests can count what was asked, and take every token away."""
    simulator, client = await start()
    await client.poll()
    async with client.session.get(client.url + "/control/stats") as response:
        stats = await response.json()
    assert stats == {"requests": 2, "polls": 1, "logins": 1, "refused": 0}
    assert json.loads((await client.post({}, "/control/revoke"))[1]) == {"revoked": 1}
    assert json.loads((await client.poll())[1])["ret"] == 600
    assert simulator.api.stats["refused"] == 1


async def test_the_truth_is_on_file_as_lines_of_json(start: Start, tmp_path: Path) -> None:
    """First entries at once, and everything until the end when it closes."""
    clock, path = Hand(), tmp_path / "truth.jsonl"
    simulator, _ = await start(clock=clock, truth=path, floor="brisk")
    first = [json.loads(line) for line in path.read_text().splitlines()]
    assert {entry["previous"] for entry in first} == {None}
    assert set(first[0]) == {"at", "extension", "agent", "group", "state", "previous"}
    clock.now += 60
    simulator.flush()
    before = path.read_text()
    clock.now += 60
    await simulator.close()
    entries = [json.loads(line) for line in path.read_text().splitlines()]
    assert len(before.splitlines()) < len(entries)
    assert START + 100 < max(entry["at"] for entry in entries) <= clock.now


async def test_without_a_file_the_truth_stays_with_the_floor(start: Start) -> None:
    """A test in the same process takes it from there."""
    clock = Hand()
    simulator, client = await start(clock=clock, floor="brisk")
    clock.now += 30
    await client.poll()
    assert simulator.world.take_truth()


async def test_a_taken_port_is_refused_with_the_remedy(start: Start) -> None:
    """The error names the port and the option."""
    simulator, _ = await start()
    port = int(simulator.url.rpartition(":")[2])
    with pytest.raises(ConfigError, match=f":{port}.*--port"):
        await serve(port=port, agents=1)


async def test_a_truth_file_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    """The error names the file."""
    with pytest.raises(ConfigError, match=r"no-such-folder/truth\.jsonl"):
        await serve(agents=1, truth=tmp_path / "no-such-folder" / "truth.jsonl")


async def test_wrong_faults_and_floors_are_refused_before_anything_starts() -> None:
    """A typing mistake is a ConfigError."""
    with pytest.raises(ConfigError, match="bogus"):
        await serve(faults="every=2:bogus")
    with pytest.raises(ConfigError, match="nowhere"):
        await serve(floor="nowhere")
