"""The whole runtime under thousands of drawn fault schedules, and under every fault at every call; the truth is known.

A schedule is reproduced by its seed: `schedule.run(seed)`. A hundred thousand of them: `python -m benchmarks.simulate`.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable

import pytest
from aiokafka import errors

from tests.simulation import schedule
from tests.simulation.faults import Call, Delay, Fail, Fault, Hang, Nth
from tests.simulation.guards import REMOVED, without_cursors_first
from tests.simulation.world import Setting, World, made

SCHEDULES = 2000
SHARES = 8
"""Tests that the schedules are spread over, so that one that fails names its share."""

FAULTS: dict[str, Fault] = {
    "refused": Fail(errors.NodeNotReadyError),
    "refused, yet done": Fail(errors.RequestTimedOutError, after=True),
    "out of order": Fail(errors.OutOfOrderSequenceNumber),
    "unknown error, yet done": Fail(errors.UnknownError, after=True),
    "invalid epoch": Fail(errors.InvalidProducerEpoch),
    "no answer, not done": Hang(),
    "no answer, done": Hang(0.0),
    "no answer, done late": Hang(4.0),
    "no answer, done after everybody gave up": Hang(17.0),
}


@pytest.mark.parametrize("share", range(SHARES))
def test_no_schedule_of_faults_breaks_a_promise(share: int) -> None:
    """Gapless, ordered, unique; state is the fold of events; the last state is true; what was seen is published."""
    broken = {seed: found for seed in range(share, SCHEDULES, SHARES) if (found := schedule.run(seed))}
    assert broken == {}


@pytest.mark.parametrize("guard", REMOVED)
def test_without_a_guard_a_schedule_finds_it_out(guard: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Within as many schedules as are run above."""
    REMOVED[guard](monkeypatch)
    assert any(schedule.run(seed) for seed in range(SCHEDULES))


def _taken_over_while_reading(seed: int, number: int) -> list[str]:
    """An instance whose `number`th call takes a second, while another takes over, publishes, and falls silent."""

    async def work() -> list[str]:
        world = made(Setting(sources=("floor",), grouped=False, partitions=1, seconds=3.0), seed)
        world.start("a")
        await asyncio.sleep(2.0)
        world.kill("a")
        await asyncio.sleep(0.2)
        world.plans.append(Nth(number, Delay(1.0), host="a"))
        world.start("a")
        await asyncio.sleep(0.02)
        world.start("b")
        await asyncio.sleep(3.0)
        await world.calm()
        return await world.close()

    return schedule.virtually(work)


@pytest.mark.parametrize("guarded", [True, False])
def test_a_take_over_while_the_record_is_read_is_found_out(monkeypatch: pytest.MonkeyPatch, *, guarded: bool) -> None:
    """A schedule found it: read after the states, the cursor was another's, and stale states were published."""
    if not guarded:
        without_cursors_first(monkeypatch)
    broken = [
        found for seed in range(1, 5) for number in range(1, 25) if (found := _taken_over_while_reading(seed, number))
    ]
    assert bool(broken) is not guarded


def test_a_schedule_follows_from_its_seed_alone() -> None:
    """Twice the same, to the last byte of every log."""

    def trace() -> bytes:
        worlds: list[World] = []

        async def work() -> list[str]:
            worlds.append(made(Setting(), 7))
            return await schedule.played(worlds[0], random.Random(7))

        schedule.virtually(work)
        return worlds[0].cluster.trace()

    assert trace() == trace() != b""


class _Strike:
    """Does something to the world at the `number`th call of a host; the call itself gets no answer."""

    def __init__(self, number: int, host: str, strike: Callable[[], None]) -> None:
        self._nth = Nth(number, Hang(), host=host)
        self._strike = strike

    @property
    def hit(self) -> bool:
        return self._nth.hit

    def request(self, call: Call) -> Fault | None:
        fault = self._nth.request(call)
        if fault is not None:
            asyncio.get_running_loop().call_soon(self._strike)
        return fault

    def swallows(self, host: str, at: float) -> bool:
        return False


def _killed(world: World, host: str) -> None:
    world.kill(host)
    asyncio.get_running_loop().call_later(1.0, world.start, host)


def _stopped(world: World, host: str) -> None:
    world.hosts[host].freeze()
    asyncio.get_running_loop().call_later(30.0, world.hosts[host].thaw)


STRIKES: dict[str, Callable[[World, str], None]] = {"killed": _killed, "stopped": _stopped}

SETTINGS = {
    "alone, with a disk": Setting(hosts=("a",), sources=("floor",), grouped=False, disk=True, seconds=6.0),
    "alone": Setting(hosts=("a",), sources=("floor",), grouped=False, seconds=6.0),
    "after a take-over": Setting(hosts=("a", "b"), sources=("floor",), disk=True, seconds=18.0),
}


def _struck(setting: Setting, fault: str, number: int) -> tuple[bool, list[str]]:
    """Whether there was such a call, and what promise was broken."""
    hit: list[bool] = []

    async def work() -> list[str]:
        world = made(setting, 1)
        host = setting.hosts[-1]
        if fault in FAULTS:
            plan: Nth | _Strike = Nth(number, FAULTS[fault], host=host)
        else:
            plan = _Strike(number, host, lambda: STRIKES[fault](world, host))
        world.plans.append(plan)
        for name in setting.hosts:
            world.start(name)
        loop = asyncio.get_running_loop()
        if len(setting.hosts) > 1:
            loop.call_later(3.0, world.kill, "a")
        await asyncio.sleep(setting.seconds)
        await world.calm()
        hit.append(plan.hit)
        return await world.close()

    found = schedule.virtually(work)
    return hit[0], found


@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize("fault", [*FAULTS, *STRIKES])
def test_every_fault_at_every_call(fault: str, setting: str) -> None:
    """The Nth call to Kafka goes wrong, for every N until a run makes fewer calls."""
    broken: dict[int, list[str]] = {}
    number, hit = 0, True
    while hit:
        number += 1
        hit, found = _struck(SETTINGS[setting], fault, number)
        if found:
            broken[number] = found
    assert broken == {}
    assert number > 40
