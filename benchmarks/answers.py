"""A floor for measuring: answers of the status call in which a given share of the rows has changed since the last one.

Every row is one extension. A row that changes goes one step on: waiting, ringing, talking, waiting, paused, waiting …,
with the stamps and counters that mod_callcenter would leave. The rows begin at different steps, so that the changes of
every answer are the same mixture. Any two answers in a row differ in the same number of rows. `externalcallscount`,
which says nothing about a state, holds the number of the answer with which the row changed last, from 1 on: who reads
the row can tell when it was handed out.
"""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta, timezone

import msgspec

CHINA = timezone(timedelta(hours=8))
CODES = {"waiting": (1213, 1213), "ringing": (1214, 1213), "talking": (1215, 1213), "paused": (1213, 1217)}
STEPS = ("ringing", "talking", "waiting", "paused", "waiting")
MORNING = datetime(2026, 11, 23, tzinfo=UTC).timestamp()
"""Moment of the first sign-ins, unix seconds."""


class _Row(msgspec.Struct):
    queuename: str
    seatsname: str
    extnumber: str
    status: int = 1213
    state: int = 1213
    lastanswertime: str = ""
    lastassigntime: str = ""
    seatschangetime: str = ""
    noanswercount: int = 0
    callsanswered: int = 0
    externalcallscount: int = 0
    wrapuptime: int = 10
    maxnoanswer: int = 0


class Floor:
    """`rows` extensions of which `share` change from answer to answer; `shuffled`: the rows come in another order each
    time."""

    def __init__(self, rows: int, share: float, *, shuffled: bool = False, seed: int = 1) -> None:
        self._random = random.Random(seed)
        self._shuffled = shuffled
        self.changed = round(rows * share)
        self._blocks = self._cut(rows)
        self._steps = [0] * rows
        self._rows = [self._first(number) for number in range(rows)]
        self.answers = 0
        """How many were made, which is the number of the newest."""
        for number in range(rows):  # everybody has had a call and a break, at a time of their own
            for turn in range(len(STEPS) + number % len(STEPS)):
                self._move(number, _stamp(MORNING + 37 * number % 3000 + 30 * turn))
        self._texts = [msgspec.json.encode(row) for row in self._rows]
        self._list = b""

    def _cut(self, rows: int) -> list[list[int]]:
        if not self.changed:
            return [[]]
        order = list(range(rows))
        self._random.shuffle(order)
        return [order[at : at + self.changed] for at in range(0, rows - self.changed + 1, self.changed)]

    def _first(self, number: int) -> _Row:
        extension, group = str(9_026_004 + number), str(9026 + number % 7)
        return _Row(group, f"{extension}_{extension}_autocall-{group}", extension, seatschangetime=_stamp(MORNING))

    def answer(self, now: float) -> bytes:
        """The whole body of the next answer, at this moment (unix seconds)."""
        self.change(now)
        return self.body(now)

    def change(self, now: float) -> None:
        """Make the changes of the next answer, which happen at this moment: most of the work, done before it is asked
        for."""
        self.answers += 1
        stamp = _stamp(now)
        texts = self._texts
        for number in self._blocks[self.answers % len(self._blocks)]:
            self._move(number, stamp)
            texts[number] = msgspec.json.encode(self._rows[number])
        if self._shuffled:
            texts = texts.copy()
            self._random.shuffle(texts)
        self._list = b",".join(texts)

    def body(self, now: float) -> bytes:
        """The newest answer, handed out at this moment."""
        times = b"%d" % int(now)
        head = b'{"ret":200,"data":{"status":0,"desc":"","result":['
        return b"%s%s%s%s%s%s%s" % (
            head, self._list, b'],"reqtime":', times, b',"rsptime":', times, b'},"msg":""}',
        )  # fmt: skip

    def _move(self, number: int, stamp: str) -> None:
        row, entered = self._rows[number], STEPS[self._steps[number] % len(STEPS)]
        self._steps[number] += 1
        if entered == "ringing":
            row.lastassigntime = stamp
        elif entered == "talking":
            row.lastanswertime, row.callsanswered = stamp, row.callsanswered + 1
        elif entered == "paused":
            row.seatschangetime = stamp
        elif row.status == CODES["paused"][1]:
            row.seatschangetime, row.callsanswered = stamp, 0
        row.state, row.status = CODES[entered]
        row.externalcallscount = self.answers


def _stamp(moment: float) -> str:
    return datetime.fromtimestamp(moment, CHINA).strftime("%Y-%m-%d %H:%M:%S")
