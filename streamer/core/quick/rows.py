"""A row's text → its seat, for rows as the vendor writes them.

None for a row that is written otherwise: what it means, `decode` says. Where there is a seat, `decode` gives the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from zoneinfo import ZoneInfo

import msgspec

from streamer.core.codes import State, read
from streamer.core.decode import LARGEST_NUMBER, LONGEST_TEXT, count, extension_number, name, stamp, whole
from streamer.core.loose import Misunderstood
from streamer.core.model import Seat, Settings
from streamer.core.quick.changes import Row

MOST_MOMENTS = 32_768
"""Stamps that are remembered, some 4 MB."""

MOST_CODES = 10_000
"""Pairs of codes, and names of groups, that are remembered."""


class _Row(msgspec.Struct, gc=False):
    extnumber: str | int
    queuename: str
    seatsname: str | None = None
    state: int | str | None = None
    status: int | str | None = None
    lastassigntime: str | None = None
    lastanswertime: str | None = None
    seatschangetime: str | None = None
    callsanswered: int | str | None = None
    noanswercount: int | str | None = None
    wrapuptime: int | str | None = None


_decode = msgspec.json.Decoder(_Row).decode


class _Moments(dict[str | None, int | None]):
    """Stamps as they were read before: a floor shares most of its fresh ones."""

    def __init__(self, zone: ZoneInfo) -> None:
        self._zone = zone

    def __missing__(self, text: str | None) -> int | None:
        if len(self) >= MOST_MOMENTS:
            self.clear()
        moment = self[text] = stamp(text, "", self._zone)
        return moment


class _Meanings(dict[tuple[int | str | None, int | str | None], tuple[State, State, int | None, int | None]]):
    """What a row's state and status stand for, each with its code."""

    def __init__(self, own: Mapping[int, State]) -> None:
        self._own = own

    def __missing__(
        self, fields: tuple[int | str | None, int | str | None]
    ) -> tuple[State, State, int | None, int | None]:
        if len(self) >= MOST_CODES:
            self.clear()
        codes = (whole(fields[0], "state"), whole(fields[1], "status"))
        if codes == (None, None):
            raise Misunderstood("state", "no code", "no_code")
        meaning = read(*codes, self._own)
        found = self[fields] = (meaning.state, meaning.status, *codes)
        return found


class _Groups(dict[str, str]):
    """The groups that were read before: one and the same text for all rows of one."""

    def __missing__(self, value: str) -> str:
        if len(self) >= MOST_CODES:
            self.clear()
        found = self[value] = name(value, "")
        return found


class Reader:
    """Reads the rows of one source."""

    def __init__(self, settings: Settings) -> None:
        self._moments = _Moments(ZoneInfo(settings.timezone))
        self._meanings = _Meanings(settings.codes)
        self._groups = _Groups()

    def seat(self, text: Row) -> Seat | None:
        """The row's seat; None where `decode` has to judge."""
        try:
            row = _decode(text)
            agent, calls, misses, rest = row.seatsname or "", row.callsanswered, row.noanswercount, row.wrapuptime
            if len(agent) > LONGEST_TEXT:
                return None
            extension = row.extnumber
            if isinstance(extension, int) or not (extension.isdigit() and extension.isascii() and len(extension) <= 64):
                extension = extension_number(extension)
            state, status, state_code, status_code = self._meanings[row.state, row.status]
            moments = self._moments
            return Seat(
                self._groups[row.queuename],
                extension,
                agent,
                state,
                status,
                state_code,
                status_code,
                moments[row.lastassigntime],
                moments[row.lastanswertime],
                moments[row.seatschangetime],
                calls if type(calls) is int and 0 <= calls <= LARGEST_NUMBER else count(calls, ""),
                misses if type(misses) is int and 0 <= misses <= LARGEST_NUMBER else count(misses, ""),
                rest if type(rest) is int and 0 <= rest <= LARGEST_NUMBER else count(rest, ""),
            )
        except (Misunderstood, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None
