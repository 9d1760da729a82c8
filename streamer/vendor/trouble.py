"""aiohttp's errors as ours: every one of them, and every OSError, TLS error and time-out, is a VendorUnavailable that
names host:port and a remedy, never a form, a token or an accesskey.
"""

from __future__ import annotations

import os
import ssl as tls_library
from typing import Final

import aiohttp
from aiohttp.http_exceptions import HttpProcessingError

from streamer.errors import VendorUnavailable
from streamer.vendor.session import Unreached


class TooLarge(Exception):
    """The body is longer than max_body."""


NETWORK: Final = "check that the vendor's server is up and that url and the network are right"
CUT: Final = "the connection or the vendor's server broke; asked again soon"
# The rule: the first row whose class matches says what happened; `True`: nothing was sent. The last row of each
# family is its root, so that a class that a new aiohttp adds still finds a row.
TROUBLES: Final[tuple[tuple[type[BaseException], str, str, bool], ...]] = (
    (
        TooLarge,
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
CAUGHT: Final = (aiohttp.ClientError, HttpProcessingError, OSError, TimeoutError, UnicodeError, TooLarge)


def trouble(error: BaseException, where: str) -> VendorUnavailable:
    """Our error for one of aiohttp's, of the operating system's or of TLS. `where` is host:port.

    The error's own text is not used: it may quote the url or what was sent.
    """
    for kind, problem, remedy, unsent in TROUBLES:
        if isinstance(error, kind):
            detail = _detail(error)
            return (Unreached if unsent else VendorUnavailable)(f"{where}: {problem}{detail}", remedy)
    return VendorUnavailable(f"{where}: the request failed ({type(error).__name__})", NETWORK)


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
