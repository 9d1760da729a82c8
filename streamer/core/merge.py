"""The seats of an extension → the extension: what it went through between two polls.

An extension is as its busiest seat is. Each seat's timeline is inferred by itself; woven together they give the
extension's, as far as all orders agree that the seats' bounds leave. Rows with the same evidence before and after
are one agent shown in several groups: one timeline, one call.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from streamer.core.bounds import at_stamp, between, gone
from streamer.core.codes import BUSIEST, IN_CALL, State
from streamer.core.evidence import Kind, call_of, newest_stamps
from streamer.core.infer import Inferred, infer, state_of
from streamer.core.model import SECOND, AgentState, Basis, Memory, Seat, Settings, Step, Transition, When, Window
from streamer.core.status import SET
from streamer.core.weave import weave
from streamer.core.wrapup import over, rest_of

Pair = tuple[Seat | None, Seat | None]
Memories = Mapping[str, Memory]

VENDOR_NAME = {
    "offered_at": "lastassigntime",
    "answered_at": "lastanswertime",
}


class Timeline(msgspec.Struct, frozen=True):
    """What an extension went through from poll to poll, in order; what to remember of its seats; contradictions."""

    steps: tuple[Transition, ...]
    memory: tuple[Memory, ...]
    kinds: tuple[Kind, ...]


def busiest(states: Iterable[State]) -> State:
    """The state of an extension whose seats are in `states`; `signed_out` without any."""
    found: State = "signed_out"
    for state in states:
        if BUSIEST[state] < BUSIEST[found]:
            found = state
    return found


def state_now(seats: Iterable[Seat], memory: Iterable[Memory] = ()) -> State:
    """The state of an extension with these seats."""
    memories = by_group(memory)
    return busiest(state_of(seat, memories.get(seat.group)) for seat in seats)


def wrap_up_due(seats: Iterable[Seat], memory: Iterable[Memory]) -> int | None:
    """About when the extension's wrap-up ends, None where it is in none: the last of its seats counts."""
    memories = by_group(memory)
    if state_now(seats := tuple(seats), memories.values()) != "wrap_up":
        return None
    return max(
        found.ended.at + rest_of(seat)
        for seat in seats
        if seat.state == "available" and (found := memories.get(seat.group)) is not None and found.ended is not None
    )


def wrap_up_may_end(agent: AgentState) -> int:
    """The earliest moment at which the wrap-up that the extension is in may end."""
    rests = {seat.group: rest_of(seat) for seat in agent.groups}
    return min(over(found.ended, rests[found.group]).low for found in agent.memory if found.ended is not None)


def by_group(memory: Iterable[Memory]) -> Memories:
    """The memories by their groups."""
    return {one.group: one for one in memory}


def pairs(before: Sequence[Seat], after: Sequence[Seat]) -> list[Pair]:
    """Each seat's row before and after, by group; None where it had or has none."""
    old = {seat.group: seat for seat in before}
    new = {seat.group: seat for seat in after}
    return [(old.get(group), new.get(group)) for group in sorted(old.keys() | new.keys())]


def held(before: Sequence[Seat], after: Sequence[Seat]) -> tuple[Seat, ...]:
    """The rows of a poll with those that it lacks and that are believed to be there, by group. A row that is lacking
    stays as it was; but where another one showed the same agent, that one tells how she is now."""
    here = {seat.group: seat for seat in after}
    siblings = {_evidence(old): here[old.group] for old in before if old.group in here and _tells(old)}
    lacking = (seat for seat in before if seat.group not in here)
    stand_ins = (
        msgspec.structs.replace(siblings.get(_evidence(seat), seat), group=seat.group, agent=seat.agent)
        for seat in lacking
    )
    return tuple(sorted((*after, *stand_ins), key=lambda seat: seat.group))


