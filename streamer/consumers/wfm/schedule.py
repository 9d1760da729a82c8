"""The schedule file: CSV with a header. Every row is checked before any is used."""

from __future__ import annotations

import csv
from collections.abc import Collection, Iterator
from datetime import datetime
from itertools import pairwise
from pathlib import Path

import msgspec

from streamer.errors import ConfigError

SUBJECTS = ("agent", "extension")
NEEDED = ("start", "end", "activity")


class Activity(msgspec.Struct, frozen=True):
    """What somebody is scheduled for: `kind` says whether `who` is an agent's name or an extension. Times in unix ms.

    `source` is None where the file has no such column: then any source's is meant.
    """

    kind: str
    who: str
    source: str | None
    start: int
    end: int
    name: str
    line: int

    @property
    def subject(self) -> tuple[str, str]:
        """Whose intervals count."""
        return self.kind, self.who


def read_schedule(path: Path, activities: Collection[str]) -> list[Activity]:
    """All rows, by who and start; ConfigError with file, line and remedy for the first that is wrong."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            found = list(_rows(path, csv.reader(file, strict=True), activities))
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}", "give a readable file with --schedule") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: it is not UTF-8", "save it as CSV in UTF-8") from None
    found.sort(key=lambda one: (one.kind, one.who, one.source or "", one.start, one.line))
    for one, following in pairwise(found):
        same = (one.subject, one.source) == (following.subject, following.source)
        if same and following.start < one.end:
            raise ConfigError(
                f"{path}:{following.line}: overlaps with line {one.line}, which is for the same {one.kind}",
                "let each activity end before the next one starts",
            )
    return found


def _rows(path: Path, reader: Iterator[list[str]], activities: Collection[str]) -> Iterator[Activity]:
    header: list[str] | None = None
    line = 0
    while True:
        line = getattr(reader, "line_num", line) + 1
        try:
            cells = next(reader, None)
        except csv.Error as error:
            raise ConfigError(f"{path}:{line}: not valid CSV: {error}", "correct that line") from None
        if cells is None:
            break
        cells = [cell.strip() for cell in cells]
        if not any(cells):
            continue
        if header is None:
            header = _header(path, line, cells)
        elif len(cells) != len(header):
            raise ConfigError(f"{path}:{line}: {len(cells)} values for {len(header)} columns", "correct that line")
        else:
            yield _activity(path, line, dict(zip(header, cells, strict=True)), activities)
    if header is None:
        raise ConfigError(f"{path}: it is empty", "give it the header agent,start,end,activity")


def _header(path: Path, line: int, cells: list[str]) -> list[str]:
    header = [cell.lower() for cell in cells]
    subjects = [name for name in SUBJECTS if name in header]
    wrong = [name for name in header if name not in (*SUBJECTS, *NEEDED, "source")]
    missing = [name for name in NEEDED if name not in header]
    remedy = "the header is agent,start,end,activity (or extension,…; source,… where there are several)"
    if missing or not subjects:
        raise ConfigError(f"{path}:{line}: no column {(missing or ['agent'])[0]}", remedy)
    if wrong or len(subjects) > 1 or len(set(header)) < len(header):
        extra = wrong[0] if wrong else "agent beside extension" if len(subjects) > 1 else "twice the same"
        raise ConfigError(f"{path}:{line}: column {extra!r} is one too many", remedy)
    return header


def _activity(path: Path, line: int, row: dict[str, str], activities: Collection[str]) -> Activity:
    kind = next(name for name in SUBJECTS if name in row)
    where = f"{path}:{line}"
    for name in row:
        if not row[name]:
            raise ConfigError(f"{where}: {name} is empty", "fill it in")
    if row["activity"] not in activities:
        known = ", ".join(sorted(activities)) or "none"
        raise ConfigError(
            f"{where}: activity {row['activity']!r} is not in wfm.activities",
            f"add it there with the states that adhere to it; known are: {known}",
        )
    start, end = (_moment(where, name, row[name]) for name in ("start", "end"))
    if end <= start:
        raise ConfigError(f"{where}: end is not after start", "correct that line")
    return Activity(kind, row[kind], row.get("source"), start, end, row["activity"], line)


def _moment(where: str, name: str, text: str) -> int:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ConfigError(f"{where}: {name} is no time", "write it like 2026-11-23T09:00:00+08:00") from None
    if moment.tzinfo is None:
        raise ConfigError(f"{where}: {name} has no zone", "write it like 2026-11-23T09:00:00+08:00") from None
    return round(moment.timestamp() * 1000)
