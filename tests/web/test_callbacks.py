"""Callbacks over HTTP: who may send them, how many, how large; and what comes of those that mean no good."""

from __future__ import annotations

import asyncio
import gzip
import json
import logging
import re
from collections import Counter
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import quote, urlencode

import aiohttp
import pytest
import structlog
from hypothesis import given
from hypothesis import settings as how
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from streamer.config import Config
from streamer.configure import build
from streamer.observe.lines import LEAST_LEVELS, configure
from streamer.observe.observer import Observer
from streamer.observe.troubles import Troubles
from streamer.web import callbacks as ours
from streamer.web.access import SECURITY
from streamer.web.app import make_app, serving
from streamer.web.board import Board
from streamer.web.callbacks import BURST, LONGEST, Callbacks, understood

SECRET = "5e5ame-callback"
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
VERSION_AND_HOST = "HTTP/1.1\r\nHost: 127.0.0.1"
HEAD = {"X-Streamer-Secret": SECRET}
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

    async def raw(self, request: bytes, *, end: bool = False) -> int:
        """The status with which a connection that sends these bytes is answered; 0 if it is just closed."""
        return int((await self.answer(request, end=end))[9:12] or b"0")

    async def answer(self, request: bytes, *, end: bool = False) -> bytes:
        """All of the answer but the date."""
        async with asyncio.timeout(20):
            reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
            try:
                writer.write(request)
                if end:
                    writer.write_eof()
                head = await reader.readuntil(b"\r\n\r\n")
                length = re.search(rb"Content-Length: (\d+)", head)
                return re.sub(rb"Date: .*", b"", head) + await reader.readexactly(int(length[1]) if length else 0)
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
def _nothing_is_said(capsys: pytest.CaptureFixture[str]):  # pyright: ignore[reportUnusedFunction]
    """Of no request, at no level, does the log tell a secret or a number; nor is any of them an error of ours."""
    handlers, level = logging.root.handlers, logging.root.level
    levels = {name: logging.getLogger(name).level for name in LEAST_LEVELS}
    # No secret is known to it: what is not there needs no masking.
    configure("debug", (), plain=False)
    yield
    logging.root.handlers = handlers
    logging.root.setLevel(level)
    for name, before in levels.items():
        logging.getLogger(name).setLevel(before)
    structlog.reset_defaults()
    written = capsys.readouterr().err
    for text in ("5e5ame", CUSTOMER, "Traceback", '"level": "error"'):
        assert text not in written


def request(target: str, *head: str, body: bytes = urlencode(FORM).encode()) -> bytes:
    """As it goes over the wire."""
    lines = [
        f"POST {target} HTTP/1.1",
        "Host: 127.0.0.1",
        f"Content-Type: {URLENCODED}",
        f"Content-Length: {len(body)}",
        *head,
    ]
    return "\r\n".join([*lines, "", ""]).encode() + body


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
    """The vendor can set only a URL."""
    assert await posted(site, http) == 204
    assert await posted(site, http, f"/callbacks/floor/{SECRET}", head={}) == 204
    assert site.hints == ["floor", "floor"]
    assert site.witness.told == {("floor", "accepted"): 2}


async def test_a_secret_of_any_characters_can_be_written_into_a_path(site: Site) -> None:
    """Percent-encoded, a slash included."""
    secret = "5e5ame/../ä+?%2F€"
    site.config = config(callback_secret=secret)
    assert await site.raw(request(f"/callbacks/floor/{quote(secret, safe='')}")) == 204
    assert await site.raw(request("/callbacks/floor", f"X-Streamer-Secret: {secret}")) == 204


async def test_what_is_not_polled_here_is_passed_on(site: Site, http: aiohttp.ClientSession) -> None:
    """And counted as that."""
    site.elsewhere = True
    assert await posted(site, http) == 204
    assert site.witness.told == {("floor", "passed_on"): 1}


