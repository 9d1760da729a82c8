"""Receivers of workforce management as ../shared describes them, that can fail, stall, restart and refuse; and the
other side: batches made by hand, and outputs that run in virtual time."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as Xml

from aiohttp import web

from streamer.client import AgentStateChanged, Batch, FeedStatus, Item
from streamer.client.records import Outbox, StateSince
from streamer.config.wfm import Wfm
from streamer.consumers.wfm.outputs import Outputs
from streamer.consumers.wfm.outputs.tables import opened

START = 1_795_399_200.0
KEY = "s3cret-key"


def now() -> float:
    """Virtual time as a clock on the wall."""
    return START + asyncio.get_running_loop().time()


def stamp(moment: float) -> datetime:
    return datetime.fromtimestamp(moment, UTC)


def event(extension: str, sequence: int, state: str, at: float, previous: str = "", source: str = "floor") -> Item:
    """An event by hand; `first_seen` without a previous state."""
    change = "signed_out" if state == "signed_out" else "state" if previous else "first_seen"
    made = AgentStateChanged(
        type="AgentStateChanged",
        schema_version="1.0",
        event_id=f"{source}/{extension}/6b039010/{sequence}",
        source=source,
        extension=extension,
        agent="",
        epoch="6b039010",
        sequence=sequence,
        change=change,
        previous=StateSince(previous, stamp(at - 3)) if previous else None,
        current=StateSince(state, stamp(at)),
        previous_duration_s=3.0 if previous else None,
        previous_duration_min_s=None,
        previous_duration_max_s=None,
        occurred_at=stamp(at),
        occurred_not_before=None,
        occurred_not_after=stamp(at),
        basis="observed",
        evidence=[],
        observed_at=stamp(at),
        poll_id="floor/1",
        groups=[],
    )
    return Item(made, b"", 0, sequence, round(at * 1000))


def feed(at: float, extensions: int, status: str = "live", source: str = "floor") -> FeedStatus:
    """A heartbeat."""
    return FeedStatus(
        type="FeedStatus",
        schema_version="1.0",
        source=source,
        status=status,
        since=stamp(at),
        reason="",
        at=stamp(at),
        confirmed_until=stamp(at),
        poll_interval_s=1.0,
        heartbeat_s=10.0,
        extensions=extensions,
        delivery="exactly_once",
        cursor=None,
        outbox=Outbox(0, 0),
        superseded=0,
        clock_offset_s=None,
        config_digest="",
        instance="",
    )


def batch(items: Sequence[Item] = (), feeds: Sequence[FeedStatus] = (), *, complete: bool = True) -> Batch:
    """One look; with `complete`, all that its feeds confirm has been given out."""
    until = {f.source: f.confirmed_until for f in feeds if complete and f.confirmed_until}
    return Batch(items, [], feeds, {}, {}, until)


class Receiver:
    """Fails a share of its requests: before taking effect, after it, or by not answering. `seed` fixes which.

    `refuses` are ids whose batches are refused as a whole; `down` answers 503, with `retry_after` if there is one.
    """

    def __init__(self, seed: int = 1, share: float = 0.0) -> None:
        self.rng = random.Random(seed)
        self.share = share
        self.refuses: set[str] = set()
        self.down = False
        self.delay = 0.0
        self.retry_after = ""
        self.requests = 0
        self.at: list[float] = []
        self.port = 0
        self._runner: web.AppRunner | None = None

    async def start(self) -> None:
        """Listen, on the same port as before."""
        app = web.Application(client_max_size=2**24)
        app.router.add_post("/{tail:.*}", self._handle)
        self._runner = web.AppRunner(app, shutdown_timeout=0.01)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port, reuse_address=True)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        """The connections break."""
        if self._runner:
            await self._runner.cleanup()
            self._runner = None

    async def _handle(self, request: web.Request) -> web.Response:
        body = await request.read()
        self.requests += 1
        self.at.append(asyncio.get_running_loop().time())
        await asyncio.sleep(self.delay)
        if self.down:
            return web.Response(status=503, headers={"Retry-After": self.retry_after} if self.retry_after else {})
        fate = self.rng.random() / self.share if self.share else 1.0
        if fate < 0.3:
            return web.Response(status=503)
        if fate < 0.6:
            await asyncio.sleep(60)  # virtual, and longer than any time-out
            return web.Response(status=503)
        answer = self.answer(request, body)
        if fate < 1.0 and answer.status < 300:
            return web.Response(status=500)
        return answer

    def answer(self, request: web.Request, body: bytes) -> web.Response:
        """What this kind of receiver does."""
        raise NotImplementedError


class JsonReceiver(Receiver):
    """The floor as the receiver shows it, and all that arrived for each agent, in order."""

    def __init__(self, seed: int = 1, share: float = 0.0) -> None:
        super().__init__(seed, share)
        self.floor: dict[str, str] = {}
        self.heard: list[tuple[str, str]] = []
        self.snapshots: list[dict[str, str]] = []

    def answer(self, request: web.Request, body: bytes) -> web.Response:
        got = json.loads(body)
        assert request.path == "/base/Rta/State/Batch"
        assert set(got) == {"AuthenticationKey", "SourceId", "IsSnapshot", "States"}
        if got["AuthenticationKey"] != KEY:
            return web.Response(status=400, text=f"Invalid authentication key {got['AuthenticationKey']}")
        states = [(state["UserCode"], state["StateCode"]) for state in got["States"]]
        if any(agent in self.refuses for agent, _ in states):
            return web.Response(status=400, text="Invalid user code")
        self.heard += states
        self.floor |= dict(states)
        if got["IsSnapshot"]:
            self.snapshots.append(dict(states))
            self.floor |= dict.fromkeys(self.floor.keys() - dict(states).keys(), "OUT")
        return web.Response()


SOAP = "{http://schemas.xmlsoap.org/soap/envelope/}"
T = "{http://tempuri.org/}"
D = "{http://schemas.datacontract.org/2004/07/Teleopti.Ccc.Rta.WebService}"
ORDER = [
    "BatchId",
    "IsLoggedOn",
    "IsSnapshot",
    "SecondsInState",
    "StateCode",
    "StateDescription",
    "Timestamp",
    "UserCode",
]


class SoapReceiver(Receiver):
    """Strict about names, order and limits."""

    def __init__(self, seed: int = 1, share: float = 0.0) -> None:
        super().__init__(seed, share)
        self.floor: dict[str, str] = {}
        self.heard: list[dict[str, str]] = []
        self.in_snapshot: dict[str, str] = {}
        self.snapshots: list[set[str]] = []
        self.says: bytes | None = None
        self.source = "7"

    def answer(self, request: web.Request, body: bytes) -> web.Response:
        if self.says is not None:
            return web.Response(body=self.says, content_type="text/xml")
        assert request.headers["SOAPAction"] == '"http://tempuri.org/ITeleoptiRtaService/SaveBatchExternalUserState"'
        assert request.content_type == "text/xml"
        save = Xml.fromstring(body).find(f"{SOAP}Body/{T}SaveBatchExternalUserState")  # noqa: S314 - our own
        assert save is not None
        assert [part.tag for part in save] == [
            T + name for name in ("authenticationKey", "platformTypeId", "sourceId", "externalUserStateBatch")
        ]
        key, platform, source, states = save
        assert platform.text == "00000000-0000-0000-0000-000000000000"
        if key.text != KEY:
            fault = f'<s:Envelope xmlns:s="{SOAP[1:-1]}"><s:Body><s:Fault/></s:Body></s:Envelope>'
            return web.Response(status=500, text=fault, content_type="text/xml")
        return self._result(self._take(source.text or "", list(states)))

    def _result(self, result: int) -> web.Response:
        text = (
            f'<s:Envelope xmlns:s="{SOAP[1:-1]}"><s:Body><SaveBatchExternalUserStateResponse xmlns="{T[1:-1]}">'
            f"<SaveBatchExternalUserStateResult>{result}</SaveBatchExternalUserStateResult>"
            "</SaveBatchExternalUserStateResponse></s:Body></s:Envelope>"
        )
        return web.Response(text=text, content_type="text/xml")

    def _take(self, source: str, states: Sequence[Xml.Element]) -> int:
        if source != self.source:
            return -300
        if not states:
            return 0
        assert len(states) < 200
        read: list[dict[str, str]] = []
        for state in states:
            assert state.tag == f"{D}ExternalUserState"
            assert [part.tag for part in state] == [D + name for name in ORDER]
            values = {part.tag.removeprefix(D): part.text or "" for part in state}
            assert len(values["StateCode"]) < 25
            assert int(values["SecondsInState"]) >= 0
            assert abs(datetime.fromisoformat(values["Timestamp"]).timestamp() - now()) < 3600
            read.append(values)
        if any(values["UserCode"] in self.refuses for values in read):
            return -100
        for values in read:
            if values["UserCode"]:
                self.heard.append(values)
                off = values["IsLoggedOn"] == "false"
                self.floor[values["UserCode"]] = "LOGGED-OFF" if off else values["StateCode"]
                if values["IsSnapshot"] == "true":
                    self.in_snapshot[values["UserCode"]] = values["BatchId"]
        last = read[-1]
        if last["IsSnapshot"] == "true" and not last["UserCode"]:
            there = {agent for agent, number in self.in_snapshot.items() if number == last["BatchId"]}
            self.snapshots.append(there)
            self.floor |= dict.fromkeys(self.floor.keys() - there, "LOGGED-OFF")
        return 1


class PushReceiver(Receiver):
    """Takes each key once."""

    def __init__(self, seed: int = 1, share: float = 0.0) -> None:
        super().__init__(seed, share)
        self.taken: dict[str, Mapping[str, Any]] = {}
        self.repeats = 0

    def answer(self, request: web.Request, body: bytes) -> web.Response:
        if request.headers.get("Authorization") != f"Bearer {KEY}":
            return web.Response(status=401)
        assert request.headers["Idempotency-Key"]
        items = json.loads(body)["items"]
        if any({item.get("agent"), item["key"]} & self.refuses for item in items):
            return web.Response(status=422, text="unknown agent")
        for item in items:
            self.repeats += item["type"] == "state" and item["key"] in self.taken
            self.taken.setdefault(item["key"], item)
        return web.Response(status=204)

    def of(self, kind: str, extension: str = "") -> list[Mapping[str, Any]]:
        """What was taken of a type, or of an agent, in the order of its first arrival."""
        return [
            item
            for item in self.taken.values()
            if item["type"] == kind and item.get("event") != "refresh" and extension in ("", item.get("extension"))
        ]


class Bench:
    """Outputs over a file, the ledger's side of it, and one receiver."""

    def __init__(self, folder: Path, receiver: Receiver, kind: str, agents: int, **more: Any) -> None:
        self.receiver = receiver
        self.file = folder / "wfm.db"
        self.agents = [str(100_001 + n) for n in range(agents)]
        mapping = folder / "agents.csv"
        mapping.write_text("source,extension,id\n" + "".join(f"floor,{e},A{e}\n" for e in self.agents), "utf-8")
        self._made = {"name": "out", "kind": kind, "key": KEY, "source_id": "7", "agents": mapping, **more}
        self.live = True
        self.beside: dict[str, Any] | None = None
        self._db = opened(self.file)

    def open(self) -> Outputs:
        """What a process makes when it starts."""
        output = {"url": f"http://127.0.0.1:{self.receiver.port}/base", **self._made}
        others = [] if self.beside is None else [{**output, **self.beside}]
        settings = Wfm.model_validate({"path": self.file, "outputs": [output, *others]})
        return Outputs(settings, self.file, now=now, rng=random.Random(5))

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[Outputs]:
        """A process's life."""
        outputs = self.open()
        task = asyncio.create_task(outputs.run(lambda _: self.live))
        await asyncio.sleep(0)
        try:
            yield outputs
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    def take(self, outputs: Outputs, *batches: Batch) -> None:
        """As the ledger does: each in a transaction."""
        for one in batches:
            with self._db:
                self._db.execute("begin immediate")
                outputs.take(self._db, one)

    def waits(self) -> int:
        """How many are still to be sent."""
        return self._db.execute("select count(*) from output_queue").fetchone()[0]

    def close(self) -> None:
        self._db.close()


