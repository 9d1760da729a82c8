"""step(state, snapshot) → (state, batch): the only door into the core.

One good poll in: the events and state records it proves out. The same arguments always give the same result.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence, Set
from typing import Any, NamedTuple

import msgspec

from streamer.core import clock, events, gate, merge
from streamer.core.evidence import answering
from streamer.core.model import (
    AgentState,
    AgentStateChanged,
    Batch,
    Findings,
    Seat,
    Settings,
    Snapshot,
    SourceState,
    Window,
)
from streamer.core.poll import NO_RESTS, Poll, open_poll, since

Told = tuple[Sequence[AgentStateChanged], AgentState | None, Sequence[str]]
"""One extension's events, its record after the poll (None: never seen and not readable now), contradictions."""


class Swift(NamedTuple):
    """What one poll tells of one extension whose presence nobody doubts, and how far its fresh stamps are off. `after`
    is None where nothing is new."""

    events: Sequence[AgentStateChanged]
    after: AgentState | None
    kinds: Sequence[str]
    strays: Sequence[int | None]


def step(state: SourceState, snapshot: Snapshot, settings: Settings) -> tuple[SourceState, Batch]:
    """The state after this poll, and what has to be published for it."""
    poll, offset = open_poll(state, snapshot, settings)
    return compare(poll, offset, state, snapshot, by_extension(snapshot.seats), settings)


def compare(
    poll: Poll,
    offset: clock.Offset | None,
    state: SourceState,
    snapshot: Snapshot,
    rows: Mapping[str, tuple[Seat, ...]],
    settings: Settings,
    elsewhere: int = 0,
    swift: Mapping[str, Swift] = {},
) -> tuple[SourceState, Batch]:
    """`step` for the extensions in `state.agents` and in `rows` (the poll's seats by extension) alone.

    `elsewhere` counts the extensions with seats that are left out: nothing happens to them, or what does is in `swift`.
    `complete_until` does not take these into account.
    """
    known, lacked = gate.without_wrong_absences(state.agents, rows)
    missing = gate.missing(known, rows)
    known = {**known, **missing} if missing else known
    wary = state.wary_until is not None and snapshot.requested_at < state.wary_until
    verdict = gate.judge(
        missing,
        elsewhere + sum(1 for agent in known.values() if agent.groups),
        poll.end,
        snapshot.unread,
        (state.anonymous, snapshot.anonymous),
        state.suspects,
        settings,
        wary=wary or lacked,
    )
    changed: dict[str, AgentState] = {}
    told: list[AgentStateChanged] = []
    kinds: Counter[str] = Counter()
    strays: list[int | None] = []
    returned = 0
    for name in sorted(_touched(known, rows, poll) | missing.keys() | snapshot.unread | swift.keys()):
        if (done := swift.get(name)) is not None:
            told += done.events
            strays += done.strays
            if done.kinds:
                kinds.update(done.kinds)
            if done.after is not None:
                changed[name] = done.after
            continue
        before, seats = known.get(name), rows.get(name, ())
        events_, after, problems = extension(name, before, seats, poll, verdict, snapshot.unread, settings)
        told += events_
        if problems:
            kinds.update(problems)
        if before is not None:
            strays += clock.strays(before.groups, seats, poll.start, poll.end)
        was = state.agents.get(name)
        returned += was is not None and was.absent_since is not None and name not in missing
        if after is not None and after != was:
            changed[name] = after
    agents = {**state.agents, **changed} if changed else state.agents
    forgotten = _forgettable(state.agents, rows.keys() | snapshot.unread, poll.end, settings)
    if forgotten:
        agents = {name: agent for name, agent in agents.items() if name not in forgotten}
    astray = clock.all_astray(state.astray, strays)
    whole_until = _whole_until(poll, agents, verdict)
    after_poll = SourceState(
        agents=agents,
        complete_until=_complete_until(poll, whole_until, agents),
        offset=offset,
        polled_at=snapshot.requested_at,
        anonymous=snapshot.anonymous,
        suspects=verdict.suspects,
        doubted=bool(verdict.waiting),
        jumps=state.jumps + poll.jumped,
        jump=since(poll.start if poll.start is not None else poll.end, poll) if poll.jumped else state.jump,
        seen_until=poll.asked_not_before,
        wary_until=snapshot.requested_at + gate.WARY if lacked else state.wary_until,
        no_rest=(*state.no_rest, *[snapshot.requested_at] * kinds["no_rest"])[-NO_RESTS:],
        whole_until=whole_until,
        astray=astray,
    )
    batch = Batch(
        source=poll.source,
        poll_id=poll.poll_id,
        observed_at=poll.observed_at,
        events=tuple(told),
        states=tuple(agent for name, agent in changed.items() if name not in forgotten),
        rejected=snapshot.rejected,
        forgotten=forgotten,
        findings=Findings(
            contradictions=dict(kinds),
            held=len(verdict.held),
            believed=len(verdict.believed),
            offset=offset,
            jumped=poll.jumped,
            zone_off=clock.zone_off(astray),
            returned=returned,
        ),
    )
    return after_poll, batch


