"""step(state, snapshot) → (state, batch): the only door into the core.

One good poll in: the events and state records it proves out. The same arguments always give the same result.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from typing import Any

from streamer.core import clock, events, gate
from streamer.core.events import Poll
from streamer.core.model import (
    AgentState,
    AgentStateChanged,
    Batch,
    Seat,
    Settings,
    Snapshot,
    SourceState,
    Window,
)


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
    told: list[AgentStateChanged] = []
    for extension in sorted(_touched(state.agents, rows) | missing.keys() | snapshot.unread):
        before = state.agents.get(extension)
        event, after = _extension(extension, before, rows.get(extension, ()), poll, verdict, snapshot.unread)
        if event is not None:
            told.append(event)
        if after is not None and after != before:
            changed[extension] = after
    agents = {**state.agents, **changed} if changed else state.agents
    forgotten = _forgettable(state.agents, rows.keys() | snapshot.unread, poll.window.end, settings)
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
        seen_until=poll.asked_not_before,
    )
    batch = Batch(
        source=poll.source,
        poll_id=poll.poll_id,
        observed_at=poll.observed_at,
        events=tuple(told),
        states=tuple(agent for name, agent in changed.items() if name not in forgotten),
        rejected=snapshot.rejected,
        forgotten=forgotten,
    )
    return after_poll, batch


def _open(state: SourceState, snapshot: Snapshot) -> tuple[Poll, clock.Offset | None, bool]:
    measured = clock.measure(snapshot.requested_at, snapshot.answered_at, snapshot.reqtime, snapshot.rsptime)
    elapsed = snapshot.requested_at - (state.polled_at or snapshot.requested_at)
    offset, jumped = clock.estimate(state.offset, measured, elapsed)
    low, high = (offset or clock.UNKNOWN).low, (offset or clock.UNKNOWN).high
    end = snapshot.answered_at + high
    back = max(0, state.offset.low - low) if jumped and state.offset is not None else 0
    until = state.seen_until if state.seen_until is not None else state.complete_until
    start = None if until is None else min(until - back, end)
    poll = Poll(
        source=snapshot.source,
        poll_id=f"{snapshot.source}/{snapshot.requested_at}",
        observed_at=snapshot.requested_at,
        asked_at=snapshot.requested_at + (low + high) // 2,
        asked_not_before=snapshot.requested_at + low,
        window=Window(start, end),
        back=back,
        offset_low=low,
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
    """Extensions in this poll whose rows differ from what is known, and all of which an earlier poll left a doubt."""
    doubtful = {
        name for name, agent in agents.items() if agent.absent_since is not None or agent.read_until is not None
    }
    return doubtful | {
        name for name, seats in rows.items() if (agent := agents.get(name)) is None or agent.groups != seats
    }


def _extension(
    extension: str,
    before: AgentState | None,
    seats: tuple[Seat, ...],
    poll: Poll,
    verdict: gate.Verdict,
    unread: frozenset[str],
) -> tuple[AgentStateChanged | None, AgentState | None]:
    """One extension's event, if any, and its record after this poll (None: never seen and not readable now)."""
    if before is None:
        return events.first_seen(extension, seats, poll, extension in unread) if seats else (None, None)
    here = {seat.group for seat in seats}
    absent = tuple(seat.group for seat in before.groups if seat.group not in here)
    window = _window(before, absent, poll)
    if extension in verdict.held:
        seats = tuple(sorted((*seats, *(s for s in before.groups if s.group not in here)), key=lambda s: s.group))
    blind = extension in verdict.held or extension in unread
    return events.known(before, seats, window, poll, _doubt(before, absent, window, verdict, blind))


def _window(before: AgentState, absent: tuple[str, ...], poll: Poll) -> Window:
    """Between which moments this extension's news happened.

    Without any record of how far the feed was complete, the last poll that wrote the extension's record counts.
    """
    if before.read_until is not None:
        start = before.read_until - poll.back
    elif poll.window.start is not None:
        start = poll.window.start
    else:
        start = before.observed_at + poll.offset_low
    # One more seat than the last poll missed: it left after the first absence, so that only this poll bounds it.
    waited = before.absent_since is not None and set(absent) <= set(before.absent_groups)
    return Window(min(start, poll.window.end), poll.window.end, before.absent_since if waited else None)


def _doubt(
    before: AgentState, absent: tuple[str, ...], window: Window, verdict: gate.Verdict, blind: bool
) -> dict[str, Any]:
    """The record's fields about what this poll leaves open."""
    waiting = before.extension in verdict.waiting
    open_ = waiting or before.extension in verdict.suspects
    first = window.end if window.absent_end is None else window.absent_end
    return {
        "absent_since": first if open_ else None,
        "absent_polls": before.absent_polls + waiting if open_ else 0,
        "absent_groups": absent if open_ else (),
        "read_until": window.start if blind else None,
    }


def _forgettable(
    agents: Mapping[str, AgentState],
    there: Set[str],
    now: int,
    settings: Settings,
) -> tuple[str, ...]:
    return tuple(
        name
        for name, agent in agents.items()
        if not agent.groups and name not in there and now - agent.since > settings.forget_after_ms
    )


def _complete_until(poll: Poll, agents: Mapping[str, AgentState], verdict: gate.Verdict) -> int | None:
    """Up to when everything that was seen is told: this poll's lower bound, or an older one while absences wait."""
    waiting = [until for name in verdict.waiting if (until := agents[name].read_until) is not None]
    return min([poll.asked_not_before, *waiting])
