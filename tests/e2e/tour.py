"""One fault at a time on real processes, and what each surface says of it."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from streamer.errors import KafkaError
from streamer.kafka.connection import Connection
from streamer.kafka.restore import read_to_end
from tests.conftest import Topics
from tests.deploy.scraped import Scrape
from tests.e2e.deployment import ACCESSKEY, Deployment, start, wait_for
from tests.kafka_server import KafkaServer, free_port
from tests.topics import settings

Row = Mapping[str, str]
"""Column of docs/faults.md → its cell."""

LIVE = 'streamer_feed_status{source="floor",status="live"} 1.0'
"""Once that was committed."""

NOT_SERVED = "no longer served"
UNWRITTEN = "cannot be written"
RUNS = "runs on"
NOTHING = "—"


def table(page: Path) -> list[Row]:
    """The rows of the page's table."""
    lines = [line for line in page.read_text("utf-8").splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]
    head, _, *rows = cells
    return [dict(zip((name.strip() for name in head), row, strict=True)) for row in rows]


def literals(cell: str) -> list[str]:
    """What the cell says must be found."""
    return re.findall(r"`([^`]+)`", cell)


class Tour:
    """A deployment with one fault, and its surfaces."""

    def __init__(self, folder: Path, kafka: str, topics: Topics, server: KafkaServer | None = None) -> None:
        self.server = server
        self.site = Deployment(folder, kafka, topics)
        self._connection = Connection(settings(kafka, topics))
        self._others: dict[int, subprocess.Popen[bytes]] = {}

    def begin(self) -> None:
        """All is well at first."""
        self.site.simulate(agents=40, seed=3)
        self.live()

    def live(self) -> None:
        """Start the instance, and wait until all is well."""
        self.site.run()
        wait_for(lambda: LIVE in self._served("/metrics"), "the feed to say that it is live")
        self.healthy = self.scrape()

    def scrape(self) -> Scrape:
        """What every instance says of itself now; None of one that does not answer."""
        found = {str(port): self._served("/metrics", port) for port in (self.site.port, *self._others)}
        return Scrape(time.time(), {port: None if page == NOT_SERVED else page for port, page in found.items()})

    def control(self, what: str, **fields: str) -> None:
        """Tell the simulator."""
        data = urllib.parse.urlencode(fields).encode()
        address = f"http://127.0.0.1:{self.site.vendor_port}/control/{what}"
        urllib.request.urlopen(address, data, timeout=5).close()

    def logged_in(self) -> str:
        """A token of the simulator's, as an operator would be given one."""
        fields = {"service": "App.Sip_Auth.Login", "appid": "app-1", "accesskey": ACCESSKEY}
        data = urllib.parse.urlencode(fields).encode()
        with urllib.request.urlopen(f"http://127.0.0.1:{self.site.vendor_port}/", data, timeout=5) as answer:
            return json.load(answer)["data"]["result"]["token"]

    def surfaces(self) -> Mapping[str, str]:
        """What each of them says now."""
        assert self.site.streamer is not None
        code = self.site.streamer.poll()
        return {
            "log": "\n".join(line for line in self.site.log().splitlines() if _complains(line)),
            "metric": self._served("/metrics"),
            "/readyz": self._served("/readyz"),
            "feed topic": asyncio.run(self._feed()),
            "wallboard": self._served("/state.json").rpartition('"feeds":')[2],
            "exit code": RUNS if code is None else str(code),
        }

    def _served(self, path: str, port: int = 0) -> str:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port or self.site.port}{path}", timeout=5) as answer:
                found = answer.read().decode()
                return f"{answer.status} {found}" if path == "/readyz" else found
        except urllib.error.HTTPError as error:
            with error:
                return f"{error.code} {error.read().decode()}"
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            return NOT_SERVED

    async def _feed(self) -> str:
        """The newest record of the feed, as it stands on the topic."""
        newest = UNWRITTEN
        try:
            async for record in read_to_end(self._connection, [self._connection.config.feed_topic]):
                newest = record.value.decode()
        except KafkaError:
            return UNWRITTEN
        return newest

    def another(self) -> None:
        """Start a second instance for the same topics, outside of any group, and wait until it is live."""
        port = free_port()
        config = self.site.folder / "another.toml"
        config.write_text(self.site.config.read_text().replace(f":{self.site.port}", f":{port}"))
        self._others[port] = start(self.site.folder, "run", f"--config={config}")
        wait_for(lambda: LIVE in self._served("/metrics", port), "the other's feed to say that it is live")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *what: object) -> None:
        for other in self._others.values():
            other.kill()
            other.wait()
        self.site.__exit__(*what)


def _complains(line: str) -> bool:
    """Is it a warning or an error of `run`, or what it says when it ends?"""
    return '"level": "warning"' in line or '"level": "error"' in line or line.startswith("streamer: ")


def unsaid(row: Row, surfaces: Mapping[str, str]) -> list[str]:
    """Where the surfaces differ from the row, in words; empty where every cell is right."""
    problems: list[str] = []
    for surface, text in surfaces.items():
        cell = row[surface]
        if cell in (NOT_SERVED, UNWRITTEN, RUNS):
            wrong = [] if text == cell else [cell]
        elif cell == NOTHING:
            wrong = ["nothing"] if text else []
        else:
            wrong = [literal for literal in literals(cell) if literal not in text]
        problems += [f"{surface}: not found: {what}\nin: {text[-2000:]}" for what in wrong]
    return problems
