"""The records as a consumer reads them, generated from the published schemas; their fields: docs/events.md."""

from __future__ import annotations

from datetime import datetime

from msgspec import UNSET, Struct, UnsetType


class StateSince(Struct, frozen=True, gc=False):
    """A state, and since when."""

    state: str
    since: datetime


class Group(Struct, frozen=True, gc=False):
    """One seat: the extension's row in one task group, as of the poll."""

    name: str
    state: str
    state_code: int | None
    status_code: int | None
    offered_at: datetime | None
    answered_at: datetime | None
    status_changed_at: datetime | None
    calls_answered: int | None
    no_answer_count: int | None
    wrap_up_s: int | None


class AgentStateChanged(Struct, frozen=True, gc=False):
    """One change of one extension's state."""

    type: str
    schema_version: str
    event_id: str
    source: str
    extension: str
    agent: str
    epoch: str
    sequence: int
    change: str
    previous: StateSince | None
    current: StateSince
    previous_duration_s: float | None
    previous_duration_min_s: float | None
    previous_duration_max_s: float | None
    occurred_at: datetime
    occurred_not_before: datetime | None
    occurred_not_after: datetime
    basis: str
    evidence: list[str]
    observed_at: datetime
    poll_id: str
    groups: list[Group]
    joined: list[str] | UnsetType = UNSET
    left: list[str] | UnsetType = UNSET
    gap_s: float | UnsetType = UNSET


class CallEnded(Struct, frozen=True, gc=False):
    """CallEnded, see docs/events.md."""

    at: datetime
    not_before: datetime
    not_after: datetime


class Seat(Struct, frozen=True, gc=False):
    """One seat: the extension's row in one task group, as of the poll."""

    name: str
    state: str
    state_code: int | None
    status_code: int | None
    offered_at: datetime | None
    answered_at: datetime | None
    status_changed_at: datetime | None
    calls_answered: int | None
    no_answer_count: int | None
    wrap_up_s: int | None
    agent: str
    status: str | UnsetType = UNSET
    call_ended: CallEnded | UnsetType | None = UNSET
    on_demand: bool | UnsetType = UNSET


class AgentState(Struct, frozen=True, gc=False):
    """The current state of one extension, and all evidence needed to infer from the next poll."""

    type: str
    schema_version: str
    source: str
    extension: str
    agent: str
    epoch: str
    sequence: int
    event_id: str
    occurred_at: datetime
    state: str
    since: datetime
    occurred_not_before: datetime | None
    occurred_not_after: datetime
    groups: list[Seat]
    observed_at: datetime
    poll_id: str
    wrap_up_due: datetime | None
    absent_since: datetime | None
    absent_polls: int
    read_until: datetime | None


class Cursor(Struct, frozen=True, gc=False):
    """A batch: who numbered it, and its number."""

    writer: str
    number: int


class Outbox(Struct, frozen=True, gc=False):
    """What waits to be published."""

    batches: int
    bytes: int


class ClockOffset(Struct, frozen=True, gc=False):
    """Bounds of the vendor's clock minus ours, in seconds."""

    min: float
    max: float


class FeedStatus(Struct, frozen=True, gc=False):
    """Whether the feed of one source is live, and up to which moment it is complete."""

    type: str
    schema_version: str
    source: str
    status: str
    since: datetime
    reason: str
    at: datetime
    confirmed_until: datetime | None
    poll_interval_s: float
    heartbeat_s: float
    extensions: int
    delivery: str
    cursor: Cursor | None
    outbox: Outbox
    superseded: int
    clock_offset_s: ClockOffset | None
    config_digest: str
    instance: str


class RejectedRecord(Struct, frozen=True, gc=False):
    """A row or a whole answer of the vendor that could not be understood, once for each distinct extension."""

    type: str
    schema_version: str
    source: str
    at: datetime
    poll_id: str
    kind: str
    reason: str
    path: str
    extension: str | None
    excerpt: str
    sha256: str
    bytes: int
    repeats: int
