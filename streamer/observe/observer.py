"""Who is told what happens: logs, metrics, the wallboard, the demo's narrator."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from streamer.core.feed import Status
from streamer.core.model import AgentState, AgentStateChanged, Findings, Snapshot
from streamer.errors import KafkaError, VendorError


class Observer(Protocol):
    """Told what happens; must neither raise nor wait. Each target (logs, metrics, wallboard) is one."""

    def polling(self, source: str, late: float) -> None:
        """A poll begins, `late` seconds after it was due."""
        ...

    def blocked(self, source: str, reason: str) -> None:
        """Polling has stopped because nothing more could be kept, and why; empty when it goes on."""
        ...

    def polled(self, source: str, snapshot: Snapshot, seconds: float) -> None:
        """A good poll, `seconds` after it was asked for."""
        ...

    def compared(self, source: str, findings: Findings) -> None:
        """What comparing a good poll with the one before showed beside its changes."""
        ...

    def poll_failed(self, source: str, error: VendorError) -> None:
        """A poll that gave nothing."""
        ...

    def committed(
        self,
        source: str,
        events: Sequence[AgentStateChanged],
        states: Sequence[AgentState],
        forgotten: Sequence[str],
        at: int,
    ) -> None:
        """What consumers can read now; `at` is the commit on our clock, unix ms."""
        ...

    def outbox(self, source: str, batches: int, size: int) -> None:
        """How many batches wait, and their bytes."""
        ...

    def disk(self, problem: str) -> None:
        """The outbox's disk does not take batches, and why; empty when it does again."""
        ...

    def resumed(self, source: str, batches: int, events: int) -> None:
        """What an earlier life had kept on disk continues the record, and is about to be published."""
        ...

    def superseded(self, source: str, batches: int) -> None:
        """Batches kept on disk were dropped unpublished: another instance had gone on."""
        ...

    def released(self, source: str) -> None:
        """This instance does not have the source any longer."""
        ...

    def restored(self, source: str, agents: Mapping[str, AgentState]) -> None:
        """What Kafka held when this instance took the source over."""
        ...

    def feed(self, source: str, status: Status, reason: str) -> None:
        """The feed's status changed."""
        ...

    def hint(self, source: str, outcome: str) -> None:
        """A callback came: accepted, passed_on, refused (of an unknown source: ""), limited, too_large or malformed."""
        ...

    def kafka(self, error: KafkaError | None) -> None:
        """Kafka is away (why), or answers again (None)."""
        ...

    def problem(self, what: str, **details: object) -> None:
        """Something an operator should know, in words."""
        ...


class Observers:
    """Several observers as one."""

    def __init__(self, *observers: Observer) -> None:
        self._observers = observers

    def polling(self, source: str, late: float) -> None:
        for observer in self._observers:
            observer.polling(source, late)

    def blocked(self, source: str, reason: str) -> None:
        for observer in self._observers:
            observer.blocked(source, reason)

    def polled(self, source: str, snapshot: Snapshot, seconds: float) -> None:
        for observer in self._observers:
            observer.polled(source, snapshot, seconds)

    def compared(self, source: str, findings: Findings) -> None:
        for observer in self._observers:
            observer.compared(source, findings)

    def poll_failed(self, source: str, error: VendorError) -> None:
        for observer in self._observers:
            observer.poll_failed(source, error)

    def committed(
        self,
        source: str,
        events: Sequence[AgentStateChanged],
        states: Sequence[AgentState],
        forgotten: Sequence[str],
        at: int,
    ) -> None:
        for observer in self._observers:
            observer.committed(source, events, states, forgotten, at)

    def outbox(self, source: str, batches: int, size: int) -> None:
        for observer in self._observers:
            observer.outbox(source, batches, size)

    def disk(self, problem: str) -> None:
        for observer in self._observers:
            observer.disk(problem)

    def resumed(self, source: str, batches: int, events: int) -> None:
        for observer in self._observers:
            observer.resumed(source, batches, events)

    def superseded(self, source: str, batches: int) -> None:
        for observer in self._observers:
            observer.superseded(source, batches)

    def released(self, source: str) -> None:
        for observer in self._observers:
            observer.released(source)

    def restored(self, source: str, agents: Mapping[str, AgentState]) -> None:
        for observer in self._observers:
            observer.restored(source, agents)

    def feed(self, source: str, status: Status, reason: str) -> None:
        for observer in self._observers:
            observer.feed(source, status, reason)

    def hint(self, source: str, outcome: str) -> None:
        for observer in self._observers:
            observer.hint(source, outcome)

    def kafka(self, error: KafkaError | None) -> None:
        for observer in self._observers:
            observer.kafka(error)

    def problem(self, what: str, **details: object) -> None:
        for observer in self._observers:
            observer.problem(what, **details)


class Silent:
    """An observer that does nothing: a base for those that care for some calls only."""

    def polling(self, source: str, late: float) -> None: ...
    def blocked(self, source: str, reason: str) -> None: ...
    def polled(self, source: str, snapshot: Snapshot, seconds: float) -> None: ...
    def compared(self, source: str, findings: Findings) -> None: ...
    def poll_failed(self, source: str, error: VendorError) -> None: ...
    def committed(
        self,
        source: str,
        events: Sequence[AgentStateChanged],
        states: Sequence[AgentState],
        forgotten: Sequence[str],
        at: int,
    ) -> None: ...
    def outbox(self, source: str, batches: int, size: int) -> None: ...
    def disk(self, problem: str) -> None: ...
    def resumed(self, source: str, batches: int, events: int) -> None: ...
    def superseded(self, source: str, batches: int) -> None: ...
    def released(self, source: str) -> None: ...
    def restored(self, source: str, agents: Mapping[str, AgentState]) -> None: ...
    def feed(self, source: str, status: Status, reason: str) -> None: ...
    def hint(self, source: str, outcome: str) -> None: ...
    def kafka(self, error: KafkaError | None) -> None: ...
    def problem(self, what: str, **details: object) -> None: ...
