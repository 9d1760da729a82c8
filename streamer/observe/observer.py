"""Who is told what happens: logs, metrics, the wallboard, the demo's narrator."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from streamer.core.feed import Status
from streamer.core.model import AgentState, AgentStateChanged, Findings, RejectedRow, Snapshot
from streamer.errors import KafkaError, VendorError

Written = Literal["committed", "unknown", "fenced"]
Hinted = Literal["accepted", "passed_on", "refused", "limited", "too_large", "malformed"]
"""What became of a write to Kafka, as far as its producer knows."""


class Observer:
    """Told what happens; must neither raise nor wait. This one does nothing with it: each target (logs, metrics,
    wallboard) overrides what it cares for.
    """

    def configured(self, sources: Sequence[str]) -> None:
        """The sources that this instance knows of, whoever polls them."""

    def hint(self, source: str, outcome: Hinted) -> None:
        """A callback came; "" for a source that is none of ours."""

    def slots(self, held: int) -> None:
        """How many slots this instance works on."""

    def polling(self, source: str, late: float) -> None:
        """A poll begins, `late` seconds after it was due."""

    def blocked(self, source: str, reason: str) -> None:
        """Polling has stopped because nothing more could be kept, and why; empty when it goes on."""

    def polled(self, source: str, snapshot: Snapshot, seconds: float) -> None:
        """A good poll, `seconds` after it was asked for."""

    def rejected(self, source: str, rows: Sequence[RejectedRow]) -> None:
        """What of an answer was not understood: some of its rows, or all of its body."""

    def compared(self, source: str, findings: Findings) -> None:
        """What comparing a good poll with the one before showed beside its changes."""

    def poll_failed(self, source: str, error: VendorError) -> None:
        """A poll that gave nothing."""

    def written(self, outcome: Written, seconds: float) -> None:
        """A transaction (or, at least once, a write) took this long, however it ended."""

    def committed(
        self,
        source: str,
        events: Sequence[AgentStateChanged],
        states: Sequence[AgentState],
        forgotten: Sequence[str],
        at: int,
    ) -> None:
        """What consumers can read now; `at` is the commit on our clock, unix ms."""

    def told_after(self, source: str, seconds: Sequence[float]) -> None:
        """How long after they happened changes were committed, those that a poll showed."""

    def outbox(self, source: str, batches: int, size: int, oldest: int | None) -> None:
        """How many batches wait, their bytes, and the moment of the oldest one's poll on our clock, unix ms."""

    def disk(self, problem: str) -> None:
        """The outbox's disk does not take batches, and why; empty when it does again."""

    def resumed(self, source: str, batches: int, events: int) -> None:
        """What an earlier life had kept on disk continues the record, and is about to be published."""

    def superseded(self, source: str, batches: int) -> None:
        """Batches kept on disk were dropped unpublished: another instance had gone on."""

    def released(self, source: str) -> None:
        """This instance does not have the source any longer."""

    def restored(self, source: str, agents: Mapping[str, AgentState]) -> None:
        """What Kafka held when this instance took the source over."""

    def feed(self, source: str, status: Status, reason: str) -> None:
        """The feed's status changed."""

    def kafka(self, error: KafkaError | None) -> None:
        """Kafka is away (why, at each attempt to reach it), or answers (None)."""

    def problem(self, what: str, **details: object) -> None:
        """Something an operator should know, in words."""


CALLS = tuple(name for name in vars(Observer) if not name.startswith("_"))


class Observers(Observer):
    """Several observers as one. Where one of them raises, which is a mistake of ours, the others and whoever calls are
    spared, and the log says so once for each kind of call.
    """

    def __init__(self, *observers: Observer) -> None:
        for name in CALLS:
            setattr(self, name, _each([getattr(observer, name) for observer in observers], name))


def _each(calls: Sequence[Callable[..., None]], name: str) -> Callable[..., None]:
    broken: set[int] = set()

    def tell(*args: Any, **details: Any) -> None:
        for number, call in enumerate(calls):
            try:
                call(*args, **details)
            except Exception:  # what is watched must not suffer from being watched
                if number not in broken:
                    broken.add(number)
                    logging.getLogger(__name__).exception("an observer failed in %s; this is told once", name)

    return tell
