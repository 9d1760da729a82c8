"""An answer's rows → a snapshot, and the rows that could not be understood.

Every shape that the vendor's pages and public clients show is taken: numbers as text and text as numbers, null and
zero dates, unknown codes and fields, duplicates. A row that cannot be understood is set aside with its reason and
takes no other row with it; its extension is remembered as `unread`, so that it counts neither as present nor as absent.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from zoneinfo import ZoneInfo

import msgspec

from streamer.core.codes import read
from streamer.core.envelope import Opened
from streamer.core.evidence import newest_stamps
from streamer.core.loose import Misunderstood, fields, split
from streamer.core.model import SECOND, RejectedRow, Seat, Settings, Snapshot

EXTENSION = re.compile(r"[0-9A-Za-z_.*#+@-]{1,64}")
"""What can be part of a Kafka key `source/extension` without ambiguity; the vendor's are digits."""

LONGEST_TEXT = 256
"""Characters of a group's or an agent's name; a longer one is not a name."""

MOST_GROUPS = 200
"""Task groups of one extension. With LONGEST_TEXT it keeps a record below the 1 MiB that brokers take by default: one
that they refuse could never be published, and would hold up everything behind it."""

SHORTEST_ROW = 150
"""Bytes that a row takes at least, on the average of a long list; the vendor's take twice as many. A list of more
rows than that allows is nonsense, and reading all of it would hold up every other source for half a minute."""

LONG_LIST = 1000
"""Rows that are read in any case."""

LARGEST_NUMBER = 2**53
"""JSON numbers beyond this are not the same number everywhere."""

_STAMP = re.compile(r"(\d{4}-\d{2}-\d{2})[ T](\d{2}:\d{2}:\d{2})", re.ASCII)
_NUMBER = re.compile(r"[+-]?\d{1,16}(\.0+)?", re.ASCII)
_EXTNUMBER = re.compile(rb'"extnumber"\s*:\s*("[^"\\]*"|-?\d+)\s*[,}]')


def decode(
    opened: Opened,
    requested_at: int,
    answered_at: int,
    settings: Settings,
    before: Mapping[bytes, Seat],
) -> Snapshot:
    """The snapshot of one usable answer.

    `requested_at` and `answered_at` are unix milliseconds of our clock; `before` is `by_bytes` of the previous
    snapshot: a row with the same bytes is not decoded again.
    """
    zone = ZoneInfo(settings.timezone)
    seats: dict[tuple[str, str], tuple[Seat, int, bytes]] = {}
    by_bytes: dict[bytes, Seat] = {}
    rejected: list[RejectedRow] = []
    unread: set[str] = set()
    anonymous = 0
    rows = split(opened.result)
    most = most_rows(len(opened.result))
    for index, raw in enumerate(rows[:most]):
        data = bytes(raw)
        seat = before.get(data)
        if seat is None:
            try:
                seat = _seat(data, settings, zone)
            except Misunderstood as error:
                extension = _extension_of(data)
                path = f"result[{index}].{error.field}".rstrip(".")
                rejected.append(RejectedRow("row", str(error), path, extension, data, error.fault))
                anonymous += extension is None
                if extension is not None:
                    unread.add(extension)
                continue
        by_bytes[data] = seat
        _keep_newest(seats, seat, index, data, rejected)
    if len(rows) > most:
        anonymous += len(rows) - most
        reason = "a list of more rows than it has room for: the rest is not read"
        rejected.append(RejectedRow("row", reason, f"result[{most}]", None, b""))
    for extension, groups in Counter(extension for _, extension in seats).items():
        if groups > MOST_GROUPS:
            unread.add(extension)
            rejected.append(_too_many(seats, extension))
    return Snapshot(
        source=settings.source,
        requested_at=requested_at,
        answered_at=answered_at,
        reqtime=opened.reqtime,
        rsptime=opened.rsptime,
        seats=tuple(seat for seat, _, _ in seats.values()),
        unread=frozenset(unread),
        anonymous=anonymous,
        rejected=tuple(rejected),
        by_bytes=by_bytes,
    )


