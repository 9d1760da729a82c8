"""POST, for all outputs: every call has a time-out, every answer is bounded, and no error tells url or key."""

from __future__ import annotations

import email.utils
import ssl
from collections.abc import Mapping
from typing import Final

import aiohttp
import msgspec
from aiohttp.http_exceptions import HttpProcessingError

from streamer.config.outputs import Output
from streamer.errors import ConfigError

MOST: Final = 64 * 1024
"""Bytes read of an answer."""

RECEIVER: Final = frozenset({401, 402, 403, 404, 405, 407, 408, 410, 421, 425, 426, 429, 451})
"""Statuses of 4xx that say nothing about what was sent: the receiver takes nothing of anybody now."""

CAUGHT: Final = (aiohttp.ClientError, HttpProcessingError, OSError, TimeoutError, UnicodeError)


class Answer(msgspec.Struct, frozen=True):
    """An HTTP answer; `retry_after` in seconds, 0 if it names none."""

    status: int
    body: bytes
    retry_after: float


class Away(Exception):
    """Nothing can be sent to this receiver now; `retry_after` seconds at least."""

    def __init__(self, reason: str, retry_after: float = 0.0) -> None:
        super().__init__(reason)
        self.retry_after = retry_after


class Http:
    """The way to one receiver. `async with` it."""

    def __init__(self, output: Output) -> None:
        self._output = output
        self._ssl = _trust(output)

    async def __aenter__(self) -> Http:
        self._session = aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=self._output.timeout),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"User-Agent": "streamer"},
            trust_env=False,
        )
        return self

    async def __aexit__(self, *_exc: object) -> None:
        await self._session.close()

    async def post(self, path: str, body: bytes, headers: Mapping[str, str], now: float) -> Answer:
        """Any answer whose status is about what was sent (and 500, for SOAP faults); Away if there is none such."""
        try:
            async with self._session.post(
                self._output.url.rstrip("/") + path, data=body, headers=headers, allow_redirects=False, ssl=self._ssl
            ) as response:
                text = bytearray()
                async for chunk in response.content.iter_chunked(MOST):
                    text += chunk
                    if len(text) > MOST:
                        raise Away("the answer is longer than 64 KiB")
                after = _seconds(response.headers.get("Retry-After", ""), now)
                answer = Answer(response.status, bytes(text), after)
        except CAUGHT as error:
            reason = f"no answer ({type(error).__name__})"
        else:
            fine = answer.status < 300 or answer.status == 500 or 400 <= answer.status < 500
            if fine and answer.status not in RECEIVER:
                return answer
            raise Away(f"HTTP {answer.status}", answer.retry_after)
        raise Away(reason)  # outside of the handler: the cause may quote what was sent


def _trust(output: Output) -> ssl.SSLContext | bool:
    try:
        return ssl.create_default_context(cafile=output.ca_file) if output.ca_file else True
    except OSError:
        raise ConfigError(
            f"wfm.outputs.{output.name}.ca_file: {output.ca_file} cannot be used", "name a readable file in PEM form"
        ) from None


def _seconds(text: str, now: float) -> float:
    """Of a Retry-After, as seconds or as a date; 0 for what is neither."""
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        return max(0.0, email.utils.parsedate_to_datetime(text).timestamp() - now)
    except (ValueError, OverflowError):
        return 0.0
