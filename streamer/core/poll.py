"""A poll as all its extensions share it: the moments that bound their news, on the vendor's clock."""

from __future__ import annotations

import msgspec

from streamer.core import clock, gate
from streamer.core.feed import STALE_AFTER
from streamer.core.model import Settings, Snapshot, SourceState, Window

NO_RESTS = 3
"""So many calls offered within a wrap-up, and for so long after the first of them as the gate is wary, the vendor is
taken not to keep to `wrapuptime`; fewer are odd rows."""


class Poll(msgspec.Struct, frozen=True):
    """What every extension of one poll shares.

    `asked_at` and `asked_not_before` are the request on the vendor's clock: its estimate and lower bound; `now` is the
    latest moment that the answer describes. What is new happened from `start` (None for a source's first poll) to
    `end`; a row that was not there before came after `whole_from`. `back` is how far lower bounds from before a jump
    of a clock must go back to hold on either reading; `offset_low` turns our clock's moments into the vendor's
    earliest. `gap`: nobody had looked for a while. `jumped`, `shift`, `rests`: see Window. `jump` is the window of the
    last poll before this one in which a clock jumped.
    """

    source: str
    poll_id: str
    observed_at: int
    asked_at: int
    asked_not_before: int
    now: int
    start: int | None
    whole_from: int | None
    end: int
    back: int
    jumped: bool
    shift: tuple[int, int]
    offset_low: int
    gap: bool
    rests: bool
    jump: Window | None


def open_poll(state: SourceState, snapshot: Snapshot, settings: Settings) -> tuple[Poll, clock.Offset | None]:
    """What every extension shares in this poll, and the vendor's clock after it."""
    measured = clock.measure(snapshot.requested_at, snapshot.answered_at, snapshot.reqtime, snapshot.rsptime)
    elapsed = None if state.polled_at is None else snapshot.requested_at - state.polled_at
    span, jumped = clock.estimate(state.offset, measured, elapsed or 0)
    # What happened since the last poll may be stamped by either reading of a clock that jumped; what comes by the new.
    offset = measured if jumped else span
    low, high = (offset or clock.UNKNOWN).low, (offset or clock.UNKNOWN).high
    end = snapshot.answered_at + (span or clock.UNKNOWN).high
    shift, back = (0, 0), 0
    if jumped and state.offset is not None and measured is not None:
        shift = clock.shift(state.offset, measured, elapsed or 0)
        back = max(0, state.offset.low - measured.low)
    until = state.seen_until if state.seen_until is not None else state.complete_until
    start = None if until is None else min(until - back, end)
    patience = None if settings.poll_interval_ms is None else STALE_AFTER * settings.poll_interval_ms
    poll = Poll(
        source=snapshot.source,
        poll_id=f"{snapshot.source}/{snapshot.requested_at}",
        observed_at=snapshot.requested_at,
        asked_at=snapshot.requested_at + (low + high) // 2,
        asked_not_before=snapshot.requested_at + low,
        now=snapshot.answered_at + high,
        start=start,
        whole_from=start if start is None or state.whole_until is None else min(start, state.whole_until - back),
        end=end,
        back=back,
        jumped=jumped,
        shift=shift,
        offset_low=low,
        gap=elapsed is None or (patience is not None and elapsed > patience),
        rests=len(state.no_rest) < NO_RESTS or snapshot.requested_at - state.no_rest[0] > gate.WARY,
        jump=state.jump,
    )
    return poll, offset


def since(start: int, poll: Poll) -> Window:
    """The window from `start` to the poll's end."""
    return Window(
        start=min(start, poll.end),
        end=poll.end,
        asked=poll.asked_not_before,
        asked_about=poll.asked_at,
        now=poll.now,
        jumped=poll.jumped,
        shift=poll.shift,
        rests=poll.rests,
    )
