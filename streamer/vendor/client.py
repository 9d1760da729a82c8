"""The vendor over HTTP: sends what the conversations in session.py yield, and holds the token between polls.

No error of aiohttp, TLS or the operating system gets past it: see trouble.py.
"""

from __future__ import annotations

import io
import ssl as tls_library
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import aiohttp
from aiohttp.http_exceptions import HttpProcessingError
from yarl import URL

from streamer.core.envelope import open_envelope
from streamer.errors import ConfigError
from streamer.units import is_local
from streamer.vendor.budget import poll_budget
from streamer.vendor.session import Account, Answer, Call, Opener, Polled, Sent, Step, Unusable, poll
from streamer.vendor.tokens import Clock, Tokens, drive
from streamer.vendor.trouble import CAUGHT, TooLarge, trouble

__all__ = ["Clock", "Polled", "Reply", "Session", "Unusable", "VendorClient", "http_session", "tls"]

KEEP_ALIVE: Final = 3.0
"""Seconds an idle connection is kept: less than the 5 s after which common web servers close theirs, for a POST
sent into a closing connection is a lost poll."""

ERROR_BODY: Final = 64 * 1024
"""Bytes read of an answer that is not HTTP 200: enough to see who wrote it."""

READ_AHEAD: Final = 256 * 1024
"""Bytes that wait before the connection is told to pause: a long list in few pieces, an endless one noticed early."""


@dataclass(frozen=True, slots=True)
class Reply:
    """Any HTTP answer to a status call, usable or not. Times are unix ms, as in Polled."""

    requested_at: int
    answered_at: int
    status: int
    body: bytes = field(repr=False)


def http_session(*, trust_env: bool = False) -> aiohttp.ClientSession:
    """An HTTP session for all vendors: no cookies, no limit on connections (one for each source at most, and a
    slow host must not keep another's waiting), no proxies from the environment unless asked. The caller closes it.
    """
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=KEEP_ALIVE),
        cookie_jar=aiohttp.DummyCookieJar(),
        headers={"User-Agent": "streamer", "Accept": "application/json"},
        read_bufsize=READ_AHEAD,
        trust_env=trust_env,
    )


def tls(ca_file: str = "") -> tls_library.SSLContext:
    """What a server must prove: a certificate by an authority in `ca_file` (PEM), or of the system where empty.

    Raises ConfigError when the file cannot be used.
    """
    try:
        return tls_library.create_default_context(cafile=ca_file or None)
    except OSError as error:  # SSLError is one
        why = "holds no usable certificate" if isinstance(error, tls_library.SSLError) else error.strerror
        raise ConfigError(f"ca_file {ca_file!r}: {why}", "name a readable file with certificates in PEM form") from None


