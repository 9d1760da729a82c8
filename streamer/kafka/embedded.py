"""A broker inside this process for `demo`: librdkafka's mock cluster.

It speaks the real protocol, so that any Kafka tool can read from it, but its transactions isolate nothing: it is used
at least once, and never to test delivery.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

from confluent_kafka import Producer


@contextmanager
def embedded_broker() -> Generator[str]:
    """Yields the bootstrap address of a broker that lives until the block ends."""
    owner = Producer({"test.mock.num.brokers": 1, "bootstrap.servers": "127.0.0.1:1", "log_level": 0})
    brokers = owner.list_topics(timeout=5).brokers
    yield ",".join(f"{broker.host}:{broker.port}" for broker in brokers.values())
    owner.flush(1)
