"""A consumer group as its coordinator keeps it: sessions, rebalances, static members. The assignor is the true one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from dataclasses import dataclass

from streamer.errors import Fenced
from streamer.kafka.assignor import assign
from tests.simulation.hosts import Host

HEARTBEAT = 1.0
"""Seconds between two heartbeats of a member: a sixth of the session, as in the true membership."""

SESSION = 6.0
"""Seconds without a heartbeat after which a member counts as dead."""

REBALANCE = 6.0
"""Seconds that a rebalance waits for those who have not joined it."""

Claims = Callable[[], Collection[int]]


@dataclass(slots=True, eq=False)
class _Member:
    """`claims`: what it said when it joined the rebalance under way; None until it does."""

    seen: float
    owner: object
    claims: Collection[int] | None = None


class Group:
    """The coordinator's side. `away`: until when, at a given time, the cluster is away; sessions begin anew then."""

    def __init__(self, slots: int, busy: Collection[int], away: Callable[[float], float | None]) -> None:
        self._slots = slots
        self._busy = busy
        self._away = away
        self._members: dict[str, _Member] = {}
        self._rebalancing: float | None = None
        self.generation = 0
        self.assignment: dict[str, frozenset[int]] = {}

    def join(self, name: str, owner: object, now: float) -> None:
        """A static member: one that is known by its name replaces its former self, and nobody else notices."""
        known = self._members.get(name)
        if known is not None and now - known.seen <= SESSION:
            known.owner, known.seen = owner, now
            return
        self._members[name] = _Member(now, owner)
        self._rebalance(now)

    def heartbeat(self, name: str, owner: object, claims: Claims, now: float) -> tuple[int, frozenset[int]] | None:
        """The generation and the member's slots; None while a rebalance is under way. Fenced: another has its name."""
        self._expire(now)
        member = self._members.get(name)
        if member is None:
            self.join(name, owner, now)
            member = self._members[name]
        if member.owner is not owner:
            raise Fenced("another process has this instance's name")
        member.seen = now
        if self._rebalancing is not None:
            member.claims = list(claims())
            self._complete(now)
        if self._rebalancing is not None:
            return None
        return self.generation, self.assignment.get(name, frozenset())

    def outage_ended(self, now: float) -> None:
        """A coordinator that is back gives every session its whole time."""
        for member in self._members.values():
            member.seen = max(member.seen, now)

    def _expire(self, now: float) -> None:
        dead = [name for name, member in self._members.items() if now - member.seen > SESSION]
        for name in dead:
            del self._members[name]
        if dead:
            self._rebalance(now)

    def _rebalance(self, now: float) -> None:
        self._rebalancing = now
        for member in self._members.values():
            member.claims = None

    def _complete(self, now: float) -> None:
        assert self._rebalancing is not None
        late = [name for name, member in self._members.items() if member.claims is None]
        if late and now - self._rebalancing < REBALANCE:
            return
        for name in late:
            del self._members[name]
        claims = {name: member.claims or () for name, member in self._members.items()}
        self.assignment = assign(self._slots, self._busy, claims)
        self.generation += 1
        self._rebalancing = None


class FakeMembership:
    """One life's part in the group."""

    def __init__(self, group: Group, host: Host, reachable: Callable[[], bool]) -> None:
        self._group = group
        self._host = host
        self._reachable = reachable

    async def run(self, claims: Claims, assigned: Callable[[frozenset[int]], None]) -> None:
        loop = asyncio.get_running_loop()
        generation = -1
        joined = False
        while True:
            await self._host.gate()
            if self._reachable():
                if not joined:
                    self._group.join(self._host.name, self, loop.time())
                    joined = True
                told = self._group.heartbeat(self._host.name, self, claims, loop.time())
                if told is not None and told[0] != generation:
                    generation = told[0]
                    assigned(told[1])
            # A member that takes part in a rebalance is answered when that is over, not at its next heartbeat.
            await asyncio.sleep(HEARTBEAT if generation >= 0 else 0.2)
