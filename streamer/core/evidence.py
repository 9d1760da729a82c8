"""Two rows of one seat → what they prove between them: fresh stamps, answered calls, misses, restarted counters.

What each field proves (source: mod_callcenter's books, vendor-api.md "How the module keeps its books"):

| what moved                            | proves                                                               |
| --- | --- |
| lastassigntime                        | an offer in that second, the last one; not how it ended              |
| lastanswertime                        | an answer in that second, the last one, whatever the counter says    |
| callsanswered, by n                   | n answers; without a moved lastanswertime only where there is none   |
| noanswercount, by n                   | n misses since the last answer or restart; an answer clears it       |
| seatschangetime of who is paused      | a status was set, perhaps the same again: no interruption            |
| seatschangetime of who is available   | On Demand, while the counters went on; another status in between and |
|                                       | a return in that second, if they restarted                           |
| a counter lower, or an answer that it | the counters restarted; only a moved seatschangetime explains that   |
| did not count, with seatschangetime   |                                                                      |

Evidence that contradicts itself proves nothing (`trusted` is false) and is named by kind:

| kind          | what the rows say                                                                        |
| --- | --- |
| future        | a stamp moved to a time that is still to come                                            |
| past          | a stamp moved to a time before the last poll, which did not show it                      |
| counter_fell  | a counter is lower, and no status was set                                                |
| order         | an answer before the return that restarted its counter, a call under way before its offer |
| untimed       | an answer or a miss was counted, but no stamp moved with it (the count proves nothing)   |
| uncounted     | an answer was stamped, but not counted (one call; what the stamp says is believed)       |
| unoffered     | an answer was stamped, but nobody was called                                             |
| crowded       | more calls than there was time for                                                       |
| no_rest       | a call was offered before the wrap-up after the last one was over (`rests`, see infer)   |
"""

from __future__ import annotations

from collections.abc import Set
from typing import Literal

import msgspec

from streamer.core.codes import State
from streamer.core.model import SECOND, Seat, Window

Kind = Literal["future", "past", "counter_fell", "order", "untimed", "uncounted", "unoffered", "crowded", "no_rest"]
Field = Literal["offered_at", "answered_at", "status_changed_at"]

NOTHING: Set[int] = frozenset()
HARMLESS: frozenset[Kind] = frozenset({"untimed", "uncounted", "no_rest"})
"""Kinds that leave the rest of the evidence as good as it is."""


class Evidence(msgspec.Struct, frozen=True):
    """`offered`, `answered`, `changed` are the stamps that moved within the window. `answers` calls were answered, the
    last at `answered`; `misses` offers went unanswered after that. `restarted`: the counters did, at `changed` or
    before."""

    offered: int | None
    answered: int | None
    changed: int | None
    answers: int
    misses: int
    restarted: bool
    kinds: tuple[Kind, ...]

    @property
    def trusted(self) -> bool:
        """False where the evidence contradicts itself: then only the two rows' states count."""
        return HARMLESS.issuperset(self.kinds)

    @property
    def offered_last(self) -> bool:
        """Was there an offer after the last answer?"""
        return self.offered is not None and (self.answered is None or self.offered > self.answered)


def call_of(seat: Seat | None) -> State | None:
    """`ringing` or `talking` while the queue's call is, else None."""
    return None if seat is None or seat.state == seat.status else seat.state


HALF_WRITTEN = 5 * SECOND
"""No answer takes longer to be written, in however many steps."""


def answering(seat: Seat | None, since: int, now: int) -> bool:
    """Does the row show an answer of the call that still rings? It is written in steps, the state last. A time after
    `now`, or long before the last poll (`since`), is none: such a stamp is by another clock or zone."""
    if seat is None or call_of(seat) != "ringing" or seat.answered_at is None:
        return False
    if not since - HALF_WRITTEN <= seat.answered_at <= now:
        return False
    return seat.offered_at is None or seat.answered_at >= seat.offered_at


def newest_stamps(seat: Seat) -> tuple[int, ...]:
    """The seat's stamps, newest first, as a sort key; 0 for those it does not hold."""
    return tuple(sorted((seat.offered_at or 0, seat.answered_at or 0, seat.status_changed_at or 0), reverse=True))


