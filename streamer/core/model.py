"""The values that travel through the core: frozen, without behaviour of their own.

All moments are whole milliseconds since the Unix epoch. Names ending in `_at` on a seat and everything called
`since`, `at`, `not_before` or `not_after` are on the vendor's clock; `requested_at`, `answered_at` and `observed_at`
are on ours.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import msgspec

from streamer.core.codes import State
from streamer.core.loose import Fault

Change = Literal["first_seen", "signed_in", "state", "groups", "signed_out"]
Basis = Literal["observed", "inferred", "derived"]
SECOND = 1000


class Seat(msgspec.Struct, frozen=True, gc=False):
    """One row of the vendor's list: an extension signed in to one task group.

    `offered_at`, `answered_at`, `status_changed_at` are the starts of the seconds the vendor stamped, or None where it
    holds none. Counters are None where the row has none. `status` is what the agent would be without the queue's
    call: it differs from `state` exactly while one rings or is talked on. Neither is ever `wrap_up`: no row shows that.
    """

    group: str
    extension: str
    agent: str
    state: State
    status: State
    state_code: int | None
    status_code: int | None
    offered_at: int | None
    answered_at: int | None
    status_changed_at: int | None
    calls_answered: int | None
    no_answer_count: int | None
    wrap_up_s: int | None


class RejectedRow(msgspec.Struct, frozen=True, gc=False):
    """A row or body that could not be understood: `fault` is the kind of its reason. `raw` is as received; the boundary
    redacts it. `extension` is None where even that could not be read."""

    kind: Literal["row", "body"]
    reason: str
    path: str
    extension: str | None
    raw: bytes
    fault: Fault = "other"


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
    seats: Sequence[Seat]
    unread: frozenset[str]
    anonymous: int
    rejected: tuple[RejectedRow, ...]
    by_bytes: Mapping[bytes, Seat]


class Window(msgspec.Struct, frozen=True, gc=False):
    """The vendor's moments between which everything new in a poll must have happened: from `start` to `end`.

    `asked` is the earliest moment that the poll's answer can describe, `asked_about` its estimate: what was due before
    is over. `now` is the latest one (`end`, unless a clock jumped). `absent_end` is the end for seats that are no
    longer there: the first poll that missed them, where that was an earlier one. `blind`: the answer does not show all
    of the extension's rows. `jumped`: a clock jumped in it; `shift` is by how much the vendor's moved then, at least
    and at most: below 0, its stamps bear no comparison. `rests`: the vendor keeps to `wrapuptime` before it offers the
    next call. `wrapping`: the extension was told to be in wrap-up. `missed`: the end of the first of the
    `missed_polls` last polls that showed none of its rows, while that was not believed; None if there were none.
    """

    start: int
    end: int
    asked: int
    asked_about: int
    now: int
    absent_end: int | None = None
    blind: bool = False
    jumped: bool = False
    shift: tuple[int, int] = (0, 0)
    rests: bool = True
    wrapping: bool = False
    missed: int | None = None
    missed_polls: int = 0

    @property
    def in_order(self) -> bool:
        """Do stamps in it follow one another as what they stamp did?"""
        return self.shift[0] >= 0


class When(msgspec.Struct, frozen=True, gc=False):
    """A moment with its honest bounds: not_before <= at <= not_after. `evidence` names the vendor's fields."""

    at: int
    not_before: int | None
    not_after: int
    evidence: tuple[str, ...]


class Step(msgspec.Struct, frozen=True, gc=False):
    """A step in a timeline: it enters `state`. None: until the next step nobody can tell which of `maybe`, or in what
    order."""

    state: State | None
    when: When
    basis: Basis = "observed"
    maybe: frozenset[State] = frozenset()


class Transition(msgspec.Struct, frozen=True, gc=False):
    """An extension enters `state`. `ended_from` is the earliest moment at which the state before can have ended, where
    that may be earlier: nobody can tell what was between."""

    state: State
    when: When
    basis: Basis = "observed"
    ended_from: int | None = None


class Ended(msgspec.Struct, frozen=True, gc=False):
    """When a seat's last call of the queue ended: the best estimate and its bounds. Wrap-up counts from here."""

    at: int
    not_before: int
    not_after: int


class Memory(msgspec.Struct, frozen=True, gc=False):
    """What earlier rows told of a seat that its present row does not.

    `ended` is set as long as the wrap-up after that call may go on. `on_demand`: the agent's status was set without
    a restart of the counters, so that it is Available (On Demand) although the row says the same as for Available.
    """

    group: str
    ended: Ended | None = None
    on_demand: bool = False