@pytest.mark.parametrize(
    ("path", "head", "source"),
    [
        ("/callbacks/floor", {}, "floor"),
        ("/callbacks/floor", {"X-Streamer-Secret": ""}, "floor"),
        ("/callbacks/floor", {"X-Streamer-Secret": "5e5ame"}, "floor"),
        ("/callbacks/floor", {"X-Streamer-Secret": SECRET + "x"}, "floor"),
        ("/callbacks/floor", {"X-Streamer-Secret": "5e5ame-c\xe4llback"}, "floor"),
        ("/callbacks/floor/5e5ame", {}, "floor"),
        ("/callbacks/floor/5e5ame", HEAD, "floor"),
        ("/callbacks/floor/%00", {}, "floor"),
        ("/callbacks/floor/%ff%fe", {}, "floor"),
        ("/callbacks/floor/%ED%A0%80", {}, "floor"),
        ("/callbacks/floor/%2e%2e", {}, "floor"),
        ("/callbacks/north", HEAD, "north"),
        ("/callbacks/north/", {}, None),
        ("/callbacks/north", {"X-Streamer-Secret": ""}, "north"),
        ("/callbacks/unknown", HEAD, ""),
        (f"/callbacks/unknown/{SECRET}", {}, ""),
        ("/callbacks/FLOOR", HEAD, ""),
        ("/callbacks/floor%00", HEAD, ""),
        ("/callbacks/%66loor%2F", HEAD, ""),
        ("/callbacks/flo%C3%B6r", HEAD, ""),
        ("/callbacks/" + 4000 * "x", HEAD, ""),
        (f"/callbacks//{SECRET}", {}, None),
        ("/callbacks//floor", HEAD, None),
        ("//callbacks/floor", HEAD, None),
        ("/callbacks/../callbacks/floor", {}, None),
        ("/callbacks/..%2Fstate.json", HEAD, ""),
        ("/callbacks", HEAD, None),
        (f"/callbacks/floor/{SECRET}/more", {}, None),
    ],
)
async def test_whatever_is_wrong_the_answer_is_the_same(
    site: Site, path: str, head: Mapping[str, str], source: str | None
) -> None:
    """Nobody learns which sources there are, nor what was wrong; counted by sources that exist."""
    lines = [f"{name}: {value}" for name, value in head.items()]
    assert await site.raw(request(path, *lines)) in ((403,) if source is not None else (403, 404))
    if source is not None:
        refused = await site.answer(request("/callbacks/unknown"))
        assert await site.answer(request(path, *lines)) == refused
        assert site.witness.told == Counter({(source, "refused"): 2}) + Counter({("", "refused"): 1})
    assert site.hints == []


async def test_an_empty_secret_in_the_configuration_is_none(site: Site) -> None:
    """It would let in everybody."""
    site.config = config(callback_secret="")
    assert await site.raw(request("/callbacks/floor", "X-Streamer-Secret: ")) == 403
    assert await site.raw(request("/callbacks/floor")) == 403


@pytest.mark.parametrize(
    ("networks", "behind_proxy", "forwarded", "status"),
    [
        (["127.0.0.0/8"], False, [], 204),
        (["192.0.2.7", "10.0.0.0/8"], False, [], 403),
        (["192.0.2.7"], False, ["192.0.2.7"], 403),
        (["192.0.2.7"], True, ["192.0.2.7"], 204),
        (["192.0.2.7"], True, ["10.0.0.1, 192.0.2.7"], 204),
        (["192.0.2.7"], True, ["10.0.0.1", "192.0.2.7"], 204),
        (["192.0.2.7"], True, ["192.0.2.7, 10.0.0.1"], 403),
        (["192.0.2.7"], True, ["192.0.2.7", "10.0.0.1"], 403),
        (["192.0.2.7"], True, ["::ffff:192.0.2.7"], 204),
        (["2001:db8::/32"], True, ["2001:db8::1"], 204),
        (["2001:db8::/32"], True, ["192.0.2.7"], 403),
        (["127.0.0.0/8"], True, [], 403),
        (["0.0.0.0/0"], True, ["nobody"], 403),
        (["0.0.0.0/0"], True, [""], 403),
        ([], True, [], 204),
        ([], True, ["\xff,,,"], 204),
    ],
)
async def test_only_the_vendors_addresses_are_let_in(
    site: Site, networks: list[str], behind_proxy: bool, forwarded: list[str], status: int
) -> None:
    """The peer's; behind a proxy the one that the proxy appended, never what came before it."""
    site.config = config(behind_proxy, callback_addresses=networks)
    lines = [f"X-Forwarded-For: {value}" for value in forwarded]
    assert await site.raw(request(f"/callbacks/floor/{SECRET}", *lines)) == status


async def test_a_configuration_that_is_read_anew_is_in_force_at_once(site: Site, http: aiohttp.ClientSession) -> None:
    """Another secret, and a source that is gone."""
    site.config = config(callback_secret="another")
    assert await posted(site, http) == 403
    assert await posted(site, http, "/callbacks/floor/another", head={}) == 204
    site.config = config(name="south")
    assert await posted(site, http) == 403


