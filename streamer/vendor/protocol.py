"""The vendor's calls: the form that each one sends, and what the log-in answers.

Pure: text in, text out. Source: vendor-api.md, "Log in" and "Extension status".
"""

from __future__ import annotations

from typing import Final

import msgspec

LOGIN: Final = "App.Sip_Auth.Login"
STATUS: Final = "App.Sip_Queue.GetQueueSipStatus"

EVERY_STATE: Final = "0"
"""The only value of the filter `state` that we send: with another one, leaving the filter would look like
signing out."""

LONGEST_TOKEN: Final = 256
"""Characters; the vendor's tokens are 32 hex digits. A longer one is a page, not a token."""


class _LoggedIn(msgspec.Struct):
    token: str = ""


_logged_in: Final = msgspec.json.Decoder(_LoggedIn | None)


def login_form(appid: str, accesskey: str) -> dict[str, str]:
    """The form that asks for a token. It holds a secret: never log it."""
    return {"service": LOGIN, "appid": appid, "accesskey": accesskey}


def status_form(token: str, queuename: str = "", extnumber: str = "") -> dict[str, str]:
    """The form that asks for every signed-in row. It holds a secret: never log it.

    `queuename` and `extnumber` are the vendor's own filters, empty for all.
    """
    return {
        "service": STATUS,
        "token": token,
        "queuename": queuename,
        "extnumber": extnumber,
        "state": EVERY_STATE,
    }


def parse_login(result: bytes) -> str | None:
    """The token in a log-in's `result` (JSON text of an object or null), or None if there is no usable one.

    Usable: 1 to LONGEST_TOKEN printable ASCII characters without blanks. The other fields (`companycode`,
    `companyname`, `authtime`, `authmodel`) are not needed, and `authtime` has no zone, so it dates nothing.
    """
    try:
        answer = _logged_in.decode(result)
    except (msgspec.DecodeError, RecursionError, ValueError):
        return None
    token = answer.token.strip() if answer is not None else ""
    usable = 0 < len(token) <= LONGEST_TOKEN and token.isascii() and token.isprintable() and " " not in token
    return token if usable else None