async def until(holds: Callable[[], bool], seconds: float = 3600.0) -> None:
    """Virtual seconds at most."""
    async with asyncio.timeout(seconds):
        while not holds():  # noqa: ASYNC110 - of virtual time
            await asyncio.sleep(0.1)


def play(agents: Sequence[str], events: int, seed: int) -> tuple[list[Item], dict[str, str]]:
    """Events of a floor in order, and the state that each agent ends in."""
    rng = random.Random(seed)
    numbers = dict.fromkeys(agents, 0)
    states = dict.fromkeys(agents, "")
    items: list[Item] = []
    for extension in (*agents, *rng.choices(agents, k=events)):
        numbers[extension] += 1
        options = ["available", "ringing", "talking", "wrap_up", "paused"]
        state = rng.choice([option for option in options if option != states[extension]])
        items.append(event(extension, numbers[extension], state, now(), states[extension]))
        states[extension] = state
    return items, states


CODES = {"available": "READY", "ringing": "RINGING", "talking": "TALKING", "wrap_up": "ACW"}
"""Of the tests' configuration: paused has none."""


def coded(states: Mapping[str, str]) -> dict[str, str]:
    """How a receiver should show these."""
    return {f"A{extension}": CODES.get(state, "UNKNOWN") for extension, state in states.items()}


__all__ = [
    "Bench",
    "JsonReceiver",
    "PushReceiver",
    "SoapReceiver",
    "batch",
    "coded",
    "event",
    "feed",
    "now",
    "play",
    "until",
]
