"""The published records field by field, in the order in which they are written; moments as RFC 3339 text."""

from __future__ import annotations

import msgspec


class Since(msgspec.Struct, gc=False):
    state: str
    since: str


class Group(msgspec.Struct, gc=False):
    """A seat as an item of an event's `groups`."""

    name: str
    state: str
    state_code: int | None
    status_code: int | None
    offered_at: str | None
    answered_at: str | None
    status_changed_at: str | None
    calls_answered: int | None
    no_answer_count: int | None
    wrap_up_s: int | None


class Ended(msgspec.Struct, gc=False):
    at: str
    not_before: str
    not_after: str


class Row(Group, gc=False):
    """A seat in an extension's record: with what only inference needs of it."""

    agent: str
    status: str
    call_ended: Ended | None
    on_demand: bool


class Event(msgspec.Struct, gc=False):
    type: str
    schema_version: str
    event_id: str
    source: str
    extension: str
    agent: str
    epoch: str
    sequence: int
    change: str
    previous: Since | None
    current: Since
    previous_duration_s: float | None
    previous_duration_min_s: float | None
    previous_duration_max_s: float | None
    occurred_at: str
    occurred_not_before: str | None
    occurred_not_after: str
    basis: str
    evidence: tuple[str, ...]
    observed_at: str
    poll_id: str
    groups: list[Group]
    joined: tuple[str, ...] | msgspec.UnsetType = msgspec.UNSET
    left: tuple[str, ...] | msgspec.UnsetType = msgspec.UNSET
    gap_s: float | msgspec.UnsetType = msgspec.UNSET


class State(msgspec.Struct, gc=False):
    type: str
    schema_version: str
    source: str
    extension: str
    agent: str
    epoch: str
    sequence: int
    event_id: str
    occurred_at: str
    state: str
    since: str
    occurred_not_before: str | None
    occurred_not_after: str
    groups: list[Row]
    observed_at: str
    poll_id: str
    wrap_up_due: str | None
    absent_since: str | None
    absent_polls: int
    read_until: str | None
    absent_groups: tuple[str, ...]
