"""A read_committed consumer that reads along, straight from the broker: what is published, when, by whom, in order?"""

from __future__ import annotations

import json
import threading
import time
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, Self

from confluent_kafka import Consumer, KafkaError, TopicPartition

from benchmarks.campaign_checks import Order
from tests.conftest import Topics

SETTLED = 10.0
"""Seconds that `catch_up` waits at most."""


class Follower:
    """Reads events and feed records in a thread until closed. Moments are seconds of `time.monotonic`."""

    def __init__(self, kafka: str, topics: Topics, sources: Sequence[str]) -> None:
        self.sources = tuple(sources)
        self.violations: list[str] = []
        self.feeds: list[dict[str, Any]] = []
        """Every feed record, in each source's order."""
        self._kafka = kafka
        self._topics = topics
        self._lock = threading.Lock()
        self._order = Order()
        self._fresh: dict[str, list[float]] = {name: [] for name in sources}
        self._writers: dict[str, list[tuple[float, str]]] = {name: [] for name in sources}
        self._status: dict[str, str] = {}
        self._places: dict[tuple[str, int], int] = {}
        self._eof: dict[tuple[str, int], float] = defaultdict(float)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="follower", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join(20)

    @property
    def order_violations(self) -> list[str]:
        """What was seen doubled, skipped or stale, and what made reading impossible."""
        with self._lock:
            return [*self._order.violations, *self.violations]

    def owner(self, source: str) -> str:
        """The instance that wrote the source's last feed record; empty before the first."""
        with self._lock:
            return self._writers[source][-1][1] if self._writers[source] else ""

    def live(self) -> bool:
        """Does every source's last feed record say so?"""
        with self._lock:
            return all(self._status.get(name) == "live" for name in self.sources)

    def fresh_since(self, source: str, moment: float) -> float | None:
        """When the first event or live feed record after `moment` was read; None if none was."""
        with self._lock:
            seen = self._fresh[source]
            place = bisect_right(seen, moment)
            return seen[place] if place < len(seen) else None

    def longest_gap(self, source: str, begin: float, end: float) -> float:
        """Seconds of the longest stretch between two moments in which nothing fresh was read."""
        with self._lock:
            seen = self._fresh[source]
            inside = seen[bisect_left(seen, begin) : bisect_right(seen, end)]
        moments = [begin, *inside, end]
        return max(after - before for before, after in pairwise(moments))

    def written_by_another(self, source: str, instance: str, moment: float) -> float | None:
        """When the first feed record after `moment` by another instance than this was read; None if none was."""
        with self._lock:
            return next((at for at, who in self._writers[source] if at > moment and who != instance), None)

    def catch_up(self) -> None:
        """Wait until every partition was read to its end once more."""
        begun = time.monotonic()
        while time.monotonic() < begun + SETTLED:
            with self._lock:
                if self._eof and all(at > begun for at in self._eof.values()):
                    return
            time.sleep(0.1)

    def _follow(self) -> None:
        consumer = Consumer(
            {
                "bootstrap.servers": self._kafka,
                "group.id": "campaign-follower",
                "enable.auto.commit": False,
                "isolation.level": "read_committed",
                "auto.offset.reset": "error",  # a log that lost its end must not be read again from the beginning
                "enable.partition.eof": True,
                "fetch.wait.max.ms": 50,
                "reconnect.backoff.ms": 50,
                "reconnect.backoff.max.ms": 200,
                "log_level": 0,
            }
        )
        try:
            if self._assign(consumer):
                while not self._over.is_set():
                    message = consumer.poll(0.2)
                    if message is not None:
                        self._take(message)
        except Exception as error:  # a thread's end must not go unseen
            self.violations.append(f"the follower ended: {error!r}")
        finally:
            consumer.close()

    def _assign(self, consumer: Consumer) -> bool:
        """Begin at the beginning of both topics, once they are there."""
        while not self._over.is_set():
            known = consumer.list_topics(timeout=5).topics
            names = (self._topics.events, self._topics.feed)
            if all(name in known and known[name].partitions for name in names):
                places = [TopicPartition(name, number, 0) for name in names for number in known[name].partitions]
                with self._lock:
                    self._eof.update({(place.topic, place.partition): 0.0 for place in places})
                consumer.assign(places)
                return True
            time.sleep(0.2)
        return False

    def _take(self, message: Any) -> None:
        now = time.monotonic()
        place = (message.topic(), message.partition())
        error = message.error()
        with self._lock:
            if error is not None:
                if error.code() == KafkaError._PARTITION_EOF:
                    self._eof[place] = now
                elif error.code() == KafkaError._AUTO_OFFSET_RESET:
                    self.violations.append(f"{place[0]}[{place[1]}]: {error}")
                return
            if message.offset() <= self._places.get(place, -1):
                return  # read once more by the client, after it had reconnected
            self._places[place] = message.offset()
            record = json.loads(message.value())
            if place[0] == self._topics.events:
                self._order.event(record, time.time())
                self._fresh[record["source"]].append(now)
                return
            self.feeds.append(record)
            self._order.feed(record, time.time())
            self._status[record["source"]] = record["status"]
            self._writers[record["source"]].append((now, record["instance"]))
            if record["status"] == "live":
                self._fresh[record["source"]].append(now)


def owners(follower: Follower) -> dict[str, list[str]]:
    """The sources of each instance, by who wrote last."""
    found: dict[str, list[str]] = defaultdict(list)
    for source in follower.sources:
        found[follower.owner(source)].append(source)
    return dict(found)


def save(path: Path, record: Any) -> None:
    """Append a JSON line."""
    with path.open("a") as file:
        file.write(json.dumps(record) + "\n")
