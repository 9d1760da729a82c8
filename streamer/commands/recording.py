"""Recordings: what the vendor answered, an answer a line; written by `record`, read by `replay`."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Protocol

import msgspec
import orjson

from streamer.core.rejected import redact
from streamer.errors import ConfigError
from streamer.vendor.client import Reply, Session

Moment = Annotated[float, msgspec.Meta(ge=0, le=253_402_300_799)]
"""Unix seconds that have a date: before the year 10000."""


class Answer(msgspec.Struct, frozen=True):
    """One recorded answer: times in unix seconds on the recorder's clock, `status` of HTTP, `body` the text."""

    source: str
    requested_at: Moment
    answered_at: Moment
    status: int
    body: str


class Writable(Protocol):
    """Where a recorder writes."""

    def write(self, data: bytes, /) -> object: ...
    def flush(self) -> None: ...


class Recorder:
    """Writes answers to a file, a JSON object a line, without tokens and keys."""

    def __init__(self, file: Writable, warn: Callable[[str], None]) -> None:
        self._file = file
        self._warn = warn
        self.count = 0
        self.failure: OSError | None = None
        """Why nothing is kept any more."""

    def listen(self, source: str, session: Session) -> Callable[[Reply], None]:
        """What a client calls with every status answer."""

        def heard(reply: Reply) -> None:
            if self.failure is not None:
                return
            body = redact(reply.body.decode("utf-8", "surrogateescape"), session.secrets())
            record = {
                "source": source,
                "requested_at": reply.requested_at / 1000,
                "answered_at": reply.answered_at / 1000,
                "status": reply.status,
                "body": body.encode("utf-8", "surrogateescape").decode("utf-8", "replace"),
            }
            try:
                self._file.write(orjson.dumps(record, option=orjson.OPT_APPEND_NEWLINE))
                self._file.flush()
            except OSError as error:  # a full disk must not end the polls
                self.failure = error
                self._warn(f"recording has ended after {self.count} answers: {error.strerror}")
            else:
                self.count += 1

        return heard


_decoder = msgspec.json.Decoder(Answer)


def read(path: Path) -> Iterator[Answer]:
    """The answers in a recording, in the file's order; ConfigError names the line that is none."""
    number = 0
    try:
        with path.open("rb") as file:
            for line in gzip.GzipFile(fileobj=file) if path.suffix == ".gz" else file:
                number += 1
                if line.strip():
                    yield _decoder.decode(line)
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror or error}", "give a file made by `record`") from None
    except (msgspec.MsgspecError, EOFError, ValueError, RecursionError, zlib.error) as error:
        raise ConfigError(
            f"{path}:{max(number, 1)}: not a recorded answer: {error}", "give a file made by `record`"
        ) from None
