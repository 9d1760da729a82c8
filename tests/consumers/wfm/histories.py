"""Events of extensions as the client gives them out, and a ledger in memory that takes them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import msgspec
from hypothesis import strategies as st

from streamer.client import AgentStateChanged, Batch, Item, Last
from streamer.client.records import Group, StateSince
from streamer.consumers.wfm.ledger import Interval, place
from tests.sample_records import example

BEGIN = datetime(2026, 11, 23, 2, 0, tzinfo=UTC)
SAMPLE = msgspec.convert(example("state"), AgentStateChanged)
STATES = ("available", "ringing", "talking", "paused")


def at(seconds: float) -> datetime:
    """So many seconds after BEGIN."""
    return BEGIN + timedelta(seconds=seconds)


def ms(seconds: float) -> int:
    """The same in unix ms."""
    return round(at(seconds).timestamp() * 1000)


@dataclass
class Telephone:
    """One extension: what happens to it, told as events."""

    extension: str = "100001"
    agent: str = "Ann"
    epoch: str = "6b039010"
    number: int = 0
    state: str = "signed_out"
    since: float = 0.0

    def first(self, state: str, when: float, *, epoch: str | None = None) -> AgentStateChanged:
        """The first event of an epoch."""
        self.epoch, self.number = epoch or self.epoch, 0
        return self._told("first_seen", state, when, None)

    def to(self, state: str, when: float, basis: str = "observed") -> AgentStateChanged:
        """The next state."""
        change = "signed_in" if self.state == "signed_out" else "signed_out" if state == "signed_out" else "state"
        return self._told(change, state, when, StateSince(self.state, at(self.since)), basis)

    def groups(self, names: Sequence[str], when: float, agent: str | None = None) -> AgentStateChanged:
        """A change of groups alone."""
        self.agent = self.agent if agent is None else agent
        self.number += 1
        now = StateSince(self.state, at(self.since))
        return self._event("groups", now, now, when, "observed", names)

    def _told(
        self, change: str, state: str, when: float, previous: StateSince | None, basis: str = "observed"
    ) -> AgentStateChanged:
        lasted = when - self.since if previous else None
        self.state, self.since, self.number = state, when, self.number + 1
        made = self._event(change, previous, StateSince(state, at(when)), when, basis, ("queue-1",))
        low, high = (None, None) if lasted is None else (max(0.0, lasted - 1), lasted + 1)
        return msgspec.structs.replace(
            made, previous_duration_s=lasted, previous_duration_min_s=low, previous_duration_max_s=high
        )

    def _event(
        self,
        change: str,
        previous: StateSince | None,
        current: StateSince,
        when: float,
        basis: str,
        groups: Iterable[str],
    ) -> AgentStateChanged:
        seat = SAMPLE.groups[0]
        rows: list[Group] = [msgspec.structs.replace(seat, name=name) for name in groups]
        return msgspec.structs.replace(
            SAMPLE,
            event_id=f"floor/{self.extension}/{self.epoch}/{self.number}",
            source="floor",
            extension=self.extension,
            agent=self.agent,
            epoch=self.epoch,
            sequence=self.number,
            change=change,
            previous=previous,
            current=current,
            previous_duration_s=None,
            previous_duration_min_s=None,
            previous_duration_max_s=None,
            occurred_at=at(when),
            basis=basis,
            groups=rows,
        )


class Memory:
    """The ledger of one extension without a file."""

    def __init__(self) -> None:
        self.kept: dict[tuple[str, int], Interval] = {}

    def take(self, *events: AgentStateChanged) -> list[Interval]:
        """Place them; the intervals that the last one changed."""
        changed: list[Interval] = []
        for event in events:
            where = (event.epoch, event.sequence)
            before = max((key for key in self.kept if key < where), default=None)
            after = min((key for key in self.kept if key >= where), default=None)
            changed = place(self.kept[before] if before else None, self.kept[after] if after else None, event)
            self.kept |= {(one.epoch, one.opened): one for one in changed}
        return changed

    @property
    def line(self) -> list[Interval]:
        """All intervals in order."""
        return [self.kept[key] for key in sorted(self.kept)]

    def shown(self) -> list[tuple[str | None, int, int | None, str]]:
        """State, start, end and basis, in seconds after BEGIN."""
        return [
            (one.state, (one.start - ms(0)) // 1000, None if one.end is None else (one.end - ms(0)) // 1000, one.basis)
            for one in self.line
        ]


def check(line: Sequence[Interval]) -> None:
    """Never overlapping, never negative, no hole within an epoch, only the last one open."""
    for one, following in pairwise(line):
        assert one.end is not None
        assert one.start <= one.end
        assert (one.closed_epoch, one.closed) == (following.epoch, following.opened)
        assert one.end == following.start
    assert all(one.end is None for one in line[-1:])


@st.composite
def histories(draw: st.DrawFn, *, back: int = 3) -> list[AgentStateChanged]:
    """What one extension may do, also lose its record; `back`: seconds that its state may be older than the loss."""
    phone, now, told = Telephone(), 0.0, list[AgentStateChanged]()
    told.append(phone.first(draw(st.sampled_from(STATES)), now))
    for _ in range(draw(st.integers(0, 12))):
        now += draw(st.sampled_from((0.0, 0.5, 1.0, 7.0)))
        what = draw(st.sampled_from(("state", "state", "state", "groups", "out", "lost")))
        if what == "groups":
            told.append(phone.groups(draw(st.sampled_from((("a",), ("a", "b")))), now))
        elif what == "lost":
            epoch = f"{int(phone.epoch, 16) + 1:08x}"
            told.append(phone.first(draw(st.sampled_from(STATES)), now - draw(st.sampled_from((0, back))), epoch=epoch))
        else:
            states = ("signed_out",) if what == "out" else STATES
            if others := [state for state in states if state != phone.state]:
                told.append(phone.to(draw(st.sampled_from(others)), now))
    return told


def batch(events: Iterable[AgentStateChanged], position: int = 0, complete: dict[str, datetime] | None = None) -> Batch:
    """A look at the topics that brought these events."""
    items = [Item(event, b"{}", 0, position + n, 0) for n, event in enumerate(events)]
    numbers = {
        f"floor/{i.event.extension}": Last(i.event.epoch, i.event.sequence, i.event.current.state) for i in items
    }
    return Batch(items, [], [], {0: position + len(items)}, numbers, complete or {})
