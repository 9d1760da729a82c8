"""What is wrong here and now, before anything of it can be committed: for /readyz and the wallboard."""

from __future__ import annotations

from streamer.errors import KafkaError
from streamer.observe.observer import Observer


class Troubles(Observer):
    """Kafka away, the outbox's disk, polling that has stopped: each with its reason, empty while all is well."""

    def __init__(self) -> None:
        self.kafka_away = ""
        self.disk_problem = ""
        self.polling_blocked: dict[str, str] = {}

    def kafka(self, error: KafkaError | None) -> None:
        self.kafka_away = str(error) if error else ""

    def disk(self, problem: str) -> None:
        self.disk_problem = problem

    def blocked(self, source: str, reason: str) -> None:
        self.polling_blocked[source] = reason

    def released(self, source: str) -> None:
        self.polling_blocked.pop(source, None)
