"""The faults of a campaign: drawn from a seed, done to a site, and what is seen of the recovery from each."""

from __future__ import annotations

import signal
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from random import Random

from benchmarks.campaign_follower import owners
from benchmarks.campaign_site import INSTANCES, SESSION_TIMEOUT, Site
from benchmarks.proxy import Trouble

RECOVERY = 120.0
"""Seconds after the end of a fault in which every source must be fresh again."""

ZOMBIE = 60.0
"""Seconds that a zombie is away: ten session time-outs."""

TAKE_OVER = SESSION_TIMEOUT + 2.0
"""Seconds in which the other instance should write for a dead one's sources."""

HASTY = 0.25
"""Share of kills and network faults whose end is not waited for before the next fault."""

FENCED = 4
"""Exit code of an instance that found itself replaced."""

TROUBLES: tuple[Trouble, ...] = ("delay", "cut", "half-open")


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault. `length`: seconds that it lasts; `amount`: a delay (s), a clock's jump (s), or a file's size (bytes).

    `pick` (0 … 1) chooses among the sources. `calm`: seconds after the recovery, or after the fault if `hasty`.
    """

    kind: str
    victim: str
    length: float
    amount: float
    trouble: Trouble
    vendor: bool
    pick: float
    hasty: bool
    calm: float

    @property
    def name(self) -> str:
        """The kind in words, for tables."""
        return f"{self.trouble}, {'vendor' if self.vendor else 'Kafka'}" if self.kind == "network" else self.kind


@dataclass
class Outcome:
    """What was seen: seconds without anything fresh by source, of a take-over (by the slowest source), notes."""

    begun: float = field(default_factory=time.monotonic)
    gaps: dict[str, float] = field(default_factory=dict[str, float])
    take_over: float | None = None
    note: str = ""
    violations: list[str] = field(default_factory=list[str])


def draw(chance: Random, left: Mapping[str, int]) -> Fault:
    """The next fault, of those kinds of which some are left."""
    kinds = [kind for kind, count in left.items() if count > 0]
    kind = chance.choices(kinds, [left[kind] for kind in kinds])[0]
    lengths: dict[str, Callable[[], float]] = {
        "kill": lambda: chance.uniform(0, 10),
        "stop": lambda: chance.uniform(1, 5) if chance.random() < 0.8 else chance.uniform(8, 60),
        "zombie": lambda: ZOMBIE,
        "broker kill": lambda: chance.uniform(0, 10),
        "broker freeze": lambda: chance.uniform(2, 8),
        "network": lambda: chance.uniform(1, 20),
        "clock jump": lambda: chance.uniform(2, 10),
        "full disk": lambda: chance.uniform(5, 15),
    }
    length = lengths[kind]() if kind in lengths else 0.0
    amounts: dict[str, Callable[[], float]] = {
        "network": lambda: chance.uniform(0.05, 2.0),
        "clock jump": lambda: float(chance.choice((-1, 1)) * chance.choice((2, 5, 30, 90, 900))),
        "full disk": lambda: float(chance.randrange(32, 160) * 1024),
    }
    return Fault(
        kind=kind,
        victim=INSTANCES[-1] if kind == "full disk" else chance.choice(INSTANCES),
        length=length,
        amount=amounts[kind]() if kind in amounts else 0.0,
        trouble=chance.choice(TROUBLES),
        vendor=chance.random() < 0.5,
        pick=chance.random(),
        hasty=kind in ("kill", "network") and chance.random() < HASTY,
        calm=chance.uniform(0.5, 3.0),
    )


def do(fault: Fault, site: Site) -> Outcome:
    """Let the fault happen, wait until it is over and, unless it is hasty, until every source is fresh again."""
    if fault.kind in ("take-over", "zombie", "full disk"):
        await_recovery(site, time.monotonic(), Outcome())  # what these measure must not be a former fault's end
    outcome = Outcome()
    DEEDS[fault.kind](fault, site, outcome)
    if not fault.hasty:
        await_recovery(site, time.monotonic(), outcome)
    if fault.kind == "zombie":
        ended = site.instances[fault.victim].code
        outcome.note = outcome.note or ("took part again" if ended is None else f"ended with {ended}")
    time.sleep(fault.calm)
    tend(site, outcome)
    for instance in site.instances.values():
        instance.exits = ()
    return outcome


def await_recovery(site: Site, lifted: float, outcome: Outcome) -> None:
    """Until every source was read afresh after `lifted`, and both instances say that they are live."""
    deadline = lifted + RECOVERY
    open_sources, waiting = set(site.follower.sources), set(site.instances.values())
    while open_sources or waiting:
        tend(site, outcome)
        for source in sorted(open_sources):
            fresh = site.follower.fresh_since(source, lifted)
            if fresh is not None:
                outcome.gaps[source] = site.follower.longest_gap(source, outcome.begun, fresh)
                open_sources.discard(source)
        waiting = {instance for instance in waiting if not instance.ready()}
        if time.monotonic() > deadline:
            silent = sorted(open_sources) + [f"instance {one.name}" for one in waiting]
            outcome.violations.append(f"not live again within {RECOVERY:.0f} s: {', '.join(silent)}")
            return
        time.sleep(0.05)


def tend(site: Site, outcome: Outcome) -> None:
    """Start again whoever has ended; an end that nothing called for is a violation."""
    for instance in site.instances.values():
        code = instance.code
        if code is None:
            continue
        if code not in instance.exits:
            outcome.violations.append(f"instance {instance.name} ended with {code}: {instance.complaint()}")
        outcome.note = f"ended with {code}"
        instance.start()


def _kill(fault: Fault, site: Site, _: Outcome) -> None:
    victim = site.instances[fault.victim]
    site.kill(victim)
    time.sleep(fault.length)
    victim.start()


def _take_over(fault: Fault, site: Site, outcome: Outcome) -> None:
    """Kill an instance that has sources; it stays away until the other has written for each of them."""
    having = [name for name in owners(site.follower) if name in INSTANCES]
    victim = site.instances[fault.victim if fault.victim in having else having[0]]
    sources = owners(site.follower)[victim.name]
    killed = time.monotonic()
    site.kill(victim)
    taken: dict[str, float] = {}
    while len(taken) < len(sources) and time.monotonic() < killed + RECOVERY:
        for source in sources:
            at = site.follower.written_by_another(source, victim.name, killed)
            if at is not None:
                taken[source] = at - killed
        time.sleep(0.02)
    if len(taken) == len(sources):
        outcome.take_over = max(taken.values())
    else:
        outcome.violations.append(f"nobody took over {sorted(set(sources) - taken.keys())} of {victim.name}")
    victim.start()


def _stop(fault: Fault, site: Site, _: Outcome) -> None:
    victim = site.instances[fault.victim]
    victim.exits = (FENCED,)
    victim.signal(signal.SIGSTOP)
    time.sleep(fault.length)
    victim.signal(signal.SIGCONT)


def _broker_kill(fault: Fault, site: Site, _: Outcome) -> None:
    site.broker.kill()
    time.sleep(fault.length)
    site.broker.start()


def _broker_freeze(fault: Fault, site: Site, _: Outcome) -> None:
    site.broker.freeze()
    time.sleep(fault.length)
    site.broker.thaw()


def _network(fault: Fault, site: Site, _: Outcome) -> None:
    name, source = fault.victim, None
    if fault.vendor:
        # Of whoever polls the source, else the fault would strike nobody.
        source = site.sources[int(fault.pick * len(site.sources))]
        name = site.follower.owner(source) or name
    proxy = site.proxy(name, source)
    site.do(lambda: proxy.trouble(fault.trouble, fault.amount))
    time.sleep(fault.length)
    site.do(proxy.heal)


def _clock_jump(fault: Fault, site: Site, _: Outcome) -> None:
    """Two jumps: away, and back."""
    victim = site.instances[fault.victim]
    victim.set_clock(int(fault.amount))
    time.sleep(fault.length)
    victim.set_clock(0)


def _full_disk(fault: Fault, site: Site, outcome: Outcome) -> None:
    """A life that can write hardly anything to its files, and does without Kafka for a while."""
    victim = site.instances[fault.victim]
    proxy = site.kafka[victim.name]
    # In order, so that the outbox's log of changes begins anew: a limit within it would not let the file be opened.
    victim.signal(signal.SIGTERM)
    code = victim.wait()
    if code != 0:
        outcome.violations.append(f"stopped, it ended with {code}: {victim.complaint()}")
    victim.start(int(fault.amount))
    await_recovery(site, time.monotonic(), outcome)
    site.do(lambda: proxy.trouble("cut"))
    healed = time.monotonic() + fault.length
    outcome.note = "with room left in the outbox"
    while time.monotonic() < healed:
        time.sleep(0.2)
        if victim.says("the outbox cannot be written"):
            outcome.note = "with a full outbox"
    site.do(proxy.heal)
    await_recovery(site, time.monotonic(), outcome)
    site.kill(victim)
    victim.start()


DEEDS: Mapping[str, Callable[[Fault, Site, Outcome], None]] = {
    "kill": _kill,
    "take-over": _take_over,
    "stop": _stop,
    "zombie": _stop,
    "broker kill": _broker_kill,
    "broker freeze": _broker_freeze,
    "network": _network,
    "clock jump": _clock_jump,
    "full disk": _full_disk,
}
"""What is done for each kind."""


def remaining(asked: Mapping[str, int], done: Counter[str]) -> dict[str, int]:
    """How many faults of each kind are still to come."""
    return {kind: max(0, count - done[kind]) for kind, count in asked.items()}
