"""Events → intervals: who was in which state from when to when, and how that is known. Pure.

The intervals of an extension never overlap and leave no hole within an epoch. Each is opened by one event, and known by
(source, extension, epoch, number of that event). An event may come in any order and any number of times: it is put
between the interval before it and the one after it, and each interval that this changes gets the next revision.
"""

from __future__ import annotations

from datetime import datetime
from itertools import pairwise

import msgspec

from streamer.client import AgentStateChanged

PREVIOUS = "previous"
"""Basis of an interval whose opening event is missing: the next event told what was before it."""

GAP, EPOCH_LOST = "gap", "epoch_lost"
"""Bases of an interval in which the state is not known: events are missing, or the extension's record was lost."""


class Interval(msgspec.Struct, frozen=True, gc=False):
    """One extension in one state. Moments are unix ms on the vendor's clock; an `end` of None is open.

    `opened` is the number of the event that opened it, `through` of the last one that is known to belong to it (changes
    of groups do), `closed_epoch` and `closed` of the one that closed it. `entered` is the state that was entered at
    `start`, `known` how that is known. `before_min_s` and `before_max_s` are the bounds that its event gives
    for the duration of the interval before it; `min_s` and `max_s` are this one's.
    """

    source: str
    extension: str
    epoch: str
    opened: int
    through: int
    entered: str
    known: str
    change: str
    agent: str
    groups: tuple[str, ...]
    start: int
    before_min_s: float | None = None
    before_max_s: float | None = None
    end: int | None = None
    closed_epoch: str | None = None
    closed: int | None = None
    min_s: float | None = None
    max_s: float | None = None
    lost: str | None = None
    revision: int = 0

    @property
    def state(self) -> str | None:
        """The state during all of it; None where that is not known."""
        return None if self.lost else self.entered

    @property
    def basis(self) -> str:
        """How it is known, or why it is not: observed, inferred, derived, previous, gap, epoch_lost."""
        return self.lost or self.known

    @property
    def name(self) -> str:
        """The agent's name; the extension where the vendor shows none."""
        return self.agent or self.extension


def place(before: Interval | None, after: Interval | None, event: AgentStateChanged) -> list[Interval]:
    """The intervals that are new or changed now.

    `before` is the extension's last interval that was opened by an earlier event, `after` its first one that was opened
    by this or a later event.
    """
    number = event.sequence
    ours = before if before is not None and before.epoch == event.epoch else None
    if ours is not None and number <= ours.through:
        return []
    chain = _chain(before, ours, event)
    if after is not None and (after.epoch, after.opened) == (event.epoch, number):
        # Known so far only by what the event after it told.
        if after.known != PREVIOUS or event.change == "groups":
            return []
        chain[-1] = msgspec.structs.replace(_opened(event), **{name: getattr(after, name) for name in _KEPT})
        return _revised(before, chain, None, [before, after])
    return _revised(before, chain, after, [before, after])


_KEPT = ("start", "through", "end", "closed_epoch", "closed", "min_s", "max_s", "lost", "revision")


def _chain(before: Interval | None, ours: Interval | None, event: AgentStateChanged) -> list[Interval | None]:
    """The interval before the event, as it is with it, and those that the event opens."""
    number, replace = event.sequence, msgspec.structs.replace
    if event.change == "groups":
        # Its state began with an earlier event; if that is the one we know, those between changed groups only, too.
        if ours is not None and (number == ours.through + 1 or _same(ours, event.current.state, event.current.since)):
            return [replace(ours, through=number, agent=event.agent or ours.agent, groups=_groups(event))]
        return [before, replace(_opened(event), known=PREVIOUS)]
    if event.previous is None or number < 2 or (ours is not None and number == ours.through + 1):
        return [before, _opened(event)]
    if ours is not None and _same(ours, event.previous.state, event.previous.since):
        return [replace(ours, through=number - 1), _opened(event)]
    told = Interval(
        source=event.source,
        extension=event.extension,
        epoch=event.epoch,
        opened=number - 1,
        through=number - 1,
        entered=event.previous.state,
        known=PREVIOUS,
        change="state",
        agent=event.agent,
        groups=(),
        start=_ms(event.previous.since),
    )
    return [before, told, _opened(event)]


def _opened(event: AgentStateChanged) -> Interval:
    return Interval(
        source=event.source,
        extension=event.extension,
        epoch=event.epoch,
        opened=event.sequence,
        through=event.sequence,
        entered=event.current.state,
        known=event.basis,
        change=event.change,
        agent=event.agent,
        groups=_groups(event),
        start=_ms(event.current.since),
        before_min_s=event.previous_duration_min_s,
        before_max_s=event.previous_duration_max_s,
    )


def _groups(event: AgentStateChanged) -> tuple[str, ...]:
    return tuple(sorted({group.name for group in event.groups}))


def _same(interval: Interval, state: str, since: datetime) -> bool:
    return interval.entered == state and interval.start == _ms(since)


def _revised(
    before: Interval | None, chain: list[Interval | None], after: Interval | None, old: list[Interval | None]
) -> list[Interval]:
    """The intervals of the chain that differ from the old ones: each ended by the next one, the last one by `after`."""
    line: list[Interval] = []
    for one in filter(None, chain):
        # After a lost epoch time can seem to go back: a state may have begun before what is known of the one before.
        start = max(one.start, line[-1].start if line else before.start if before else one.start)
        line.append(msgspec.structs.replace(one, start=min(start, after.start) if after else start))
    linked = [_linked(one, following) for one, following in pairwise([*line, after] if after else line)]
    if after is None:
        linked += line[-1:]
    was = {_key(one): one for one in old if one is not None}
    return [_next(was.get(_key(one)), one) for one in linked if was.get(_key(one)) != one]


def _key(interval: Interval) -> tuple[str, int]:
    return interval.epoch, interval.opened


def _next(old: Interval | None, new: Interval) -> Interval:
    """With the next revision, if it differs in what is shown of it."""
    if old is not None and msgspec.structs.replace(old, through=new.through) == new:
        return new
    return msgspec.structs.replace(new, revision=new.revision + 1)


def _linked(one: Interval, following: Interval) -> Interval:
    """An interval that the following one ends."""
    lost = None
    if one.epoch == following.epoch:
        lost = None if following.opened == one.through + 1 else GAP
    elif one.entered != "signed_out" or following.opened != 1:
        lost = EPOCH_LOST
    return msgspec.structs.replace(
        one,
        end=following.start,
        closed_epoch=following.epoch,
        closed=following.opened,
        min_s=following.before_min_s,
        max_s=following.before_max_s,
        lost=lost,
    )


def _ms(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)
