"""A port for a broker, and the wait until it answers."""

from __future__ import annotations

import random
import socket
import time
from collections.abc import Callable, Mapping
from typing import Any

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

PROBE_TIMEOUT = 2.0  # seconds for one metadata request
PROBE_PAUSE = 0.1  # seconds between two of them


class KafkaStartFailed(Exception):
    """The broker ended or did not answer in time; the message holds the end of its log."""


def free_port() -> int:
    """A TCP port on loopback that nobody listens on, below the range of outgoing connections.

    Inside that range a client that keeps trying a dead broker's port can be given this very port, connect to
    itself, and keep the broker from ever coming back.
    """
    chooser = random.SystemRandom()
    for _ in range(100):
        port = chooser.randrange(20000, 32768)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise KafkaStartFailed("no free port between 20000 and 32767")


def wait_until_ready(client: Mapping[str, Any], timeout: float, alive: Callable[[], bool] | None = None) -> None:
    """Ask for the cluster's metadata until it names a broker, for at most `timeout` seconds.

    `client` holds librdkafka's settings; `alive()` false ends the wait early. Raises KafkaStartFailed.
    """
    admin = AdminClient({"log_level": 0, "socket.connection.setup.timeout.ms": 2000, **client})
    deadline = time.monotonic() + timeout
    problem = "not asked yet"
    while time.monotonic() < deadline:
        if alive is not None and not alive():
            raise KafkaStartFailed("the broker ended")
        try:
            if admin.list_topics(timeout=PROBE_TIMEOUT).brokers:
                return
        except KafkaException as error:
            problem = str(error)
        time.sleep(PROBE_PAUSE)
    raise KafkaStartFailed(f"no answer with a broker in it within {timeout:.0f} s: {problem}")
