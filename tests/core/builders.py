"""Seats, rows, snapshots and polls in a few words; and the one place where every produced record is validated."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from streamer.core import rejected, wire
from streamer.core.codes import read
from streamer.core.decode import decode
from streamer.core.envelope import Opened
from streamer.core.model import (
    SECOND,
    AgentState,
    AgentStateChanged,
    Batch,
    Offset,
    RejectedRow,
    Seat,
    Settings,
    Snapshot,
    SourceState,
)
from streamer.core.step import step
from streamer.core.thaw import read_agent_state
from tests.validation import Record, validate

NOON = 1_795_399_200
"""2026-11-23 02:00:00 UTC, the hour of the contract's example, in unix seconds."""
SETTINGS = Settings("floor")
WAITING, RINGING, TALKING, PAUSED, OFFLINE, IDLE = 1213, 1214, 1215, 1217, 1200, 1201


def ms(seconds: float) -> int:
    """Unix milliseconds of a moment given in seconds after NOON."""
    return round((NOON + seconds) * SECOND)


def row(extension: object = "100001", group: object = "queue-1", state: object = WAITING, **fields: object) -> Record:
    """A row as the vendor sends it; stamps as text, other fields by the vendor's names."""
    plain: Record = {
        "queuename": group,
        "seatsname": f"{extension}_{extension}_{group}-9026",
        "extnumber": extension,
        "status": WAITING,
        "state": state,
        "lastanswertime": "",
        "lastassigntime": "",
        "seatschangetime": "",
        "noanswercount": 0,
        "callsanswered": 0,
        "externalcallscount": 0,
        "wrapuptime": 10,
        "maxnoanswer": 0,
    }
    return plain | fields


def text(value: object) -> bytes:
    """A value as JSON."""
    return json.dumps(value, separators=(",", ":")).encode()


def opened(*rows: object, reqtime: int | None = None) -> Opened:
    """A usable answer with these rows; a bytes row is taken as it is."""
    parts = [part if isinstance(part, bytes) else text(part) for part in rows]
    return Opened(b"[" + b",".join(parts) + b"]", reqtime, reqtime)


def decoded(
    *rows: object, at: float = 0, settings: Settings = SETTINGS, before: Mapping[bytes, Seat] | None = None
) -> Snapshot:
    """The snapshot of these rows, asked for at `at` and answered 100 ms later; what it rejects is validated."""
    snapshot = decode(opened(*rows), ms(at), ms(at) + 100, settings, before or {})
    check_rejected(snapshot.rejected, ms(at))
    return snapshot


def seat(
    extension: str = "100001",
    group: str = "queue-1",
    state: int | None = WAITING,
    status: int | None = WAITING,
    *,
    offered: float | None = None,
    answered: float | None = None,
    changed: float | None = None,
    answers: int | None = 0,
    misses: int | None = 0,
    wrap: int | None = 10,
    agent: str | None = None,
) -> Seat:
    """A seat; stamps in seconds after NOON."""
    meaning = read(state, status, {})
    return Seat(
        group=group,
        extension=extension,
        agent=f"{extension}_{extension}_{group}-9026" if agent is None else agent,
        state=meaning.state,
        status=meaning.status,
        state_code=state,
        status_code=status,
        offered_at=None if offered is None else ms(offered),
        answered_at=None if answered is None else ms(answered),
        status_changed_at=None if changed is None else ms(changed),
        calls_answered=answers,
        no_answer_count=misses,
        wrap_up_s=wrap,
    )


def many(count: int, **fields: Any) -> list[Seat]:
    """Seats of as many extensions, 100001 and on, all alike."""
    return [seat(str(100_001 + number), **fields) for number in range(count)]


def snapshot(
    at: float,
    *seats: Seat,
    unread: Iterable[str] = (),
    anonymous: int = 0,
    lasts: float = 0.1,
    reqtime: int | None = None,
) -> Snapshot:
    """One good poll, asked for `at` seconds after NOON by our clock and answered `lasts` seconds later."""
    return Snapshot(
        source="floor",
        requested_at=ms(at),
        answered_at=ms(at + lasts),
        reqtime=reqtime,
        rsptime=reqtime,
        seats=seats,
        unread=frozenset(unread),
        anonymous=anonymous,
        rejected=(),
        by_bytes={},
    )


EXACT = Offset(0, 0)
"""The vendor's clock is ours: the bounds in tests are then the polls' own moments."""


class Poller:
    """Feeds one poll after the other through `step`, validates all that comes out and keeps it."""

    def __init__(self, settings: Settings = SETTINGS, offset: Offset | None = EXACT) -> None:
        self.settings = settings
        self.state = SourceState(agents={}, offset=offset)
        self.events: list[AgentStateChanged] = []
        self.batches: list[Batch] = []

    def see(self, poll: Snapshot) -> list[AgentStateChanged]:
        """The events of one poll."""
        self.state, batch = step(self.state, poll, self.settings)
        check(batch)
        self.batches.append(batch)
        self.events += batch.events
        return list(batch.events)

    def poll(self, at: float, *seats: Seat, **fields: Any) -> list[AgentStateChanged]:
        """The events of a poll of these seats."""
        return self.see(snapshot(at, *seats, **fields))

    def one(self, at: float, *seats: Seat, **fields: Any) -> AgentStateChanged:
        """The only event of a poll of these seats."""
        (event,) = self.poll(at, *seats, **fields)
        return event

    def agent(self, extension: str = "100001") -> AgentState:
        """What is known of one extension."""
        return self.state.agents[extension]

    def restart(self) -> None:
        """Go on from what the state and feed topics hold, as a new process would."""
        agents = {name: round_trip(agent) for name, agent in self.state.agents.items()}
        self.state = SourceState(agents, self.state.complete_until, self.state.offset)


def round_trip(agent: AgentState) -> AgentState:
    """A state as the state topic gives it back."""
    return read_agent_state(wire.dumps(wire.agent_state(agent)))


def check(batch: Batch) -> None:
    """Every record of the batch is what the schemas and the contract promise."""
    for changed in batch.events:
        validate(wire.dumps(wire.event(changed)))
    for agent in batch.states:
        validate(wire.dumps(wire.agent_state(agent)))
    check_rejected(batch.rejected, batch.observed_at)


def check_rejected(rows: Sequence[RejectedRow], at: int) -> None:
    """Every rejected row makes a valid record."""
    for refused in rows:
        validate(wire.dumps(rejected.record(refused, "floor", f"floor/{at}", at, ())))


def times(event: AgentStateChanged) -> tuple[float | None, float, float]:
    """An event's not_before, at and not_after, in seconds after NOON."""
    when = event.when
    low = None if when.not_before is None else since_noon(when.not_before)
    return low, since_noon(when.at), since_noon(when.not_after)


def since_noon(moment: int) -> float:
    """Seconds after NOON of a moment in unix milliseconds."""
    return (moment - NOON * SECOND) / SECOND


def kinds(events: Iterable[AgentStateChanged]) -> list[tuple[str, str, str]]:
    """Extension, change and new state of each event."""
    return [(event.after.extension, event.change, event.after.state) for event in events]


def without_cache(poll: Snapshot) -> Snapshot:
    """The snapshot without what only speeds up the next decode."""
    return msgspec.structs.replace(poll, by_bytes={})
