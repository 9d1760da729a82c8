"""Committed states, events and feeds for what only shows them."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from streamer.config import Kafka
from streamer.core.feed import Cursor, FeedStatus
from streamer.core.model import AgentState, AgentStateChanged, Batch, When
from streamer.core.rejected import Told
from streamer.kafka.serde import Record, encode, encode_feed
from streamer.web.floor import Changes, Floor

AT = 1_795_399_205_000


def agent(extension: str = "100001", name: str = "agent", source: str = "floor", **more: object) -> AgentState:
    state = AgentState(
        source=source,
        extension=extension,
        agent=name,
        epoch="6741a2f0",
        sequence=1,
        event_id=f"{source}/{extension}/6741a2f0/1",
        occurred_at=AT,
        state="available",
        since=AT,
        occurred_not_before=None,
        occurred_not_after=AT,
        groups=(),
        observed_at=AT,
        poll_id=f"{source}/{AT}",
    )
    return msgspec.structs.replace(state, **more)


def event(after: AgentState, at: int = AT) -> AgentStateChanged:
    return AgentStateChanged("first_seen", None, after, When(at, None, at, ()), "observed")


def feed(source: str = "floor", **more: object) -> FeedStatus:
    status = FeedStatus(
        source=source,
        status="live",
        since=AT,
        reason="",
        at=AT,
        confirmed_until=AT,
        poll_interval_s=1.0,
        heartbeat_s=10.0,
        extensions=1,
        delivery="exactly_once",
        cursor=Cursor("w", 1),
        outbox_batches=0,
        outbox_bytes=0,
        superseded=0,
        clock_offset=None,
        config_digest="0" * 16,
        instance="one",
    )
    return msgspec.structs.replace(status, **more)


def records(
    events: Sequence[AgentStateChanged] = (),
    states: Sequence[AgentState] = (),
    forgotten: Sequence[str] = (),
    feeds: Sequence[FeedStatus] = (),
) -> list[Record]:
    """What Kafka would hand out of them."""
    batch = Batch(
        source="floor",
        poll_id=f"floor/{AT}",
        observed_at=AT,
        events=tuple(events),
        states=tuple(states),
        rejected=(),
        forgotten=tuple(forgotten),
    )
    return [*encode(batch, Kafka(), Told(), ()), *(encode_feed(one, Kafka()) for one in feeds)]


def floor_of(read: Sequence[Record], *, agent_names: bool = True) -> Floor:
    """A floor of those records."""
    floor = Floor(agent_names=agent_names)
    floor.take(read, Changes())
    return floor
