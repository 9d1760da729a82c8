"""What is known of the sources by now, in this process: which are live, and whose list may be believed to be whole."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from datetime import datetime, timedelta

from streamer.client import Batch, FeedStatus
from streamer.config.outputs import Signal
from streamer.consumers.wfm.outputs import tables

PATIENCE = 60.0
"""Seconds after our start in which a source whose feed was not read yet is not called unavailable."""

LAG = 3
"""Heartbeats that what was read may lie behind what the feed confirms."""


class Sight:
    """`now` is unix seconds; `live` is the client's word on a source's feed."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._started = now()
        self._feeds: dict[str, FeedStatus] = {}
        self._complete: dict[str, datetime] = {}
        self._whole: dict[str, bool] = {}
        self.live: Callable[[str], bool] = lambda _: False

    def take(self, db: sqlite3.Connection, batch: Batch) -> None:
        """After the batch's events are in the table."""
        self._feeds |= {feed.source: feed for feed in batch.feeds}
        self._complete |= batch.complete
        for source in {feed.source for feed in batch.feeds} | batch.complete.keys():
            if feed := self._feeds.get(source):
                # The publisher's own count: a table that knows of fewer began too late, or lacks deleted events.
                self._whole[source] = tables.signed_in(db, source) >= feed.extensions

    def caught_up(self, source: str) -> bool:
        """Have the events been read up to what the feed confirms? If not, the states in the table are old ones."""
        feed, complete = self._feeds.get(source), self._complete.get(source)
        if feed is None or feed.confirmed_until is None or complete is None:
            return False
        return feed.confirmed_until - complete <= timedelta(seconds=LAG * feed.heartbeat_s)

    def believed(self, source: str) -> bool:
        """Live, read to the end, and nobody is missing: is who is not in the table not there?"""
        return self.live(source) and self.caught_up(source) and self._whole.get(source, False)

    def signal(self, source: str) -> Signal | None:
        """The feed's status as receivers know it; None while there was no time yet to read it."""
        feed = self._feeds.get(source)
        if feed is None:
            return "unavailable" if self._now() - self._started > PATIENCE else None
        if feed.status == "stopped":
            return "graceful_shutdown"
        return "normal" if self.live(source) else "unavailable"