def timeline(
    before: Sequence[Seat], memory: Sequence[Memory], after: Sequence[Seat], window: Window, settings: Settings
) -> Timeline:
    """What the extension went through, from its rows at two polls."""
    memories = by_group(memory)
    if len(before) == len(after) == 1 and before[0].group == after[0].group:
        return _alone(before[0], memories.get(before[0].group), after[0], window, settings)
    known = stamps(before)
    found: list[Inferred] = []
    groups: list[tuple[str, ...]] = []
    for couples in _agents(pairs(before, after)):
        old, new = couples[0]
        group = (old or new or after[0]).group
        found.append(infer(old, new, memories.get(group), window, settings, known))
        groups.append(tuple(new.group for _, new in couples if new is not None))
    start = state_now(before, memory)
    steps = weave([seat.track for seat in found], _busiest)
    remembered = [
        msgspec.structs.replace(seat.memory, group=group)
        for seat, names in zip(found, groups, strict=True)
        if seat.memory is not None
        for group in names
    ]
    remembered.sort(key=lambda one: one.group)
    told = _told(start, state_now(after, remembered), steps, window)
    return Timeline(told, tuple(remembered), tuple(kind for seat in found for kind in seat.kinds))


def _alone(before: Seat, memory: Memory | None, after: Seat, window: Window, settings: Settings) -> Timeline:
    """`timeline` of one row: what it shows, the extension does."""
    seat = infer(before, after, memory, window, settings)
    remembered = () if seat.memory is None else (seat.memory,)
    steps = weave([seat.track], _busiest)
    told = _told(state_of(before, memory), state_of(after, seat.memory), steps, window)
    return Timeline(told, remembered, seat.kinds)


def _busiest(states: Sequence[State | None]) -> State | None:
    """As `busiest`; who may be in any state may be busier than all others, unless one of them talks."""
    known = busiest(state for state in states if state is not None)
    return known if known == "talking" or None not in states else None


def _told(start: State, end: State, steps: Sequence[Step] | None, window: Window) -> tuple[Transition, ...]:
    """The steps as transitions, from `start` to `end`: what the two polls show is observed, what happened between them
    inferred."""
    if steps is None or (steps[-1].state if steps else start) != end:
        steps = (Step(end, between(window, "state")),)
    told: list[Transition] = []
    state, left = start, None
    for number, step in enumerate(steps, 1):
        if step.state is None or step.state == state:
            left = step.when.not_before if left is None and step.state is None else left
            continue
        shown = number == len(steps) and step.state != start
        told.append(Transition(step.state, _honest(step), _basis(step, shown=shown), left))
        state, left = step.state, None
    return tuple(told)


def _basis(step: Step, *, shown: bool) -> Basis:
    return step.basis if step.basis == "derived" else "observed" if shown else "inferred"


def _honest(step: Step) -> When:
    """A told step's bounds and evidence. While orders are compared bounds are as narrow as can be; but a vendor may
    count a wrap-up in whole seconds: its end may be one more either way."""
    when = step.when
    if step.basis != "derived":
        return msgspec.structs.replace(when, evidence=tuple(name for name in when.evidence if name != "wrapuptime"))
    if step.state != "available" or when.not_before is None:
        return when
    return msgspec.structs.replace(when, not_before=when.not_before - SECOND, not_after=when.not_after + SECOND)


def _agents(couples: Sequence[Pair]) -> list[list[Pair]]:
    """The rows that are one agent's together, the one that tells of most before all others.

    Two rows that show the same calls now are one agent's. Where one of them was not there before, or was not seen for a
    while, the other tells what happened. An agent that is shown in one group fewer is still there in the others.
    """
    shown: dict[tuple[object, ...], list[Pair]] = {}
    for old, new in couples:
        calls = new is not None and (new.offered_at is not None or new.answered_at is not None)
        shown.setdefault((_evidence(new),) if calls else (_evidence(new), _evidence(old)), []).append((old, new))
    stayed = {_evidence(old) for old, new in couples if new is not None and _tells(old)}
    return [
        sorted(pairs_, key=lambda pair: _newest(pair[0]), reverse=True)
        for pairs_ in shown.values()
        if pairs_[0][1] is not None or _evidence(pairs_[0][0]) not in stayed
    ]


