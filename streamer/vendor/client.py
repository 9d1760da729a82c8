"""The vendor over HTTP: sends what the conversations in session.py yield, and holds the token between polls.

This is the edge where aiohttp's errors become ours: every one of them, and every OSError, TLS error and time-out,
is a VendorUnavailable that names host:port and a remedy, never a form, a token or an accesskey.
"""

from __future__ import annotations

import io
import os
import ssl as tls_library
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import aiohttp
from aiohttp.http_exceptions import HttpProcessingError
from yarl import URL

from streamer.core.envelope import open_envelope
from streamer.errors import ConfigError, VendorUnavailable
from streamer.units import is_local
from streamer.vendor.budget import poll_budget
from streamer.vendor.session import Account, Answer, Call, Opener, Polled, Sent, Step, Unreached, Unusable, poll
from streamer.vendor.tokens import Clock, Tokens, drive

__all__ = ["Clock", "Polled", "Reply", "Session", "Unusable", "VendorClient", "http_session", "tls", "trouble"]

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


class _TooLarge(Exception):
    """The body is longer than max_body."""


NETWORK: Final = "check that the vendor's server is up and that url and the network are right"
CUT: Final = "the connection or the vendor's server broke; asked again soon"
# The rule: the first row whose class matches says what happened; `True`: nothing was sent. The last row of each
# family is its root, so that a class that a new aiohttp adds still finds a row.
TROUBLES: Final[tuple[tuple[type[BaseException], str, str, bool], ...]] = (
    (
        _TooLarge,
        "the answer is longer than max_body",
        "raise max_body if the list is that long, or narrow queuename or extnumber",
        False,
    ),
    (aiohttp.ClientConnectorDNSError, "the host name cannot be resolved", "check url and the name server", True),
    (aiohttp.ServerFingerprintMismatch, "the TLS certificate is not the expected one", "check ca_file", True),
    (
        aiohttp.ClientConnectorCertificateError,
        "the TLS certificate is not trusted",
        "put the certificate of its authority into ca_file, or the name on the certificate into url",
        True,
    ),
    (aiohttp.ClientSSLError, "TLS failed", "check ca_file, and that url's port speaks TLS", True),
    (aiohttp.ClientHttpProxyError, "the proxy refused", "reach the vendor without a proxy", True),
    (aiohttp.ClientProxyConnectionError, "the proxy is not reached", "reach the vendor without a proxy", True),
    (aiohttp.ClientConnectorError, "no connection", NETWORK, True),
    (aiohttp.ConnectionTimeoutError, "no connection in time", NETWORK, True),
    (aiohttp.ServerTimeoutError, "no answer in time", "check the vendor's server; asked again soon", False),
    (aiohttp.ServerConnectionError, "the server closed the connection", CUT, False),
    (aiohttp.ClientConnectionError, "the connection broke", CUT, False),
    (aiohttp.ClientPayloadError, "the answer was cut short or wrongly encoded", CUT, False),
    (aiohttp.UploadAbortedError, "the connection broke while the request was sent", CUT, False),
    (aiohttp.InvalidURL, "url is not usable", "check url", True),
    (aiohttp.NonHttpUrlClientError, "url is not http or https", "check url", True),
    (aiohttp.RedirectClientError, "a redirect that cannot be followed", "put the final address into url", False),
    (aiohttp.ClientResponseError, "the answer is not valid HTTP", "check that url's port speaks HTTP", False),
    (aiohttp.ClientError, "the request failed", NETWORK, False),
    (HttpProcessingError, "the answer is not valid HTTP", "check that url's port speaks HTTP", False),
    (tls_library.SSLCertVerificationError, "the TLS certificate is not trusted", "check ca_file", True),
    (tls_library.SSLError, "TLS failed", "check ca_file, and that url's port speaks TLS", False),
    (TimeoutError, "no answer in time", "check the vendor's server; asked again soon", False),
    (OSError, "the network failed", NETWORK, False),
    (UnicodeError, "the host name cannot be encoded", "check url", True),
)
CAUGHT: Final = (aiohttp.ClientError, HttpProcessingError, OSError, TimeoutError, UnicodeError, _TooLarge)


def trouble(error: BaseException, where: str) -> VendorUnavailable:
    """Our error for one of aiohttp's, of the operating system's or of TLS. `where` is host:port.

    The error's own text is not used: it may quote the url or what was sent.
    """
    for kind, problem, remedy, unsent in TROUBLES:
        if isinstance(error, kind):
            detail = _detail(error)
            return (Unreached if unsent else VendorUnavailable)(f"{where}: {problem}{detail}", remedy)
    return VendorUnavailable(f"{where}: the request failed ({type(error).__name__})", NETWORK)


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
        try:
            async for part in response.content.iter_any():
                body.write(part)
                if body.tell() > limit:
                    if good:
                        raise _TooLarge
                    break
        except (aiohttp.ClientError, HttpProcessingError, OSError):
            if good:
                raise  # the HTTP status says more than how its page ended
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


def _detail(error: BaseException) -> str:
    """The operating system's or the TLS library's word for it, where it has one."""
    cause = getattr(error, "certificate_error", None) or getattr(error, "os_error", None) or error
    if isinstance(cause, tls_library.SSLCertVerificationError):
        word = getattr(cause, "verify_message", "")
    elif isinstance(cause, tls_library.SSLError):
        word = getattr(cause, "reason", "")
    else:
        number = getattr(cause, "errno", None)
        word = os.strerror(number) if isinstance(number, int) and number > 0 else ""
    return f" ({word})" if word else ""


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
