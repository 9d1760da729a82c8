"""A vendor that writes as it likes: answers in which rows come and go, move, break and are written in other ways."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from random import Random
from typing import Any

Row = dict[str, Any]

ENVELOPE = '{{"ret":200,"data":{{"status":0,"desc":"","result":{0},"reqtime":{1},"rsptime":{1}}},"msg":""}}'
NOON = 1_795_406_400
STATES = ((1213, 1213), (1214, 1213), (1215, 1213), (1213, 1217), (1216, 1217), (2, 1200), (3, 1213), (4, 1217), (9, 9))
STYLES: tuple[dict[str, Any], ...] = (
    {"separators": (",", ":")},
    {"separators": (",", ":"), "ensure_ascii": False},
    {"separators": (", ", ": ")},
    {"separators": (",", ":"), "sort_keys": True},
    {"indent": 1},
)


def stamp(second: int) -> str:
    """A local time, in UTC: so is the zone of the tests."""
    return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%d %H:%M:%S")


class Vendor:
    """Some rows and how they are written. `do` one of `DEEDS`, then ask for the `body`."""

    def __init__(self, rows: int, seed: int) -> None:
        self.random = Random(seed)
        self.now = NOON
        self.style = STYLES[0]
        self.rows: list[Row] = []
        self._number = 100_000
        self._once: list[Callable[[list[Any]], list[Any]]] = []
        self._envelope = (
            '{{"ret":200,"data":{{"status":0,"desc":"","result":{0},"reqtime":{1},"rsptime":{1}}},"msg":""}}'
        )
        for _ in range(rows):
            self.come()

    def _row(self, extension: str, group: str) -> Row:
        return {
            "queuename": group,
            "seatsname": f"{extension}_客_{group}",
            "extnumber": extension,
            "status": 1213,
            "state": 1213,
            "lastanswertime": "",
            "lastassigntime": "",
            "seatschangetime": stamp(self.now - self.random.choice((0, 1, 600))),
            "noanswercount": 0,
            "callsanswered": 0,
            "externalcallscount": 0,
            "wrapuptime": self.random.choice((0, 3, 10)),
        }

    def come(self) -> None:
        """A new extension, or one more group of one that is there; anywhere in the list."""
        if self.rows and self.random.random() < 0.3:
            extension = self.random.choice(self.rows)["extnumber"]
            groups = {row["queuename"] for row in self.rows if row["extnumber"] == extension}
            group = self.random.choice([g for g in ("a", "b", "c", "d", "e") if g not in groups] or ["x"])
            if group in groups:
                return
        else:
            self._number += 1
            extension, group = str(self._number), self.random.choice("abc")
        self.rows.insert(self.random.randrange(len(self.rows) + 1), self._row(extension, group))

    def go(self) -> None:
        """A row leaves."""
        if self.rows:
            del self.rows[self.random.randrange(len(self.rows))]

    def back(self) -> None:
        """A row leaves, and is back at another place."""
        if self.rows:
            self.rows.append(self.rows.pop(self.random.randrange(len(self.rows))))

    def change(self) -> None:
        """One row moves on, as a call or a break would move it, or otherwise."""
        if not self.rows:
            return
        at = self.random.randrange(len(self.rows))
        row = self.rows[at] = dict(self.rows[at])
        row["state"], row["status"] = self.random.choice(STATES)
        for field in ("lastassigntime", "lastanswertime", "seatschangetime"):
            if self.random.random() < 0.4:
                row[field] = stamp(self.now - self.random.choice((0, 0, 1, 2, 5, 40, -30)))
        if self.random.random() < 0.5:
            row["callsanswered"] = self.random.choice((0, 1, 2)) * (int(row["callsanswered"]) + 1)
        if self.random.random() < 0.2:
            row["noanswercount"] = self.random.randrange(3)
        row["externalcallscount"] += 1

    def rush(self) -> None:
        """Many rows move on alike, in the same second: calls come in, are answered, end."""
        moves = ((1214, "lastassigntime"), (1215, "lastanswertime"), (1213, ""), (1214, "lastanswertime"))
        state, field = self.random.choice(moves)
        when = stamp(self.now - self.random.choice((0, 0, 1, 50, -40)))
        for at in self.random.sample(range(len(self.rows)), len(self.rows) // 2):
            row = self.rows[at] = self.rows[at] | {"state": state, "status": 1213}
            if field:
                row[field] = when
            if state == 1215:
                row["callsanswered"] = int(row["callsanswered"]) + 1

    def answer_late(self) -> None:
        """A row that still rings and already shows its answer."""
        if self.rows:
            row = self.rows[self.random.randrange(len(self.rows))]
            row |= {"state": 1214, "lastassigntime": stamp(self.now - 3), "lastanswertime": stamp(self.now)}

    def shuffle(self) -> None:
        """Another order from now on."""
        self.random.shuffle(self.rows)

    def restyle(self) -> None:
        """Other white space, or another order of the keys, from now on."""
        self.style = self.random.choice(STYLES)

    def twist(self) -> None:
        """One row is written otherwise from now on, and says the same."""
        if self.rows:
            at = self.random.randrange(len(self.rows))
            row = dict(reversed(self.rows[at].items()))
            row["callsanswered"] = str(row["callsanswered"]) if self.random.random() < 0.5 else row["callsanswered"]
            self.rows[at] = row | {"more": "},{", "deep": [{"a": 1}, {"b": []}]}

    def rest(self) -> None:
        """Time passes: wrap-ups fall due."""
        self.now += self.random.choice((1, 4, 12, 90))

    def forget(self) -> None:
        """So much time passes that who left is forgotten."""
        self.now += 4000

    def partial(self) -> None:
        """Once: many rows are missing."""
        self._once.append(lambda rows: rows[: len(rows) // 3])

    def nothing(self) -> None:
        """Once: an empty list."""
        self._once.append(lambda _: [])

    def double(self) -> None:
        """Once: a row comes twice, alike or not."""
        self._once.append(self._doubled)

    def _doubled(self, rows: list[Any]) -> list[Any]:
        if not rows:
            return rows
        row: Any = self.random.choice(rows)
        if self.random.random() < 0.6 and row in self.rows:
            row = {**row, "lastassigntime": stamp(self.now)}
        place = self.random.randrange(len(rows) + 1)
        return [*rows[:place], row, *rows[place:]]

    def nonsense(self) -> None:
        """Once: a row that cannot be understood, instead of one or beside them all."""
        self._once.append(self._spoilt)

    def _spoilt(self, rows: list[Any]) -> list[Any]:
        place = self.random.randrange(len(rows) + 1)
        good: list[Row] = [row for row in rows if isinstance(row, dict)]
        row: Row = dict(self.random.choice(good)) if good else {}
        thing = self.random.choice(
            (
                None,
                12,
                {},
                row | {"extnumber": None},
                row | {"state": "talking"},
                row | {"lastassigntime": "yesterday"},
                row | {"seatsname": "\ud800"},
                row | {"queuename": "q" * 300},
                row | {"callsanswered": -1},
                row | {"extnumber": 5.5},
            )
        )
        return [*rows[:place], thing, *rows[place + self.random.randrange(2) :]]

    def crowd(self) -> None:
        """Once: one extension in more groups than anybody has."""
        self._once.append(lambda rows: [*rows, *(self._row("777", f"g{number}") for number in range(205))])

    def same(self) -> None:
        """Nothing happens."""

    def body(self) -> bytes:
        """The answer as it is now."""
        rows: list[Any] = list(self.rows)
        for once in self._once:
            rows = once(rows)
        self._once.clear()
        text = ENVELOPE.format(json.dumps(rows, **self.style), self.now)
        return text.encode("utf-8", "surrogatepass")


DEEDS = tuple(name for name in vars(Vendor) if not name.startswith("_") and name != "body")
"""What can happen between two answers."""