def _newest(seat: Seat | None) -> tuple[int, ...]:
    return () if seat is None else newest_stamps(seat)


def _evidence(seat: Seat | None) -> tuple[object, ...] | None:
    """What the books of an agent say, whichever group shows them."""
    if seat is None:
        return None
    return (
        seat.offered_at,
        seat.answered_at,
        seat.status_changed_at,
        seat.calls_answered,
        seat.no_answer_count,
        seat.state_code,
        seat.status_code,
        seat.wrap_up_s,
    )


def _tells(seat: Seat | None) -> bool:
    """Has it a stamp, so that two agents have hardly the same evidence by chance?"""
    return bool(stamps([seat]))


def regrouped(seats: Sequence[Pair], window: Window) -> When:
    """When the extension joined or left a group: told by a status stamp only where no row that stayed has it too."""
    changed = [(before, after) for before, after in seats if before is None or after is None]
    if len(changed) > 1:
        return between(window, "absence" if any(after is None for _, after in changed) else "presence")
    _, after = changed[0]
    if after is None:
        return between(gone(window), "absence")
    known = stamps(row for pair in seats if None not in pair for row in pair)
    stamp = after.status_changed_at
    if stamp is None or stamp in known or stamp > window.end or stamp + SECOND < window.start:
        return between(window, "presence")
    return at_stamp(stamp, "presence", "seatschangetime")


def stamps(seats: Iterable[Seat | None]) -> frozenset[int]:
    """Every stamp that these rows hold."""
    return frozenset(
        stamp
        for seat in seats
        if seat is not None
        for stamp in (seat.offered_at, seat.answered_at, seat.status_changed_at)
        if stamp is not None
    )


def first_seen(state: State, seats: Sequence[Seat], asked_at: int, end: int) -> When:
    """Since when an extension that was never seen before has been in `state`.

    The stamp that explains it, where one does; else the poll's request (`asked_at`, on the vendor's clock). Only calls
    are explained to the second: what a status began may have been hidden since by what moves no stamp, so that `end`,
    the poll's upper bound, bounds it. Stamps in the future count for nothing.
    """
    there = [seat for seat in seats if seat.state == state]
    if state in IN_CALL:
        field, other = ("answered_at", "offered_at") if state == "talking" else ("offered_at", "answered_at")
        own = [began for seat in there if (began := _began(seat, field, other, end)) is not None]
        if own:
            return at_stamp(min(own), "presence", VENDOR_NAME[field])
    newest = [max(_proving(seat, state, end), default=None) for seat in there]
    known = [stamp for stamp in newest if stamp is not None]
    floor = min(known) if len(known) == len(newest) else None
    explaining = _set_at(there, seats, end) if state in SET else None
    if explaining is not None:
        return When(explaining, floor, max(end, explaining), ("presence", "seatschangetime"))
    at = min(max(asked_at, floor or asked_at), end)
    return When(at, floor, end, ("presence",))


def _began(seat: Seat, field: str, other: str, end: int) -> int | None:
    """The stamp of the call that the row shows: none if the queue knows nothing of it, or something came later."""
    stamp: int | None = getattr(seat, field)
    later: int | None = getattr(seat, other)
    if stamp is None or stamp > end or call_of(seat) is None:
        return None
    return None if later is not None and stamp < later <= end else stamp


def _proving(seat: Seat, state: State, end: int) -> list[int]:
    """The stamps that `state` cannot be older than. A status may change behind an absent telephone or a call."""
    calls = (seat.offered_at, seat.answered_at)
    every = (*calls, seat.status_changed_at) if state in SET else calls
    return [stamp for stamp in every if stamp is not None and stamp <= end]


def _set_at(there: Sequence[Seat], seats: Sequence[Seat], end: int) -> int | None:
    """When the status was set that shows, if no seat was offered or answered anything after it."""
    changes = [s.status_changed_at for s in there if s.status_changed_at is not None and s.status_changed_at <= end]
    first = min(changes, default=None)
    if first is None or any(stamp > first for seat in seats for stamp in _proving(seat, "talking", end)):
        return None
    return first