class AgentState(msgspec.Struct, frozen=True, gc=False):
    """All that is known of one extension: the record on the state topic and what the next poll is compared with.

    `occurred_at` is the last event's; a change of groups leaves `since` behind it. `absent_since` is the upper bound of
    the first poll that did not show all of its seats, `absent_polls` how many polls agreed so far. `read_until` is the
    lower bound for its next transition where that is older than the last poll's: a row could not be read, or an
    absence is not believed. `absent_groups` are the groups whose rows the last poll missed, while that is not believed.
    `memory` is ordered by group; most seats have none. `wrap_up_due` estimates when the present wrap-up ends.
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
    memory: tuple[Memory, ...] = ()


class AgentStateChanged(msgspec.Struct, frozen=True, gc=False):
    """One event. `before` is None for `first_seen`; durations are derived from it when the event is written.

    `gap` is for how many milliseconds nobody had looked, where that was an outage or a restart; None otherwise.
    `ended_from`: see Transition.
    """

    change: Change
    before: AgentState | None
    after: AgentState
    when: When
    basis: Basis
    joined: tuple[str, ...] = ()
    left: tuple[str, ...] = ()
    gap: int | None = None
    ended_from: int | None = None


class Findings(msgspec.Struct, frozen=True):
    """What a poll showed beside its changes, for operators: contradictions by kind, how many extensions the gate holds,
    how many absences it believed and how many that it had held are over (`returned`), the vendor's clock against ours,
    whether one of the two jumped, and by how many milliseconds all fresh stamps are off where that looks like a wrong
    time zone (None: it does not)."""

    contradictions: Mapping[str, int] = msgspec.field(default_factory=dict[str, int])
    held: int = 0
    believed: int = 0
    offset: Offset | None = None
    jumped: bool = False
    zone_off: int | None = None
    returned: int = 0


class Batch(msgspec.Struct, frozen=True, gc=False):
    """What one poll adds to the record: `events` in causal order for each extension, `states` with each changed
    extension once, `forgotten` keys whose state record gets a tombstone.
    """

    source: str
    poll_id: str
    observed_at: int
    events: tuple[AgentStateChanged, ...]
    states: tuple[AgentState, ...]
    rejected: tuple[RejectedRow, ...]
    forgotten: tuple[str, ...] = ()
    findings: Findings = Findings()

    @property
    def empty(self) -> bool:
        """True when there is nothing to publish: such a batch gets no number."""
        return not (self.events or self.states or self.rejected or self.forgotten)


class Settings(msgspec.Struct, frozen=True, gc=False):
    """What an operator may set about the core's judgement, for one source.

    `absent_min`, `absent_share`, `confirm_polls`, `max_delay_ms` are the gate's; `forget_after_ms` is how long a
    signed-out extension keeps its record. `wrap_up`: derive it. `poll_interval_ms` tells an outage from the usual rest
    between two polls; None where it is not known.
    """

    source: str
    timezone: str = "Asia/Shanghai"
    codes: Mapping[int, State] = msgspec.field(default_factory=dict[int, State])
    absent_min: int = 3
    absent_share: float = 0.1
    confirm_polls: int = 3
    max_delay_ms: int = 60 * SECOND
    forget_after_ms: int = 30 * 86_400 * SECOND
    wrap_up: bool = True
    poll_interval_ms: int | None = None


class SourceState(msgspec.Struct, frozen=True, gc=False):
    """Everything the core carries from poll to poll for one source.

    `complete_until` is the vendor's moment up to which all that was seen is told. `seen_until` is the lower bound of
    the next poll's window: later than `complete_until` while absences wait; None after a restart. `anonymous` is the
    last poll's count of rows without an extension; `suspects` are the extensions that vanished when that count rose.
    `polled_at` is the last good poll's request, on our clock. `doubted` tells that the last list lost more than the
    gate believes. `jumps` counts how often one of the two clocks jumped, `jump` is the last such poll's window.
    `wary_until`: until then (our clock) no absence is believed at once, because a list that lacked extensions has
    proved wrong. `no_rest`: the latest polls (our clock) that showed a call offered within a wrap-up. `whole_until` is
    the moment up to which the lists are believed: who is missing from later ones may have been there. `astray` are
    the latest fresh stamps' distances from when they can have happened (ms), as long as all of them are off.
    """

    agents: Mapping[str, AgentState]
    complete_until: int | None = None
    offset: Offset | None = None
    polled_at: int | None = None
    anonymous: int = 0
    suspects: frozenset[str] = frozenset()
    doubted: bool = False
    jumps: int = 0
    jump: Window | None = None
    seen_until: int | None = None
    wary_until: int | None = None
    no_rest: tuple[int, ...] = ()
    whole_until: int | None = None
    astray: tuple[int, ...] = ()
