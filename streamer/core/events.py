"""One extension and one poll → its event, if any, and its record: numbered, timed, never back in time."""

from __future__ import annotations

from typing import Any

import msgspec

from streamer.core import merge
from streamer.core.codes import State
from streamer.core.model import SECOND, AgentState, AgentStateChanged, Change, Seat, When, Window


class Poll(msgspec.Struct, frozen=True):
    """What every extension of one poll shares. `asked_at` and `asked_not_before` are the request on the
    vendor's clock: its estimate and lower bound. `back` is how far lower bounds from before a jump of a clock must
    go back to hold on either reading; `offset_low` turns our clock's moments into the vendor's earliest."""

    source: str
    poll_id: str
    observed_at: int
    asked_at: int
    asked_not_before: int
    window: Window
    back: int
    offset_low: int


def first_seen(
    extension: str, seats: tuple[Seat, ...], poll: Poll, blind: bool
) -> tuple[AgentStateChanged, AgentState]:
    state = merge.state_of(seats)
    when = merge.first_seen(state, seats, poll.asked_at, poll.window.end)
    epoch = f"{poll.observed_at // SECOND & 0xFFFFFFFF:08x}"
    after = AgentState(
        source=poll.source,
        extension=extension,
        agent=seats[0].agent,
        epoch=epoch,
        sequence=1,
        event_id=f"{poll.source}/{extension}/{epoch}/1",
        occurred_at=when.at,
        state=state,
        since=when.at,
        occurred_not_before=when.not_before,
        occurred_not_after=when.not_after,
        groups=seats,
        observed_at=poll.observed_at,
        poll_id=poll.poll_id,
        # A row of it that cannot be read yet may be older than this poll.
        read_until=(when.at if when.not_before is None else when.not_before) if blind else None,
    )
    return AgentStateChanged("first_seen", None, after, when, "observed"), after


def known(
    before: AgentState,
    seats: tuple[Seat, ...],
    window: Window,
    poll: Poll,
    doubt: dict[str, Any],
) -> tuple[AgentStateChanged | None, AgentState]:
    state = merge.state_of(seats)
    joined = tuple(sorted({s.group for s in seats} - {s.group for s in before.groups}))
    left = tuple(sorted({s.group for s in before.groups} - {s.group for s in seats}))
    change = _change(before.state, state, bool(joined or left))
    after = _evidence(before, seats, poll, doubt)
    if change is None:
        return None, after
    couples = merge.pairs(before.groups, seats)
    when = merge.regrouped(couples, window) if change == "groups" else merge.entered(state, couples, window)
    when = _not_earlier(when, before.occurred_at)
    after = _numbered(after, state, when, moved=change != "groups")
    return AgentStateChanged(change, before, after, when, "observed", joined, left), after


def _change(before: State, after: State, regrouped: bool) -> Change | None:
    if before == after:
        return "groups" if regrouped else None
    if before == "signed_out":
        return "signed_in"
    return "signed_out" if after == "signed_out" else "state"


def _evidence(
    before: AgentState,
    seats: tuple[Seat, ...],
    poll: Poll,
    doubt: dict[str, Any],
) -> AgentState:
    """The record with this poll's rows, not yet with a new state. Without new evidence it equals `before`."""
    fields: dict[str, Any] = {"groups": seats, "agent": seats[0].agent if seats else before.agent, **doubt}
    if all(getattr(before, name) == value for name, value in fields.items()):
        return before
    return msgspec.structs.replace(before, observed_at=poll.observed_at, poll_id=poll.poll_id, **fields)


def _numbered(after: AgentState, state: State, when: When, *, moved: bool) -> AgentState:
    """The record with its next number; a change of groups alone leaves state and since as they are."""
    sequence = after.sequence + 1
    after = msgspec.structs.replace(
        after,
        sequence=sequence,
        event_id=f"{after.source}/{after.extension}/{after.epoch}/{sequence}",
        occurred_at=when.at,
    )
    if not moved:
        return after
    return msgspec.structs.replace(
        after,
        state=state,
        since=when.at,
        occurred_not_before=when.not_before,
        occurred_not_after=when.not_after,
    )


def _not_earlier(when: When, floor: int) -> When:
    """Along an extension's sequence time never goes back: the estimate is moved, the bounds only widened."""
    if when.at >= floor:
        return when
    return When(floor, when.not_before, max(when.not_after, floor), when.evidence)
