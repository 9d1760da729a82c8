"""TCP proxies on loopback that can delay, cut or halt what goes through them, at a word from another thread."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import threading
from collections.abc import Callable, Coroutine
from typing import Any, Literal, Self

Trouble = Literal["delay", "cut", "half-open"]

CHUNK = 2**18
RESET = struct.pack("ii", 1, 0)
"""SO_LINGER on and 0 seconds: closing such a socket resets the connection instead of ending it."""


class Proxy:
    """One port that leads to another. Its methods are for the event loop's own thread; see `Proxies`.

    `delay`: seconds that each piece waits, in either direction. `cut`: every connection is reset, new ones too.
    `halted`: nothing flows either way, not even a connection's end, while connections stay open and new ones are taken.
    """

    def __init__(self, target: int) -> None:
        self.target = target
        self.port = 0
        self.delay = 0.0
        self.cut = False
        self._flows = asyncio.Event()
        self._flows.set()
        self._open: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None

    async def start(self, port: int) -> None:
        """Listen on loopback."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """Reset every connection and listen no more."""
        self.heal()
        if self._server is not None:
            self._server.close()
        self._reset_all()

    def trouble(self, kind: Trouble, seconds: float = 0.0) -> None:
        """Begin a trouble; `seconds` is the delay's length."""
        if kind == "delay":
            self.delay = seconds
        elif kind == "cut":
            self.cut = True
            self._reset_all()
        else:
            self._flows.clear()

    def heal(self) -> None:
        """All goes through again, also what was held back."""
        self.delay, self.cut = 0.0, False
        self._flows.set()

    def _reset_all(self) -> None:
        for writer in list(self._open):
            _reset(writer)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        there: asyncio.StreamWriter | None = None
        try:
            await self._flows.wait()
            if self.cut:
                return
            back, there = await asyncio.open_connection("127.0.0.1", self.target)
            self._open.add(there)
            if self.cut:
                return
            await asyncio.gather(self._pump(reader, there), self._pump(back, writer))
            for side in (there, writer):
                side.close()
        except OSError:
            pass
        finally:
            for side in (writer, there):
                if side is not None:
                    self._open.discard(side)
                    _reset(side)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry one direction to its end, then end it on the other side as well."""
        while True:
            piece = await reader.read(CHUNK)
            if self.delay:
                await asyncio.sleep(self.delay)
            await self._flows.wait()
            if not piece:
                break
            writer.write(piece)
            await writer.drain()
        with contextlib.suppress(OSError):
            writer.write_eof()


def _reset(writer: asyncio.StreamWriter) -> None:
    if writer.is_closing():
        return
    connection: Any = writer.get_extra_info("socket")
    with contextlib.suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    writer.transport.abort()


class Proxies:
    """An event loop in a thread of its own, and the proxies in it. Close it after use; any thread may call it."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxies", daemon=True)
        self._thread.start()
        self._proxies: list[Proxy] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for proxy in self._proxies:
            self._wait(proxy.close())
        self._wait(_others_end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def add(self, target: int, port: int = 0) -> Proxy:
        """A proxy to `target` on loopback, which need not listen yet; port 0 takes a free one."""
        proxy = Proxy(target)
        self._wait(proxy.start(port))
        self._proxies.append(proxy)
        return proxy

    def do(self, action: Callable[[], None]) -> None:
        """Do something to a proxy, in its thread; return when it is done."""

        async def act() -> None:
            action()

        self._wait(act())

    def _wait(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(10)


async def _others_end() -> None:
    """Let every connection's task see that it is over."""
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