def by_extension(seats: Sequence[Seat]) -> dict[str, tuple[Seat, ...]]:
    """The seats of each extension, ordered by group so that the order of the answer's rows changes nothing."""
    found: dict[str, tuple[Seat, ...]] = {}
    for seat in seats:
        others = found.get(seat.extension)
        if others is None:
            found[seat.extension] = (seat,)
        else:
            found[seat.extension] = tuple(sorted((*others, seat), key=lambda s: s.group))
    return found


def _touched(agents: Mapping[str, AgentState], rows: Mapping[str, tuple[Seat, ...]], poll: Poll) -> set[str]:
    """Extensions in this poll whose rows differ from what is known, and all of which an earlier poll left something
    open: a doubt, or a wrap-up that is due."""
    doubtful = {
        name
        for name, agent in agents.items()
        if agent.read_until is not None
        or (agent.wrap_up_due is not None and agent.wrap_up_due <= poll.asked_at)
        or (poll.jumped and agent.memory)
    }
    return doubtful | {
        name for name, seats in rows.items() if (agent := agents.get(name)) is None or agent.groups != seats
    }


def extension(
    name: str,
    before: AgentState | None,
    seats: tuple[Seat, ...],
    poll: Poll,
    verdict: gate.Verdict,
    unread: frozenset[str],
    settings: Settings,
) -> Told:
    """What one poll tells of one extension, from its record before (None: it has none) and its seats now."""
    if before is None:
        if not seats:
            return (), None, ()
        window = None if poll.whole_from is None else since(poll.whole_from, poll)
        told, after = events.first_seen(name, seats, window, poll, settings, blind=name in unread)
        return told, after, ()
    here = {seat.group for seat in seats}
    absent = tuple(seat.group for seat in before.groups if seat.group not in here)
    blind = name in verdict.held or name in unread
    window = _window(before, absent, poll, blind=blind)
    if poll.whole_from is not None and not here <= {seat.group for seat in before.groups}:
        window = msgspec.structs.replace(window, start=min(window.start, poll.whole_from))
    if name in verdict.held:
        seats = merge.held(before.groups, seats)
    return events.known(before, seats, window, poll, settings, _doubt(before, absent, window, verdict))


def _window(before: AgentState, absent: tuple[str, ...], poll: Poll, *, blind: bool) -> Window:
    """Between which moments this extension's news happened.

    Without any record of how far the feed was complete, the last poll that wrote the extension's record counts.
    """
    if before.read_until is not None:
        start = before.read_until - poll.back
    elif poll.start is not None:
        start = poll.start
    else:
        start = before.observed_at + poll.offset_low
    # One more seat than the last poll missed: it left after the first absence, so that only this poll bounds it.
    waited = before.absent_since is not None and set(absent) <= set(before.absent_groups)
    window, jump = since(start, poll), poll.jump
    if jump is not None and before.read_until is not None and before.read_until <= jump.start:
        # Its news may be from before that jump.
        window = msgspec.structs.replace(window, end=max(window.end, jump.end), jumped=True, shift=jump.shift)
    return msgspec.structs.replace(
        window,
        absent_end=before.absent_since if waited else None,
        blind=blind,
        wrapping=before.state == "wrap_up",
        missed=before.absent_since if len(before.absent_groups) == len(before.groups) else None,
        missed_polls=before.absent_polls,
    )


def _doubt(before: AgentState, absent: tuple[str, ...], window: Window, verdict: gate.Verdict) -> dict[str, Any]:
    """The record's fields about what this poll leaves open."""
    waiting = before.extension in verdict.waiting
    open_ = waiting or before.extension in verdict.suspects
    first = window.end if window.absent_end is None else window.absent_end
    return {
        "absent_since": first if open_ else None,
        "absent_polls": before.absent_polls + waiting if open_ else 0,
        "absent_groups": absent if open_ else (),
        "read_until": window.start if window.blind else None,
    }


def _forgettable(
    agents: Mapping[str, AgentState],
    there: Set[str],
    now: int,
    settings: Settings,
) -> tuple[str, ...]:
    return tuple(
        sorted(
            name
            for name, agent in agents.items()
            if not agent.groups and name not in there and now - agent.since > settings.forget_after_ms
        )
    )


def _whole_until(poll: Poll, agents: Mapping[str, AgentState], verdict: gate.Verdict) -> int:
    """Up to when the lists are believed: this poll's lower bound, or an older one while absences wait."""
    waiting = (until for name in verdict.waiting if (until := agents[name].read_until) is not None)
    return min([poll.asked_not_before, *waiting])


def _complete_until(poll: Poll, whole_until: int, agents: Mapping[str, AgentState]) -> int:
    """Up to when everything that was seen is told: as far as the lists are believed, but not what half written answers
    and wrap-ups that may have ended leave open."""
    waiting: list[int] = []
    for agent in agents.values():
        if agent.state == "wrap_up":
            waiting.append(merge.wrap_up_may_end(agent))
        elif agent.state == "ringing":
            seen = poll.asked_not_before if agent.read_until is None else agent.read_until
            waiting += (s.answered_at for s in agent.groups if s.answered_at and answering(s, seen, poll.end))
    return min([whole_until, *waiting])