async def test_callbacks_are_limited_by_source(site: Site, http: aiohttp.ClientSession) -> None:
    """After the secret, before the body; those without the secret take nothing from it."""
    for _ in range(20):
        assert await posted(site, http, head={}) == 403
    for _ in range(BURST):
        assert await posted(site, http) == 204
    assert await posted(site, http) == 429
    unsent = request("/callbacks/floor", f"X-Streamer-Secret: {SECRET}", body=b"")
    assert await site.raw(unsent.replace(b"Content-Length: 0", b"Content-Length: 99")) == 429
    assert await posted(site, http, head={}) == 403
    site.seconds += 1.0
    assert await posted(site, http, data="junk") == 400
    assert site.witness.told["floor", "limited"] == 2


def multipart(*parts: tuple[str, bytes], boundary: str = "b") -> dict[str, Any]:
    """A form as browsers send it; each part with its own head."""
    body = b"".join(f"--{boundary}\r\n{head}\r\n\r\n".encode() + value + b"\r\n" for head, value in parts)
    head = {**HEAD, "Content-Type": f'multipart/form-data; boundary="{boundary}"'}
    return {"head": head, "data": body + f"--{boundary}--\r\n".encode()}


NAMED = 'Content-Disposition: form-data; name="detail"'
JSON = FORM["detail"].encode()


@pytest.mark.parametrize(
    "sent",
    [
        {"data": FORM},
        {"data": {**FORM, "other": "x"}},
        {"data": b"detail=%7B%7D", "head": {**HEAD, "Content-Type": f"{URLENCODED}; charset=UTF-8"}},
        {"data": 'detail={"status":"ring","name":"坐席"}'.encode(), "head": {**HEAD, "Content-Type": URLENCODED}},
        multipart((NAMED, JSON)),
        multipart((f"{NAMED}\r\nContent-Type: application/json; charset=utf-8", JSON)),
        multipart(('Content-Disposition: form-data; name="other"', b"x"), (NAMED, JSON)),
        multipart((f'{NAMED}; filename="f.json"', JSON)),
        multipart((f"{NAMED}\r\nContent-Transfer-Encoding: base64", b"eyJzdGF0dXMiOiJyaW5nIn0=")),
        {"data": {"detail": '{"extnumber": 100001, "status": null}'}},
    ],
)
async def test_a_form_may_be_urlencoded_or_multipart(
    site: Site, http: aiohttp.ClientSession, sent: dict[str, Any]
) -> None:
    """As the vendor likes it, with numbers as numbers or as text."""
    assert await posted(site, http, **sent) == 204
    assert site.hints == ["floor"]


DEEP = "[" * 2000
MALFORMED: list[Any] = [
    {"data": b""},
    {"data": b"", "head": {**HEAD, "Content-Type": URLENCODED}},
    {"data": {"other": "x"}},
    {"data": {"detail": ""}},
    {"data": {"detail": "{"}},
    {"data": {"detail": "null"}},
    {"data": {"detail": "[]"}},
    {"data": {"detail": '"ring"'}},
    {"data": {"detail": '{"status": 1}'}},
    {"data": {"detail": '{"type": ["call"]}'}},
    {"data": {"detail": '{"extnumber": {}}'}},
    {"data": {"detail": '{"x": ' + DEEP + "}"}},
    {"data": {"detail": '{"x": ' + DEEP + "]" * 2000 + "}"}},
    {"data": {"detail": '{"status": "ring"} {}'}},
    {"data": "detail={}&detail={}", "head": {**HEAD, "Content-Type": URLENCODED}},
    {"data": b'detail={"x":"%FF"}', "head": {**HEAD, "Content-Type": URLENCODED}},
    {"data": b'detail={"x":"\xff"}', "head": {**HEAD, "Content-Type": URLENCODED}},
    {"data": b"&" * 9000, "head": {**HEAD, "Content-Type": URLENCODED}},
    {"data": b"a=&" * 5000, "head": {**HEAD, "Content-Type": URLENCODED}},
    {"json": DETAIL},
    {"data": FORM["detail"], "head": {**HEAD, "Content-Type": "text/plain"}},
    {"data": b"--b--", "head": {**HEAD, "Content-Type": "multipart/form-data"}},
    {"data": b"\x00" * 99, "head": {**HEAD, "Content-Type": 'multipart/form-data; boundary="'}},
    {"data": b"--b\r\n", "head": {**HEAD, "Content-Type": "multipart/form-data; boundary=b"}},
    {"data": b"x", "head": {**HEAD, "Content-Type": "multipart/form-data; boundary*=utf-16'x'%00"}},
    {"data": b"x", "head": {**HEAD, "Content-Type": "\xff/\xff"}},
    multipart((NAMED, b"\xff\xfe")),
    multipart((NAMED, JSON), (NAMED, JSON)),
    multipart((f"{NAMED}\r\nContent-Transfer-Encoding: base64", b"\xff=")),
    multipart((f"{NAMED}\r\nContent-Type: multipart/mixed; boundary=c", b"--c\r\n\r\n{}\r\n--c--")),
    multipart(("Content-Disposition: form-data; name*=utf-8''detail", b"{}")),
    {"data": gzip.compress(b"detail={}"), "head": {**HEAD, "Content-Type": URLENCODED, "Content-Encoding": "gzip"}},
]


