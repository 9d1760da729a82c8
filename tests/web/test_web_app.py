"""The HTTP surface: pages, streams, health, and what it says to those who mean no good."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from prometheus_client import CollectorRegistry

import streamer.web
from streamer.config import Http
from streamer.errors import ConfigError, KafkaUnavailable
from streamer.kafka.serde import Record
from streamer.observe.metrics import MetricsObserver
from streamer.observe.troubles import Troubles
from streamer.web.access import SECURITY
from streamer.web.app import make_app, serving
from streamer.web.board import BEHIND, Board
from streamer.web.floor import Floor
from tests.web.floor import AT, agent, event, feed, records


class Site:
    """A served board."""

    def __init__(self, http: Http | None = None) -> None:
        self.http = http or Http()
        self.here = Troubles()
        self.board = Board(self.here)
        self.board.show(Floor(), AT)
        self.troubles: dict[str, str] = {}
        self.registry = CollectorRegistry()
        self.metrics = MetricsObserver(self.registry)
        self.address = ""

    @asynccontextmanager
    async def serve(self) -> AsyncGenerator[Site]:
        app = make_app(self.board, self.registry, lambda: (self.troubles, {"outbox": "full"}), self.http, lambda: AT)
        async with serving(app, "127.0.0.1", 0) as self.address:
            yield self

    def take(self, *read: Record) -> None:
        """Records were committed, and a beat has passed."""
        self.board.floor.take(read, self.board.changes)
        self.board.beat(AT)


def empty_app() -> web.Application:
    return make_app(Board(Troubles()), CollectorRegistry(), lambda: ({}, {}), Http(), lambda: AT)


@pytest.fixture
async def site() -> AsyncGenerator[Site]:
    async with Site().serve() as site:
        yield site


@pytest.fixture
async def http() -> AsyncGenerator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


@pytest.fixture(autouse=True)
def _nothing_went_wrong(caplog: pytest.LogCaptureFixture):  # pyright: ignore[reportUnusedFunction]
    """No request, however it ends, is an error in the server's log."""
    yield
    assert [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING] == []


@pytest.mark.parametrize(
    ("path", "status", "kind"),
    [
        ("/", 200, "text/html"),
        ("/board.js", 200, "text/javascript"),
        ("/board.css", 200, "text/css"),
        ("/state.json", 200, "application/json"),
        ("/healthz", 200, "application/json"),
        ("/readyz", 200, "application/json"),
        ("/metrics", 200, "text/plain"),
        ("/timeline/floor/1", 404, "text/plain"),
        ("/nothing", 404, "text/plain"),
        ("/../../etc/passwd", 404, "text/plain"),
        ("/callbacks/floor/5e5ame", 404, "text/plain"),
    ],
)
async def test_every_answer_has_its_type_and_the_security_headers(
    site: Site, http: aiohttp.ClientSession, path: str, status: int, kind: str
) -> None:
    """Also those that say no."""
    async with http.get(site.address + path) as answer:
        assert (answer.status, answer.content_type) == (status, kind)
        assert {name: answer.headers[name] for name in SECURITY} == SECURITY


async def test_other_methods_are_refused(site: Site, http: aiohttp.ClientSession) -> None:
    """405, with the headers as well; HEAD is answered."""
    for path in ("/", "/events", "/readyz"):
        async with http.post(site.address + path) as answer:
            assert answer.status == 405
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
    async with http.head(site.address + "/readyz") as answer:
        assert answer.status == 200


async def test_readiness_names_what_is_not_ready(site: Site, http: aiohttp.ClientSession) -> None:
    """503 with each reason; alive all the while."""
    site.troubles = {"kafka": "away", "floor": "stale: no good poll for 9 s: no answer"}
    async with http.get(site.address + "/readyz") as answer:
        assert answer.status == 503
        assert await answer.json() == {"ready": False, "not_ready": site.troubles, "warnings": {"outbox": "full"}}
    async with http.get(site.address + "/healthz") as answer:
        assert answer.status == 200


async def test_metrics_are_those_of_the_registry(site: Site, http: aiohttp.ClientSession) -> None:
    """By source, change and basis, never by extension."""
    site.metrics.committed("floor", [event(agent("100001"))], [], [], AT + 500)
    site.metrics.kafka(None)
    async with http.get(site.address + "/metrics") as answer:
        text = await answer.text()
    assert 'streamer_events_total{basis="observed",change="first_seen",source="floor"} 1.0' in text
    assert "streamer_kafka_up 1.0" in text
    assert "100001" not in text


async def message(stream: aiohttp.StreamReader) -> tuple[str, str]:
    """The next event of a stream: name and data."""
    async with asyncio.timeout(5):
        fields: dict[str, str] = {}
        while (line := (await stream.readline()).decode().rstrip("\r\n")) or not fields:
            assert line or not stream.at_eof()
            name, _, value = line.partition(": ")
            if name:
                fields[name] = value
    return fields["event"], fields["data"]


