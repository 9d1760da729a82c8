"""Small audit trails made by hand: batches as AgentEvents gives them, and a store of them with its keys."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import orjson
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from streamer.client import AgentStateChanged, Batch, Finding, Item
from streamer.consumers.audit.checkpoints import packed
from streamer.consumers.audit.report import Report
from streamer.consumers.audit.store import Store
from streamer.consumers.audit.verify import verify
from tests.sample_records import example
from tests.validation import Record

DAY = datetime(2026, 11, 23, 8, tzinfo=UTC)
EPOCH = f"{int(DAY.timestamp()):08x}"
STATES = ("available", "ringing", "talking", "wrap_up", "paused")


def text(moment: datetime) -> str:
    """RFC 3339."""
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def record(extension: str, number: int, at: datetime, *, agent: str | None = None, **more: Any) -> Record:
    """Event `number` of an extension, which happened at `at`, within two seconds."""
    made = example("first_seen" if number == 1 else "state")
    state = STATES[number % len(STATES)]
    made |= {
        "event_id": f"floor/{extension}/{EPOCH}/{number}",
        "extension": extension,
        "agent": agent or f"Agent Nr {extension}",
        "epoch": EPOCH,
        "sequence": number,
        "current": {"state": state, "since": text(at)},
        "occurred_at": text(at),
        "occurred_not_before": text(at - timedelta(seconds=1)),
        "occurred_not_after": text(at + timedelta(seconds=1)),
        "observed_at": text(at + timedelta(seconds=1)),
    }
    if made["previous"]:
        made["previous"]["state"] = STATES[(number - 1) % len(STATES)]
    return made | more


def item(made: Record, partition: int, offset: int) -> Item:
    """The record as it is read."""
    value = orjson.dumps(made)
    event = msgspec.json.decode(value, type=AgentStateChanged)
    return Item(event, value, partition, offset, int(event.observed_at.timestamp() * 1000))


def batch(
    items: Sequence[Item], findings: Sequence[Finding] = (), complete: Mapping[str, datetime] | None = None
) -> Batch:
    """A look at the topics."""
    positions = {item.partition: item.offset + 1 for item in items}
    return Batch(items, findings, (), positions, {}, complete or {})


@dataclass
class Trail:
    """A store with its key."""

    folder: Path
    key: Ed25519PrivateKey
    anchors: list[bytes]

    def open(self) -> Store:
        """To write it."""
        return Store(self.folder, "cluster-1", "agent-state-changed", create=True)

    def verify(self, *, offline: bool = False) -> Report:
        """Both verdicts."""
        return verify(self.folder, self.key.public_key(), None if offline else self.anchors)

    def publish(self, store: Store) -> None:
        """What the topic would hold."""
        for number, checkpoint in store.unpublished():
            self.anchors.append(packed(checkpoint))
            store.published(number)


def made(
    folder: Path, *, snapshots: list[Path] | None = None, events: int = 240, extensions: int = 6, every: int = 40
) -> Trail:
    """Two days of events on three partitions, the first day sealed, with a checkpoint each `every` events.

    `snapshots` gets a copy of the store at each checkpoint but the last.
    """
    trail = Trail(folder, Ed25519PrivateKey.generate(), [])
    store = trail.open()
    offsets = dict.fromkeys(range(3), 0)
    step = timedelta(hours=28) / events
    for start in range(0, events, every):
        items: list[Item] = []
        for n in range(start, start + every):
            extension = n % extensions
            partition = extension % 3
            number = n // extensions + 1
            items.append(item(record(str(1001 + extension), number, DAY + n * step), partition, offsets[partition]))
            offsets[partition] += 2
        now = DAY + (start + every) * step
        store.append(batch(items, complete={"floor": now}), int(now.timestamp() * 1000))
        days = store.due(int((now + timedelta(minutes=5)).timestamp() * 1000))
        store.checkpoint(trail.key, now, days)
        trail.publish(store)
        if snapshots is not None and start + every < events:
            store.close()
            snapshots.append(folder.with_name(f"{folder.name}-at-{start}"))
            shutil.copytree(folder, snapshots[-1])
            store = trail.open()
    store.close()
    return trail
