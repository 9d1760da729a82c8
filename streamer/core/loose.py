"""JSON that may be broken in places: what a parser refuses in one row, or in one field, harms nothing beside it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Literal

import msgspec

_rows = msgspec.json.Decoder(list[msgspec.Raw])
_row = msgspec.json.Decoder(dict[str, Any])
_fields = msgspec.json.Decoder(dict[str, msgspec.Raw])
_scalar = msgspec.json.Decoder(str | int | float | bool | None)
_DELIMITER = re.compile(rb'"(?:[^"\\]|\\.)*"?|[\[\]{},]', re.DOTALL)
_ESCAPE = re.compile(
    rb"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(?P<lone>\\u[dD][89a-fA-F][0-9a-fA-F]{2})|\\."
)
NONSENSE = object()
"""What stands for a field's value that is no JSON scalar: every field refuses it."""


Fault = Literal[
    "not_json", "no_code", "no_extension", "name", "number", "time", "too_many_groups", "duplicate", "body", "other"
]
"""Kinds of reasons why a row or a body is not understood, few enough to be counted by."""


class Misunderstood(Exception):
    """A field of a row is not what it should be: `field`, what is wrong with it, and of what kind that is."""

    def __init__(self, field: str, problem: str, fault: Fault) -> None:
        super().__init__(f"{field}: {problem}" if field else problem)
        self.field = field
        self.fault: Fault = fault


def split(result: bytes) -> Sequence[bytes | msgspec.Raw]:
    """The JSON text of each row. One that is too deep, or no JSON, must not take the others with it."""
    if result == b"null":
        return ()
    try:
        return _rows.decode(result)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return _by_hand(result)


def _by_hand(result: bytes) -> list[bytes]:
    """Cut at the commas of the outer list; only brackets and strings are looked at."""
    rows: list[bytes] = []
    begin, depth = result.find(b"[") + 1, 0
    for match in _DELIMITER.finditer(result):
        mark = match[0]
        if mark in b"[{":
            depth += 1
        elif mark in b"]}":
            depth -= 1
        if (mark == b"," and depth == 1) or depth == 0:
            rows.append(result[begin : match.start()].strip())
            begin = match.end()
        if depth == 0:
            return [row for row in rows if row]
    return [row for row in (*rows, result[begin:].strip()) if row]


def fields(data: bytes) -> dict[str, Any]:
    """A row's fields; those of ours that cannot be decoded are NONSENSE, and the others do not matter."""
    if data[:1] != b"{":
        raise Misunderstood("", "not an object", "not_json")
    try:
        return _row.decode(data)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        pass
    try:
        raws = _fields.decode(mended(data))
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise Misunderstood("", f"not JSON, or nested too deeply: {error}", "not_json") from error
    return {name: _value(raw) for name, raw in raws.items()}


def mended(data: bytes) -> bytes:
    """JSON text in which half a surrogate pair, which is no character, harms only itself."""
    return _ESCAPE.sub(_whole, data)


def _whole(escape: re.Match[bytes]) -> bytes:
    return rb"\ufffd" if escape["lone"] else escape[0]


def _value(raw: msgspec.Raw) -> object:
    try:
        return _scalar.decode(raw)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return NONSENSE
