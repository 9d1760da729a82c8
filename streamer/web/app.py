"""The HTTP surface: wallboard, its event stream, metrics, health."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress
from importlib.resources import files
from typing import Any

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp_sse import sse_response
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from streamer.core import wire
from streamer.errors import ConfigError
from streamer.web.board import Board, Page

SECURITY = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}

STATIC = {"board.html": "text/html", "board.js": "text/javascript", "board.css": "text/css"}

Readiness = Callable[[], tuple[dict[str, str], dict[str, str]]]
"""What is not ready, by name, and why; and what is at risk while all is."""

_board = web.AppKey("board", Board)

_log = logging.getLogger("streamer.web")


def _not_the_callers(record: logging.LogRecord) -> bool:
    """A request that is not HTTP is its sender's mistake; the error would quote it, with a callback's secret in it."""
    return not (record.exc_info and isinstance(record.exc_info[1], HttpProcessingError))


_log.addFilter(_not_the_callers)


def make_app(board: Board, registry: CollectorRegistry, not_ready: Readiness) -> web.Application:
    """The application; `not_ready` is asked at each /readyz."""

    async def healthz(_: web.Request) -> web.Response:
        return web.json_response({"alive": True})

    async def readyz(_: web.Request) -> web.Response:
        troubles, warnings = not_ready()
        body = wire.dumps({"ready": not troubles, "not_ready": troubles, "warnings": warnings})
        return web.Response(body=body, content_type="application/json", status=503 if troubles else 200)

    async def metrics(_: web.Request) -> web.Response:
        return web.Response(body=generate_latest(registry), headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def state(_: web.Request) -> web.Response:
        return web.Response(body=wire.dumps(board.snapshot()), content_type="application/json")

    app = web.Application(middlewares=[_secured])
    app[_board] = board
    app.router.add_get("/", _static("board.html"))
    for name in ("board.js", "board.css"):
        app.router.add_get(f"/{name}", _static(name))
    app.router.add_get("/events", _events)
    app.router.add_get("/state.json", state)
    app.router.add_get("/healthz", healthz)
    app.router.add_get("/readyz", readyz)
    app.router.add_get("/metrics", metrics)
    return app


@web.middleware
async def _secured(request: web.Request, handler: Any) -> web.StreamResponse:
    try:
        response: web.StreamResponse = await handler(request)
    except web.HTTPException as error:
        error.headers.update(SECURITY)
        raise
    if not response.prepared:
        response.headers.update(SECURITY)
    return response


def _static(name: str) -> Callable[[web.Request], Any]:
    text = (files("streamer.web") / "static" / name).read_text("utf-8")

    async def page(_: web.Request) -> web.Response:
        return web.Response(text=text, content_type=STATIC[name])

    return page


async def _events(request: web.Request) -> web.StreamResponse:
    board = request.app[_board]
    page = board.open_page()
    sending = asyncio.create_task(_send(request, page))
    over = asyncio.create_task(page.over.wait())
    try:
        await asyncio.wait([sending, over], return_when=asyncio.FIRST_COMPLETED)
    finally:
        board.close_page(page)
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
    runner = web.AppRunner(
        app,
        access_log=None,
        logger=_log,
        handler_cancellation=True,
        shutdown_timeout=1.0,
        # What nobody reads is thrown away for so long, packed as it came: unpacking it would be work for nothing.
        lingering_time=1.0,
        auto_decompress=False,
    )
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, port)
        try:
            await site.start()
        except OSError as error:
            raise ConfigError(
                f"http.listen: cannot listen on {host}:{port}: {error.strerror}", "give another address with --listen"
            ) from None
        bound: tuple[Any, ...] = runner.addresses[0]
        shown = f"[{host}]" if ":" in host else host
        yield f"http://{shown}:{bound[1]}"
    finally:
        app[_board].close_all()
        await runner.cleanup()