def most_rows(size: int) -> int:
    """How many rows of a list of so many bytes are read."""
    return max(LONG_LIST, size // SHORTEST_ROW)


def _too_many(seats: dict[tuple[str, str], tuple[Seat, int, bytes]], extension: str) -> RejectedRow:
    """Takes all of the extension's rows out, whatever their order; the row that came last stands for them."""
    keys = [key for key in seats if key[1] == extension]
    _, index, data = max((seats.pop(key) for key in keys), key=lambda row: row[1])
    return RejectedRow(
        "row", f"more than {MOST_GROUPS} task groups", f"result[{index}]", extension, data, "too_many_groups"
    )


def _keep_newest(
    seats: dict[tuple[str, str], tuple[Seat, int, bytes]],
    seat: Seat,
    index: int,
    data: bytes,
    rejected: list[RejectedRow],
) -> None:
    """Two rows for one (group, extension): the newest stamps win; a loser that differs is rejected."""
    key = (seat.group, seat.extension)
    rival = seats.get(key)
    if rival is None:
        seats[key] = (seat, index, data)
        return
    if rival[0] == seat:
        return
    (winner, _, _), (_, lost_at, lost) = sorted(
        (rival, (seat, index, data)), key=lambda r: (newest_stamps(r[0]), msgspec.json.encode(r[0])), reverse=True
    )
    seats[key] = (winner, index, data) if winner is seat else rival
    reason = f"a second row for group {seat.group!r} that differs; the one with the newer stamps counts"
    rejected.append(RejectedRow("row", reason, f"result[{lost_at}]", seat.extension, lost, "duplicate"))


def _seat(data: bytes, settings: Settings, zone: ZoneInfo) -> Seat:
    row = fields(data)
    state_code = whole(row.get("state"), "state")
    status_code = whole(row.get("status"), "status")
    if state_code is None and status_code is None:
        raise Misunderstood("state", "neither state nor status holds a code", "no_code")
    meaning = read(state_code, status_code, settings.codes)
    return Seat(
        group=name(row.get("queuename"), "queuename"),
        extension=extension_number(row.get("extnumber")),
        agent=name(row.get("seatsname"), "seatsname", missing=""),
        state=meaning.state,
        status=meaning.status,
        state_code=state_code,
        status_code=status_code,
        offered_at=stamp(row.get("lastassigntime"), "lastassigntime", zone),
        answered_at=stamp(row.get("lastanswertime"), "lastanswertime", zone),
        status_changed_at=stamp(row.get("seatschangetime"), "seatschangetime", zone),
        calls_answered=count(row.get("callsanswered"), "callsanswered"),
        no_answer_count=count(row.get("noanswercount"), "noanswercount"),
        wrap_up_s=count(row.get("wrapuptime"), "wrapuptime"),
    )


def _extension_of(data: bytes) -> str | None:
    """The extension of a row that was not understood; from its text where it is no JSON, if that names just one."""
    try:
        row = fields(data)
    except Misunderstood:
        named = _EXTNUMBER.findall(data)
        once = len(named) == 1 and data.count(b'"extnumber"') == 1
        row = {"extnumber": named[0].strip(b'"').decode("utf-8", "replace") if once else None}
    try:
        return extension_number(row.get("extnumber"))
    except Misunderstood:
        return None


def extension_number(value: object) -> str:
    """A field's value as an extension; raises Misunderstood."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise Misunderstood("extnumber", "not an extension number", "no_extension")
    text = str(value).strip() if isinstance(value, str) or abs(value) <= LARGEST_NUMBER else ""
    if not EXTENSION.fullmatch(text):
        raise Misunderstood("extnumber", "not an extension number", "no_extension")
    return text


def name(value: object, field: str, missing: str | None = None) -> str:
    """A field's value as a name, `missing` for null where that is given; raises Misunderstood."""
    if value is None and missing is not None:
        return missing
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise Misunderstood(field, "not a name", "name")
    text = str(value)
    if len(text) > LONGEST_TEXT:
        raise Misunderstood(field, f"longer than {LONGEST_TEXT} characters", "name")
    return text


def whole(value: object, field: str) -> int | None:
    """A field's value as a whole number, None where it holds none; raises Misunderstood."""
    if isinstance(value, str):
        value = value.strip()
        if value == "":
            return None
        if not _NUMBER.fullmatch(value):
            raise Misunderstood(field, "not a number", "number")
        value = int(value.split(".")[0])
    if value is None:
        return None
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise Misunderstood(field, "not a whole number", "number")
    if abs(value) > LARGEST_NUMBER:
        raise Misunderstood(field, "too large a number", "number")
    return value


def count(value: object, field: str) -> int | None:
    """As `whole`, and not below zero."""
    number = whole(value, field)
    if number is not None and number < 0:
        raise Misunderstood(field, "a negative count", "number")
    return number


def stamp(value: object, field: str, zone: ZoneInfo) -> int | None:
    """A field's value, a local time, as unix milliseconds; None where it says «never»; raises Misunderstood."""
    if value is None or value in (0, "0"):
        return None
    if not isinstance(value, str):
        raise Misunderstood(field, "not a time", "time")
    try:
        return _moment(value.strip(), zone)
    except (ValueError, OverflowError):  # the last hours of the year 9999 are none in UTC
        raise Misunderstood(field, "not a time", "time") from None


@lru_cache(maxsize=4096)
def _moment(text: str, zone: ZoneInfo) -> int | None:
    """Unix milliseconds of a local stamp; None for the vendor's ways of writing «never»: empty, zeros, the epoch."""
    if not text or text.startswith("0000-00-00"):
        return None
    match = _STAMP.fullmatch(text)
    if match is None:
        raise ValueError(text)
    naive = datetime.fromisoformat(f"{match[1]} {match[2]}")
    if naive.year <= 1970:
        return None
    return int(naive.replace(tzinfo=zone).astimezone(UTC).timestamp()) * SECOND
