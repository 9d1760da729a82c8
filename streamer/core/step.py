"""step(state, snapshot) → (state, batch): the only door into the core.

One good poll in: the events and state records it proves out. The same arguments always give the same result.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from streamer.core import clock, gate, merge
from streamer.core.codes import State
from streamer.core.infer import between, observed
from streamer.core.model import (
    SECOND,
    AgentState,
    AgentStateChanged,
    Batch,
    Change,
    Seat,
    Settings,
    Snapshot,
    SourceState,
    When,
    Window,
)


class _Poll(msgspec.Struct, frozen=True):
    """What every extension of one poll shares. `asked_at` and `asked_not_before` are the request on the
    vendor's clock: its estimate and lower bound."""

    source: str
    poll_id: str
    observed_at: int
    asked_at: int
    asked_not_before: int
    window: Window


def step(state: SourceState, snapshot: Snapshot, settings: Settings) -> tuple[SourceState, Batch]:
    """The state after this poll, and what has to be published for it."""
    poll, offset, jumped = _open(state, snapshot)
    rows = _by_extension(snapshot.seats)
    missing = _missing(state.agents, rows)
    seated = sum(1 for agent in state.agents.values() if agent.groups)
    verdict = gate.judge(
        missing,
        seated,
        poll.window.end,
        snapshot.unread,
        (state.anonymous, snapshot.anonymous),
        state.suspects,
        settings,
    )
    changed: dict[str, AgentState] = {}
    events: list[AgentStateChanged] = []
    for extension in sorted(_touched(state.agents, rows) | missing.keys() | snapshot.unread):
        before = state.agents.get(extension)
        event, after = _extension(extension, before, rows.get(extension, ()), poll, verdict, snapshot.unread)
        if event is not None:
            events.append(event)
        if after is not None and after != before:
            changed[extension] = after
    agents = {**state.agents, **changed} if changed else state.agents
    forgotten = _forgettable(state.agents, rows, poll.window.end, settings)
    if forgotten:
        agents = {name: agent for name, agent in agents.items() if name not in forgotten}
    after_poll = SourceState(
        agents=agents,
        complete_until=_complete_until(poll, agents, verdict),
        offset=offset,
        polled_at=snapshot.requested_at,
        anonymous=snapshot.anonymous,
        suspects=verdict.suspects,
        doubted=bool(verdict.waiting),
        jumps=state.jumps + jumped,
    )
    batch = Batch(
        source=poll.source,
        poll_id=poll.poll_id,
        observed_at=poll.observed_at,
        events=tuple(events),
        states=tuple(changed.values()),
        rejected=snapshot.rejected,
        forgotten=forgotten,
    )
    return after_poll, batch


def _open(state: SourceState, snapshot: Snapshot) -> tuple[_Poll, clock.Offset | None, bool]:
    measured = clock.measure(snapshot.requested_at, snapshot.answered_at, snapshot.reqtime, snapshot.rsptime)
    elapsed = snapshot.requested_at - (state.polled_at or snapshot.requested_at)
    offset, jumped = clock.estimate(state.offset, measured, elapsed)
    low, high = (offset or clock.UNKNOWN).low, (offset or clock.UNKNOWN).high
    end = snapshot.answered_at + high
    start = None if state.complete_until is None else min(state.complete_until, end)
    poll = _Poll(
        source=snapshot.source,
        poll_id=f"{snapshot.source}/{snapshot.requested_at}",
        observed_at=snapshot.requested_at,
        asked_at=snapshot.requested_at + (low + high) // 2,
        asked_not_before=snapshot.requested_at + low,
        window=Window(start, end),
    )
    return poll, offset, jumped


def _by_extension(seats: Sequence[Seat]) -> dict[str, tuple[Seat, ...]]:
    """The seats of each extension, ordered by group so that the order of the answer's rows changes nothing."""
    found: dict[str, tuple[Seat, ...]] = {}
    for seat in seats:
        others = found.get(seat.extension)
        if others is None:
            found[seat.extension] = (seat,)
        else:
            found[seat.extension] = tuple(sorted((*others, seat), key=lambda s: s.group))
    return found