class Session:
    """Token, log-ins and HTTP of all sources with the same url and appid: a second log-in may revoke the first.

    `tokens.on_renewal_failed` is a hook for what a caller may want to log.
    """

    def __init__(
        self,
        *,
        url: str,
        appid: str,
        accesskey: str,
        token: str,
        http: aiohttp.ClientSession,
        clock: Clock,
        connect_timeout: float = 5.0,
        total_timeout: float = 10.0,
        max_body: int = 8 * 2**20,
        ssl: tls_library.SSLContext | bool = True,
    ) -> None:
        """Time-outs in seconds, `max_body` in bytes after decompression. With `token` it never logs in.

        Raises ConfigError when url is not an http or https address.
        """
        self._url = _address(url)
        self._http = http
        self.limit(connect_timeout, total_timeout, max_body, ssl)
        self.clock = clock
        self.account = Account(f"{self._url.host_subcomponent}:{self._url.port}", appid, accesskey, token)
        self.tokens = Tokens(self.account, clock, self.exchange)

    def limit(self, connect: float, total: float, max_body: int, ssl: tls_library.SSLContext | bool) -> None:
        """From the next call on, these time-outs in seconds, most bytes of an answer, and trust in a certificate."""
        self._timeout = aiohttp.ClientTimeout(total=total, connect=connect)
        self._max_body = max_body
        self._ssl = ssl

    def secrets(self) -> tuple[str, ...]:
        """What no log, error or event may hold: the accesskey, every token held now, a password in url."""
        held = (self.account.accesskey, self.account.token, *self.tokens.held(), self._url.password)
        return tuple(dict.fromkeys(secret for secret in held if secret))

    def warn_plain_http(self) -> str | None:
        """The warning for a secret that goes over plain http to another machine, or None if none does."""
        host = self._url.host or ""
        if self._url.scheme == "https" or is_local(host) or host.endswith(".localhost") or not self.secrets():
            return None
        return (
            f"{self.account.where}: the accesskey or token goes over the network in plain text (http); "
            "use https, or a tunnel to the vendor"
        )

    async def exchange(self, form: dict[str, str]) -> Answer:
        """One POST, whatever its HTTP status; raises VendorUnavailable when no whole answer came."""
        try:
            return await self._post(form)
        except CAUGHT as error:
            failure = trouble(error, self.account.where)
        raise failure  # outside of the handler: the cause may quote what was sent

    async def _post(self, form: dict[str, str]) -> Answer:
        requested_at = self.clock.now_ms()
        async with self._http.post(
            self._url, data=form, allow_redirects=False, timeout=self._timeout, ssl=self._ssl
        ) as response:
            body = await self._read(response)
            location = _target(self._url, response.headers.get("Location", ""))
            return Answer(requested_at, self.clock.now_ms(), response.status, body, location)

    async def _read(self, response: aiohttp.ClientResponse) -> bytes:
        """The body, decompressed. Past the limit an answer of HTTP 200 is an error, any other is cut."""
        limit = self._max_body if (good := response.status == 200) else ERROR_BODY
        body = io.BytesIO()  # gives what it gathered away without a copy
        if expected := min(response.content_length or 0, limit):
            body.seek(expected - 1)
            body.write(b"\0")  # room for all of it at once
            body.seek(0)
        try:
            async for part in response.content.iter_any():
                body.write(part)
                if body.tell() > limit:
                    if good:
                        raise TooLarge
                    break
        except (aiohttp.ClientError, HttpProcessingError, OSError):
            if good:
                raise  # the HTTP status says more than how its page ended
        body.truncate()
        return body.getvalue()[:limit]


class VendorClient:
    """One source: its filters and its poll budget, over a session that others may share."""

    on_reply: Callable[[Reply], None] | None = None
    """Called with every HTTP answer to a status call, usable or not."""
    opener: Opener = staticmethod(open_envelope)

    def __init__(
        self,
        session: Session,
        *,
        name: str,
        poll_interval: float,
        queuename: str = "",
        extnumber: str = "",
    ) -> None:
        """`poll_interval` in seconds, above 0: it sets how many status calls a second are allowed."""
        self.name = name
        self._session = session
        self._filters = (queuename, extnumber)
        self._budget = poll_budget(poll_interval)

    async def poll(self) -> Polled:
        """One usable answer; waits while the poll budget is exhausted.

        Raises VendorUnavailable (Unusable when an answer came that is none), VendorRefused.
        """
        return await drive(poll(self._session.account, *self._filters, self.opener), self._perform)

    def spare(self) -> float:
        """Seconds until the budget allows a poll beside the regular ones: see budget.py."""
        return self._budget.full_in(self._session.clock.monotonic())

    def secrets(self) -> tuple[str, ...]:
        """What no log, error or event about this source may hold."""
        return self._session.secrets()

    async def _perform(self, step: Step) -> Sent:
        if not isinstance(step, Call):
            return await self._session.tokens.get(step)
        clock = self._session.clock
        while wait := self._budget.take(clock.monotonic()):
            await clock.sleep(wait)
        answer = await self._session.exchange(step.form)
        if self.on_reply:
            self.on_reply(Reply(answer.requested_at, answer.answered_at, answer.status, answer.body))
        return answer


def _address(url: str) -> URL:
    try:
        address = URL(url)
    except ValueError:
        address = URL()
    if address.scheme not in ("http", "https") or not address.host:
        raise ConfigError("url is not an http or https address", "write it like http://host:8080")
    return address


def _target(url: URL, location: str) -> str:
    """Scheme, host and port that a redirect names; its path and query may quote what was sent."""
    try:
        target = url.join(URL(location)) if location else URL()
    except ValueError:
        return ""
    return f"{target.scheme}://{target.host_subcomponent}:{target.port}" if target.host else ""
