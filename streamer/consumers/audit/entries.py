"""What is hashed: an entry is JSON without any person's name, chained to the entry before it in its partition."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from streamer.client import Batch, Finding, Item, Last, Poison, Repeat
from streamer.client.records import AgentStateChanged, Group

OWN = -1
"""The chain of what belongs to no record of the events topic: gaps, interruptions, erasures."""

Token = Callable[[str, str], str]
"""The pseudonym that stands for an agent: of source and name."""


class Content(msgspec.Struct, kw_only=True, omit_defaults=True, gc=False):
    """An entry as it is hashed. `timestamp`: the record's, for what is no event the moment of writing, in unix ms.

    `event.agent` is a pseudonym. `left_out` are fields that this version does not know: what they hold, maybe a name,
    is not kept.
    """

    kind: str
    partition: int
    number: int
    timestamp: int
    offset: int | None = None
    event: AgentStateChanged | None = None
    finding: dict[str, Any] | None = None
    left_out: list[str] = []


class Entry(msgspec.Struct, frozen=True, gc=False):
    """An entry as it lies in the store."""

    partition: int
    number: int
    content: bytes
    hash: bytes


_encode = msgspec.json.Encoder(order="sorted").encode
_decoder = msgspec.json.Decoder(Content)
_fields = msgspec.json.Decoder(dict[str, msgspec.Raw])
_rows = msgspec.json.Decoder(list[dict[str, msgspec.Raw]])


def genesis(store: str, cluster: str, topic: str, partition: int) -> bytes:
    """What stands before a partition's first entry: it binds the chain to its store, cluster, topic and partition."""
    return hashlib.sha256(_encode(["streamer audit 1", store, cluster, topic, partition])).digest()


def link(previous: bytes, content: bytes) -> bytes:
    """The hash of an entry that follows the one with the hash `previous`."""
    return hashlib.sha256(previous + content).digest()


def encoded(content: Content) -> bytes:
    """The bytes that are hashed."""
    return _encode(content)


def decoded(content: bytes) -> Content:
    """An entry's content; msgspec.MsgspecError if it is none."""
    return _decoder.decode(content)


def contents(batch: Batch, topic: str, now: int, token: Token) -> list[Content]:
    """The entries of a batch, in order for each partition, without their numbers."""
    made = [_of_event(item, token) for item in batch.items]
    made += [_of_finding(finding, topic, now) for finding in batch.findings]
    return sorted(made, key=lambda content: (content.partition, -1 if content.offset is None else content.offset))


def note(kind: str, now: int, finding: dict[str, Any]) -> Content:
    """An entry about the store itself."""
    return Content(kind=kind, partition=OWN, number=0, timestamp=now, finding=finding)


def _of_event(item: Item, token: Token) -> Content:
    event = msgspec.structs.replace(item.event, agent=token(item.event.source, item.event.agent))
    return Content(
        kind="event",
        partition=item.partition,
        number=0,
        timestamp=item.timestamp,
        offset=item.offset,
        event=event,
        left_out=_unknown(item.value),
    )


def _unknown(value: bytes) -> list[str]:
    fields = _fields.decode(value)
    found = fields.keys() - set(AgentStateChanged.__struct_fields__)
    rows: Iterable[dict[str, msgspec.Raw]] = _rows.decode(fields["groups"])
    known = set(Group.__struct_fields__)
    return sorted(found | {f"groups.{name}" for row in rows for name in row.keys() - known})


def _of_finding(finding: Finding, topic: str, now: int) -> Content:
    kind = {"EpochLost": "epoch_lost"}.get(name := type(finding).__name__, name.lower())
    partition, offset = OWN, None
    if isinstance(finding, Poison):
        told = _of_poison(finding)
        if finding.topic == topic:
            partition, offset = finding.partition, finding.offset
    else:
        told = msgspec.to_builtins(finding)
        if isinstance(finding, Repeat):
            partition, offset = finding.partition, finding.offset
    return Content(kind=kind, partition=partition, number=0, timestamp=now, offset=offset, finding=told)


def _of_poison(poison: Poison) -> dict[str, Any]:
    """Hashes and sizes: the bytes may hold names, and so may what the reason quotes of them."""
    return {
        "topic": poison.topic,
        "partition": poison.partition,
        "offset": poison.offset,
        "reason": re.sub(r"(['\"`]).*\1|(?<=its key is not ).*", "…", poison.reason, flags=re.DOTALL),
        "key": _digest(poison.key),
        "value": _digest(poison.value),
    }


def _digest(value: bytes | None) -> dict[str, Any] | None:
    return None if value is None else {"sha256": hashlib.sha256(value).hexdigest(), "bytes": len(value)}


def key_of(event: AgentStateChanged) -> str:
    """The extension's name among all sources: `source/extension`."""
    return f"{event.source}/{event.extension}"


def last_of(event: AgentStateChanged) -> Last:
    """What is kept of an extension's last event."""
    return Last(event.epoch, event.sequence, event.current.state)