def _missing(agents: Mapping[str, AgentState], rows: Mapping[str, tuple[Seat, ...]]) -> dict[str, AgentState]:
    """Extensions of which at least one known seat is not in this poll."""
    return {
        name: agent
        for name, agent in agents.items()
        if agent.groups
        and agent.groups != (seats := rows.get(name, ()))
        and not {s.group for s in agent.groups} <= {s.group for s in seats}
    }


def _touched(agents: Mapping[str, AgentState], rows: Mapping[str, tuple[Seat, ...]]) -> set[str]:
    """Extensions in this poll whose rows differ from what is known, or of which an earlier poll left a doubt."""
    return {
        name
        for name, seats in rows.items()
        if (agent := agents.get(name)) is None
        or agent.groups != seats
        or agent.absent_since is not None
        or agent.read_until is not None
    }


def _extension(
    extension: str,
    before: AgentState | None,
    seats: tuple[Seat, ...],
    poll: _Poll,
    verdict: gate.Verdict,
    unread: frozenset[str],
) -> tuple[AgentStateChanged | None, AgentState | None]:
    """One extension's event, if any, and its record after this poll (None: never seen and not readable now)."""
    if before is None:
        return _first_seen(extension, seats, poll) if seats else (None, None)
    start = before.read_until if before.read_until is not None else poll.window.start
    absent_end = before.absent_since if extension in verdict.believed else None
    window = Window(start if start is not None else before.since, poll.window.end, absent_end)
    if extension in verdict.held:
        here = {seat.group for seat in seats}
        seats = tuple(sorted((*seats, *(s for s in before.groups if s.group not in here)), key=lambda s: s.group))
    blind = extension in verdict.held or extension in unread
    return _known(before, seats, window, poll, verdict, blind)


def _first_seen(extension: str, seats: tuple[Seat, ...], poll: _Poll) -> tuple[AgentStateChanged, AgentState]:
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
    )
    return AgentStateChanged("first_seen", None, after, when, "observed"), after


def _known(
    before: AgentState,
    seats: tuple[Seat, ...],
    window: Window,
    poll: _Poll,
    verdict: gate.Verdict,
    blind: bool,
) -> tuple[AgentStateChanged | None, AgentState]:
    state = merge.state_of(seats)
    joined = tuple(sorted({s.group for s in seats} - {s.group for s in before.groups}))
    left = tuple(sorted({s.group for s in before.groups} - {s.group for s in seats}))
    change = _change(before.state, state, bool(joined or left))
    after = _evidence(before, seats, window, poll, verdict, blind)
    if change is None:
        return None, after
    couples = merge.pairs(before.groups, seats)
    if change == "groups":
        moved = [m.when for b, a in couples if (b is None or a is None) and (m := observed(b, a, window))]
        when = moved[0] if len(moved) == 1 else between(window, ("absence",) if left else ("presence",))
    else:
        when = merge.entered(state, couples, window)
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
    window: Window,
    poll: _Poll,
    verdict: gate.Verdict,
    blind: bool,
) -> AgentState:
    """The record with this poll's rows, not yet with a new state. Without new evidence it equals `before`."""
    waiting = before.extension in verdict.waiting
    absent = waiting or before.extension in verdict.suspects
    fields = {
        "groups": seats,
        "agent": seats[0].agent if seats else before.agent,
        "absent_since": (before.absent_since or window.end) if absent else None,
        "absent_polls": before.absent_polls + waiting if absent else 0,
        "read_until": window.start if blind else None,
    }
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


def _forgettable(
    agents: Mapping[str, AgentState],
    rows: Mapping[str, tuple[Seat, ...]],
    now: int,
    settings: Settings,
) -> tuple[str, ...]:
    return tuple(
        name
        for name, agent in agents.items()
        if not agent.groups and name not in rows and now - agent.since > settings.forget_after_ms
    )


def _complete_until(poll: _Poll, agents: Mapping[str, AgentState], verdict: gate.Verdict) -> int | None:
    """Up to when everything that was seen is told: this poll's lower bound, or an older one while absences wait."""
    waiting = [until for name in verdict.waiting if (until := agents[name].read_until) is not None]
    return min([poll.asked_not_before, *waiting])
