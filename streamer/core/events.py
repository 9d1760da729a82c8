"""One extension and one poll → its events and its record: numbered, timed, never back in time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from msgspec.structs import replace

from streamer.core import merge
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
    """Adds an event for each step; the record after them.

    Along an extension's sequence time never goes back: the estimate is moved, the bounds only widened.
    """
    for step in steps:
        state, when, previous = step.state, step.when, after
        at, latest = when.at, when.not_after
        if at < previous.occurred_at:
            at = previous.occurred_at
        if latest < at:
            latest = at
        if when.at != at or when.not_after != latest:
            when = When(at, when.not_before, latest, when.evidence)
        sequence = previous.sequence + 1
        after = replace(
            previous,
            sequence=sequence,
            event_id=f"{previous.source}/{previous.extension}/{previous.epoch}/{sequence}",
            occurred_at=at,
            state=state,
            since=at,
            occurred_not_before=when.not_before,
            occurred_not_after=latest,
        )
        change: Change = "state"
        if previous.state == "signed_out":
            change = "signed_in"
        elif state == "signed_out":
            change = "signed_out"
        # Who had signed out in between had no rows then.
        shown = after if state != "signed_out" else replace(after, groups=(), memory=())
        into.append(AgentStateChanged(change, previous, shown, when, step.basis, (), (), gap, step.ended_from))
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
        previous, after = after, _regrouped(after, when)
        when = replace(when, at=after.occurred_at, not_after=max(when.not_after, after.occurred_at))
        found.append(AgentStateChanged("groups", previous, after, when, "observed", gap=gap))
    if joined or left:
        # Who signs in joins with it; otherwise it is by the end of the poll's events that the groups have changed.
        place = 0 if found[0].change == "signed_in" else -1
        found[place] = replace(found[place], joined=joined, left=left)
    return found, after, lived.kinds


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


def _regrouped(after: AgentState, when: When) -> AgentState:
    """The record with its next number; a change of groups alone leaves state and since as they are."""
    sequence = after.sequence + 1
    return replace(
        after,
        sequence=sequence,
        event_id=f"{after.source}/{after.extension}/{after.epoch}/{sequence}",
        occurred_at=max(when.at, after.occurred_at),
    )
