"""How many may be connected, and how long without asking for anything: a flood harms the pages, and nothing else.

Each connection takes a file descriptor, which the way to Kafka and to the vendors needs, too; and nobody has to know a
token to connect.
"""

from __future__ import annotations

import asyncio
from typing import cast
from weakref import WeakKeyDictionary

from aiohttp import web

MOST = 256
"""Connections at a time, pages' streams included."""

OURS = 64
"""As many more for this machine, so that a flood from elsewhere does not keep its health from being asked."""

PATIENCE = 5.0
"""Seconds from a connection's beginning to the answer to its first request; the server itself would wait for ever."""

IDLE = 10.0
"""Seconds that a connection is kept without a request after that."""

_LOOPBACK = ("127.", "::1", "::ffff:127.")


class Door:
    """Makes the protocol of each connection: the server's own, once it is let in."""

    def __init__(self, app: web.Application) -> None:
        self._waiting: WeakKeyDictionary[asyncio.BaseTransport, asyncio.TimerHandle] = WeakKeyDictionary()
        app.on_response_prepare.append(self._answered)

    async def _answered(self, request: web.Request, _: web.StreamResponse) -> None:
        timer = request.transport and self._waiting.pop(request.transport, None)
        if timer:
            timer.cancel()

    def admit(self, server: web.Server, transport: asyncio.Transport) -> None:
        """Hand the connection over to the server, or end it."""
        peer = str((transport.get_extra_info("peername") or [""])[0])
        if len(server.connections) >= MOST + OURS * peer.startswith(_LOOPBACK):
            transport.abort()
            return
        loop = asyncio.get_running_loop()
        self._waiting[transport] = loop.call_later(PATIENCE, transport.abort)
        protocol = server()
        transport.set_protocol(protocol)
        protocol.connection_made(transport)


class Visitor(asyncio.Protocol):
    """A connection that is at the door."""

    def __init__(self, door: Door, server: web.Server) -> None:
        self._door = door
        self._server = server

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._door.admit(self._server, cast(asyncio.Transport, transport))
