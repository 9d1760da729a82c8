"""What the feed says: is a source live, and up to when is its record complete for who has read so far?"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from aiokafka import TopicPartition

from streamer.client.batches import Poison
from streamer.client.records import FeedStatus
from streamer.client.session import Ends, Session
from streamer.kafka.framing import body

MISSED = 3
"""Heartbeats after which a status counts as stale (contract): while Kafka is away nobody can write one."""

Now = Callable[[], datetime]


def utc_now() -> datetime:
    """This machine's clock."""
    return datetime.now(UTC)


def is_live(feed: FeedStatus | None, now: datetime) -> bool:
    """Live, and said so within three heartbeats."""
    return feed is not None and feed.status == "live" and now - feed.at < timedelta(seconds=MISSED * feed.heartbeat_s)


class Feeds:
    """The newest status of each source, and the moments up to which all that was seen has been given out.

    `confirmed_until` is a statement about the topic. It holds for a reader once it has read the events up to where
    they end after the status was read.
    """

    def __init__(self) -> None:
        self.statuses: dict[str, FeedStatus] = {}
        self.complete: dict[str, datetime] = {}
        self._claims: dict[str, tuple[datetime, Ends]] = {}
        self._decoder = msgspec.json.Decoder(FeedStatus)

    def take(self, records: Iterable[Any]) -> tuple[list[FeedStatus], list[Poison]]:
        """Statuses of these records, and what is none."""
        fresh: list[FeedStatus] = []
        poison: list[Poison] = []
        for record in records:
            if record.value is None:
                self.statuses.pop((record.key or b"").decode("utf-8", "replace"), None)
                continue
            try:
                status = self._decoder.decode(body(record.value))
                if status.type != "FeedStatus" or status.source.encode() != record.key:
                    raise msgspec.ValidationError("it is no FeedStatus of its key")
            except (msgspec.MsgspecError, UnicodeDecodeError) as error:
                poison.append(poisoned(record, str(error)))
            else:
                self.statuses[status.source] = status
                fresh.append(status)
        return fresh, poison

    async def claim(self, session: Session, fresh: Sequence[FeedStatus], partitions: Sequence[TopicPartition]) -> None:
        """Note where the events end now that these statuses are read; one claim of a source at a time."""
        new = [status for status in fresh if status.source not in self._claims and status.confirmed_until]
        if not new:
            return
        ends = await session.checked(await session.ends(partitions))
        for status in new:
            if status.confirmed_until is not None:
                self._claims[status.source] = (status.confirmed_until, ends)

    async def kept(self, session: Session) -> Mapping[str, datetime]:
        """The claims that hold by now."""
        held: dict[str, datetime] = {}
        for source, (until, ends) in list(self._claims.items()):
            if await session.reached(ends):
                del self._claims[source]
                held[source] = until
        self.complete |= held
        return held

    def forget_claims(self) -> None:
        """What was noted by a session that is over."""
        self._claims.clear()


def poisoned(record: Any, reason: str) -> Poison:
    """A record that could not be read."""
    return Poison(record.topic, record.partition, record.offset, reason, record.key, record.value)
