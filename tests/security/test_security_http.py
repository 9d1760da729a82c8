"""Hostile clients at the port of a running instance: it refuses, goes on, and writes nothing about them.

Who may see what: tests/web/test_web_access.py. What pages may do with names: tests/web/test_web_app.py.
"""

from __future__ import annotations

import json
import os
import re
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from streamer.web.door import IDLE, MOST, OURS
from tests.commands.shell import Process, eventually

HOST = b"Host: 127.0.0.1\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n"


class Target:
    """A running instance, its port, and what it has written since it serves."""

    def __init__(self, process: Process, port: int) -> None:
        self.process = process
        self.port = port

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), 5)

    def say(self, raw: bytes, patience: float = 0.3) -> bytes:
        """What it answers until it hangs up, or says nothing more for so many seconds."""
        answer = b""
        with self.connect() as connection:
            connection.settimeout(patience)
            try:
                connection.sendall(raw)
                while piece := connection.recv(65536):
                    answer += piece
            except (TimeoutError, ConnectionError):
                pass
        return answer

    def alive(self) -> bool:
        """Does it answer an honest question?"""
        try:
            return b" 200 OK" in self.say(b"GET /healthz HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\n", 5.0)
        except OSError:
            return False


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    """One whose Kafka and vendor are away: its pages are there all the same."""
    config = tmp_path_factory.mktemp("security") / "streamer.toml"
    config.write_text(
        '[kafka]\nbootstrap_servers = "127.0.0.1:1"\n[http]\nlisten = "127.0.0.1:0"\n'
        '[[sources]]\nname = "floor"\nurl = "http://127.0.0.1:1"\ntoken = "t0ken-of-the-floor"\n'
    )
    with Process("run", "--config", config) as process:
        port = int(process.until(r'"address": "http://127.0.0.1:(\d+)"')[1])
        process.until("Kafka is away")
        yield Target(process, port)


@pytest.fixture(autouse=True)
def _goes_on_in_silence(target: Target) -> Iterator[None]:  # pyright: ignore[reportUnusedFunction]
    """After every attack it answers, and its log has not a line more, and none that is no JSON."""
    before = target.process.err
    yield
    assert eventually(target.alive, "an answer")
    assert target.process.err == before
    assert all(json.loads(line) for line in before.splitlines())


NOT_HTTP = {
    "both lengths": b"POST / HTTP/1.1\r\n" + HOST + CHUNKED + b"Content-Length: 4\r\n\r\n0\r\n\r\n",
    "two encodings": b"POST / HTTP/1.1\r\n" + HOST + CHUNKED + b"Transfer-Encoding: identity\r\n\r\n0\r\n\r\n",
    "an unknown encoding": b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "two lengths": b"GET / HTTP/1.1\r\n" + HOST + b"Content-Length: 0\r\nContent-Length: 5\r\n\r\n",
    "a length with a sign": b"GET / HTTP/1.1\r\n" + HOST + b"Content-Length: +5\r\n\r\n",
    "a length with a line": b"GET / HTTP/1.1\r\n" + HOST + b"Content-Length: 1_0\r\n\r\n",
    "an endless length": b"GET / HTTP/1.1\r\n" + HOST + b"Content-Length: " + b"9" * 30 + b"\r\n\r\n",
    "a folded header": b"GET / HTTP/1.1\r\n" + HOST + b"X: a\r\n b\r\n\r\n",
    "a blank before the colon": b"GET / HTTP/1.1\r\n" + HOST + b"Content-Length : 5\r\n\r\n",
    "bare line feeds": b"GET / HTTP/1.1\nHost: 127.0.0.1\n\n",
    "a bare carriage return": b"GET / HTTP/1.1\r\n" + HOST + b"X: a\rb\r\n\r\n",
    "a NUL": b"GET / HTTP/1.1\r\n" + HOST + b"X: a\0b\r\n\r\n",
    "an escape sequence": b"GET /\x1b[2J HTTP/1.1\r\n" + HOST + b"\r\n",
    "no host": b"GET / HTTP/1.1\r\n\r\n",
    "two hosts": b"GET / HTTP/1.1\r\n" + HOST + b"Host: evil.example\r\n\r\n",
    "half an address": b"GET http://[::1 HTTP/1.1\r\n" + HOST + b"\r\n",
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 500,
    "a huge header": b"GET / HTTP/1.1\r\n" + HOST + b"X: " + b"x" * 100_000 + b"\r\n\r\n",
    "many headers": b"GET / HTTP/1.1\r\n" + HOST + b"".join(b"X%d: y\r\n" % n for n in range(100_000)) + b"\r\n",
    "a huge path": b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\n" + HOST + b"\r\n",
    "a chunk of no size": b"POST /healthz HTTP/1.1\r\n" + HOST + CHUNKED + b"\r\nzz\r\n\r\n",
    "the secret, wrongly asked": b"GET /t0ken-of-the-floor\x01 HTTP/1.1\r\n" + HOST + b"\r\n",
}


