"""A vendor on loopback that can lie in every way a server can, and a clock that moves only when told."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from urllib.parse import parse_qsl

Form = dict[str, str]
Behaviour = Callable[[Form, asyncio.StreamWriter], Awaitable[None]]

KEY = "sesame-open-0123"
LOGIN = "App.Sip_Auth.Login"
STATUS = "App.Sip_Queue.GetQueueSipStatus"


class FakeClock:
    """Unix time and monotonic time that move together; `sleep` moves them and lets others run."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.slept = 0.0

    def now_ms(self) -> int:
        return 1_795_399_205_000 + round(self.seconds * 1000)

    def monotonic(self) -> float:
        return 50_000.0 + self.seconds

    async def sleep(self, seconds: float) -> None:
        self.seconds += seconds
        self.slept += seconds
        await asyncio.sleep(0)


def envelope(ret: object = 200, data: object = None, msg: str = "") -> bytes:
    return json.dumps({"ret": ret, "data": data, "msg": msg}).encode()


def good(result: object = None) -> bytes:
    return envelope(data={"status": 0, "result": [] if result is None else result, "reqtime": 5, "rsptime": 6})


def business(code: str) -> bytes:
    return envelope(data={"status": 1, "errors": {"code": code, "codemsg": "said so"}})


def http(body: bytes, status: str = "200 OK", *headers: str) -> bytes:
    head = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(head).encode() + body


def saying(raw: bytes, hang_up: bool = True) -> Behaviour:
    """Sends these bytes to every request, then hangs up or says nothing more."""

    async def behave(_form: Form, writer: asyncio.StreamWriter) -> None:
        writer.write(raw)
        await writer.drain()
        if hang_up:
            writer.close()

    return behave


class Vendor:
    """An honest vendor, until a test changes `status` or `login`: functions of a form that give a body."""

    def __init__(self) -> None:
        self.forms: list[Form] = []
        self.tokens: set[str] = set()
        self.issued = 0
        self.status: Callable[[Form], bytes] = self.honest_status
        self.login: Callable[[Form], bytes] = self.honest_login
        self.asked_to_log_in = asyncio.Event()
        self.gate: asyncio.Event | None = None
        """If set, log-ins are answered only once it is."""

    def count(self, service: str) -> int:
        return Counter(form["service"] for form in self.forms)[service]

    def honest_login(self, form: Form) -> bytes:
        if form["accesskey"] != KEY:
            return envelope(601, [], f"appid not authorised, accesskey {form['accesskey']}")
        self.issued += 1
        self.tokens = {f"token-number-{self.issued}"}  # a new log-in revokes the token before it
        return good({"token": f"token-number-{self.issued}", "authtime": "2026-11-23 10:00:00"})

    def honest_status(self, form: Form) -> bytes:
        return good() if form["token"] in self.tokens else envelope(600, [], f"token {form['token']} is invalid")

    async def __call__(self, form: Form, writer: asyncio.StreamWriter) -> None:
        self.forms.append(form)
        if form["service"] == LOGIN:
            self.asked_to_log_in.set()
            if self.gate:
                await self.gate.wait()
        body = self.login(form) if form["service"] == LOGIN else self.status(form)
        writer.write(http(body))
        await writer.drain()


@asynccontextmanager
async def served(behaviour: Behaviour, tls: ssl.SSLContext | None = None, port: int = 0) -> AsyncGenerator[int]:
    """The port on which this behaviour is served; everything is closed at the end."""
    conversations: set[asyncio.Task[None]] = set()

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while not writer.is_closing():
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
                length = int(head.split("content-length:")[1].split("\r\n")[0])
                sent = (await reader.readexactly(length)).decode()
                assert "\r\ncontent-type: application/x-www-form-urlencoded\r\n" in head, "no vendor would read this"
                form = dict(parse_qsl(sent, keep_blank_values=True))
                await behaviour(form, writer)
        except (asyncio.IncompleteReadError, OSError):
            pass  # the client hung up
        finally:
            writer.transport.abort()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(converse(reader, writer))
        conversations.add(task)

    server = await asyncio.start_server(accept, "127.0.0.1", port, ssl=tls)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in conversations:
            task.cancel()
        await asyncio.gather(*conversations, return_exceptions=True)
        await server.wait_closed()
