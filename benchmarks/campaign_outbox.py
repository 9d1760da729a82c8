"""What killed instances have left in their outboxes, and whether any of it was lost."""

from __future__ import annotations

import json
import shutil
import sqlite3
import tempfile
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from streamer.core.feed import Cursor
from streamer.runtime.outbox import Kept, unpack

Record = dict[str, Any]


@dataclass(frozen=True, slots=True)
class KeptBatch:
    """A batch found in the outbox of a killed instance: which it may follow, and the events in it, as `event_name`."""

    instance: str
    source: str
    writer: str
    number: int
    parents: tuple[tuple[str, int], ...]
    events: tuple[str, ...]


def kept_batches(instance: str, path: Path) -> list[KeptBatch]:
    """What a dead instance has left in its outbox; the file stays as it is."""
    if not path.exists():
        return []
    found: list[KeptBatch] = []
    with tempfile.TemporaryDirectory() as folder:
        for file in (path, path.with_name(path.name + "-wal")):
            if file.exists():
                shutil.copy(file, folder)
        try:
            with closing(sqlite3.connect(Path(folder) / path.name)) as db:
                rows = db.execute("SELECT batch FROM batches ORDER BY id").fetchall()
        except sqlite3.OperationalError:
            return []  # killed before it had made its table
    for (data,) in rows:
        kept = msgspec.msgpack.decode(data, type=Kept)
        parents = (kept.parent, Cursor(kept.cursor.writer, kept.cursor.number - 1))
        found.append(
            KeptBatch(
                instance,
                kept.source,
                kept.cursor.writer,
                kept.cursor.number,
                tuple((parent.writer, parent.number) for parent in parents if parent is not None),
                tuple(_events_of(kept)),
            )
        )
    return found


def event_name(event: Record) -> str:
    """What no other event has: whoever supersedes a batch gives its numbers again, but from another poll."""
    return f"{event['event_id']} of {event['poll_id']}"


def _events_of(kept: Kept) -> Iterator[str]:
    for record in unpack(kept.packed).records:
        value: Record = json.loads(record.value) if record.value is not None else {}
        if value.get("type") == "AgentStateChanged":
            yield event_name(value)


def outbox_losses(
    kept: Iterable[KeptBatch], left: Collection[KeptBatch], events: Iterable[str], feeds: Mapping[str, Sequence[Record]]
) -> list[str]:
    """Batches that were on disk and neither arrived nor were rightly given up. `events`: all that arrived, by name.

    Rightly: another instance's record follows the last one before the batch, and the feed counts it. Those that are
    `left` on disk at the end are not counted yet: the source has not come back to their instance.
    """
    there, wrong = set(events), list[str]()
    tenures: dict[tuple[str, str], list[KeptBatch]] = defaultdict(list)
    for batch in dict.fromkeys(kept):  # one that was left twice is the same
        tenures[batch.source, batch.writer].append(batch)
    dropped: Counter[str] = Counter()
    for (source, writer), batches in tenures.items():
        after = _next_instance(batches, feeds.get(source, ()))
        for batch in batches:
            missing = [event for event in batch.events if event not in there]
            name = f"{source}: batch {writer} {batch.number} of {batch.instance}'s outbox"
            if missing and len(missing) < len(batch.events):
                wrong.append(f"{name} was published in part: without {missing[0]}")
            elif missing and after in (batch.instance, ""):
                wrong.append(f"{name} was lost, though no other instance came between: {missing[0]}")
            elif missing and batch not in left:
                dropped[source] += 1
    for source, count in dropped.items():
        told = max((feed["superseded"] for feed in feeds.get(source, ())), default=0)
        if count > told:
            wrong.append(f"{source}: {count} batches were given up, the feed counts {told} as superseded")
    return wrong


def _next_instance(batches: Sequence[KeptBatch], feeds: Sequence[Record]) -> str:
    """Who wrote the first record after the tenure's last, or after what its batches follow; empty if nobody did."""
    writer = batches[0].writer
    parents = {parent for batch in batches for parent in batch.parents}
    last = -1
    for place, feed in enumerate(feeds):
        cursor = feed["cursor"]
        if cursor and (cursor["writer"] == writer or (cursor["writer"], cursor["number"]) in parents):
            last = place
    return feeds[last + 1]["instance"] if last + 1 < len(feeds) else ""
