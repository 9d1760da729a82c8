"""One extension and one poll → its events and its record: numbered, timed, never back in time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from msgspec.structs import replace

from streamer.core import merge
from streamer.core.codes import State
from streamer.core.evidence import Kind
from streamer.core.model import (
    SECOND,
    AgentState,
    AgentStateChanged,
    Change,
    Memory,
    Seat,
    Settings,
    Transition,
    When,
    Window,
)
from streamer.core.poll import Poll


def first_seen(
    extension: str, seats: tuple[Seat, ...], window: Window | None, poll: Poll, settings: Settings, *, blind: bool
) -> tuple[list[AgentStateChanged], AgentState]:
    """What one poll tells of an extension that has no record, and its record after that.

    `window` is None for a source's first poll. Who was seen signing in within it may have had calls since.
    """
    steps, memory = _arrived(seats, window, settings) if window is not None and not blind else ((), ())
    if not steps:
        state = merge.state_now(seats)
        steps = (Transition(state, merge.first_seen(state, seats, poll.asked_at, poll.end)),)
    when = steps[0].when
    epoch = f"{poll.observed_at // SECOND & 0xFFFFFFFF:08x}"
    after = AgentState(
        source=poll.source,
        extension=extension,
        agent=seats[0].agent,
        epoch=epoch,
        sequence=1,
        event_id=f"{poll.source}/{extension}/{epoch}/1",
        occurred_at=when.at,
        state=steps[0].state,
        since=when.at,
        occurred_not_before=when.not_before,
        occurred_not_after=when.not_after,
        groups=seats,
        observed_at=poll.observed_at,
        poll_id=poll.poll_id,
        wrap_up_due=merge.wrap_up_due(seats, memory),
        # A row of it that cannot be read yet may be older than this poll.
        read_until=(when.at if when.not_before is None else when.not_before) if blind else None,
        memory=memory,
    )
    first = [AgentStateChanged("first_seen", None, after, when, steps[0].basis)]
    return first, told(first, after, steps[1:], None)


def _arrived(
    seats: tuple[Seat, ...], window: Window, settings: Settings
) -> tuple[tuple[Transition, ...], tuple[Memory, ...]]:
    """What an extension did since it was seen signing in; nothing if that was not, or if it only signed in."""
    lived = merge.timeline((), (), seats, window, settings)
    if len(lived.steps) < 2 or "seatschangetime" not in lived.steps[0].when.evidence:
        return (), ()
    return lived.steps, lived.memory


def told(into: list[AgentStateChanged], after: AgentState, steps: Sequence[Transition], gap: int | None) -> AgentState:
    """Adds an event for each step; the record after them."""
    for step in steps:
        previous, after = after, _numbered(after, step.state, step.when, moved=True)
        # Who had signed out in between had no rows then.
        shown = after if step.state != "signed_out" else replace(after, groups=(), memory=())
        into.append(_event(_change(previous.state, step.state), previous, shown, step, gap))
    return after


def known(
    before: AgentState,
    seats: tuple[Seat, ...],
    window: Window,
    poll: Poll,
    settings: Settings,
    doubt: dict[str, Any],
) -> tuple[list[AgentStateChanged], AgentState, tuple[Kind, ...]]:
    """What one poll tells of an extension that has a record: its events, its record after them, contradictions."""
    lived = merge.timeline(before.groups, before.memory, seats, window, settings)
    joined = tuple(sorted({s.group for s in seats} - {s.group for s in before.groups}))
    left = tuple(sorted({s.group for s in before.groups} - {s.group for s in seats}))
    due = merge.wrap_up_due(seats, lived.memory)
    after = _evidence(before, seats, poll, {**doubt, "memory": lived.memory, "wrap_up_due": due})
    gap = window.end - window.start if poll.gap else None
    found: list[AgentStateChanged] = []
    after = told(found, after, lived.steps, gap)
    if (joined or left) and not found:
        when = merge.regrouped(merge.pairs(before.groups, seats), window)
        previous, after = after, _numbered(after, before.state, when, moved=False)
        found.append(_event("groups", previous, after, Transition(before.state, when), gap))
    if joined or left:
        # Who signs in joins with it; otherwise it is by the end of the poll's events that the groups have changed.
        place = 0 if found[0].change == "signed_in" else -1
        found[place] = replace(found[place], joined=joined, left=left)
    return found, after, lived.kinds


def _event(
    change: Change, before: AgentState, after: AgentState, step: Transition, gap: int | None
) -> AgentStateChanged:
    when, at = step.when, after.occurred_at
    if when.at != at or when.not_after < at:
        when = replace(when, at=at, not_after=max(when.not_after, at))
    return AgentStateChanged(change, before, after, when, step.basis, (), (), gap, step.ended_from)


def _change(before: State, after: State) -> Change:
    if before == "signed_out":
        return "signed_in"
    return "signed_out" if after == "signed_out" else "state"


def _evidence(
    before: AgentState,
    seats: tuple[Seat, ...],
    poll: Poll,
    fields: dict[str, Any],
) -> AgentState:
    """The record with this poll's rows, not yet with a new state. Without new evidence it equals `before`."""
    fields = {"groups": seats, "agent": seats[0].agent if seats else before.agent, **fields}
    if all(getattr(before, name) == value for name, value in fields.items()):
        return before
    return replace(before, observed_at=poll.observed_at, poll_id=poll.poll_id, **fields)


def _numbered(after: AgentState, state: State, when: When, *, moved: bool) -> AgentState:
    """The record with its next number; a change of groups alone leaves state and since as they are.

    Along an extension's sequence time never goes back: the estimate is moved, the bounds only widened.
    """
    sequence = after.sequence + 1
    event_id = f"{after.source}/{after.extension}/{after.epoch}/{sequence}"
    at = max(when.at, after.occurred_at)
    if not moved:
        return replace(after, sequence=sequence, event_id=event_id, occurred_at=at)
    return replace(
        after,
        sequence=sequence,
        event_id=event_id,
        occurred_at=at,
        state=state,
        since=at,
        occurred_not_before=when.not_before,
        occurred_not_after=max(when.not_after, at),
    )
