"""How a record tells its schema to consumers that ask a registry, and how to read a value that does."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

import msgspec

HEADER = "__value_schema_id"
"""Where Confluent's deserialisers look for a value's schema first; in the value's first bytes after that."""

PREFIX_BYTES = 5
"""A zero byte and the schema's number; JSON never begins with a zero byte."""


class Framing(msgspec.Struct, frozen=True):
    """What goes before each value on a topic, and into each record's headers. A tombstone is not framed."""

    prefix: bytes = b""
    headers: tuple[tuple[str, bytes], ...] = ()


Framings = Callable[[], Awaitable[Mapping[str, Framing]]]
"""Gives each framed topic's framing; KafkaUnavailable while it is not known yet."""


async def unframed() -> Mapping[str, Framing]:
    """Values as they are."""
    return {}


def body(value: bytes) -> bytes:
    """The JSON of a value, whether a prefix stands before it or not."""
    return value[PREFIX_BYTES:] if value[:1] == b"\0" else value
