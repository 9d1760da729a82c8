"""The vendor's callbacks: each is a hint that something has changed at a source, and no more than that.

`POST /callbacks/{source}` with the header `X-Streamer-Secret`, or `POST /callbacks/{source}/{secret}` where only a URL
can be set. Looked at in this order:

1. source, address and secret: whatever is wrong, the answer is the same (403), and the body is not read;
2. the rate of what passed so far (429, the body is not read);
3. the body's length (413), and the time that it takes to come (408);
4. the form (400): one field `detail` with a JSON object. Customers' numbers in it are not even decoded.

What passes all of it is answered with 204, and the source is polled soon.
"""

from __future__ import annotations

import asyncio
import hmac
import secrets
from collections import defaultdict
from collections.abc import Callable
from email import message_from_bytes
from email.message import Message
from http import HTTPStatus
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final, cast
from urllib.parse import parse_qsl

import msgspec
from aiohttp import ClientPayloadError, hdrs, web
from aiohttp.http_exceptions import HttpProcessingError

from streamer.config import Config, Source
from streamer.observe.observer import Hinted
from streamer.runtime.ports import Clock, Observer
from streamer.vendor.budget import Budget

LONGEST: Final = 16 * 1024
"""Bytes of a body; the vendor's have some hundred."""

PATIENCE: Final = 3.0
"""Seconds that a body may take to come."""

BURST: Final = 200
A_SECOND: Final = 100
"""Callbacks of one source at once, and in each second: more than a floor of a thousand agents sends."""

Hint = Callable[[str], bool]
"""Something has changed at this source. True if that was passed on to other instances."""


class _Detail(msgspec.Struct):
    """All that is decoded of a callback: whether it looks like one."""

    type: str | None = None
    status: str | None = None
    extnumber: str | int | None = None


_decode = msgspec.json.Decoder(_Detail).decode


class Callbacks:
    """Takes callbacks for the sources of `config`, which is asked for at each."""

    def __init__(self, config: Callable[[], Config], hint: Hint, clock: Clock, observer: Observer) -> None:
        self._config = config
        self._hint = hint
        self._clock = clock
        self._observer = observer
        self._budgets: dict[str, Budget] = defaultdict(lambda: Budget(BURST, A_SECOND))
        self._nobodys = secrets.token_hex()

    def add_to(self, app: web.Application) -> None:
        """Take them at `app`'s address."""
        app.router.add_post("/callbacks/{source}", self._take)
        app.router.add_post("/callbacks/{source}/{secret}", self._take)

    async def _take(self, request: web.Request) -> web.Response:
        config = self._config()
        source = {source.name: source for source in config.sources}.get(request.match_info["source"])
        if not self._may(source, request, behind_proxy=config.http.behind_proxy) or source is None:
            return self._no(source, "refused", HTTPStatus.FORBIDDEN)
        if self._budgets[source.name].take(self._clock.monotonic()):
            return self._no(source, "limited", HTTPStatus.TOO_MANY_REQUESTS)
        try:
            body = await _body(request)
        except TimeoutError:
            return self._no(source, "malformed", HTTPStatus.REQUEST_TIMEOUT)
        except (ClientPayloadError, HttpProcessingError, OSError):
            return self._no(source, "malformed", HTTPStatus.BAD_REQUEST)
        if body is None:
            return self._no(source, "too_large", HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        if not understood(request.headers.get(hdrs.CONTENT_TYPE, ""), body):
            return self._no(source, "malformed", HTTPStatus.BAD_REQUEST)
        self._observer.hint(source.name, "passed_on" if self._hint(source.name) else "accepted")
        return web.Response(status=HTTPStatus.NO_CONTENT)

    def _may(self, source: Source | None, request: web.Request, *, behind_proxy: bool) -> bool:
        """Is that the vendor? Takes as long for a source that is not there."""
        expected = source.callback_secret.get_secret_value() if source and source.callback_secret else ""
        given = request.match_info.get("secret", request.headers.get("X-Streamer-Secret", ""))
        right = hmac.compare_digest(given.encode("utf-8", "surrogatepass"), (expected or self._nobodys).encode())
        networks = source.callback_addresses if source else ()
        caller = _caller(request, behind_proxy=behind_proxy)
        near = not networks or (caller is not None and any(caller in network for network in networks))
        return right and near and expected != ""

    def _no(self, source: Source | None, outcome: Hinted, status: HTTPStatus) -> web.Response:
        self._observer.hint(source.name if source else "", outcome)
        headers = {hdrs.RETRY_AFTER: "1"} if status is HTTPStatus.TOO_MANY_REQUESTS else None
        return web.Response(status=status, text=f"{status}: {status.phrase}\n", headers=headers)


def _caller(request: web.Request, *, behind_proxy: bool) -> IPv4Address | IPv6Address | None:
    """Who calls. A proxy puts whom it heard from at the header's end; the rest anybody may have made up."""
    heard = ",".join(request.headers.getall(hdrs.X_FORWARDED_FOR, ())).rpartition(",")[2]
    try:
        address = ip_address(heard.strip() if behind_proxy else request.remote or "")
    except ValueError:
        return None
    return (address.ipv4_mapped or address) if isinstance(address, IPv6Address) else address


async def _body(request: web.Request) -> bytes | None:
    """The body; None if it is too long, whatever its head says. TimeoutError if it does not come."""
    if (request.content_length or 0) > LONGEST:
        return None
    body = bytearray()
    async with asyncio.timeout(PATIENCE):
        while chunk := await request.content.read(LONGEST + 1 - len(body)):
            body += chunk
            if len(body) > LONGEST:
                return None
    return bytes(body)


def understood(content_type: str, body: bytes) -> bool:
    """Is that a form with one field `detail`, which is a callback in JSON?"""
    try:
        (detail,) = _details(content_type, body)
        _decode(detail)
    except Exception:  # whatever these parsers stumble over, and how, it is the sender's doing
        return False
    return True


def _details(content_type: str, body: bytes) -> list[str | bytes]:
    """The fields `detail` of a form, urlencoded or multipart. Raises anything for what is none."""
    if content_type.partition(";")[0].strip().lower() == "application/x-www-form-urlencoded":
        fields = parse_qsl(body.decode(), keep_blank_values=True, errors="strict", max_num_fields=100)
        return [value for name, value in fields if name == "detail"]
    form = message_from_bytes(b"Content-Type: " + content_type.encode() + b"\r\n\r\n" + body)
    parts = cast(list[Message], form.get_payload() if form.get_content_type() == "multipart/form-data" else [])
    return [
        cast(bytes, part.get_payload(decode=True))
        for part in parts
        if part.get_param("name", header="content-disposition") == "detail"
    ]
