"""Every way a server or a network can fail a call: one error of ours, with an address, a remedy and no secret."""

from __future__ import annotations

import asyncio
import gzip
import logging
import re
import shutil
import socket
import ssl
import subprocess
import zlib
from collections.abc import AsyncGenerator, Generator, Iterator
from pathlib import Path

import aiohttp
import pytest
from aiohttp.http_exceptions import HttpProcessingError

from streamer.errors import ConfigError, VendorUnavailable
from streamer.vendor.client import Reply, Session, VendorClient, http_session, tls
from streamer.vendor.session import Unreached
from streamer.vendor.trouble import CAUGHT, TROUBLES, trouble
from tests.vendor.lying import Behaviour, FakeClock, Form, Vendor, good, http, saying, served

TOKEN = "configured-token-77"


@pytest.fixture
async def connections() -> AsyncGenerator[aiohttp.ClientSession]:
    async with http_session() as session:
        yield session


@pytest.fixture(autouse=True)
def _no_secret_is_logged(caplog: pytest.LogCaptureFixture) -> Generator[None]:  # pyright: ignore[reportUnusedFunction]
    """Whatever a test does, nothing at debug level names the token."""
    caplog.set_level(logging.DEBUG)
    yield
    for record in caplog.records:
        assert TOKEN not in record.getMessage()


def client(
    connections: aiohttp.ClientSession,
    port: int,
    url: str = "http://127.0.0.1:{}",
    total: float = 5.0,
    connect: float = 5.0,
    max_body: int = 100_000,
    secure: ssl.SSLContext | bool = True,
) -> VendorClient:
    session = Session(
        url=url.format(port),
        appid="",
        accesskey="",
        token=TOKEN,
        http=connections,
        clock=FakeClock(),
        connect_timeout=connect,
        total_timeout=total,
        max_body=max_body,
        ssl=secure,
    )
    return VendorClient(session, name="floor", poll_interval=1.0)


async def failing(polled: VendorClient, port: int, kind: type[VendorUnavailable] = VendorUnavailable) -> str:
    with pytest.raises(VendorUnavailable) as raised:
        await polled.poll()
    error = raised.value
    assert type(error) is kind, error
    assert error.__cause__ is None
    assert error.__context__ is None
    shown = f"{error} {error!r} {error.args!r}"
    assert TOKEN not in shown
    assert "GetQueueSipStatus" not in shown
    assert f":{port}" in error.problem
    assert "\n" not in str(error)
    return str(error)


async def never(_form: Form, _writer: asyncio.StreamWriter) -> None:
    await asyncio.Event().wait()


