"""The fast path: what `decode` and `step` make of an answer, at a fraction of the cost where little has changed.

Rows whose text did not change are neither read nor compared; extensions that nothing happens to are left out of the
comparison. Whatever is not written as it was before goes the plain way, row by row. `Quick` is the only door: without
it, `decode` and `step` give the same.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

import msgspec
from msgspec.structs import replace as replace_

from streamer.core.decode import MOST_GROUPS, decode, most_rows
from streamer.core.envelope import Failure, Opened, open_envelope
from streamer.core.loose import split
from streamer.core.model import AgentState, Batch, Seat, Settings, Snapshot, SourceState
from streamer.core.poll import open_poll
from streamer.core.quick.changes import Answer, Changes, Odd, Row, Rows, layout_of
from streamer.core.quick.known import NO_SEATS, Known
from streamer.core.quick.ordered import ordered
from streamer.core.quick.rows import Reader
from streamer.core.quick.shuffled import shuffled
from streamer.core.quick.twins import Twins
from streamer.core.step import Swift, by_extension, compare, step

STAND_IN = b"1763862000763"
"""What stands for the rows in an envelope that is read without them."""

LONGEST_HEAD = 4096
"""Bytes before the list; the vendor's have fifty."""

_BEGIN = re.compile(rb"\[[ \t\r\n]*")

Touched = dict[str, tuple[Seat, ...]]
"""The rows of each extension that has other ones than before."""


class _Ahead(msgspec.Struct, frozen=True):
    """An answer that was opened by comparing it: `result` is the text of its list."""

    opened: Opened
    changes: Changes
    result: tuple[bytes, int, int]


