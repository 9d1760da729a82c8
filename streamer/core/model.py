"""The values that travel through the core: frozen, without behaviour of their own.

All moments are whole milliseconds since the Unix epoch. Names ending in `_at` on a seat and everything called
`since`, `at`, `not_before` or `not_after` are on the vendor's clock; `requested_at`, `answered_at` and `observed_at`
are on ours.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import msgspec

from streamer.core.codes import State

Change = Literal["first_seen", "signed_in", "state", "groups", "signed_out"]
Basis = Literal["observed", "inferred", "derived"]
SECOND = 1000


class Seat(msgspec.Struct, frozen=True, gc=False):
    """One row of the vendor's list: an extension signed in to one task group.

    `offered_at`, `answered_at`, `status_changed_at` are the starts of the seconds the vendor stamped, or None where it
    holds none. Counters are None where the row has none.
    """

    group: str
    extension: str
    agent: str
    state: State
    state_code: int | None
    status_code: int | None
    offered_at: int | None
    answered_at: int | None
    status_changed_at: int | None
    calls_answered: int | None
    no_answer_count: int | None
    wrap_up_s: int | None


class RejectedRow(msgspec.Struct, frozen=True, gc=False):
    """A row or body that could not be understood. `raw` is as received; the boundary redacts it.

    `extension` is None where even that could not be read.
    """

    kind: Literal["row", "body"]
    reason: str
    path: str
    extension: str | None
    raw: bytes


class Offset(msgspec.Struct, frozen=True, gc=False):
    """The vendor's clock minus ours lies within [low, high] milliseconds."""

    low: int
    high: int


class Snapshot(msgspec.Struct, frozen=True, gc=False):
    """One good poll, decoded.

    `seats` holds each (group, extension) once, in the answer's order. `unread` are extensions with a row that could
    not be understood. `anonymous` counts rows that did not even tell their extension. `by_bytes` lets the next decode
    reuse the seat of every row whose bytes are the same.
    """

    source: str
    requested_at: int
    answered_at: int
    reqtime: int | None
    rsptime: int | None
    seats: tuple[Seat, ...]
    unread: frozenset[str]
    anonymous: int
    rejected: tuple[RejectedRow, ...]
    by_bytes: Mapping[bytes, Seat]


class Window(msgspec.Struct, frozen=True, gc=False):
    """The vendor's moments between which everything new in a poll must have happened.

    `start` is None where nothing is known before, and never after `end`. `absent_end` is the end for seats that are no
    longer there: the first poll that missed them, where that was an earlier one.
    """

    start: int | None
    end: int
    absent_end: int | None = None


class When(msgspec.Struct, frozen=True, gc=False):
    """A moment with its honest bounds: not_before <= at <= not_after. `evidence` names the vendor's fields."""

    at: int
    not_before: int | None
    not_after: int
    evidence: tuple[str, ...]


class Transition(msgspec.Struct, frozen=True, gc=False):
    """A seat or an extension enters `state`."""

    state: State
    when: When
    basis: Basis = "observed"


class AgentState(msgspec.Struct, frozen=True, gc=False):
    """All that is known of one extension: the record on the state topic and what the next poll is compared with.

    `occurred_at` is the last event's; a change of groups leaves `since` behind it. `absent_since` is the upper bound of
    the first poll that did not show all of its seats, `absent_polls` how many polls agreed so far. `read_until` is the
    lower bound for its next transition where that is older than the last poll's: a row could not be read, or an
    absence is not believed. `absent_groups` are the groups whose rows the last poll missed, while that is not believed.
    """

    source: str
    extension: str
    agent: str
    epoch: str
    sequence: int
    event_id: str
    occurred_at: int
    state: State
    since: int
    occurred_not_before: int | None
    occurred_not_after: int
    groups: tuple[Seat, ...]
    observed_at: int
    poll_id: str
    wrap_up_due: int | None = None
    absent_since: int | None = None
    absent_polls: int = 0
    read_until: int | None = None
    absent_groups: tuple[str, ...] = ()


class AgentStateChanged(msgspec.Struct, frozen=True, gc=False):
    """One event. `before` is None for `first_seen`; durations are derived from it when the event is written."""

    change: Change
    before: AgentState | None
    after: AgentState
    when: When
    basis: Basis
    joined: tuple[str, ...] = ()
    left: tuple[str, ...] = ()


class Batch(msgspec.Struct, frozen=True, gc=False):
    """What one poll adds to the record.

    `events` are in causal order for each extension; `states` hold each changed extension once; `forgotten` are keys
    whose state record gets a tombstone.
    """

    source: str
    poll_id: str
    observed_at: int
    events: tuple[AgentStateChanged, ...]
    states: tuple[AgentState, ...]
    rejected: tuple[RejectedRow, ...]
    forgotten: tuple[str, ...] = ()

    @property
    def empty(self) -> bool:
        """True when there is nothing to publish: such a batch gets no number."""
        return not (self.events or self.states or self.rejected or self.forgotten)


class Settings(msgspec.Struct, frozen=True, gc=False):
    """What an operator may set about the core's judgement, for one source.

    `absent_min`, `absent_share`, `confirm_polls`, `max_delay_ms` are the gate's; `forget_after_ms` is how long a
    signed-out extension keeps its record.
    """

    source: str
    timezone: str = "Asia/Shanghai"
    codes: Mapping[int, State] = msgspec.field(default_factory=dict[int, State])
    absent_min: int = 3
    absent_share: float = 0.1
    confirm_polls: int = 3
    max_delay_ms: int = 60 * SECOND
    forget_after_ms: int = 30 * 86_400 * SECOND


class SourceState(msgspec.Struct, frozen=True, gc=False):
    """Everything the core carries from poll to poll for one source.

    `complete_until` is the vendor's moment up to which all that was seen is told. `seen_until` is the lower bound of
    the next poll's window: later than `complete_until` while absences wait; None after a restart. `anonymous` is the
    last poll's count of rows without an extension; `suspects` are the extensions that vanished when that count rose.
    `polled_at` is the last good poll's request, on our clock. `doubted` tells that the last list lost more than the
    gate believes. `jumps` counts how often one of the two clocks jumped.
    """

    agents: Mapping[str, AgentState]
    complete_until: int | None = None
    offset: Offset | None = None
    polled_at: int | None = None
    anonymous: int = 0
    suspects: frozenset[str] = frozenset()
    doubted: bool = False
    jumps: int = 0
    seen_until: int | None = None
