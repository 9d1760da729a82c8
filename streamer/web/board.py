"""What the wallboard shows: the committed state of every extension, the latest transitions, each feed's health."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

from streamer.core import wire
from streamer.core.feed import Status
from streamer.core.model import AgentState, AgentStateChanged
from streamer.errors import KafkaError
from streamer.observe.observer import Observer

LATEST = 50
"""Transitions kept for a page that opens."""

BEHIND = 1000
"""Messages that a page may lag before it is disconnected: it reconnects and gets everything anew."""

Message = tuple[str, bytes]


class Page:
    """What one open page has yet to be sent: the whole state first, then each change."""

    def __init__(self, first: Message) -> None:
        self._waiting: deque[Message] = deque([first])
        self._news = asyncio.Event()
        self._news.set()
        self.over = asyncio.Event()
        """Set when the page is to be disconnected: it lags too far behind, or the server stops."""

    async def get(self) -> Message:
        """The next message."""
        while not self._waiting:
            self._news.clear()
            await self._news.wait()
        return self._waiting.popleft()

    def put(self, message: Message) -> bool:
        """Queue a message; False if there were too many: then nothing waits any longer, and the page is over."""
        if len(self._waiting) >= BEHIND:
            self.end()
            return False
        self._waiting.append(message)
        self._news.set()
        return True

    def end(self) -> None:
        """Disconnect the page, whatever it waits for."""
        self._waiting.clear()
        self.over.set()


class Board(Observer):
    """Follows what was committed and tells every open page."""

    def __init__(self) -> None:
        self.agents: dict[str, dict[str, AgentState]] = {}
        self.feeds: dict[str, tuple[Status, str]] = {}
        self.kafka_trouble = ""
        self.disk_trouble = ""
        self._blocked: dict[str, str] = {}
        self._latest: deque[dict[str, Any]] = deque(maxlen=LATEST)
        self._pages: set[Page] = set()
        self._closed = False

    def restored(self, source: str, agents: Mapping[str, AgentState]) -> None:
        self.agents[source] = dict(agents)
        self._tell("snapshot", self.snapshot())

    def released(self, source: str) -> None:
        self.agents.pop(source, None)
        self.feeds.pop(source, None)
        self._blocked.pop(source, None)
        self._tell("snapshot", self.snapshot())

    def committed(
        self,
        source: str,
        events: Sequence[AgentStateChanged],
        states: Sequence[AgentState],
        forgotten: Sequence[str],
        at: int,
    ) -> None:
        floor = self.agents.setdefault(source, {})
        floor.update({agent.extension: agent for agent in states})
        for extension in forgotten:
            floor.pop(extension, None)
        lines = [_line(event) for event in events]
        self._latest.extend(lines)
        if states or forgotten:
            self._tell(
                "change",
                {
                    "at": at,
                    "agents": [_tile(agent) for agent in states],
                    "forgotten": [[source, extension] for extension in forgotten],
                    "events": lines,
                },
            )

    def blocked(self, source: str, reason: str) -> None:
        self._blocked[source] = reason
        self._tell("feeds", self._feeds())

    def feed(self, source: str, status: Status, reason: str) -> None:
        self.feeds[source] = (status, reason)
        self._tell("feeds", self._feeds())

    def disk(self, problem: str) -> None:
        self.disk_trouble = problem

    def kafka(self, error: KafkaError | None) -> None:
        self.kafka_trouble = str(error) if error else ""
        self._tell("feeds", self._feeds())

    def snapshot(self) -> dict[str, Any]:
        """Everything that a page needs to begin with."""
        return {
            "agents": [_tile(agent) for floor in self.agents.values() for agent in floor.values()],
            "events": list(self._latest),
            "feeds": self._feeds(),
        }

    def open_page(self) -> Page:
        """A page that is told of everything from now on."""
        page = Page(("snapshot", wire.dumps(self.snapshot())))
        self._pages.add(page)
        if self._closed:
            page.end()
        return page

    def close_page(self, page: Page) -> None:
        """The page is gone."""
        self._pages.discard(page)

    def close_all(self) -> None:
        """End every page's stream, and that of any page that still comes."""
        self._closed = True
        for page in self._pages:
            page.end()

    def _feeds(self) -> dict[str, Any]:
        return {
            "kafka": self.kafka_trouble,
            "sources": {name: self._feed(name) for name in self.feeds},
        }

    def _feed(self, source: str) -> dict[str, str]:
        """What was committed of a feed; but while nothing can be, what is known here."""
        if blocked := self._blocked.get(source):
            return {"status": "stale", "reason": f"polling has stopped: {blocked}"}
        status, reason = self.feeds[source]
        return {"status": status, "reason": reason}

    def _tell(self, name: str, body: dict[str, Any]) -> None:
        if not self._pages:
            return
        data = wire.dumps(body)
        self._pages = {page for page in self._pages if page.put((name, data))}


def _tile(agent: AgentState) -> dict[str, Any]:
    return {
        "source": agent.source,
        "extension": agent.extension,
        "agent": agent.agent,
        "state": agent.state,
        "since": agent.since,
        "groups": [seat.group for seat in agent.groups],
    }


def _line(event: AgentStateChanged) -> dict[str, Any]:
    return {
        "source": event.after.source,
        "extension": event.after.extension,
        "change": event.change,
        "from": event.before and event.before.state,
        "to": event.after.state,
        "at": event.when.at,
        "basis": event.basis,
    }
