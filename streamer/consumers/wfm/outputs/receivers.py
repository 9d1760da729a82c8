"""What all kinds of receivers have in common, as the sender sees them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import msgspec

from streamer.consumers.wfm.outputs.agents import Place
from streamer.consumers.wfm.outputs.http import Answer


class Told(msgspec.Struct, frozen=True):
    """A state as a receiver is told of it. `place` is whose it is, `seconds` how long it has lasted by now, never below
    0. `item` is the event's own text, for receivers that are told of each event."""

    place: Place
    agent: str
    code: str
    reason: str
    logged_on: bool
    seconds: int
    item: bytes = b""
    ids: tuple[int, ...] = ()


class Request(msgspec.Struct, frozen=True):
    """A POST: what is added to the url, the body, its headers."""

    path: str
    body: bytes
    headers: Mapping[str, str]


class Refused(Exception):
    """The receiver does not take these; sent in parts it may take the others."""


def refusal(answer: Answer, key: str) -> Refused:
    """With the receiver's reason, cut short; a key that it quotes is not told."""
    reason = " ".join(answer.body.decode("utf-8", "replace").split())
    return Refused((reason.replace(key, "…") if key else reason)[:200] or f"HTTP {answer.status}")


class Receiver(Protocol):
    """How one kind of receiver is spoken to."""

    most: int
    """States in one batch."""
    most_closing: int | None
    """States in one batch of a closed snapshot; None if it has to be the whole floor."""

    def request(
        self, states: Sequence[Told], now: float, snapshot: float | None = None, *, close: bool = False
    ) -> Request:
        """A batch. `snapshot`: when the snapshot that it is a part of began; `close`: this is its last batch."""
        ...

    def judge(self, answer: Answer) -> None:
        """Nothing if the batch was taken. Raises Refused, or Away if the receiver takes nothing of anybody."""
        ...
