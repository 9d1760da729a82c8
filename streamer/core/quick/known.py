"""Which extensions a poll has to look at although their rows are as before, and what the others add up to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from streamer.core import merge
from streamer.core.evidence import answering, call_of
from streamer.core.model import AgentState, Seat, Settings
from streamer.core.poll import Poll

NO_SEATS: tuple[Seat, ...] = ()


class Known:
    """The extensions of a source, with what of them depends on time."""

    def __init__(self, agents: Mapping[str, AgentState]) -> None:
        self.agents = dict(agents)
        self.seated = 0
        self._shown: dict[str, tuple[Seat, ...]] = {}
        self._marked: set[str] = set()
        self._doubted: set[str] = set()
        self._remembering: set[str] = set()
        self._due: dict[str, int] = {}
        self._wraps: dict[str, int] = {}
        self._half: dict[str, AgentState] = {}
        self._gone: dict[str, int] = {}
        self._oldest: int | None = None
        for agent in self.agents.values():
            self.seated += bool(agent.groups)
            self._mark(agent.extension, agent)

    def shown(self, extension: str) -> tuple[Seat, ...]:
        """The extension's rows in the last answer."""
        rows = self._shown.get(extension)
        if rows is None:
            agent = self.agents.get(extension)
            rows = agent.groups if agent is not None else NO_SEATS
        return rows

    def kept(self, seat: Seat) -> Seat:
        """The seat as the record holds it where it is the same, so that it is in memory once."""
        return next((one for one in self.shown(seat.extension) if one == seat), seat)

    def has(self, seat: Seat) -> bool:
        """Did the last answer show a row of this seat's group and extension?"""
        return any(one.group == seat.group for one in self.shown(seat.extension))

    def open(self, poll: Poll, settings: Settings) -> set[str]:
        """The extensions of which something is open: a doubt, a wrap-up that is due, a record to forget."""
        found = self._doubted | self._shown.keys()
        due = self._due
        if due:
            found.update([name for name, moment in due.items() if moment <= poll.asked_at])
        if poll.jumped:
            found |= self._remembering
        if self._oldest is not None and poll.end - self._oldest > settings.forget_after_ms:
            self._oldest = min(self._gone.values(), default=None)
            found.update([name for name, since in self._gone.items() if poll.end - since > settings.forget_after_ms])
        return found

    def waiting(self, poll: Poll) -> Iterable[int]:
        """The moments up to which everything is told, of each extension that leaves something open without a doubt."""
        found = [min(self._wraps.values())] if self._wraps else []
        for agent in self._half.values():
            seen = poll.asked_not_before if agent.read_until is None else agent.read_until
            found += (s.answered_at for s in agent.groups if s.answered_at and answering(s, seen, poll.end))
        return found

    def update(self, changed: Iterable[AgentState], forgotten: Iterable[str]) -> None:
        """These are the records now."""
        agents = self.agents
        for agent in changed:
            name = agent.extension
            before = agents.get(name)
            self.seated += bool(agent.groups) - (before is not None and bool(before.groups))
            agents[name] = agent
            self._mark(name, agent)
        for name in forgotten:
            del agents[name]
            self._mark(name, None)

    def show(self, rows: Mapping[str, tuple[Seat, ...]]) -> None:
        """These are the rows of these extensions in the last answer."""
        for name, seats in rows.items():
            agent = self.agents.get(name)
            if agent is None or agent.groups == seats:
                self._shown.pop(name, None)
            else:
                self._shown[name] = seats

    def _mark(self, name: str, agent: AgentState | None) -> None:
        if name in self._marked:
            self._unmark(name)
        if agent is None:
            return
        if agent.wrap_up_due is not None:
            self._due[name] = agent.wrap_up_due
        if agent.state == "wrap_up":
            self._wraps[name] = merge.wrap_up_may_end(agent)
        elif agent.state == "ringing" and any(map(_half, agent.groups)):
            self._half[name] = agent
        elif not agent.groups:
            self._gone[name] = agent.since
            self._oldest = agent.since if self._oldest is None else min(self._oldest, agent.since)
        elif agent.wrap_up_due is None and not agent.memory and not doubtful(agent):
            return
        if agent.memory:
            self._remembering.add(name)
        if doubtful(agent):
            self._doubted.add(name)
        self._marked.add(name)

    def _unmark(self, name: str) -> None:
        self._marked.discard(name)
        for marks in (self._doubted, self._remembering):
            marks.discard(name)
        for moments in (self._due, self._wraps, self._half, self._gone):
            moments.pop(name, None)


def doubtful(agent: AgentState) -> bool:
    """Did the last poll leave open whether it is there, or since when?"""
    return agent.read_until is not None or agent.absent_polls > 0 or agent.absent_since is not None


def _half(seat: Seat) -> bool:
    """May the row show an answer of the call that still rings?"""
    if seat.answered_at is None or call_of(seat) != "ringing":
        return False
    return seat.offered_at is None or seat.answered_at >= seat.offered_at
