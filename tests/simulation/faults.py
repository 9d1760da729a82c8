"""What goes wrong between an instance and the cluster, and when: plans, and the link where every call meets them."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Collection, Mapping, MutableMapping, Sequence
from typing import Literal, NoReturn, Protocol, TypeVar

import msgspec
from aiokafka import errors

from tests.simulation.cluster import Cluster, Range

T = TypeVar("T")

FOR_EVER = 1e6
"""Seconds after which a call that nobody limits shows itself as an error, rather than as a test that hangs."""

SLOW_ANSWERS = 0.25
"""Of the answers, how many let others go first on their way back; the rest come at once: that costs less."""

STILL_LANDS = 0.5
"""Of the writes that were on their way when their caller gave up, how many arrive all the same."""

Kind = Literal[
    "bootstrap",  # a client connects
    "init",  # InitProducerId
    "metadata",  # the partitions of a topic
    "add_partitions",  # AddPartitionsToTxn: the first records of a transaction for a partition
    "produce",  # records for one leader
    "commit",  # EndTxn
    "abort",
    "end_offsets",
    "seek",
    "fetch",
    "probe",
]
WRITES: tuple[Kind, ...] = ("init", "add_partitions", "produce", "commit", "abort")
READS: tuple[Kind, ...] = ("bootstrap", "metadata", "end_offsets", "seek", "fetch", "probe")

UNREACHABLE: tuple[type[Exception], ...] = (
    errors.NodeNotReadyError,
    errors.KafkaConnectionError,
    errors.RequestTimedOutError,
    errors.KafkaTimeoutError,
)
UNWRITTEN: tuple[type[Exception], ...] = (
    errors.OutOfOrderSequenceNumber,
    errors.InvalidProducerEpoch,
    errors.UnknownError,
    errors.CoordinatorNotAvailableError,
    errors.ConcurrentTransactions,
)
"""Only what writes can meet these."""


class Call(msgspec.Struct, frozen=True):
    """A call about to be made; `at` in seconds."""

    host: str
    kind: Kind
    at: float


class Fail(msgspec.Struct, frozen=True):
    """The client is told this error. `after`: and yet it was done."""

    error: type[Exception]
    after: bool = False


class Hang(msgspec.Struct, frozen=True):
    """No answer ever comes. `lands`: seconds until it is done all the same; None: it never is."""

    lands: float | None = None


class Delay(msgspec.Struct, frozen=True):
    """It takes so many seconds to arrive; if the caller gave up meanwhile, it may arrive nevertheless."""

    seconds: float


Fault = Fail | Hang | Delay
How = Literal["before", "after", "never", "done", "late", "delay"]

MIX: Mapping[How, float] = {"before": 6, "after": 5, "never": 2, "done": 2, "late": 3, "delay": 2}
"""What share of a storm's faults is of which sort: an error before or after the effect; no answer with the effect not
done, done, or done later; and a delay."""


class Plan(Protocol):
    """Decides which calls go wrong. Every plan sees every call of the hosts that it was given to."""

    def request(self, call: Call) -> Fault | None:
        """What happens to this call."""
        ...

    def swallows(self, host: str, at: float) -> bool:
        """Is an answer that reaches the host at this time lost?"""
        ...


class Storm:
    """Within `windows`, a share `rate` of the calls of `kinds` goes wrong. `late`: how long effects may come after."""

    def __init__(
        self,
        chance: random.Random,
        windows: Sequence[Range],
        rate: float,
        *,
        kinds: Collection[Kind] = WRITES + READS,
        hosts: Collection[str] | None = None,
        mix: Mapping[How, float] = MIX,
        late: float = 20.0,
    ) -> None:
        self._random = chance
        self._windows = windows
        self._rate = rate
        self._kinds = kinds
        self._hosts = hosts
        self._sorts: list[How] = list(mix)
        self._weights = list(mix.values())
        self._late = late
        self.hits = 0

    def request(self, call: Call) -> Fault | None:
        if not any(start <= call.at < end for start, end in self._windows):
            return None
        if call.kind not in self._kinds or (self._hosts is not None and call.host not in self._hosts):
            return None
        if self._random.random() >= self._rate:
            return None
        self.hits += 1
        return self._drawn(call.kind)

    def _drawn(self, kind: Kind) -> Fault:
        how = self._random.choices(self._sorts, self._weights)[0]
        if how == "before" or how == "after":
            known = UNREACHABLE + UNWRITTEN if kind in WRITES else UNREACHABLE
            return Fail(self._random.choice(known), how == "after")
        if how == "delay":
            return Delay(self._random.uniform(0.0, self._late))
        return Hang({"never": None, "done": 0.0, "late": self._random.uniform(0.0, self._late)}[how])

    def swallows(self, host: str, at: float) -> bool:
        return False


class Nth:
    """The `number`th call (the first is 1) of `kinds` on `host` gets `fault`. `seen` counts them; `hit`: it came."""

    def __init__(
        self, number: int, fault: Fault, *, kinds: Collection[Kind] = WRITES + READS, host: str | None = None
    ) -> None:
        self._number = number
        self._fault = fault
        self._kinds = kinds
        self._host = host
        self.seen = 0

    @property
    def hit(self) -> bool:
        return self.seen >= self._number

    def request(self, call: Call) -> Fault | None:
        if call.kind not in self._kinds or self._host not in (None, call.host):
            return None
        self.seen += 1
        return self._fault if self.seen == self._number else None

    def swallows(self, host: str, at: float) -> bool:
        return False


class Cut:
    """Between `start` and `end` nothing passes between `host` (None: any) and the cluster.

    `how`: calls fail at once, hang for ever, or stall until the link is back and are then done; `mixed` draws one each.
    """

    def __init__(
        self,
        chance: random.Random,
        start: float,
        end: float,
        host: str | None = None,
        how: Literal["fail", "hang", "stall", "mixed"] = "mixed",
    ) -> None:
        self._random = chance
        self._start = start
        self._end = end
        self._host = host
        self._how = how

    def request(self, call: Call) -> Fault | None:
        if not self.swallows(call.host, call.at):
            return None
        how = self._random.choice(("fail", "hang", "stall")) if self._how == "mixed" else self._how
        if how == "fail":
            return Fail(self._random.choice(UNREACHABLE))
        return Hang() if how == "hang" else Delay(self._end - call.at + self._random.random())

    def swallows(self, host: str, at: float) -> bool:
        return self._start <= at < self._end and self._host in (None, host)


class Outage(Cut):
    """The whole cluster is away between `start` and `end`: no calls, no markers, no time-outs of transactions."""

    def __init__(
        self,
        cluster: Cluster,
        start: float,
        end: float,
        how: Literal["fail", "hang", "stall", "mixed"] = "mixed",
    ) -> None:
        super().__init__(cluster.random, start, end, None, how)
        cluster.away.append((start, end))


async def for_ever() -> NoReturn:
    """Wait for an answer that does not come."""
    await asyncio.sleep(FOR_EVER)
    raise RuntimeError("a call hung, and nobody limited its time")


class Link:
    """One client's way to the cluster. `hung`: an answer is still out that will never come."""

    def __init__(
        self, cluster: Cluster, host: str, plans: Sequence[Plan], latency: Range, calls: MutableMapping[Kind, int]
    ) -> None:
        self.cluster = cluster
        self._host = host
        self._plans = plans
        self._calls = calls
        self._least, self._most = latency
        self.hung = False

    async def call(self, kind: Kind, effect: Callable[[float], T]) -> T:
        """Do `effect` at the cluster, after the way there; return after the way back, if it is not otherwise fated."""
        self._calls[kind] = self._calls.get(kind, 0) + 1
        loop = asyncio.get_running_loop()
        delay = self._way()
        fault = None
        if self._plans:
            call = Call(self._host, kind, loop.time())
            drawn = [plan.request(call) for plan in self._plans]
            fault = next((found for found in drawn if found is not None), None)
        if type(fault) is Hang:
            if fault.lands is not None:
                self.cluster.at(loop.time() + delay + fault.lands, effect)
            await self._hang()
        if type(fault) is Fail and not fault.after:
            await asyncio.sleep(delay)
            raise fault.error
        if type(fault) is Delay:
            delay += fault.seconds
        await self._travel(kind, delay, effect)
        self.cluster.advance(loop.time())
        result = effect(loop.time())
        if self.cluster.random.random() < SLOW_ANSWERS:
            await asyncio.sleep(self._way())
        if type(fault) is Fail:
            raise fault.error
        if any(plan.swallows(self._host, loop.time()) for plan in self._plans):
            await self._hang()
        return result

    def _way(self) -> float:
        return self._least + (self._most - self._least) * self.cluster.random.random()

    async def _travel(self, kind: Kind, delay: float, effect: Callable[[float], object]) -> None:
        arrives = asyncio.get_running_loop().time() + delay
        try:
            await asyncio.sleep(delay)
        except asyncio.CancelledError:
            if kind in WRITES and self.cluster.random.random() < STILL_LANDS:
                self.cluster.at(arrives, effect)
            raise

    async def _hang(self) -> NoReturn:
        self.hung = True
        await for_ever()
