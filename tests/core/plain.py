"""What remains without the fast path."""

from __future__ import annotations

from collections.abc import Mapping

from streamer.core.decode import decode
from streamer.core.envelope import Failure, Opened, open_envelope
from streamer.core.model import Batch, Seat, Settings, Snapshot, SourceState
from streamer.core.step import step


class Plain:
    """The same door as `Quick`, and behind it every row is looked at."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._by_bytes: Mapping[bytes, Seat] = {}

    def open(self, body: bytes) -> Opened | Failure:
        return open_envelope(body)

    def advance(
        self, state: SourceState, opened: Opened, requested_at: int, answered_at: int
    ) -> tuple[SourceState, Batch, Snapshot]:
        snapshot = decode(opened, requested_at, answered_at, self._settings, self._by_bytes)
        self._by_bytes = snapshot.by_bytes
        return *step(state, snapshot, self._settings), snapshot

    def seated(self, state: SourceState) -> int:
        return sum(1 for agent in state.agents.values() if agent.groups)
