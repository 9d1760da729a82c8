"""Notices instances that run under other configurations, from what their feeds say."""

from __future__ import annotations

from collections.abc import Mapping

from streamer.config import Config
from streamer.core.model import SECOND
from streamer.errors import KafkaError
from streamer.kafka.restore import LastFeed
from streamer.runtime.ports import Clock, Observer, Store

SURVEY = 60.0
"""Seconds between two looks at all feeds: a difference lasts until an operator acts, and reading them costs little."""

FRESH = 3
"""Heartbeats after which a feed says nothing about who runs now (contract)."""


class Differences:
    """Tells each difference once, until it is gone."""

    def __init__(self, instance: str, observer: Observer, clock: Clock) -> None:
        self._instance = instance
        self._observer = observer
        self._clock = clock
        self._told: set[tuple[str, str]] = set()
        self._config: Config | None = None

    def look(self, config: Config, feeds: Mapping[str, LastFeed]) -> None:
        """Compare the newest feeds of all sources with our own configuration."""
        self._config = config
        now = self._clock.now_ms()
        known = {source.name for source in config.sources}
        found: set[tuple[str, str]] = set()
        for name, feed in feeds.items():
            fresh = now - feed.at <= FRESH * feed.heartbeat_s * SECOND
            if name not in known and feed.status != "stopped":
                found.add(("a feed has a source that this configuration does not know", f"source {name}"))
            if fresh and feed.instance != self._instance and feed.config_digest != config.digest:
                found.add(("an instance runs under another configuration", f"instance {feed.instance}"))
        for what, where in sorted(found - self._told):
            self._observer.problem(what, where=where, remedy="give all instances the same file, and reload it")
        self._told = found

    async def survey(self, store: Store) -> None:
        """Look again and again."""
        while True:
            await self._clock.sleep(SURVEY)
            if self._config is None:
                continue
            try:
                feeds = await store.feeds()
            except KafkaError:
                continue
            self.look(self._config, feeds)
