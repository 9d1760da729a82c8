"""Extensions that went through the same between two polls are inferred once.

Most of what changes on a floor changes alike: within one poll's window many begin to ring, are answered or hang up in
the same second. What `merge.timeline` makes of one row depends on little of it (`_likeness`), and so does what it makes
of its twins.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from streamer.core import events, gate, merge
from streamer.core.evidence import HALF_WRITTEN, Kind
from streamer.core.model import SECOND, AgentState, AgentStateChanged, Ended, Memory, Seat, Settings, Transition, Window
from streamer.core.poll import Poll, since
from streamer.core.step import Told, extension

LONG_AGO, YET_TO_COME = "long ago", "yet to come"
"""Stand for stamps that are so far from the window that by how much does not matter."""


class _Twins(msgspec.Struct, frozen=True):
    """What they went through, what to remember of them, contradictions, and when their wrap-up is due."""

    steps: tuple[Transition, ...]
    memory: Memory | None
    kinds: tuple[Kind, ...]
    due: int | None


class Twins:
    """`tell` gives what `extension` gives."""

    def __init__(self) -> None:
        self._poll: Poll | None = None
        self._known: dict[tuple[object, ...], _Twins] = {}
        self._window: Mapping[bool, Window] = {}
        self._low = self._high = 0

    def tell(
        self,
        name: str,
        before: AgentState | None,
        seats: tuple[Seat, ...],
        poll: Poll,
        verdict: gate.Verdict,
        unread: frozenset[str],
        settings: Settings,
    ) -> Told:
        """What one poll tells of one extension, from its record before and its seats now."""
        if (
            before is None
            or len(seats) != 1
            or len(before.groups) != 1
            or before.groups[0].group != seats[0].group
            or before.read_until is not None
            or before.absent_since is not None
            or before.absent_polls
            or before.absent_groups
            or poll.start is None
            or unread
        ):
            return extension(name, before, seats, poll, verdict, unread, settings)
        if poll is not self._poll:
            self._open(poll, poll.start)
        wrapping = before.state == "wrap_up"
        like = self._likeness(before.groups[0], seats[0], before.memory[0] if before.memory else None, wrapping)
        twins = self._known.get(like)
        if twins is None:
            twins = self._known[like] = _first(before, seats, self._window[wrapping], settings)
        return _told(before, seats, twins, poll, self._window[wrapping])

    def _open(self, poll: Poll, start: int) -> None:
        window = since(start, poll)
        self._poll = poll
        self._known = {}
        self._window = {False: window, True: msgspec.structs.replace(window, wrapping=True)}
        self._low, self._high = window.start - HALF_WRITTEN - SECOND, window.end

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


def _first(before: AgentState, seats: tuple[Seat, ...], window: Window, settings: Settings) -> _Twins:
    lived = merge.timeline(before.groups, before.memory, seats, window, settings)
    memory = lived.memory[0] if lived.memory else None
    return _Twins(lived.steps, memory, lived.kinds, merge.wrap_up_due(seats, lived.memory))


def _told(before: AgentState, seats: tuple[Seat, ...], twins: _Twins, poll: Poll, window: Window) -> Told:
    """As `events.known` has it where neither a group is joined or left nor anything doubted."""
    memory = ()
    if twins.memory is not None:
        memory = (Memory(seats[0].group, twins.memory.ended, twins.memory.on_demand),)
    after = before
    if before.groups != seats or before.memory != memory or before.wrap_up_due != twins.due:
        after = msgspec.structs.replace(
            before,
            groups=seats,
            agent=seats[0].agent,
            memory=memory,
            wrap_up_due=twins.due,
            observed_at=poll.observed_at,
            poll_id=poll.poll_id,
        )
    told: list[AgentStateChanged] = []
    after = events.told(told, after, twins.steps, window.end - window.start if poll.gap else None)
    return told, after, twins.kinds
