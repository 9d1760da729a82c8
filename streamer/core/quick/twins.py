"""Extensions that went through the same between two polls are inferred once.

Most of what changes on a floor changes alike: within one poll's window many begin to ring, are answered or hang up in
the same second. What `merge.timeline` makes of one row depends on little of it (`_likeness`), and so does what it makes
of its twins.
"""

from __future__ import annotations

import msgspec
from msgspec.structs import replace

from streamer.core import events, merge
from streamer.core.clock import strays
from streamer.core.evidence import HALF_WRITTEN, Kind
from streamer.core.model import SECOND, AgentState, AgentStateChanged, Ended, Memory, Seat, Settings, Transition, Window
from streamer.core.poll import Poll, since
from streamer.core.quick.known import doubtful
from streamer.core.step import Swift

LONG_AGO, YET_TO_COME = "long ago", "yet to come"
"""Stand for stamps that are so far from the window that by how much does not matter."""


class _Twins(msgspec.Struct, frozen=True):
    """What they went through, what to remember of them, contradictions, when their wrap-up is due, and which of their
    fresh stamps are off."""

    steps: tuple[Transition, ...]
    memory: Memory | None
    kinds: tuple[Kind, ...]
    due: int | None
    strays: tuple[int | None, ...]


class Twins:
    """The extensions of one poll that are told of swiftly."""

    def __init__(self, poll: Poll, settings: Settings) -> None:
        self._poll = poll
        self._settings = settings
        window = since(poll.end if poll.start is None else poll.start, poll)
        self._windows = (window, replace(window, wrapping=True))
        self._gap = window.end - window.start if poll.gap else None
        self._low, self._high = window.start - HALF_WRITTEN - SECOND, window.end
        self._known: dict[tuple[object, ...], _Twins] = {}

    def tell(self, before: AgentState, seats: tuple[Seat, ...]) -> Swift | None:
        """What this poll tells of an extension, from its record before and its seats now.

        None where more than one row plays a part, or a doubt.
        """
        groups = before.groups
        if len(seats) != 1 or len(groups) != 1 or self._poll.start is None or doubtful(before):
            return None
        old, new = groups[0], seats[0]
        if old.group != new.group:
            return None
        memory = before.memory[0] if before.memory else None
        if memory is not None and memory.group != new.group:
            return None
        wrapping = before.state == "wrap_up"
        like = self._likeness(old, new, memory, wrapping)
        twins = self._known.get(like)
        if twins is None:
            twins = self._known[like] = self._first(before, seats, self._windows[wrapping])
        return self._told(before, seats, twins)

    def _first(self, before: AgentState, seats: tuple[Seat, ...], window: Window) -> _Twins:
        lived = merge.timeline(before.groups, before.memory, seats, window, self._settings)
        memory = lived.memory[0] if lived.memory else None
        off = strays(before.groups, seats, self._poll.start, self._poll.end)
        return _Twins(lived.steps, memory, lived.kinds, merge.wrap_up_due(seats, lived.memory), tuple(off))

    def _told(self, before: AgentState, seats: tuple[Seat, ...], twins: _Twins) -> Swift:
        """As `events.known` has it where neither a group is joined or left nor anything doubted."""
        poll, memory = self._poll, twins.memory
        memories = () if memory is None else (Memory(seats[0].group, memory.ended, memory.on_demand),)
        after = before
        if before.groups != seats or before.memory != memories or before.wrap_up_due != twins.due:
            after = replace(
                before,
                groups=seats,
                agent=seats[0].agent,
                memory=memories,
                wrap_up_due=twins.due,
                observed_at=poll.observed_at,
                poll_id=poll.poll_id,
            )
        told: list[AgentStateChanged] = []
        after = events.told(told, after, twins.steps, self._gap)
        off = twins.strays
        if any(off):  # by how much, the likeness does not tell
            off = strays(before.groups, seats, poll.start, poll.end)
        return Swift(told, after if after is not before else None, twins.kinds, off)

    def _stamp(self, was: int | None, now: int | None) -> object:
        if was == now:
            if now is None:
                return None
            return LONG_AGO if now < self._low else now if now <= self._high else YET_TO_COME
        return self._stamp(was, was), self._stamp(now, now)

    def _likeness(self, old: Seat, new: Seat, memory: Memory | None, wrapping: bool) -> tuple[object, ...]:
        """All that inference looks at: codes, the stamps near the window and whether the others moved, how the counters
        differ."""
        calls: object = (old.calls_answered, new.calls_answered)
        if old.calls_answered is not None and new.calls_answered is not None:
            told = new.calls_answered if old.status_changed_at != new.status_changed_at else new.calls_answered > 0
            calls = (new.calls_answered - old.calls_answered, told, 0)
        return (
            wrapping,
            old.state,
            old.status,
            old.state_code,
            old.status_code,
            new.state,
            new.status,
            new.state_code,
            new.status_code,
            self._stamp(old.offered_at, new.offered_at),
            self._stamp(old.answered_at, new.answered_at),
            self._stamp(old.status_changed_at, new.status_changed_at),
            calls,
            old.no_answer_count,
            new.no_answer_count,
            old.wrap_up_s,
            new.wrap_up_s,
            None if memory is None else (memory.on_demand, _moments(memory.ended)),
        )


def _moments(ended: Ended | None) -> tuple[int, int, int] | None:
    return None if ended is None else (ended.at, ended.not_before, ended.not_after)
