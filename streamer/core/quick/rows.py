"""A row's text → its seat, for rows as the vendor writes them.

None for a row that is written otherwise: what it means, `decode` says. Where there is a seat, `decode` gives the same.
"""

from __future__ import annotations

from functools import lru_cache
from zoneinfo import ZoneInfo

import msgspec

from streamer.core.codes import Meaning, read
from streamer.core.decode import LONGEST_TEXT, count, extension_number, stamp, whole
from streamer.core.loose import Misunderstood
from streamer.core.model import Seat, Settings


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
_code = lru_cache(maxsize=4096, typed=True)(whole)
_count = lru_cache(maxsize=4096, typed=True)(count)
_stamp = lru_cache(maxsize=65_536)(stamp)


class Reader:
    """Reads the rows of one source."""

    def __init__(self, settings: Settings) -> None:
        self._zone = ZoneInfo(settings.timezone)
        self._codes = settings.codes
        self._meanings: dict[tuple[int | None, int | None], Meaning] = {}
        self._groups: dict[str, str] = {}

    def seat(self, text: bytes) -> Seat | None:
        """The row's seat; None where `decode` has to judge."""
        try:
            row = _decode(text)
            codes = (_code(row.state, "state"), _code(row.status, "status"))
            meaning = self._meanings.get(codes) or self._meaning(codes)
            agent = row.seatsname or ""
            if meaning is None or len(row.queuename) > LONGEST_TEXT or len(agent) > LONGEST_TEXT:
                return None
            extension = row.extnumber
            if isinstance(extension, int) or not (extension.isdigit() and extension.isascii() and len(extension) <= 64):
                extension = extension_number(extension)
            zone = self._zone
            return Seat(
                self._groups.get(row.queuename) or self._group(row.queuename),
                extension,
                agent,
                meaning[0],
                meaning[1],
                codes[0],
                codes[1],
                _stamp(row.lastassigntime, "", zone),
                _stamp(row.lastanswertime, "", zone),
                _stamp(row.seatschangetime, "", zone),
                _count(row.callsanswered, ""),
                _count(row.noanswercount, ""),
                _count(row.wrapuptime, ""),
            )
        except (Misunderstood, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None

    def _group(self, name: str) -> str:
        """One and the same text for all rows of a group."""
        if len(self._groups) > 10_000:
            self._groups.clear()
        return self._groups.setdefault(name, name)

    def _meaning(self, codes: tuple[int | None, int | None]) -> Meaning | None:
        if codes == (None, None):
            return None
        if len(self._meanings) > 1000:
            self._meanings.clear()
        found = self._meanings[codes] = read(*codes, self._codes)
        return found