def compare(before: Seat | None, after: Seat, window: Window, known: Set[int] = NOTHING) -> Evidence:
    """What the seat's two rows prove. `before` is None where it was not there; `known` are the stamps that the
    extension's other rows showed before: they are no news in a row that is new."""
    kinds: list[Kind] = []
    offered = _fresh(before, after, "offered_at", window, known, kinds)
    answered = _fresh(before, after, "answered_at", window, known, kinds)
    changed = _fresh(before, after, "status_changed_at", window, known, kinds)
    under_way = answering(after, window.start, window.end)
    if under_way:
        answered = None  # its state is still to come, and is told with it
    first = answering(before, window.start, window.end)
    restarted = _restarted(before, after, changed, answered, kinds, midway=under_way or first)
    if before is None:
        answers, misses = _since_sign_in(after, answered, changed)
    elif under_way:
        answers, misses = 0, 0
    else:
        answers = _answers(before, after, answered, changed, restarted, kinds, first=first)
        misses = after.no_answer_count or 0
        if not answers and not restarted:
            misses = max(0, misses - (before.no_answer_count or 0))
    if misses and not _may_have_missed(before, offered, answered):
        misses = 0
        kinds.append("untimed")
    return Evidence(offered, answered, changed, answers, misses, restarted, tuple(kinds))


def _fresh(
    before: Seat | None, after: Seat, field: Field, window: Window, known: Set[int], kinds: list[Kind]
) -> int | None:
    """The field's stamp, if it is new and its second lies in the window."""
    stamp: int | None = getattr(after, field)
    if stamp is None or (stamp in known if before is None else getattr(before, field) == stamp):
        return None
    if before is None and not window.in_order:
        return None  # any stamp from before the clock went back would look new
    # A second that began before the window may reach into it; of a row that was not there it would be an older one.
    if window.start <= stamp + (SECOND if before is not None else 0) and stamp <= window.end:
        return stamp
    if before is not None:
        kinds.append("future" if stamp > window.end else "past")
    return None


def _restarted(
    before: Seat | None, after: Seat, changed: int | None, answered: int | None, kinds: list[Kind], *, midway: bool
) -> bool:
    """Did the counters restart? They do on becoming available from another status. `midway`: one of the rows was read
    while an answer was being written, and clears the misses for that."""
    if before is None:
        return changed is not None
    answers = _difference(before.calls_answered, after.calls_answered)
    misses = _difference(before.no_answer_count, after.no_answer_count)
    fell = (answers is not None and answers < 0) or (
        misses is not None and misses < 0 and answered is None and not midway
    )
    if changed is None:
        if fell:
            kinds.append("counter_fell")
        return False
    return fell or (answers == 0 and answered is not None)


def _difference(before: int | None, after: int | None) -> int | None:
    return None if before is None or after is None else after - before


def _since_sign_in(after: Seat, answered: int | None, changed: int | None) -> tuple[int, int]:
    """Answers and misses of a row that was not there: its counters tell since a sign-in that this window saw."""
    signed_in = changed is not None and (answered is None or changed <= answered)
    if answered is None:
        return 0, (after.no_answer_count or 0) if signed_in else 0
    return (after.calls_answered or 1) if signed_in else 1, after.no_answer_count or 0


def _answers(
    before: Seat,
    after: Seat,
    answered: int | None,
    changed: int | None,
    restarted: bool,
    kinds: list[Kind],
    *,
    first: bool,
) -> int:
    """How many calls were answered, beside the `first` that the last row showed as being answered."""
    counted = after.calls_answered if restarted else _difference(before.calls_answered, after.calls_answered)
    if first and not restarted and counted is not None and counted > 0:
        # The counter may or may not have shown that answer already: as few others as possible.
        counted -= 1 if counted > 1 or answered is None else 0
    if answered is None:
        if not counted or counted < 0:
            return 0
        if after.answered_at is None and not restarted:
            return counted
        kinds.append("order" if restarted else "untimed")
        return 0
    if counted is None:
        return 1
    if (
        restarted
        and after.status == "available"
        and answered != changed
        and (answered < (changed or 0)) == (counted > 0)
    ):
        kinds.append("order")  # the counter tells of what came after the return, and of nothing else
    if counted == 0 and not restarted:
        kinds.append("uncounted")
    return max(1, counted)


def _may_have_missed(before: Seat | None, offered: int | None, answered: int | None) -> bool:
    """Was there an offer after the last answer that can have gone unanswered?"""
    if offered is not None:
        return answered is None or offered > answered
    return answered is None and call_of(before) == "ringing"