@pytest.mark.parametrize("sent", MALFORMED)
async def test_what_is_not_understood_is_refused(site: Site, http: aiohttp.ClientSession, sent: dict[str, Any]) -> None:
    """400, whatever it is, and no hint."""
    assert await posted(site, http, **sent) == 400
    assert site.hints == []
    assert site.witness.told == {("floor", "malformed"): 1}


@given(st.sampled_from([URLENCODED, "multipart/form-data; boundary=b", ""]) | st.text(), st.binary(max_size=300))
@how(max_examples=300)
def test_no_body_makes_the_parsers_fail(kind: str, body: bytes) -> None:
    """Bytes of every kind, under every name."""
    assert understood(kind, body) is False
    understood(kind, b"--b\r\n" + NAMED.encode() + b"\r\n" + body)
    understood(kind, b"detail=" + body)


@pytest.mark.parametrize(
    "length", [b"Content-Length: %d" % (LONGEST + 1), b"Content-Length: 99999999999", b"Transfer-Encoding: chunked"]
)
async def test_a_long_body_is_refused_and_not_kept(site: Site, length: bytes) -> None:
    """By its announced length at once, else as soon as it is too long."""
    head = request(f"/callbacks/floor/{SECRET}", body=b"").replace(b"Content-Length: 0", length)
    body = b"5000\r\n" + b"x" * 0x5000 + b"\r\n" if b"chunked" in length else b""
    assert await site.raw(head + body) == 413
    assert site.witness.told == {("floor", "too_large"): 1}


async def test_the_longest_body_is_taken(site: Site, http: aiohttp.ClientSession) -> None:
    """To the byte; one more is too much."""
    body = f'detail={{"x":"{"x" * (LONGEST - 15)}"}}'.encode()
    assert len(body) == LONGEST
    head = {**HEAD, "Content-Type": URLENCODED}
    assert await posted(site, http, head=head, data=body) == 204
    assert await posted(site, http, head=head, data=body + b"&") == 413


@pytest.mark.parametrize("secret", [SECRET, "wrong"])
async def test_a_body_that_does_not_come_is_not_waited_for(
    site: Site, monkeypatch: pytest.MonkeyPatch, secret: str
) -> None:
    """408; without the secret nobody waits at all."""
    monkeypatch.setattr(ours, "PATIENCE", 0.05)
    head = request(f"/callbacks/floor/{secret}", body=b"")
    head = head.replace(b"Content-Length: 0", b"Content-Length: 99")
    assert await site.raw(head + b"detail=") == (408 if secret == SECRET else 403)


@pytest.mark.parametrize(
    "broken",
    [
        b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n5\r\ndetailx",
        b"Content-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"Content-Length: -1\r\n\r\n",
        b"Content-Length: x\r\n\r\n",
        b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"Content-Length: 99\r\n\r\ndetail",
        b"X" * 20_000 + b": x\r\n\r\n",
        b"X: \x00\r\n\r\n",
        b"\xff\xfe\r\n\r\n",
    ],
)
async def test_what_is_no_http_leaves_no_secret_behind(site: Site, broken: bytes) -> None:
    """Neither a hint nor a line in the log, which would quote the path."""
    start = f"POST /callbacks/floor/{SECRET} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: {URLENCODED}\r\n".encode()
    assert await site.raw(start + broken, end=True) in (0, 400)
    assert await site.raw(start.replace(b" HTTP/1.1", b"\x00 HTTP/1.1") + b"\r\n", end=True) in (0, 400)
    assert await site.raw(start.replace(b"HTTP/1.1", b"HTTP/7\x7f") + b"\r\n", end=True) in (0, 400)
    assert site.hints == []


async def test_other_methods_are_not_taken(site: Site, http: aiohttp.ClientSession) -> None:
    """Whether there is such a source or not."""
    for name in ("floor", "unknown"):
        async with http.get(f"{site.address}/callbacks/{name}/{SECRET}") as answer:
            assert answer.status == 405
