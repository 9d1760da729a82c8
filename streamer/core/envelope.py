"""The vendor's envelope: from an answer's bytes to its result, or to the reason why there is none.

`open_envelope` is the only door. It looks at the outcome and leaves the rows alone: `result` stays JSON text,
so that a body of several megabytes costs one scan (about 1 ms a megabyte) and nothing is decoded twice.

Source: the vendor's API pages, "Envelope" in vendor-api.md. Numbers arrive as numbers or as numeric strings.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal

import msgspec

from streamer.core.loose import mended

Shape = Literal["list", "object"]
Kind = Literal["token", "login_again", "refused", "failed", "malformed"]

# The rule for `ret`. 200: the call was handled, look at data.status. A code in this table: its kind, whatever
# `data` holds. Any other code, 500 among them: failed, the next attempt may succeed.
HANDLED: Final = 200
KIND_OF_RET: Final[dict[int, Kind]] = {
    400: "refused",  # illegal request, usually bad parameters; `data` is then an empty list
    600: "token",  # token invalid, expired or revoked
    601: "refused",  # appid not authorised
    602: "refused",  # appid authorisation expired
    603: "refused",  # module not licensed
    604: "refused",  # this machine's IP not authorised
}

# The rule for `data.status` under ret 200. 0: `result` counts. Anything else is a failed call, never an empty
# list: a code in this table asks for a new log-in, every other code (or none) is failed.
SUCCEEDED: Final = 0
KIND_OF_ERROR: Final[dict[str, Kind]] = {
    "1003": "login_again",  # operation failed: authorisation, log-out, command not sent, switch unreachable
    "1010": "login_again",  # extension abnormal, e.g. newly added: the vendor advises a new token
}

MESSAGE_LIMIT: Final = 200  # characters: one line of a log; the vendor's sentences have fewer than 80
CODE_LIMIT: Final = 16  # characters: the vendor's codes have four digits
TIME_LIMIT: Final = 2**33  # unix seconds, the year 2242: what lies beyond is milliseconds or nonsense

_BOM: Final = b"\xef\xbb\xbf"
_FIRST_BYTE: Final[dict[Shape, bytes]] = {"list": b"[", "object": b"{"}
_SURROGATE: Final = re.compile(rb"\\u[dD][89a-fA-F]")
_INTEGER: Final = re.compile(r"\s*[+-]?[0-9]{1,18}\s*", re.ASCII)


@dataclass(frozen=True, slots=True)
class Opened:
    """A handled call. `result` is the JSON text of `data.result` (`b"null"` when the vendor sent null);
    `reqtime` and `rsptime` are the vendor's clock in unix seconds, None where absent or nonsense."""

    result: bytes
    reqtime: int | None
    rsptime: int | None


@dataclass(frozen=True, slots=True)
class Failure:
    """A call without a result.

    kind: `token` (log in, call again) · `login_again` (the same, sparingly) · `refused` (an operator must
    act) · `failed` (may succeed next time) · `malformed` (not an answer of this API).
    code: `ret`, or the code under `data.errors` when ret was 200; empty where there is none.
    message: the vendor's words on one line, at most MESSAGE_LIMIT characters; for `malformed` what is wrong.
    """

    kind: Kind
    code: str
    message: str


class _Data(msgspec.Struct):
    status: msgspec.Raw = msgspec.Raw()
    desc: msgspec.Raw = msgspec.Raw()
    result: msgspec.Raw = msgspec.Raw()
    errors: msgspec.Raw = msgspec.Raw()
    reqtime: msgspec.Raw = msgspec.Raw()
    rsptime: msgspec.Raw = msgspec.Raw()


class _Envelope(msgspec.Struct):
    ret: msgspec.Raw = msgspec.Raw()
    data: _Data | msgspec.UnsetType = msgspec.UNSET
    msg: msgspec.Raw = msgspec.Raw()


class _Loose(msgspec.Struct):
    ret: msgspec.Raw = msgspec.Raw()
    data: msgspec.Raw = msgspec.Raw()
    msg: msgspec.Raw = msgspec.Raw()


class _Errors(msgspec.Struct):
    code: msgspec.Raw = msgspec.Raw()
    codemsg: msgspec.Raw = msgspec.Raw()


_envelope: Final = msgspec.json.Decoder(_Envelope)
_loose: Final = msgspec.json.Decoder(_Loose)
_errors: Final = msgspec.json.Decoder(_Errors)
_scalar: Final = msgspec.json.Decoder(int | float | str)


