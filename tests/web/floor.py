"""Committed states and events for what only shows them."""

from __future__ import annotations

import msgspec

from streamer.core.model import AgentState, AgentStateChanged, When

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


def event(after: AgentState) -> AgentStateChanged:
    return AgentStateChanged("first_seen", None, after, When(AT, None, AT, ()), "observed")