@pytest.mark.parametrize("shape", NOT_HTTP)
def test_what_is_not_plain_http_is_refused(target: Target, shape: str) -> None:
    """400 at most, and the connection is closed: nothing behind it is taken for a request."""
    answer = target.say(NOT_HTTP[shape] + b"GET /metrics HTTP/1.1\r\n" + HOST + b"\r\n", 5.0)
    assert answer == b"" or answer.startswith((b"HTTP/1.0 400 ", b"HTTP/1.1 400 "))
    assert len(re.findall(rb"^HTTP/1\.[01] \d", answer, re.MULTILINE)) <= 1
    assert b"# HELP" not in answer


ODD = {
    "an address elsewhere": b"GET http://169.254.169.254/latest/meta-data/ HTTP/1.1\r\n" + HOST + b"\r\n",
    "a tunnel": b"CONNECT 169.254.169.254:80 HTTP/1.1\r\n" + HOST + b"\r\n",
    "everything": b"OPTIONS * HTTP/1.1\r\n" + HOST + b"\r\n",
    "an echo": b"TRACE /metrics HTTP/1.1\r\n" + HOST + b"X: secret\r\n\r\n",
    "two slashes": b"GET //evil.example/metrics HTTP/1.1\r\n" + HOST + b"\r\n",
    "a way up": b"GET /..%2f..%2fetc/passwd HTTP/1.1\r\n" + HOST + b"\r\n",
    "broken escapes": b"GET /%ff%00%zz HTTP/1.1\r\n" + HOST + b"\r\n",
    "a packed body": b"POST /healthz HTTP/1.1\r\n" + HOST + b"Content-Encoding: gzip\r\nContent-Length: 5\r\n\r\nabcde",
    "a host that is none": b"GET /metrics HTTP/1.1\r\nHost: [::1\r\n\r\n",
    "no host in old HTTP": b"GET /metrics HTTP/1.0\r\n\r\n",
    "no HTTP at all": b"GET /metrics\r\n\r\n",
    "another's name": b"GET http://127.0.0.1/metrics HTTP/1.1\r\nHost: evil.example\r\n\r\n",
}


@pytest.mark.parametrize("shape", ODD)
def test_odd_requests_are_answered_with_a_refusal(target: Target, shape: str) -> None:
    """4xx, never 5xx; it fetches nothing for anybody and repeats nothing."""
    answer = target.say(ODD[shape])
    assert answer.split(b" ")[1].startswith(b"4"), answer
    assert b"secret" not in answer
    assert b"# HELP" not in answer


def test_many_requests_at_once_are_answered_one_by_one(target: Target) -> None:
    """As many answers as questions."""
    question = b"GET /healthz HTTP/1.1\r\n" + HOST + b"\r\n"
    assert target.say(100 * question, 2.0).count(b"HTTP/1.1 200 OK") == 100


def hung_up(connection: socket.socket) -> bool:
    """Has the other side ended it?"""
    connection.settimeout(0.05)
    try:
        return connection.recv(65536) == b""
    except ConnectionError:
        return True
    except TimeoutError:
        return False


def test_whoever_asks_nothing_is_shown_out(target: Target) -> None:
    """Silence, half a request, one that comes byte by byte for ever, and silence after a first answer."""
    half = b"GET /healthz HTTP/1.1\r\n" + HOST
    with ExitStack() as stack:
        silent, slow, dripping, idle = (stack.enter_context(target.connect()) for _ in range(4))
        slow.sendall(half)
        idle.sendall(half + b"\r\n")
        assert b"200 OK" in idle.recv(65536)
        began = time.monotonic()
        left = {silent, slow, dripping, idle}
        while left:
            assert time.monotonic() < began + IDLE + 5, "they are still connected"
            with suppress(ConnectionError):
                dripping.sendall(b"X")
            left -= {connection for connection in left if hung_up(connection)}


def test_a_flood_of_connections_takes_only_so_many_descriptors(target: Target) -> None:
    """Whoever floods cannot keep the instance from Kafka; afterwards its pages are there again."""
    files = Path(f"/proc/{target.process.pid}/fd")
    if not files.exists():
        pytest.skip("no /proc here")
    with ExitStack() as stack:
        for _ in range(MOST + OURS + 200):
            try:
                stack.enter_context(target.connect())
            except OSError:
                break
        assert len(os.listdir(files)) < MOST + OURS + 50
