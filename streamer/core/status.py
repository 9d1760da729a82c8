"""What the agent and the telephone did between two rows of a seat: the status track, apart from the queue's calls.

| from                    | to              | explained by        | because (mod_callcenter)                        |
| --- | --- | --- | --- |
| signed out, paused,     | available, idle | seatschangetime     | becoming available stamps it, once              |
| idle, available         |                 |                     |                                                 |
| idle by `state` alone   | available       | nothing             | that field waits again without a stamp          |
| signed out, available,  | paused          | at or before        | a break stamps it each time that it is set: the |
| idle                    |                 | seatschangetime     | stamp need not be the first one                 |
| a telephone that is     | available       | not before          | set at the stamp, and seen once the telephone   |
| away, or anything else  |                 | seatschangetime     | let it                                          |
| anything else           | anything else   | nothing             | a telephone comes and goes without a stamp      |
| available, and the      | available       | paused, then back   | only another status in between restarts them;   |
| counters restarted      |                 | at seatschangetime  | after On Demand (`Memory`) there need be none   |
| paused, and the         | paused          | available, then     | they restart on becoming available alone        |
| counters restarted      |                 | paused at or before |                                                 |

Whoever is offered a call is available then: leaving comes after the last offer, coming back before it.
"""

from __future__ import annotations

import msgspec

from streamer.core.bounds import at_stamp, between, within
from streamer.core.codes import State
from streamer.core.evidence import Evidence
from streamer.core.model import SECOND, Memory, Seat, Step, When, Window

SET: frozenset[State] = frozenset({"available", "paused", "idle"})
"""States that a status sets, so that its stamp may tell when."""

Steps = tuple[Step, ...]


def statuses(before: Seat | None, after: Seat, found: Evidence, memory: Memory | None, window: Window) -> Steps:
    """The steps of the status track, by the rules above."""
    old: State = before.status if before else "signed_out"
    new, stamp = after.status, found.changed
    if stamp is not None and found.restarted and found.trusted and window.in_order:
        hidden = _interrupted(old, after, stamp, found, memory, window)
        if hidden is not None:
            return hidden
    if old == new:
        return ()
    called = min((moment for moment in (found.offered, found.answered) if moment is not None), default=None)
    if old == "available":
        window = within(window, start=found.offered)
    elif new == "available" and called is not None:
        window = within(window, end=called + SECOND)
        window = msgspec.structs.replace(window, start=min(window.start, called))
    waits = old == "idle" and before is not None and before.status_code == after.status_code
    if stamp is None or waits or new not in SET or not (old in SET or old == "signed_out" or new == "available"):
        return (Step(new, between(window, "status")),)
    if new == "available" and old != "available" and called is not None and called < stamp:
        # Called before that: it was not the first return.
        came = Step(new, between(window, "lastassigntime", "seatschangetime"))
        if not answered_before(after, found):
            return (came,)
        away = _hidden("paused", max(window.start, found.answered or 0), stamp + SECOND)
        return came, away, Step(new, at_stamp(stamp, "seatschangetime"))
    if old not in SET and old != "signed_out":
        return (Step(new, When(stamp, stamp, max(window.end, stamp), ("seatschangetime",))),)
    if new == "paused":
        offered = found.offered
        if before is None and offered is not None and offered <= stamp:
            first = _hidden("available", window.start, offered + SECOND)
            return first, Step(new, _at_or_before(stamp, offered))
        return (Step(new, _at_or_before(stamp, window.start)),)
    return (Step(new, at_stamp(stamp, "seatschangetime")),)


def _interrupted(
    old: State, after: Seat, stamp: int, found: Evidence, memory: Memory | None, window: Window
) -> Steps | None:
    """The steps with a return to available between two rows that do not show it; None where they do, or where an absent
    telephone may have hidden it."""
    offered, answered, new = found.offered, found.answered, after.status
    if memory is not None and memory.on_demand:
        return () if old == new == "available" else None
    uncounted = answered_before(after, found)
    last_call = max(
        [window.start, *(moment for moment in (offered, answered) if moment is not None and moment < stamp)]
    )
    back = Step("available", at_stamp(stamp, "seatschangetime"))
    if old == "available" and new == "available":
        return _hidden("paused", last_call, stamp + SECOND), back
    if old == "available" and new == "paused":
        low = max(window.start, answered or 0) if uncounted else window.start
        first = _hidden("paused", low, stamp), _hidden("available", low, stamp + SECOND)
        return *first, Step(new, _at_or_before(stamp, low))
    if old == "paused" and new == "paused":
        end = offered if offered is not None and offered <= stamp else stamp
        return _hidden("available", window.start, end + SECOND), Step(new, _at_or_before(stamp, last_call))
    if old == "available" and offered is not None and offered > stamp:
        left = Step(new, between(within(window, start=offered), "status"))
        return _hidden("paused", window.start, stamp + SECOND), back, left
    return None


def _at_or_before(stamp: int, low: int) -> When:
    return When(stamp, min(stamp, low), stamp + SECOND, ("seatschangetime",))


def _hidden(state: State, low: int, high: int) -> Step:
    low = min(low, high)
    return Step(state, When((low + high) // 2, low, high, ("seatschangetime", "callsanswered")))


def answered_before(after: Seat, found: Evidence) -> bool:
    """Did the last answer come before the last return? The restarted counter knows nothing of it."""
    return found.answered is not None and not after.calls_answered


def returned_at(steps: Steps) -> int | None:
    """The stamp at which the agent became available for good, if one tells."""
    for step in reversed(steps):
        if step.state == "available" and step.when.evidence == ("seatschangetime",):
            return step.when.not_before
    return None


def on_demand(before: Seat | None, after: Seat, found: Evidence, memory: Memory | None) -> bool:
    """Is the agent Available (On Demand)? Her stamp moved, and a counter that was not 0 did not: becoming Available
    from another status restarts both."""
    known = memory is not None and memory.on_demand
    if after.status != "available":
        return False
    if found.changed is None:
        return known
    if before is None or found.restarted:
        return False
    kept = (before.calls_answered, before.no_answer_count) == (after.calls_answered, after.no_answer_count)
    return known or (kept and bool(after.calls_answered or after.no_answer_count))
