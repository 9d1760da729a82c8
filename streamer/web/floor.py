"""Committed records → what the wallboard knows: every extension's state, each feed, an hour of transitions."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from datetime import datetime
from typing import Any

import msgspec

from streamer.kafka.framing import body

HOUR = 3_600_000
"""Milliseconds of transitions that are kept."""

MOST = 500
"""Transitions kept of one extension, whatever it does."""

LATEST = 50
"""Transitions that a page begins with."""

FORGET_STOPPED = 24 * HOUR
"""After which a source that was stopped for good is shown no longer. Its records stay on the topics for ever."""

Key = tuple[str, str]
"""Source and extension."""


class _Named(msgspec.Struct):
    name: str


class _Point(msgspec.Struct):
    state: str


class _State(msgspec.Struct, tag_field="type", tag="AgentState"):
    source: str
    extension: str
    agent: str
    state: str
    since: datetime
    groups: list[_Named]


class _Event(msgspec.Struct, tag_field="type", tag="AgentStateChanged"):
    source: str
    extension: str
    agent: str
    change: str
    previous: _Point | None
    current: _Point
    occurred_at: datetime
    occurred_not_before: datetime | None
    occurred_not_after: datetime
    basis: str


class _Offset(msgspec.Struct):
    min: float
    max: float


class _Feed(msgspec.Struct, tag_field="type", tag="FeedStatus"):
    source: str
    status: str
    reason: str
    at: datetime
    since: datetime
    confirmed_until: datetime | None
    heartbeat_s: float
    poll_interval_s: float
    extensions: int
    instance: str
    clock_offset_s: _Offset | None


_Found = _State | _Event | _Feed

_decoder: msgspec.json.Decoder[_Found] = msgspec.json.Decoder(_Found)


class Tile(msgspec.Struct, frozen=True, gc=False):
    """One extension as it is shown; `since` in unix ms of the vendor's clock."""

    source: str
    extension: str
    agent: str
    state: str
    since: int
    groups: tuple[str, ...]


class Line(msgspec.Struct, frozen=True, gc=False, rename={"before": "from", "after": "to"}):
    """One transition; times in unix ms of the vendor's clock, `before` None for the first."""

    source: str
    extension: str
    agent: str
    change: str
    before: str | None
    after: str
    at: int
    not_before: int | None
    not_after: int
    basis: str


class Feed(msgspec.Struct, frozen=True):
    """One source's feed as its newest record tells it; times in unix ms, `clock_offset` in seconds."""

    status: str
    reason: str
    at: int
    since: int
    confirmed_until: int | None
    heartbeat_s: float
    poll_interval_s: float
    extensions: int
    instance: str
    clock_offset: tuple[float, float] | None


class Changes(msgspec.Struct):
    """What some records have changed."""

    agents: dict[Key, Tile] = {}
    forgotten: set[Key] = set()
    events: list[Line] = []
    feeds: bool = False

    def add(self, tile: Tile) -> None:
        """An extension has another state."""
        key = tile.source, tile.extension
        self.agents[key] = tile
        self.forgotten.discard(key)

    def forget(self, key: Key) -> None:
        """An extension has no record any more."""
        self.agents.pop(key, None)
        self.forgotten.add(key)


class Floor:
    """What is known at one moment. `agent_names` False: no agent's name is kept."""

    def __init__(self, *, agent_names: bool = True) -> None:
        self.agents: dict[Key, Tile] = {}
        self.feeds: dict[str, Feed] = {}
        self.latest: deque[Line] = deque(maxlen=LATEST)
        self._past: dict[Key, deque[Line]] = {}
        self._agent_names = agent_names

    def take(self, records: Iterable[Any], changes: Changes) -> None:
        """Fold Kafka's records into this, and what they change into `changes`. What is none of ours is passed over."""
        for record in records:
            if record.value is None:
                source, _, extension = (record.key or b"").decode("utf-8", "replace").partition("/")
                if self.agents.pop((source, extension), None) is not None:
                    changes.forget((source, extension))
                continue
            try:
                found = _decoder.decode(body(record.value))
            except (msgspec.MsgspecError, ValueError):
                continue
            match found:
                case _State():
                    tile = self._tile(found)
                    self.agents[tile.source, tile.extension] = tile
                    changes.add(tile)
                case _Event():
                    line = self._line(found)
                    self.latest.append(line)
                    self._past.setdefault((line.source, line.extension), deque(maxlen=MOST)).append(line)
                    changes.events.append(line)
                case _Feed():
                    self.feeds[found.source] = _feed(found)
                    changes.feeds = True

    def forget_before(self, moment: int) -> None:
        """Let go of transitions before then (unix ms)."""
        for key, lines in list(self._past.items()):
            while lines and lines[0].at < moment:
                lines.popleft()
            if not lines:
                del self._past[key]

    def past(self, key: Key) -> list[Line]:
        """The transitions of an extension that are kept, oldest first."""
        return list(self._past.get(key, ()))

    def shown(self, now: int) -> tuple[dict[str, Feed], list[Tile]]:
        """The feeds and extensions of all sources but those that were stopped long ago."""
        gone = {
            source for source, feed in self.feeds.items() if feed.status == "stopped" and feed.at < now - FORGET_STOPPED
        }
        feeds = {source: feed for source, feed in self.feeds.items() if source not in gone}
        return feeds, [tile for tile in self.agents.values() if tile.source not in gone]

    def _name(self, agent: str) -> str:
        return agent if self._agent_names else ""

    def _tile(self, state: _State) -> Tile:
        groups = tuple(group.name for group in state.groups)
        return Tile(state.source, state.extension, self._name(state.agent), state.state, _ms(state.since), groups)

    def _line(self, event: _Event) -> Line:
        return Line(
            event.source,
            event.extension,
            self._name(event.agent),
            event.change,
            event.previous and event.previous.state,
            event.current.state,
            _ms(event.occurred_at),
            event.occurred_not_before and _ms(event.occurred_not_before),
            _ms(event.occurred_not_after),
            event.basis,
        )


def _feed(feed: _Feed) -> Feed:
    offset = feed.clock_offset_s
    return Feed(
        feed.status,
        feed.reason,
        _ms(feed.at),
        _ms(feed.since),
        feed.confirmed_until and _ms(feed.confirmed_until),
        feed.heartbeat_s,
        feed.poll_interval_s,
        feed.extensions,
        feed.instance,
        offset and (offset.min, offset.max),
    )


def _ms(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)
