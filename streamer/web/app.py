"""The HTTP surface: wallboard, its event stream, metrics, health."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from importlib.resources import files
from typing import Any, cast

from aiohttp import web
from aiohttp_sse import sse_response
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from streamer.config import Http
from streamer.errors import ConfigError
from streamer.web.access import SECURITY, guard, trusted
from streamer.web.board import Board, Page, dumps
from streamer.web.door import IDLE, Door, Visitor

STATIC = {"board.html": "text/html", "board.css": "text/css"} | dict.fromkeys(
    ("board.js", "feeds.js", "filters.js", "floor.js", "group.js", "timeline.js", "words.js"), "text/javascript"
)

Readiness = Callable[[], tuple[dict[str, str], dict[str, str]]]
"""What is not ready, by name, and why; and what is at risk while all is."""

_board = web.AppKey("board", Board)


def make_app(
    board: Board, registry: CollectorRegistry, not_ready: Readiness, http: Http, now: Callable[[], int]
) -> web.Application:
    """The application; `not_ready` is asked at each /readyz, `now` is unix ms."""

    async def healthz(_: web.Request) -> web.Response:
        return web.json_response({"alive": True})

    async def readyz(request: web.Request) -> web.Response:
        troubles, warnings = not_ready()
        told: dict[str, Any] = {"ready": not troubles}
        if trusted(request, http):
            told |= {"not_ready": troubles, "warnings": warnings}
        return _json(told, status=503 if troubles else 200)

    async def metrics(_: web.Request) -> web.Response:
        return web.Response(body=generate_latest(registry), headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def state(_: web.Request) -> web.Response:
        board.look(now())
        return _json(board.snapshot(now()))

    async def timeline(request: web.Request) -> web.Response:
        board.look(now())
        found = board.timeline(request.match_info["source"], request.match_info["extension"], now())
        return _json(found) if found is not None else web.Response(status=404, text="no such extension\n")

    async def events(request: web.Request) -> web.StreamResponse:
        page = board.open_page(now())
        try:
            return await _stream(request, page)
        finally:
            board.close_page(page, now())

    app = web.Application(middlewares=[guard(http)])
    app[_board] = board
    for path, handler in {
        "/": _static("board.html"),
        **{f"/{name}": _static(name) for name in STATIC},
        "/events": events,
        "/state.json": state,
        "/timeline/{source}/{extension:.+}": timeline,
        "/healthz": healthz,
        "/readyz": readyz,
        "/metrics": metrics,
    }.items():
        app.router.add_get(path, handler)
    return app


def _json(body: Mapping[str, Any], status: int = 200) -> web.Response:
    return web.Response(body=dumps(body), content_type="application/json", status=status)


def _static(name: str) -> Callable[[web.Request], Any]:
    text = (files("streamer.web") / "static" / name).read_text("utf-8")

    async def page(_: web.Request) -> web.Response:
        return web.Response(text=text, content_type=STATIC[name])

    return page


async def _stream(request: web.Request, page: Page) -> web.StreamResponse:
    sending = asyncio.create_task(_send(request, page))
    over = asyncio.create_task(page.over.wait())
    try:
        await asyncio.wait([sending, over], return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (sending, over):
            task.cancel()
        await asyncio.gather(sending, over, return_exceptions=True)
        # Whoever does not read would keep what is buffered for it: an orderly end is for those that do.
        if request.transport is not None:
            request.transport.abort()
    return web.Response()


async def _send(request: web.Request, page: Page) -> None:
    with suppress(ConnectionError, TimeoutError):
        async with sse_response(request, headers=SECURITY) as stream:
            while True:
                name, data = await page.get()
                await stream.send(data.decode(), event=name)


@asynccontextmanager
async def serving(app: web.Application, host: str, port: int) -> AsyncGenerator[str]:
    """Serve `app` on host:port (0: any free one); yields the address. ConfigError if the port is taken."""
    door = Door(app)
    runner = web.AppRunner(
        app,
        access_log=None,
        handler_cancellation=True,
        shutdown_timeout=1.0,
        keepalive_timeout=IDLE,
        # What nobody reads is thrown away for so long, packed as it came: unpacking it would be work for nothing.
        lingering_time=1.0,
        auto_decompress=False,
    )
    await runner.setup()
    try:
        server = cast(web.Server, runner.server)
        try:
            loop = asyncio.get_running_loop()
            listening = await loop.create_server(lambda: Visitor(door, server), host, port, backlog=128)
        except OSError as error:
            raise ConfigError(
                f"http.listen: cannot listen on {host}:{port}: {error.strerror}", "give another address with --listen"
            ) from None
        shown = f"[{host}]" if ":" in host else host
        try:
            yield f"http://{shown}:{listening.sockets[0].getsockname()[1]}"
        finally:
            listening.close()
    finally:
        app[_board].close_all()
        await runner.cleanup()
