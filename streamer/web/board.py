"""The wallboard's open pages: the whole floor first, then what changes, and every few seconds how the feeds stand."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping
from typing import Any

import msgspec

from streamer.observe.troubles import Troubles
from streamer.web.floor import HOUR, Changes, Feed, Floor

BEHIND = 16 * 2**20
"""Bytes that a page may lag before it is disconnected: it reconnects and gets everything anew."""

MOST_PAGES = 200
"""Open at once."""

BEAT = 100
"""Milliseconds between two messages of changes: nobody sees faster, and a busy floor is one message instead of ten."""

FEEDS_APART = 1_000
FEEDS_DUE = 4_000
"""Milliseconds between two messages about the feeds, at least and at most: a page that hears nothing for longer knows
that it has lost its server."""

SWEEP = 60_000
"""Milliseconds between two looks for transitions that are too old to keep."""

READING = "the record is being read"

UNSEEN = 600_000
"""Milliseconds without a page or a question after which what is committed is not followed any longer: that costs time
and memory with every transition, and whoever comes then waits for as long as after a start."""

Message = tuple[str, bytes]


class Page:
    """What one open page has yet to be sent."""

    def __init__(self, first: Message) -> None:
        self._waiting: deque[Message] = deque([first])
        self._size = 0
        self._news = asyncio.Event()
        self._news.set()
        self.over = asyncio.Event()
        """Set when the page is to be disconnected: it lags too far behind, or the server stops."""

    async def get(self) -> Message:
        """The next message."""
        while not self._waiting:
            self._news.clear()
            await self._news.wait()
        message = self._waiting.popleft()
        if not self._waiting:
            self._size = 0
        return message

    def put(self, message: Message) -> bool:
        """Queue a message; False if too much waits: then nothing waits any longer, and the page is over."""
        self._size += len(message[1])
        if self._size > BEHIND:
            self.end()
            return False
        self._waiting.append(message)
        self._news.set()
        return True

    def end(self) -> None:
        """Disconnect the page, whatever it waits for."""
        self._waiting.clear()
        self.over.set()


class Board:
    """The floor as it was committed, what is wrong here, and the pages that are told of both."""

    def __init__(self, troubles: Troubles) -> None:
        self.floor = Floor()
        self.changes = Changes()
        """Of the floor since the last beat."""
        self._troubles = troubles
        self._away = READING
        self._pages: set[Page] = set()
        self._closed = False
        self._told = (0, "")
        self._swept = 0
        self._seen = 0
        self._wanted = asyncio.Event()

    async def wanted(self) -> None:
        """Wait until somebody looks."""
        await self._wanted.wait()

    def look(self, now: int) -> None:
        """Somebody does; `now` in unix ms."""
        self._seen = now
        self._wanted.set()

    def unseen(self, now: int) -> bool:
        """Has nobody looked for long?"""
        return not self._pages and abs(now - self._seen) > UNSEEN

    def rest(self) -> None:
        """Nothing is followed until somebody looks again."""
        self._wanted.clear()
        self.floor, self.changes, self._away = Floor(), Changes(), READING

    def show(self, floor: Floor, now: int) -> None:
        """From now on this is the floor, and all of it was read."""
        self.floor, self.changes, self._away = floor, Changes(), ""
        self._tell("snapshot", self.snapshot(now))

    def away(self, problem: str) -> None:
        """What is committed cannot be read, and why; empty once it can."""
        self._away = problem

    def beat(self, now: int) -> None:
        """Tell the pages what has changed; `now` in unix ms."""
        changes = self.changes
        if changes.agents or changes.forgotten or changes.events:
            self.changes = Changes(feeds=changes.feeds)
            self._tell(
                "change",
                {
                    "at": now,
                    "agents": list(changes.agents.values()),
                    "forgotten": list(changes.forgotten),
                    "events": changes.events,
                },
            )
        since, said = abs(now - self._told[0]), self._kafka()
        if since >= FEEDS_DUE or said != self._told[1] or (changes.feeds and since >= FEEDS_APART):
            self.changes.feeds = False
            self._told = (now, said)
            self._tell("feeds", self._feeds(now, self.floor.shown(now)[0]))
        if abs(now - self._swept) >= SWEEP:
            self._swept = now
            self.floor.forget_before(now - HOUR)

    def snapshot(self, now: int) -> dict[str, Any]:
        """Everything that a page needs to begin with."""
        feeds, agents = self.floor.shown(now)
        return {"at": now, "agents": agents, "events": list(self.floor.latest), "feeds": self._feeds(now, feeds)}

    def timeline(self, source: str, extension: str, now: int) -> dict[str, Any] | None:
        """The last hour of an extension; None if there is none of that name."""
        tile = self.floor.agents.get((source, extension))
        if tile is None:
            return None
        events = [line for line in self.floor.past((source, extension)) if line.at >= now - HOUR]
        return {
            "at": now,
            "from": now - HOUR,
            "agent": tile.agent,
            "state": tile.state,
            "since": tile.since,
            "events": events,
        }

    def open_page(self, now: int) -> Page:
        """A page that is told of everything from now on."""
        self.look(now)
        page = Page(("snapshot", dumps(self.snapshot(now))))
        self._pages.add(page)
        if self._closed or len(self._pages) > MOST_PAGES:
            page.end()
        return page

    def close_page(self, page: Page, now: int) -> None:
        """The page is gone."""
        self._seen = now
        self._pages.discard(page)

    def close_all(self) -> None:
        """End every page's stream, and that of any page that still comes."""
        self._closed = True
        for page in self._pages:
            page.end()

    def _kafka(self) -> str:
        return self._troubles.kafka_away or self._away

    def _feeds(self, now: int, feeds: Mapping[str, Feed]) -> dict[str, Any]:
        """What was committed of the feeds; but where polling has stopped here, nothing newer can be."""
        known = dict(feeds)
        for source, reason in self._troubles.polling_blocked.items():
            if reason and source in known:
                stopped = f"polling has stopped: {reason}"
                known[source] = msgspec.structs.replace(known[source], status="stale", reason=stopped)
        return {"at": now, "kafka": self._kafka(), "sources": known}

    def _tell(self, name: str, body: dict[str, Any]) -> None:
        if not self._pages:
            return
        data = dumps(body)
        self._pages = {page for page in self._pages if page.put((name, data))}


dumps = msgspec.json.encode
"""Bodies as JSON, structs included."""