def open_envelope(body: bytes, result: Shape = "list") -> Opened | Failure:
    """Read the outcome of a call from its body.

    `result` is the shape that the call promises: the status call a list, the log-in an object. null is
    accepted for either; another shape, or none, is `malformed`. Never raises, whatever the bytes are.
    """
    body = body.removeprefix(_BOM)
    try:
        return _open(_envelope.decode(body), result)
    except msgspec.ValidationError:
        pass  # well formed so far, but `data`, or the whole, is not an object
    except (msgspec.DecodeError, RecursionError, ValueError):
        # Encoders that take any text write half a surrogate pair, too: one agent's name must not cost the list.
        whole = mended(body) if _SURROGATE.search(body) else body
        return _malformed(_not_json(body)) if whole == body else open_envelope(whole, result)
    try:
        return _without_data(_loose.decode(body))
    except msgspec.ValidationError:
        return _malformed("the body is not a JSON object")
    except (msgspec.DecodeError, RecursionError, ValueError):
        return _malformed(_not_json(body))


def _open(envelope: _Envelope, shape: Shape) -> Opened | Failure:
    ret = _integer(envelope.ret)
    if ret is None:
        return _malformed("no number under ret")
    if ret != HANDLED:
        return _failed_ret(ret, envelope.msg)
    if not isinstance(envelope.data, _Data):
        return _malformed("ret is 200 and there is no data")
    return _open_data(envelope.data, shape, envelope.msg)


def _open_data(data: _Data, shape: Shape, msg: msgspec.Raw) -> Opened | Failure:
    status = _integer(data.status)
    if status is None:
        return _malformed("no number under data.status")
    if status != SUCCEEDED:
        return _failed_call(data, msg)
    result = bytes(data.result)
    if not result:
        return _malformed("data.status is 0 and there is no data.result")
    if result != b"null" and result[:1] != _FIRST_BYTE[shape]:
        return _malformed(f"data.result is not a JSON {'array' if shape == 'list' else 'object'}")
    return Opened(result, _time(data.reqtime), _time(data.rsptime))


def _without_data(envelope: _Loose) -> Failure:
    """An envelope whose `data` is no object: only `ret` can say what it means."""
    ret = _integer(envelope.ret)
    if ret is None:
        return _malformed("no number under ret")
    if ret == HANDLED and bytes(envelope.data)[:1] != b"[":
        return _malformed("ret is 200 and data is not an object")
    return _failed_ret(ret, envelope.msg)


def _failed_ret(ret: int, msg: msgspec.Raw) -> Failure:
    return Failure(KIND_OF_RET.get(ret, "failed"), str(ret), _text(msg))


def _failed_call(data: _Data, msg: msgspec.Raw) -> Failure:
    try:
        errors = _errors.decode(data.errors)
    except (msgspec.DecodeError, RecursionError, ValueError):
        errors = _Errors()  # absent, or PHP's empty array
    code = _text(errors.code)[:CODE_LIMIT]
    words = _text(errors.codemsg) or _text(data.desc) or _text(msg)
    return Failure(KIND_OF_ERROR.get(code, "failed"), code, words)


def _malformed(reason: str) -> Failure:
    return Failure("malformed", "", reason)


def _not_json(body: bytes) -> str:
    if not body.strip():
        return "the body is empty"
    if body.lstrip()[:1] == b"<":
        return "the body is HTML or XML, not JSON"
    return "the body is not JSON, or cut short, or nested too deeply"


def _value(raw: msgspec.Raw) -> int | float | str | None:
    try:
        return _scalar.decode(raw)
    except (msgspec.DecodeError, RecursionError, ValueError):
        return None


def _integer(raw: msgspec.Raw) -> int | None:
    value = _value(raw)
    if isinstance(value, str):
        return int(value) if _INTEGER.fullmatch(value) else None
    if isinstance(value, float):
        return int(value) if value.is_integer() else None
    return value


def _time(raw: msgspec.Raw) -> int | None:
    seconds = _integer(raw)
    return seconds if seconds is not None and 0 < seconds < TIME_LIMIT else None


def _text(raw: msgspec.Raw) -> str:
    """A scalar on one printable line: control, format and line-separating characters become spaces."""
    value = _value(raw)
    if value is None:
        return ""
    line = "".join(c if c.isprintable() else " " for c in str(value)[: 4 * MESSAGE_LIMIT])
    return " ".join(line.split())[:MESSAGE_LIMIT]
