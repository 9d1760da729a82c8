"""Notices what instances with other configurations do, or leave undone, from what the feeds say."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from streamer.config import Config
from streamer.core.model import SECOND
from streamer.kafka.restore import LastFeed
from streamer.runtime.ports import Clock, Observer

SURVEY = 10.0
"""Seconds between two looks at all feeds: as often as they are written, and reading them costs little."""

FRESH = 3
"""Heartbeats after which a feed says nothing about who runs now (contract)."""


class Differences:
    """Tells each difference once, until it is gone. `silent` are configured sources that nobody polls."""

    def __init__(self, config: Config, instance: str, observer: Observer, clock: Clock) -> None:
        self.config = config
        self.silent: frozenset[str] = frozenset()
        self._instance = instance
        self._observer = observer
        self._clock = clock
        self._told: set[tuple[str, str]] = set()
        self._since: dict[str, tuple[int, float]] = {}

    def look(self, feeds: Mapping[str, LastFeed], ours: Collection[str]) -> None:
        """Compare the newest feeds of all sources with the configuration; `ours` are the sources that we poll."""
        config, now = self.config, self._clock.now_ms()
        known = {source.name for source in config.sources}
        found: set[tuple[str, str]] = set()
        for name, feed in feeds.items():
            fresh = now - feed.at <= FRESH * feed.heartbeat_s * SECOND
            if name not in known and feed.status != "stopped":
                found.add(("a feed has a source that this configuration does not know", f"source {name}"))
            if fresh and feed.instance != self._instance and feed.config_digest != config.digest:
                found.add(("an instance runs under another configuration", f"instance {feed.instance}"))
        self.silent = frozenset(name for name in known - set(ours) if self._unchanged(name, feeds.get(name)))
        found |= {("no instance polls a source", f"source {name}") for name in self.silent}
        for what, where in sorted(found - self._told):
            self._observer.problem(what, where=where, remedy="give all instances the same file, and reload it")
        self._told = found

    def _unchanged(self, name: str, feed: LastFeed | None) -> bool:
        """Has the feed been the same for three heartbeats? By our own clock: the others' may be off."""
        at, now = (0 if feed is None else feed.at), self._clock.monotonic()
        before, since = self._since.get(name, (at, now))
        self._since[name] = (at, since if before == at else now)
        return now - self._since[name][1] > FRESH * self.config.feed.heartbeat