async def test_a_stream_is_a_snapshot_and_then_changes(site: Site, http: aiohttp.ClientSession) -> None:
    """Within the same connection."""
    site.take(*records(states=[agent("1")]))
    async with http.get(site.address + "/events") as answer:
        assert answer.content_type == "text/event-stream"
        assert answer.headers["Content-Security-Policy"] == SECURITY["Content-Security-Policy"]
        name, data = await message(answer.content)
        assert (name, json.loads(data)["agents"][0]["extension"]) == ("snapshot", "1")
        site.take(*records([event(agent("2"))], [agent("2")]))
        name, data = await message(answer.content)
        assert (name, json.loads(data)["agents"][0]["extension"]) == ("change", "2")
        site.here.kafka(KafkaUnavailable("away", "wait"))
        site.board.beat(AT)
        name, data = await message(answer.content)
        assert (name, json.loads(data)["kafka"]) == ("feeds", "away; wait")


async def gone(site: Site) -> None:
    """Until no page is open."""
    async with asyncio.timeout(5):
        while site.board._pages:  # noqa: ASYNC110 # pyright: ignore[reportPrivateUsage]
            await asyncio.sleep(0.01)


async def test_a_page_that_was_closed_is_forgotten_at_once(site: Site, http: aiohttp.ClientSession) -> None:
    """Not only when the next change could not be sent."""
    answer = await http.get(site.address + "/events")
    await message(answer.content)
    answer.close()
    await gone(site)


async def test_a_page_that_does_not_read_is_disconnected(site: Site) -> None:
    """Its connection ends, and what waited for it is let go."""
    host, _, port = site.address.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port))) as slow:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.sendall(b"GET /events HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        async with asyncio.timeout(5):
            while not site.board._pages:  # noqa: ASYNC110 # pyright: ignore[reportPrivateUsage]
                await asyncio.sleep(0.01)
        many = records(states=[agent(str(n), "x" * 10_000) for n in range(100)])
        for _ in range(3 * BEHIND // 1_000_000):
            site.take(*many)
            await asyncio.sleep(0)
            if not site.board._pages:  # pyright: ignore[reportPrivateUsage]
                break
        await gone(site)


async def test_the_servers_end_ends_the_streams_promptly(http: aiohttp.ClientSession) -> None:
    """Within a second, though pages are open."""
    site = Site()
    loop = asyncio.get_running_loop()
    async with site.serve():
        answers = [await http.get(site.address + "/events") for _ in range(3)]
        for answer in answers:
            await message(answer.content)
        began = loop.time()
    assert loop.time() - began < 1.0
    for answer in answers:
        answer.close()


async def test_a_taken_port_is_a_config_error_with_the_remedy(site: Site) -> None:
    """Naming the address and the flag."""
    port = int(site.address.rpartition(":")[2])
    with pytest.raises(ConfigError, match=f"cannot listen on 127.0.0.1:{port}.*--listen"):
        async with serving(empty_app(), "127.0.0.1", port):
            pass


@pytest.mark.parametrize("host", ["no-such-host.invalid", "256.0.0.1"])
async def test_an_address_that_is_not_ours_is_a_config_error(host: str) -> None:
    """No traceback of the resolver's."""
    with pytest.raises(ConfigError, match=host):
        async with serving(empty_app(), host, 0):
            pass


HOSTILE = "</script><script>alert(1)</script>\"'<img src=x onerror=alert(1)>\r\n\r\ndata: {}\u2028\x1b[2J"


async def test_hostile_names_are_only_ever_escaped_data(site: Site, http: aiohttp.ClientSession) -> None:
    """In the page none, in JSON as text, in the stream on one line."""
    site.take(
        *records([event(agent("1", HOSTILE))], [agent("1", HOSTILE)], feeds=[feed(status="stale", reason=HOSTILE)])
    )
    async with http.get(site.address + "/") as answer:
        assert "alert" not in await answer.text()
    async with http.get(site.address + "/state.json") as answer:
        assert (await answer.json())["agents"][0]["agent"] == HOSTILE
    async with http.get(site.address + "/events") as answer:
        name, data = await message(answer.content)
    assert (name, json.loads(data)["agents"][0]["agent"]) == ("snapshot", HOSTILE)


def test_the_page_puts_data_into_text_only() -> None:
    """No way from data to markup or code, nothing loaded from elsewhere, nothing inline."""
    static = Path(str(streamer.web.__path__[0])) / "static"
    script = "".join(file.read_text() for file in static.glob("*.js"))
    page = (static / "board.html").read_text()
    assert "textContent" in script
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|new Function|srcdoc", script)
    # Attributes have names that stand here, and none that holds code or leads elsewhere.
    names = set(re.findall(r"setAttribute\((.*?),", script))
    assert names == {"key", '"aria-expanded"', '"aria-busy"', '"aria-pressed"'}
    assert not re.search(r"\b(on\w+|href|src|style|action)[\"']?:", script)
    assert not re.search(r"<script(?! src=)|\son\w+=|style=|https?://", page)