class Quick:
    """One source's answers and its extensions, from poll to poll. A state that went in is used up: its extensions are
    those of the state that came out."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._reader = Reader(settings)
        self._known = Known({})
        self._state: SourceState | None = None
        self._last: Answer | None = None
        self._head = b""
        self._by_bytes: Mapping[bytes, Seat] = {}
        self._ahead: _Ahead | None = None

    def seated(self, state: SourceState) -> int:
        """How many extensions of its last state have seats."""
        if state is self._state:
            return self._known.seated
        return sum(1 for agent in state.agents.values() if agent.groups)

    def open(self, body: bytes) -> Opened | Failure:
        """As `open_envelope`, but `result` is empty where `advance` does not need it."""
        self._ahead = self._opened(body)
        if self._ahead is not None:
            return self._ahead.opened
        opened = open_envelope(body)
        self._head = b""
        if isinstance(opened, Opened) and (begin := _BEGIN.match(opened.result)) is not None:
            at = body.find(opened.result[:LONGEST_HEAD])
            if 0 <= at < LONGEST_HEAD and body.startswith(opened.result, at):
                self._head = body[: at + begin.end()]
        return opened

    def _opened(self, body: bytes) -> _Ahead | None:
        last, head = self._last, self._head
        if last is None or not head or not body.startswith(head):
            return None
        try:
            changes = self._changes(last, body, len(head))
        except Odd:
            return None
        tail = body[changes.end :]
        if len(tail) > LONGEST_HEAD or STAND_IN in tail or STAND_IN in head:
            return None
        opened = open_envelope(head + STAND_IN + tail)
        begin = head.rindex(b"[")
        listed = head[begin:] + STAND_IN
        if not isinstance(opened, Opened) or not opened.result.startswith(listed):
            return None
        after = opened.result[len(listed) :]
        if after.strip() != b"]":
            return None
        return _Ahead(replace(opened, result=b""), changes, (body, begin, changes.end + len(after)))

    def _changes(self, last: Answer, text: bytes, begin: int) -> Changes:
        """What the answer in `text`, from its first row on, holds beside the last one. Raises Odd."""
        try:
            return last.changes(text, begin)
        except Odd:
            again = shuffled(last.layout, last.texts(), last.seats(), self._reader.seat, self._known.has)
            return again.changes(text, begin)

    def advance(
        self, state: SourceState, opened: Opened, requested_at: int, answered_at: int
    ) -> tuple[SourceState, Batch, Snapshot]:
        """The state after this answer and what has to be published for it, as `step` gives them; and the snapshot.

        `requested_at` and `answered_at` are unix milliseconds of our clock.
        """
        ahead, self._ahead = self._ahead, None
        if state is not self._state:
            self._state, self._known, self._last, self._by_bytes = state, Known(state.agents), None, {}
        if ahead is not None and ahead.opened is opened:
            text, begin, end = ahead.result
        elif opened.result:
            ahead, text, begin, end = None, opened.result, 0, len(opened.result)
        else:
            raise ValueError("this answer was opened by another fast path")
        try:
            if self._last is None:
                touched, last = self._whole(text[begin:end])
            else:
                changes = ahead.changes if ahead is not None else self._listed(self._last, opened.result)
                touched, last = self._touched(changes, end - begin), changes.last
        except Odd:
            return self._plainly(state, replace(opened, result=text[begin:end]), requested_at, answered_at)
        snapshot = Snapshot(
            source=self._settings.source,
            requested_at=requested_at,
            answered_at=answered_at,
            reqtime=opened.reqtime,
            rsptime=opened.rsptime,
            seats=Rows(last),
            unread=frozenset(),
            anonymous=0,
            rejected=(),
            by_bytes={},
        )
        after, batch = self._compared(state, snapshot, touched)
        self._state, self._last, self._by_bytes = after, last, {}
        return after, batch, snapshot

    def _listed(self, last: Answer, result: bytes) -> Changes:
        """What a list holds beside the last one. Raises Odd."""
        begin = _BEGIN.match(result)
        if begin is None:
            raise Odd
        changes = self._changes(last, result, begin.end())
        if result[changes.end :] != last.layout.end[1:]:
            raise Odd
        return changes

    def _touched(self, changes: Changes, length: int) -> Touched:
        """The rows now of each extension that has other ones, from a list of `length` bytes. Raises Odd."""
        if len(changes.last) > most_rows(length):
            raise Odd
        touched: Touched = {}
        for before, after in changes.rows:
            seat = after or before
            assert seat is not None  # noqa: S101 - one of both is there
            seats = touched.get(seat.extension)
            if seats is None:
                seats = self._known.shown(seat.extension)
            if before is not None and after is not None and len(seats) == 1:
                touched[seat.extension] = (after,)
                continue
            others = [one for one in seats if one.group != seat.group]
            rows = others if after is None else sorted((*others, after), key=lambda one: one.group)
            if len(rows) > MOST_GROUPS:
                raise Odd
            touched[seat.extension] = tuple(rows)
        return touched

    def _whole(self, result: bytes) -> tuple[Touched, Answer]:
        """As `_touched`, for a list of which no row is known; and what to remember of it. Raises Odd."""
        if self._by_bytes:
            raise Odd  # the last one was, and this one will be
        texts = split(result)
        seats = [self._reader.seat(text) for text in texts]
        if not texts or len(texts) > most_rows(len(result)) or None in seats:
            raise Odd
        return self._found(result, texts, [seat for seat in seats if seat is not None])

    def _found(self, result: bytes, texts: Sequence[Row], seats: Sequence[Seat]) -> tuple[Touched, Answer]:
        known = self._known
        seats = [known.kept(seat) for seat in seats]
        rows = by_extension(seats)
        last = self._remembered(result, texts, seats)
        if last is None or max(map(len, rows.values())) > MOST_GROUPS:
            raise Odd
        touched = {name: seats for name, seats in rows.items() if known.shown(name) != seats}
        touched.update((name, NO_SEATS) for name in known.agents if name not in rows and known.shown(name))
        return touched, last

    def _remembered(self, result: bytes, texts: Sequence[Row], seats: Sequence[Seat]) -> Answer | None:
        """The answer that has these rows; None where it is not one that can be compared as text."""
        if len({(seat.group, seat.extension) for seat in seats}) != len(texts):
            return None
        found = layout_of(result, texts)
        if found is None:
            return None
        layout, begin = found
        last = ordered(layout, texts, seats, self._reader.seat, self._known.has)
        return last if last.is_written(result, begin) else None

    def _compared(self, state: SourceState, snapshot: Snapshot, touched: Touched) -> tuple[SourceState, Batch]:
        """`step` for the extensions that are touched, and for those of which something is open."""
        known, settings = self._known, self._settings
        poll, offset = open_poll(state, snapshot, settings)
        twins, swift = Twins(poll, settings), dict[str, Swift]()
        agents, rows = dict[str, AgentState](), Touched()
        elsewhere = known.seated
        opened = known.open(poll, settings) | state.suspects
        for name in opened | touched.keys():
            agent = known.agents.get(name)
            seats = touched[name] if name in touched else known.shown(name)
            if agent is not None:
                if (told := twins.tell(agent, seats)) is not None:
                    if agent.groups != seats or name in opened:
                        swift[name] = told
                    continue
                agents[name] = agent
                elsewhere -= bool(agent.groups)
            rows[name] = seats
        focused = replace_(state, agents=agents)
        there = {name: seats for name, seats in rows.items() if seats}
        after, batch = compare(poll, offset, focused, snapshot, there, settings, elsewhere, swift)
        known.update(batch.states, batch.forgotten)
        known.show(rows)
        complete = min([after.whole_until or 0, *known.waiting(poll)])
        return replace_(after, agents=known.agents, complete_until=complete), batch

    def _plainly(
        self, state: SourceState, opened: Opened, requested_at: int, answered_at: int
    ) -> tuple[SourceState, Batch, Snapshot]:
        """Row by row."""
        before = self._by_bytes
        if self._last is not None:
            before = dict(zip(self._last.texts(), self._last.seats(), strict=True))
        snapshot = decode(opened, requested_at, answered_at, self._settings, before)
        after, batch = step(state, snapshot, self._settings)
        known = self._known = Known(after.agents)
        known.show(dict.fromkeys(known.agents, NO_SEATS) | by_extension(snapshot.seats))
        after = replace_(after, agents=known.agents)
        self._state, self._last, self._by_bytes = after, None, snapshot.by_bytes
        if snapshot.by_bytes and not snapshot.rejected:
            texts = [bytes(text) for text in split(opened.result)]
            self._last = self._remembered(opened.result, texts, [snapshot.by_bytes[text] for text in texts])
            self._by_bytes = {} if self._last is not None else snapshot.by_bytes
        return after, batch, snapshot
