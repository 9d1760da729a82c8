"""Callbacks over HTTP: who may send them, how many, how large; and what comes of those that mean no good."""

from __future__ import annotations

import asyncio
import json
import logging
from collections import Counter
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import quote, urlencode

import aiohttp
import pytest
from prometheus_client import CollectorRegistry

from streamer.config import Config
from streamer.configure import build
from streamer.observe.observer import Observer
from streamer.observe.troubles import Troubles
from streamer.web.access import SECURITY
from streamer.web.app import make_app, serving
from streamer.web.board import Board
from streamer.web.callbacks import Callbacks

SECRET = "5e5ame/ä+?"
CUSTOMER = "13800138000"
DETAIL = {
    "uuid": "0b2e",
    "buuid": "",
    "companycode": "9026",
    "extnumber": "100001",
    "caller": CUSTOMER,
    "callee": "100001",
    "disnumber": "02000000000",
    "direction": "callin",
    "isbleg": "false",
    "method": "5",
    "starttime": "1795399205",
    "status": "ring",
    "type": "call",
}
FORM = {"detail": json.dumps(DETAIL)}
HEAD = {"X-Streamer-Secret": quote(SECRET, safe="/+?")}
URLENCODED = "application/x-www-form-urlencoded"


def config(behind_proxy: bool = False, **source: Any) -> Config:
    """A floor that is called back, and a north that is not."""
    base = {"url": "http://vendor:1", "token": "sesame"}
    floor = {**base, "name": "floor", "callback_secret": SECRET, **source}
    return build({"sources": [floor, {**base, "name": "north"}], "http": {"behind_proxy": behind_proxy}}, {})


class Witness(Observer):
    """Counts what it was told."""

    def __init__(self) -> None:
        self.told: Counter[tuple[str, str]] = Counter()

    def hint(self, source: str, outcome: str) -> None:
        self.told[source, outcome] += 1


class Site:
    """Served callbacks, whose clock moves only when told; `hints` are the sources that were hinted at."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.hints: list[str] = []
        self.elsewhere = False
        self.witness = Witness()
        self.seconds = 0.0
        self.address = ""

    def monotonic(self) -> float:
        return self.seconds

    def now_ms(self) -> int:
        return 0

    async def sleep(self, seconds: float) -> None:
        raise NotImplementedError

    def hint(self, source: str) -> bool:
        self.hints.append(source)
        return self.elsewhere

    @property
    def port(self) -> int:
        return int(self.address.rpartition(":")[2])

    @asynccontextmanager
    async def serve(self) -> AsyncGenerator[Site]:
        app = make_app(Board(Troubles()), CollectorRegistry(), lambda: ({}, {}), self.config.http, self.now_ms)
        Callbacks(lambda: self.config, self.hint, self, self.witness).add_to(app)
        async with serving(app, "127.0.0.1", 0) as self.address:
            yield self

    async def raw(self, request: bytes, *, end: bool = False) -> bytes:
        """What a connection that sends these bytes is answered."""
        async with asyncio.timeout(20):
            reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
            try:
                writer.write(request)
                if end:
                    writer.write_eof()
                return await reader.readuntil(b"\r\n\r\n")
            except (asyncio.IncompleteReadError, ConnectionError):
                return b""
            finally:
                writer.close()


@pytest.fixture
async def site() -> AsyncGenerator[Site]:
    async with Site(config()).serve() as site:
        yield site


@pytest.fixture
async def http() -> AsyncGenerator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


@pytest.fixture(autouse=True)
def _nothing_is_said(caplog: pytest.LogCaptureFixture):  # pyright: ignore[reportUnusedFunction]
    """Of no request, at no level, is anything written: neither secrets nor numbers."""
    caplog.set_level(logging.DEBUG)
    yield
    written = "".join(f"{r.getMessage()}{r.exc_text or r.exc_info or ''}" for r in caplog.records)
    for secret in (SECRET, quote(SECRET, safe=""), "5e5ame", CUSTOMER):
        assert secret not in written
    assert [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING] == []


async def posted(
    site: Site, http: aiohttp.ClientSession, path: str = "/callbacks/floor", head: Mapping[str, str] = HEAD, **more: Any
) -> int:
    """The status of an answer that is as all of them have to be."""
    more = more or {"data": FORM}
    async with http.post(f"{site.address}{path}", headers=head, **more) as answer:
        text = await answer.text()
        assert len(text) < 60
        assert text == "" or text.startswith(str(answer.status))
        assert {name: answer.headers[name] for name in SECURITY} == SECURITY
        assert answer.status == 204 or answer.content_type == "text/plain"
        assert (answer.status == 429) == ("Retry-After" in answer.headers)
        return answer.status


async def test_the_secret_may_be_in_a_header_or_in_the_path(site: Site, http: aiohttp.ClientSession) -> None:
    """The vendor can set only a URL; whatever is no letter is written there as a form would."""
    secret = "5e5ame-plain"
    site.config = config(callback_secret=secret)
    assert await posted(site, http, head={"X-Streamer-Secret": secret}) == 204
    assert await posted(site, http, f"/callbacks/floor/{secret}", head={}) == 204
    site.config = config()
    path = f"{site.address}/callbacks/floor/{quote(SECRET, safe='')}"
    assert (await site.raw(_request(path.removeprefix(site.address)))).startswith(b"HTTP/1.1 204 ")
    assert site.hints == ["floor"] * 3
    assert site.witness.told == {("floor", "accepted"): 3}


def _request(target: str, *head: str, body: bytes = urlencode(FORM).encode()) -> bytes:
    lines = [f"POST {target} HTTP/1.1", "Host: x", f"Content-Type: {URLENCODED}", f"Content-Length: {len(body)}", *head]
    return "\r\n".join([*lines, "", ""]).encode("utf-8", "surrogateescape") + body


async def test_what_is_not_polled_here_is_passed_on(site: Site, http: aiohttp.ClientSession) -> None:
    """And counted as that."""
    site.elsewhere = True
    assert await posted(site, http, f"/callbacks/floor/{quote(SECRET, safe='')}") in (204, 403)
    assert (await site.raw(_request(f"/callbacks/floor/{quote(SECRET, safe='')}"))).startswith(b"HTTP/1.1 204 ")
    assert site.witness.told["floor", "passed_on"] >= 1
