"""The simulator over HTTP: the vendor's API at `/` (any path), what tests need under `/control/`.

`GET /control/stats` counts requests, polls, log-ins, refusals and faults; `POST /control/faults` with the
field `spec` replaces the rules, an empty one clears them; `POST /control/revoke` forgets every token.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import orjson
from aiohttp import web

from streamer.errors import ConfigError
from streamer.simulator.api import Reply, VendorApi
from streamer.simulator.callbacks import Caller
from streamer.simulator.faults import Faults
from streamer.simulator.floor import Floor, named_floor
from streamer.simulator.world import World

__all__ = ["Reply", "Simulator", "VendorApi", "serve"]

FLUSH_SECONDS = 0.2
"""Between two writes of the truth: well below the half second that its readers count on."""
BLANKS = b" " * 65_536


class Simulator:
    """A running simulator. Made by `serve`; `close` ends it and writes the last truth."""

    def __init__(
        self, api: VendorApi, truth: Path | None, clock: Callable[[], float], seed: int, caller: Caller | None
    ) -> None:
        self.api = api
        self.world = api.world
        self.url = ""
        self._clock = clock
        self._seed = seed
        self._truth = None if truth is None else truth.open("wb")
        self._caller = caller
        self._encode = msgspec.json.Encoder().encode_lines
        self._closing = asyncio.Event()
        self._flusher: asyncio.Task[None] | None = None
        app = web.Application(client_max_size=2**20)
        app.router.add_get("/control/stats", self._stats)
        app.router.add_post("/control/faults", self._replace_faults)
        app.router.add_post("/control/revoke", self._revoke)
        app.router.add_post("/{path:.*}", self._call)
        # A caller that goes away ends what is still being sent to it.
        self._runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=1.0)

    async def start(self, host: str, port: int) -> None:
        """Listen, and begin to write the truth. Raises ConfigError when the port is taken."""
        await self._runner.setup()
        site = web.TCPSite(self._runner, host, port)
        try:
            await site.start()
        except OSError as error:
            await self.close()
            problem = f"cannot listen on {host}:{port}: {os.strerror(error.errno or 0)}"
            raise ConfigError(problem, "choose another --port, or 0 for any free one") from error
        bound = self._runner.addresses[0]
        self.url = f"http://{host}:{bound[1]}"
        if self._caller is not None:
            self._caller.start()
        self.flush()
        self._flusher = asyncio.create_task(self._flush_regularly())

    async def close(self) -> None:
        """Stop listening, drop calls that hang, and write what has happened until now."""
        self._closing.set()
        try:
            if self._flusher is not None:
                await self._flusher
            if self._caller is not None:
                await self._caller.close()
        finally:
            await self._runner.cleanup()
        if self._truth is not None and not self._truth.closed:
            self.flush()
            self._truth.close()

    def flush(self) -> None:
        """Let the floor go on to this moment; write its truth where there is a file for it, and call back with it."""
        self.api.advance(self._clock())
        if self._truth is None and self._caller is None:
            return  # it is taken by whoever uses the world itself
        happened = self.world.take_truth()
        if self._truth is not None:
            self._truth.write(self._encode(happened))
            self._truth.flush()
        if self._caller is not None:
            self._caller.tell(happened)

    async def _flush_regularly(self) -> None:
        while not await self._closed_within(FLUSH_SECONDS):
            self.flush()

    async def _closed_within(self, seconds: float | None) -> bool:
        try:
            await asyncio.wait_for(self._closing.wait(), seconds)
        except TimeoutError:
            return False
        return True

    async def _call(self, request: web.Request) -> web.StreamResponse:
        sent = await request.post()
        fields = {**request.query, **{name: value for name, value in sent.items() if isinstance(value, str)}}
        reply = self.api.answer(fields, self._clock(), request.remote or "")
        if reply.delay:
            await self._closed_within(reply.delay)
        if reply.ending == "hang":
            await self._closed_within(None)
        if reply.ending in ("hang", "drop"):
            if request.transport is not None:
                request.transport.abort()
            return web.Response()
        if reply.ending == "endless":
            return await self._send_endlessly(request, reply)
        return web.Response(status=reply.status, headers=reply.headers, body=reply.body)

    async def _send_endlessly(self, request: web.Request, reply: Reply) -> web.StreamResponse:
        response = web.StreamResponse(status=reply.status, headers=reply.headers)
        await response.prepare(request)
        await response.write(reply.body)
        for _ in range(reply.blanks // len(BLANKS)):
            if self._closing.is_set():
                break
            await response.write(BLANKS)
        await response.write_eof()
        return response

    async def _stats(self, _request: web.Request) -> web.Response:
        return web.Response(body=orjson.dumps(self.api.stats), content_type="application/json")

    async def _replace_faults(self, request: web.Request) -> web.Response:
        spec = (await request.post()).get("spec", "")
        try:
            faults = Faults.parse(str(spec), self._seed)
        except ConfigError as error:
            return web.Response(status=400, text=f"{error}\n")
        self.api.set_faults(faults, self._clock())
        return web.Response(text=f"{spec}\n")

    async def _revoke(self, _request: web.Request) -> web.Response:
        return web.Response(body=orjson.dumps({"revoked": self.api.revoke()}), content_type="application/json")


async def serve(
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    agents: int | None = None,
    seed: int = 0,
    truth: Path | None = None,
    faults: str = "",
    floor: str | Floor = "default",
    appid: str = "app-1",
    accesskey: str = "key-1",
    callback: str | None = None,
    clock: Callable[[], float] = time.time,
) -> Simulator:
    """Start a simulator: a preset by name with so many agents, or a floor of one's own.

    Port 0 takes a free one. `clock` gives unix seconds. Each call is told to `callback`, a URL. Raises ConfigError for
    wrong faults, an unknown floor, a truth file that cannot be written and a port that is taken.
    """
    rules = Faults.parse(faults, seed)
    settings = named_floor(floor, agents=agents) if isinstance(floor, str) else floor
    world = World(settings, seed, clock(), rules.skew_at(0.0))
    api = VendorApi(world, {appid: accesskey}, rules, seed=seed)
    try:
        simulator = Simulator(api, truth, clock, seed, Caller(callback, seed) if callback else None)
    except OSError as error:
        problem = f"cannot write the truth to {truth}: {os.strerror(error.errno or 0)}"
        raise ConfigError(problem, "name a file in a folder that exists and can be written to") from error
    await simulator.start(host, port)
    return simulator
