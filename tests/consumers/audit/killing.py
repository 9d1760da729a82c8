"""Kills the writer of an audit trail again and again while events come, then compares the store with the topic."""

from __future__ import annotations

import json
import random
import signal
import sqlite3
import threading
from collections import Counter
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Self

import msgspec
import orjson
import pyarrow.parquet as pq
from confluent_kafka import Consumer, Producer, TopicPartition

from streamer.consumers.audit.index import INDEX
from tests.commands.shell import Process, eventually
from tests.conftest import Topics
from tests.consumers.audit.trails import record
from tests.topics import create_ours, settings

Place = tuple[int, int, str]
"""Partition, offset, event_id."""

_pq: Any = pq


def configured(folder: Path, kafka: str, topics: Topics) -> Path:
    """A configuration with an audit trail in `folder`; the keys have to be made."""
    file = folder / "streamer.toml"
    file.write_text(f"""
[kafka]
bootstrap_servers = "{kafka}"
events_topic = "{topics.events}"
state_topic = "{topics.state}"
feed_topic = "{topics.feed}"
rejected_topic = "{topics.rejected}"
[audit]
path = "{folder / "trail"}"
signing_key = "{folder / "key.pem"}"
public_key = "{folder / "key.pem.pub"}"
topic = "{topics.prefix}-audit"
checkpoint_interval = 0.2
""")
    return file


class Feeding:
    """Produces events of the last four weeks in a thread until the block ends; `start` is when the first happened."""

    def __init__(self, kafka: str, topic: str, extensions: int = 20) -> None:
        self.start = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(days=28)
        self.failed = 0
        self._producer = Producer({"bootstrap.servers": kafka, "linger.ms": 5, "enable.idempotence": True})
        self._topic = topic
        self._extensions = extensions
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._work, daemon=True)
        self.count = 0

    def _work(self) -> None:
        while not self._ending.wait(0.02):
            for _ in range(self._extensions):
                number, extension = divmod(self.count, self._extensions)
                at = self.start + timedelta(minutes=10) * number
                made = record(str(1001 + extension), number + 1, at)
                when = int((at + timedelta(seconds=1)).timestamp() * 1000)
                key, value = f"floor/{made['extension']}", orjson.dumps(made)
                self._producer.produce(self._topic, value, key, timestamp=when, on_delivery=self._told)
                self.count += 1
            self._producer.poll(0)

    def _told(self, error: object, _: object) -> None:
        self.failed += error is not None

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        self._thread.join()
        assert (self._producer.flush(30), self.failed) == (0, 0)


@dataclass
class Outcome:
    """What was there in the end."""

    kills: int
    start: datetime
    on_topic: list[Place]
    in_store: list[Place]
    files: int
    checkpoints: int
    verified: dict[str, Any]

    @property
    def repeated(self) -> int:
        """Events that are in the store more than once."""
        return sum(count - 1 for count in Counter(self.in_store).values())


def killed(kafka: str, topics: Topics, folder: Path, kills: int, rng: random.Random) -> Outcome:
    """Kill the writer so many times; then let it finish, and look."""
    create_ours(settings(kafka, topics))
    config = configured(folder, kafka, topics)
    with Process("audit", "keygen", "--out", folder / "key.pem") as keygen:
        assert keygen.end().code == 0
    with Feeding(kafka, topics.events) as feeding:
        for _ in range(kills):
            with Process("audit", "run", "--config", config) as writer:
                writer.until("writing the audit trail")
                threading.Event().wait(rng.random())  # the moment of death is the point
                writer.signal(signal.SIGKILL)
                assert writer.end().code == -signal.SIGKILL
    with Process("audit", "run", "--config", config) as writer:
        try:
            eventually(lambda: written(folder / "trail") == feeding.count, "all events to be written", 120)
        except AssertionError:
            raise AssertionError(f"{written(folder / 'trail')} of {feeding.count} are written: {writer.err}") from None
        writer.signal(signal.SIGTERM)
        done = writer.end()
        assert done.code == 0, done.text
    with Process("audit", "verify", "--config", config, "--json") as verify:
        done = verify.end()
        assert done.code == 0, done.text
    with closing(sqlite3.connect(folder / "trail" / INDEX)) as db:
        (checkpoints,) = db.execute("SELECT count(*) FROM checkpoints").fetchone()
    files = len(list((folder / "trail").glob("*.parquet")))
    report = json.loads(done.out)
    there = on_topic(kafka, topics.events)
    return Outcome(kills, feeding.start, there, stored(folder / "trail"), files, checkpoints, report)


def written(trail: Path) -> int:
    """How many events are in the store."""
    try:
        with closing(sqlite3.connect(trail / INDEX)) as db:
            return db.execute("SELECT count(*) FROM moments").fetchone()[0]
    except sqlite3.Error:
        return 0


def stored(trail: Path) -> list[Place]:
    """The events of the store, whether sealed or not."""
    found: list[bytes] = []
    for path in trail.glob("*.parquet"):
        found += _pq.read_table(path).column("content").to_pylist()
    with closing(sqlite3.connect(trail / INDEX)) as db:
        found += [content for (content,) in db.execute("SELECT content FROM entries")]
    entries = [msgspec.json.decode(content) for content in found]
    return sorted(
        (one["partition"], one["offset"], one["event"]["event_id"]) for one in entries if one["kind"] == "event"
    )


def on_topic(kafka: str, topic: str) -> list[Place]:
    """The events of the topic, read by another client."""
    consumer = Consumer({"bootstrap.servers": kafka, "group.id": "x", "enable.auto.commit": False})
    found: list[Place] = []
    try:
        partitions = [
            TopicPartition(topic, number, 0) for number in consumer.list_topics(topic).topics[topic].partitions
        ]
        left = sum(consumer.get_watermark_offsets(one)[1] for one in partitions)
        consumer.assign(partitions)
        while len(found) < left:
            message = consumer.poll(10)
            assert message is not None
            assert message.error() is None
            value = json.loads(message.value() or b"")
            found.append((message.partition() or 0, message.offset() or 0, value["event_id"]))
    finally:
        consumer.close()
    return sorted(found)
