"""A streamer of which the page sees nothing but its protocol: the real files and headers, and whatever a test says."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import time
from importlib.resources import files
from typing import Any

from aiohttp import web
from aiohttp_sse import EventSourceResponse, sse_response

from streamer.web.access import SECURITY
from streamer.web.app import STATIC

HOUR = 3_600_000
STATES = {
    "talking": 34,
    "available": 26,
    "wrap_up": 9,
    "ringing": 6,
    "paused": 8,
    "idle": 4,
    "busy": 3,
    "offline": 3,
    "signed_out": 7,
}
NAMES = ("Wang Lei", "Zhao Min", "Amara Okafor", "Jonas Weber", "Li Na", "Priya Nair", "Tomás Vega", "Chen Hao")


def now() -> int:
    """Unix ms."""
    return time.time_ns() // 1_000_000


def tile(extension: str, state: str = "available", groups: list[str] | None = None, **more: Any) -> dict[str, Any]:
    """An extension as the protocol says it."""
    made = {"source": "floor", "extension": extension, "agent": "", "state": state, "since": now() - 60_000}
    return made | {"groups": ["sales"] if groups is None else groups} | more


def line(to: dict[str, Any], before: str | None, change: str = "state", basis: str = "observed") -> dict[str, Any]:
    """A transition into `to`, as the protocol says it."""
    told = {name: to[name] for name in ("source", "extension", "agent")}
    return told | {"change": change, "from": before, "to": to["state"], "at": to["since"], "basis": basis}


def a_floor(size: int, groups: list[str], source: str = "floor", seed: int = 1) -> list[dict[str, Any]]:
    """An invented floor: every state, some in two groups."""
    chance = random.Random(seed)
    made: list[dict[str, Any]] = []
    for number in range(size):
        (state,) = chance.choices([*STATES], [*STATES.values()])
        member = (
            [] if state == "signed_out" else chance.sample(groups, min(len(groups), 2 if chance.random() < 0.1 else 1))
        )
        since = now() - int(chance.expovariate(1 / 240_000))
        name = chance.choice(NAMES)
        made.append(tile(str(100_000 * seed + 1 + number), state, member, source=source, agent=name, since=since))
    return made


class FakeStreamer:
    """Serves the page; what it says is what its attributes say at the time."""

    def __init__(self, agents: list[dict[str, Any]], port: int = 0) -> None:
        self.agents: dict[tuple[str, str], dict[str, Any]] = {}
        self.events: list[dict[str, Any]] = []
        self.timelines: dict[tuple[str, str], list[dict[str, Any]]] = {}
        self.kafka = ""
        self.trouble: dict[str, dict[str, Any]] = {}
        """Source → what its feed says otherwise than a live one with a new record."""
        self.ahead = 0
        """By how many ms the streamer's clock is ahead of the reader's."""
        self.silent = False
        self.refusing = False
        self.port = port
        self._streams: set[EventSourceResponse] = set()
        self.seat(agents)

    def seat(self, agents: list[dict[str, Any]]) -> None:
        """These are on the floor from the beginning."""
        self.agents = {(agent["source"], agent["extension"]): agent for agent in agents}
        self.trouble = {name: {} for name, _ in self.agents}

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    def now(self) -> int:
        """The streamer's clock, unix ms."""
        return now() + self.ahead

    async def start(self) -> None:
        """Serve on `port`, or on any free one."""
        app = web.Application()
        app.on_response_prepare.append(_secure)
        app.router.add_get("/", self._page)
        app.router.add_get("/events", self._events)
        app.router.add_get("/timeline/{source}/{extension}", self._timeline)
        app.router.add_get("/{name}", self._page)
        self._runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port, reuse_address=True).start()
        self.port = self._runner.addresses[0][1]
        self._beating = asyncio.create_task(self._beat())

    async def stop(self) -> None:
        """Go away, connections and all."""
        self._beating.cancel()
        await asyncio.gather(self._beating, return_exceptions=True)
        await self._runner.cleanup()

    async def tell(self, name: str, body: dict[str, Any]) -> None:
        """Send one message to every page."""
        for stream in tuple(self._streams):
            with contextlib.suppress(ConnectionError):
                await stream.send(json.dumps(body), event=name)

    async def tell_feeds(self) -> None:
        """As the streamer does whenever a feed changes."""
        await self.tell("feeds", self.feeds())

    async def change(
        self, *agents: dict[str, Any], basis: str = "observed", forgotten: tuple[tuple[str, str], ...] = ()
    ) -> None:
        """Extensions are now so; each as a transition, if its state is another."""
        events: list[dict[str, Any]] = []
        for agent in agents:
            key = agent["source"], agent["extension"]
            before: str | None = self.agents[key]["state"] if key in self.agents else None
            if before != agent["state"]:
                events.append(line(agent, before, "state" if before else "first_seen", basis))
            self.agents[key] = agent
        for key in forgotten:
            self.agents.pop(key, None)
        self.events = [*self.events, *events][-50:]
        told = {"at": self.now(), "agents": list(agents), "forgotten": [list(key) for key in forgotten]}
        await self.tell("change", told | {"events": events})

    def feeds(self) -> dict[str, Any]:
        """Every feed as it is now."""
        return {"at": self.now(), "kafka": self.kafka, "sources": {name: self._feed(name) for name in self.trouble}}

    def _feed(self, source: str) -> dict[str, Any]:
        said = self.trouble[source]
        at = said.get("at", self.now() - 400)
        live = {"status": "live", "reason": "", "at": at, "since": at - HOUR, "confirmed_until": at - 900}
        size = sum(agent["source"] == source for agent in self.agents.values())
        rest = {"heartbeat_s": 10.0, "poll_interval_s": 1.0, "extensions": size, "instance": "one"}
        return live | rest | {"clock_offset": [-0.5, 0.5]} | said

    def snapshot(self) -> dict[str, Any]:
        """Everything that a page begins with."""
        return {
            "at": self.now(),
            "agents": list(self.agents.values()),
            "events": self.events,
            "feeds": self.feeds(),
        }

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(1)
            if not self.silent:
                await self.tell_feeds()

    async def _page(self, request: web.Request) -> web.Response:
        name = request.match_info.get("name", "board.html")
        if name not in STATIC:
            raise web.HTTPNotFound
        text = (files("streamer.web") / "static" / name).read_text("utf-8")
        return web.Response(text=text, content_type=STATIC[name])

    async def _events(self, request: web.Request) -> web.StreamResponse:
        if self.refusing:
            raise web.HTTPServiceUnavailable
        async with sse_response(request) as stream:
            await stream.send(json.dumps(self.snapshot()), event="snapshot")
            self._streams.add(stream)
            try:
                await stream.wait()
            finally:
                self._streams.discard(stream)
        return stream

    async def _timeline(self, request: web.Request) -> web.Response:
        key = request.match_info["source"], request.match_info["extension"]
        agent = self.agents.get(key)
        if not agent:
            raise web.HTTPNotFound
        told = {name: agent[name] for name in ("agent", "state", "since")}
        at = self.now()
        return web.json_response(told | {"at": at, "from": at - HOUR, "events": self.timelines.get(key, [])})