async def endless_body(_form: Form, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while True:
        writer.write(b"2000\r\n" + b"[" * 0x2000 + b"\r\n")
        await writer.drain()


async def endless_headers(_form: Form, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\n")
    while True:
        writer.write(b"X-More: and more\r\n" * 100)
        await writer.drain()


async def hang_up(_form: Form, writer: asyncio.StreamWriter) -> None:
    writer.close()


async def reset(_form: Form, writer: asyncio.StreamWriter) -> None:
    writer.transport.get_extra_info("socket").setsockopt(
        socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00"
    )
    writer.transport.abort()


SHORT = b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{}"
BAD_CHUNK = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n"
CUT_CHUNK = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n20\r\n{}"
GZIPPED = "Content-Encoding: gzip"
BROKEN = "cut short or wrongly encoded|not valid HTTP"  # which, depends on whether it came with the headers


@pytest.mark.parametrize(
    ("behaviour", "said"),
    [
        (hang_up, "the server closed the connection"),
        (reset, "the connection broke"),
        (saying(SHORT), "cut short or wrongly encoded"),
        (saying(BAD_CHUNK), BROKEN),
        (saying(CUT_CHUNK), "cut short or wrongly encoded"),
        (saying(http(b"not gzip at all", "200 OK", GZIPPED)), BROKEN),
        (saying(http(b"{}", "200 OK", "Content-Encoding: deflate")), BROKEN),
        (saying(b"SSH-2.0-OpenSSH_9.2\r\n"), "not valid HTTP"),
        (saying(b"HTTP/1.1 two hundred OK\r\n\r\n"), "not valid HTTP"),
        (saying(b"HTTP/1.1 200 OK\r\nbroken header\r\n\r\n"), "not valid HTTP"),
        (saying(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 20_000 + b"\r\n\r\n"), "not valid HTTP"),
        (saying(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}"), "not valid HTTP"),
        (saying(b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n{}"), "not valid HTTP"),
        (endless_headers, "not valid HTTP"),
        (endless_body, "the answer is longer"),
        (saying(http(b"[" * 100_001)), "the answer is longer"),
        (saying(http(gzip.compress(b"[" * 50_000_000), "200 OK", GZIPPED)), "the answer is longer"),
        (saying(http(b"", "302 Found", f"Location: https://elsewhere:8443/?token={TOKEN}")), "https://elsewhere:8443"),
        (saying(http(b"", "307 Temporary Redirect", "Location: /other")), "a redirect to http://127.0.0.1"),
        (saying(http(b"", "308 Permanent Redirect", "Location: http://[")), "a redirect to an unnamed place"),
        (saying(http(b"", "301 Moved")), "a redirect to an unnamed place"),
        (saying(http(b"<html>busy", "503 Service Unavailable")), "HTTP 503"),
        (saying(http(good(), "500 Internal Server Error")), "HTTP 500"),
        (saying(http(b"", "401 Unauthorized")), "HTTP 401"),
        (saying(http(b"", "403 Forbidden")), "HTTP 403"),
        (saying(http(b"", "429 Too Many Requests")), "HTTP 429"),
        (saying(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 99\r\n\r\noops"), "HTTP 502"),
    ],
)
async def test_a_lie_is_one_error(connections: aiohttp.ClientSession, behaviour: Behaviour, said: str) -> None:
    """Each says what happened, where and what to do; its cause, which may quote the form, is cut off."""
    async with served(behaviour) as port:
        assert re.search(said, await failing(client(connections, port), port))


@pytest.mark.parametrize(
    "behaviour",
    [
        never,
        saying(b"HTTP/1.1 200 OK\r\n", hang_up=False),
        saying(b"", hang_up=False),
        saying(SHORT, hang_up=False),
        saying(b"HTTP/1.1 503 Busy\r\nContent-Length: 99\r\n\r\n", hang_up=False),
    ],
)
async def test_a_server_that_hangs_is_left_in_time(connections: aiohttp.ClientSession, behaviour: Behaviour) -> None:
    """Before, within or after the headers: the total time-out ends it."""
    async with served(behaviour) as port:
        message = await failing(client(connections, port, total=0.1), port)
        assert "no answer in time" in message or "HTTP 503" in message


async def test_the_next_poll_after_a_lie_succeeds(connections: aiohttp.ClientSession) -> None:
    """A broken connection is not used again."""
    vendor = Vendor()
    vendor.tokens.add(TOKEN)
    lies: list[Behaviour] = [hang_up, saying(SHORT), saying(BAD_CHUNK), endless_body, saying(b"no\r\n\r\n")]

    async def alternating(form: Form, writer: asyncio.StreamWriter) -> None:
        nonlocal turn
        turn += 1
        await (lies[turn // 2] if turn % 2 == 0 else vendor)(form, writer)

    turn = -1
    async with served(alternating) as port:
        polled = client(connections, port)
        for _ in lies:
            await failing(polled, port)
            assert (await polled.poll()).body == good()


async def test_nobody_listening_is_unreached(connections: aiohttp.ClientSession) -> None:
    """A refused connection names the port; nothing was sent."""
    async with served(never) as port:
        pass
    assert "no connection" in await failing(client(connections, port), port, Unreached)


async def test_a_name_that_does_not_resolve_is_unreached(connections: aiohttp.ClientSession) -> None:
    """The remedy names the name server; `.invalid` never exists."""
    polled = client(connections, 8080, "http://vendor.invalid:{}")
    assert "the host name cannot be resolved" in await failing(polled, 8080, Unreached)


async def test_a_name_that_cannot_be_asked_for_is_unavailable(connections: aiohttp.ClientSession) -> None:
    """A label of more than 63 characters fails before any name server is asked."""
    with pytest.raises((VendorUnavailable, ConfigError)):
        await client(connections, 8080, "http://" + "x" * 70 + ".invalid:{}").poll()


async def test_a_connection_that_does_not_come_about_is_unreached(connections: aiohttp.ClientSession) -> None:
    """The connect time-out ends a TLS handshake that nobody answers."""
    with socket.create_server(("127.0.0.1", 0)) as quiet:
        port: int = quiet.getsockname()[1]
        polled = client(connections, port, "https://127.0.0.1:{}", connect=0.1)
        assert "no connection in time" in await failing(polled, port, Unreached)


async def test_tls_to_a_port_without_it_is_named(connections: aiohttp.ClientSession) -> None:
    """An https url on an http port says TLS."""

    def plain(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(http(b"", "400 Bad Request"))
        writer.close()

    async with await asyncio.start_server(plain, "127.0.0.1", 0) as server:
        port: int = server.sockets[0].getsockname()[1]
        assert "TLS" in await failing(client(connections, port, "https://127.0.0.1:{}"), port, Unreached)


async def test_gzip_is_understood(connections: aiohttp.ClientSession) -> None:
    """A compressed answer is an answer; its bytes are the decompressed ones."""
    async with served(saying(http(gzip.compress(good()), "200 OK", GZIPPED))) as port:
        assert (await client(connections, port).poll()).body == good()
    deflated = http(zlib.compress(good()), "200 OK", "Content-Encoding: deflate")
    async with served(saying(deflated)) as port:
        assert (await client(connections, port).poll()).body == good()


async def test_a_bodys_length_may_be_just_the_limit(connections: aiohttp.ClientSession) -> None:
    """max_body bytes are allowed, one more is not."""
    async with served(saying(http(good()), hang_up=False)) as port:
        await client(connections, port, max_body=len(good())).poll()
        assert "longer" in await failing(client(connections, port, max_body=len(good()) - 1), port)


@pytest.mark.parametrize(
    ("answer", "body"),
    [
        (b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 99\r\n\r\noops", b"oops"),
        (http(gzip.compress(b"oops"), "502 Bad Gateway", GZIPPED), b"oops"),
        (http(b"oops" * 20_000, "502 Bad Gateway"), (b"oops" * 20_000)[:65_536]),
    ],
    ids=["cut short", "longer while packed", "longer than is read"],
)
async def test_a_body_is_what_came_whatever_length_was_told(
    connections: aiohttp.ClientSession, answer: bytes, body: bytes
) -> None:
    """Room is made by the length that its head tells; what did not come is not made up."""
    replies: list[Reply] = []
    async with served(saying(answer)) as port:
        asking = client(connections, port)
        asking.on_reply = replies.append
        await failing(asking, port)
    assert [reply.body for reply in replies] == [body]


async def test_no_cookie_is_kept(connections: aiohttp.ClientSession) -> None:
    """What a proxy sets is not sent back."""
    async with served(saying(http(good(), "200 OK", "Set-Cookie: sticky=1"))) as port:
        await client(connections, port).poll()
    assert not list(connections.cookie_jar)


async def test_no_proxy_is_taken_from_the_environment_unless_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy variable meant for others does not get the accesskey."""
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    async with http_session() as connections, served(saying(http(good()))) as port:
        await client(connections, port).poll()
    async with http_session(trust_env=True) as connections:
        assert connections.trust_env


async def test_the_hook_sees_the_page_of_an_http_error(connections: aiohttp.ClientSession) -> None:
    """A recording shows what stood in front of the vendor, cut at 64 KiB."""
    seen: list[Reply] = []
    async with served(saying(http(b"x" * 200_000, "502 Bad Gateway"))) as port:
        polled = client(connections, port)
        polled.on_reply = seen.append
        await failing(polled, port)
    assert [(reply.status, reply.body) for reply in seen] == [(502, b"x" * 65536)]


def descendants(kind: type[BaseException]) -> Iterator[type[BaseException]]:
    yield kind
    for child in kind.__subclasses__():
        yield from descendants(child)


ROOTS = (aiohttp.ClientError, HttpProcessingError, OSError, TimeoutError, UnicodeError)


@pytest.mark.parametrize("root", ROOTS)
def test_every_class_of_trouble_is_caught_and_named(root: type[BaseException]) -> None:
    """All that aiohttp, TLS and the operating system can raise maps, to the last subclass, by a row of its own kind."""
    for kind in descendants(root):
        if kind.__module__.split(".")[0] not in ("aiohttp", "asyncio", "builtins", "socket", "ssl"):
            continue  # such as urllib's: nobody here can raise them
        assert issubclass(kind, CAUGHT)
        error = trouble(kind.__new__(kind), "vendor:8080")
        assert isinstance(error, VendorUnavailable)
        assert error.problem.startswith("vendor:8080: ")
        assert error.remedy
        if issubclass(kind, aiohttp.ClientError) and kind is not aiohttp.ClientError:
            assert "the request failed" not in error.problem, kind


def test_no_row_of_the_table_hides_another() -> None:
    """The first row that matches decides, so a root never stands before its subclass."""
    kinds = [row[0] for row in TROUBLES]
    for place, kind in enumerate(kinds):
        assert not any(issubclass(kind, earlier) for earlier in kinds[:place]), kind


def test_another_exception_has_a_message_too() -> None:
    """`trouble` never raises."""
    assert "KeyError" in str(trouble(KeyError(TOKEN), "vendor:8080"))
    assert TOKEN not in str(trouble(KeyError(TOKEN), "vendor:8080"))


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A key and a certificate for 127.0.0.1 that no system trusts, in one file."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("no openssl to make a certificate with")
    place = tmp_path_factory.mktemp("tls")
    command = [openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1"]
    command += ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", place / "key", "-out", place / "cert"]
    subprocess.run(command, check=True, capture_output=True)
    both = place / "both.pem"
    both.write_bytes((place / "key").read_bytes() + (place / "cert").read_bytes())
    return both


async def test_tls_with_a_ca_file(connections: aiohttp.ClientSession, certificate: Path) -> None:
    """Not trusted without the file, trusted with it, refused under another name; each says so."""
    serving = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    serving.load_cert_chain(certificate)
    async with served(saying(http(good()), hang_up=False), serving) as port:
        url = "https://127.0.0.1:{}"
        message = await failing(client(connections, port, url), port, Unreached)
        assert "the TLS certificate is not trusted" in message
        assert "ca_file" in message
        trusting = tls(str(certificate))
        assert (await client(connections, port, url, secure=trusting).poll()).body == good()
        wrong_name = client(connections, port, "https://localhost:{}", secure=trusting)
        assert "certificate" in await failing(wrong_name, port, Unreached)


def test_the_systems_authorities_are_the_default() -> None:
    """Without a file, TLS is checked as everywhere else."""
    assert tls().verify_mode == ssl.CERT_REQUIRED
    assert tls().check_hostname


@pytest.mark.parametrize("content", [None, b"", b"no certificate"])
def test_a_ca_file_that_cannot_be_used_is_a_config_error(tmp_path: Path, content: bytes | None) -> None:
    """Missing, empty or not PEM: the message names the key and the file."""
    file = tmp_path / "ca.pem"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ConfigError, match=r"ca_file.*ca\.pem.*PEM"):
        tls(str(file))


def test_an_errors_own_text_is_not_repeated() -> None:
    """aiohttp puts the url, with what it holds, into some errors; only the system's word for the number is told."""
    error = aiohttp.ClientOSError(104, f"Can not write request body for http://me:{TOKEN}@vendor/?key={TOKEN}")
    assert TOKEN not in str(trouble(error, "vendor:8080"))
    assert "(Connection reset by peer)" in str(trouble(error, "vendor:8080"))