async def _secure(_: web.Request, response: web.StreamResponse) -> None:
    response.headers.update(SECURITY)


def an_hour(state: str, seed: int = 1) -> list[dict[str, Any]]:
    """An invented hour of one extension that ends in `state`, calls of all three bases in it."""
    chance = random.Random(seed)
    told: list[dict[str, Any]] = []
    at, before = now() - HOUR + 120_000, "available"
    calls = ["ringing", "talking", "wrap_up", "available"]
    while at < now() - 240_000:
        for to, length in zip(calls, (6, 180, 40, 200), strict=True):
            basis = "derived" if to == "wrap_up" else chance.choice(["observed", "observed", "inferred"])
            slack = 0 if basis == "observed" else 2000
            told.append(moment(at, before, to, basis, at - slack, at + slack))
            at, before = at + int(1000 * length * chance.uniform(0.3, 1.8)), to
            if at >= now() - 60_000:
                break
    told.append(moment(now() - 45_000, before, state, "observed", now() - 45_000, now() - 44_000))
    return told


def moment(at: int, before: str | None, to: str, basis: str, early: int | None, late: int) -> dict[str, Any]:
    """A transition as a timeline tells it."""
    return {
        "at": at,
        "from": before,
        "to": to,
        "basis": basis,
        "change": "state",
        "not_before": early,
        "not_after": late,
    }
