"""Schedules of faults, each drawn from its seed: what is done to which host at what time."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from aiokafka import errors

from tests.runtime.fakes import VirtualLoop
from tests.simulation.faults import Call, Cut, Delay, Fail, Fault, Hang, Kind, Outage, Storm
from tests.simulation.world import Setting, World, made

Action = Callable[[World, str, float], None]
"""Done to a host, or begun for a duration in seconds."""


def _kill(world: World, host: str, duration: float) -> None:
    world.kill(host)
    asyncio.get_running_loop().call_later(duration, world.start, host)


def _freeze(world: World, host: str, duration: float) -> None:
    world.hosts[host].freeze()
    asyncio.get_running_loop().call_later(duration, world.hosts[host].thaw)


class _InTheAct:
    """Strikes a host the next time that it makes one of these calls, within `until`."""

    def __init__(self, host: str, kinds: Sequence[Kind], strike: Callable[[], Fault], until: float) -> None:
        self._host = host
        self._kinds = kinds
        self._strike: Callable[[], Fault] | None = strike
        self._until = until

    def request(self, call: Call) -> Fault | None:
        if self._strike is None or call.host != self._host or call.kind not in self._kinds or call.at > self._until:
            return None
        strike, self._strike = self._strike, None
        return strike()

    def swallows(self, host: str, at: float) -> bool:
        return False


def _in_the_act(world: World, host: str, strike: Callable[[], Fault]) -> None:
    kind: Kind = world.random.choice(("init", "add_partitions", "produce", "commit", "commit", "fetch", "end_offsets"))
    until = asyncio.get_running_loop().time() + 3.0
    world.plans.append(_InTheAct(host, [kind], strike, until))


def _freeze_in_the_act(world: World, host: str, duration: float) -> None:
    def strike() -> Fault:
        _freeze(world, host, duration)
        return Delay(duration)

    _in_the_act(world, host, strike)


def _kill_in_the_act(world: World, host: str, duration: float) -> None:
    def strike() -> Fault:
        asyncio.get_running_loop().call_soon(_kill, world, host, duration)
        return Hang(world.random.choice((None, 0.0, 0.5)))

    _in_the_act(world, host, strike)


def _fail_in_the_act(world: World, host: str, duration: float) -> None:
    def strike() -> Fault:
        return world.random.choice(
            (Fail(errors.UnknownError, after=True), Hang(0.0), Hang(duration), Delay(duration), Hang(None))
        )

    _in_the_act(world, host, strike)


def _cut(world: World, host: str, duration: float) -> None:
    now = asyncio.get_running_loop().time()
    world.plans.append(Cut(world.random, now, now + duration, host))


def _outage(world: World, _: str, duration: float) -> None:
    loop = asyncio.get_running_loop()
    world.plans.append(Outage(world.cluster, loop.time(), loop.time() + duration))
    loop.call_later(duration, lambda: world.group.outage_ended(loop.time()))


def _storm(world: World, host: str, duration: float) -> None:
    now = asyncio.get_running_loop().time()
    rate = world.random.choice((0.05, 0.2, 0.5))
    world.plans.append(Storm(world.random, [(now, now + duration)], rate, hosts=[host]))


def _disk(world: World, host: str, duration: float) -> None:
    world.hosts[host].disk_full = True
    asyncio.get_running_loop().call_later(duration, setattr, world.hosts[host], "disk_full", False)


def _silence(world: World, _: str, duration: float) -> None:
    now = asyncio.get_running_loop().time()
    floor = world.floors[world.random.choice(list(world.floors))]
    floor.failing.append((now, now + duration))


def _reload(world: World, host: str, duration: float) -> None:
    """Its operator removes a source, or changes one, and thinks better of it."""
    sources = list(world.setting.sources)
    if len(sources) > 1 and world.random.random() < 0.7:
        sources.remove(world.random.choice(sources))
    world.reload(host, sources, world.random.choice((0.5, 1.0)))
    asyncio.get_running_loop().call_later(duration, world.reload, host, world.setting.sources)


def _start(world: World, host: str, _: float) -> None:
    world.start(host)


ACTIONS: dict[str, tuple[Action, int, tuple[float, float]]] = {
    "kill": (_kill, 6, (0.0, 8.0)),
    "freeze": (_freeze, 4, (0.5, 12.0)),
    "freeze in the act": (_freeze_in_the_act, 5, (0.5, 40.0)),
    "kill in the act": (_kill_in_the_act, 4, (0.0, 8.0)),
    "fail in the act": (_fail_in_the_act, 4, (0.1, 20.0)),
    "cut": (_cut, 3, (0.2, 10.0)),
    "outage": (_outage, 3, (0.2, 10.0)),
    "storm": (_storm, 6, (0.5, 6.0)),
    "disk": (_disk, 1, (0.5, 5.0)),
    "silence": (_silence, 1, (0.5, 5.0)),
    "reload": (_reload, 2, (0.0, 6.0)),
    "start": (_start, 2, (0.0, 0.0)),
}
"""What may be done, how often compared with the others, and for how long, in seconds."""


def setting_of(chance: random.Random) -> Setting:
    """A drawn deployment."""
    grouped = chance.random() < 0.6
    hosts = ("a", "b") if grouped or chance.random() < 0.5 else ("a",)
    return Setting(
        hosts=hosts,
        sources=chance.choice((("floor",), ("floor", "south"), ("floor", "south"), ("floor", "north", "south"))),
        extensions=chance.choice((1, 2, 3)),
        grouped=grouped,
        disk=chance.random() < 0.5,
        partitions=chance.choice((1, 2, 3)),
        seconds=chance.uniform(6.0, 15.0),
    )


async def played(world: World, chance: random.Random) -> list[str]:
    """Let a drawn schedule happen to a world; the violations."""
    loop = asyncio.get_running_loop()
    for name in world.setting.hosts if world.setting.grouped else world.setting.hosts[:1]:
        world.start(name)
    end = world.setting.seconds
    names, weights = list(ACTIONS), [weight for _, weight, _ in ACTIONS.values()]
    while (pause := chance.expovariate(1 / 2.5)) < end - loop.time():
        await asyncio.sleep(pause)
        action, _, (least, most) = ACTIONS[chance.choices(names, weights)[0]]
        # Most troubles are short, some are long.
        action(world, chance.choice(world.setting.hosts), least + (most - least) * chance.random() ** 3)
    await asyncio.sleep(max(0.0, end - loop.time()))
    await world.calm()
    return await world.close()


def virtually(work: Callable[[], Awaitable[Any]]) -> Any:
    """Run in virtual time that starts at 0; exceptions of tasks that nobody awaits are what they are: bugs."""
    strays: list[str] = []

    async def main() -> Any:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: strays.append(str(context)))
        return await work()

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        found = runner.run(main())
    return [*found, *strays]


def run(seed: int) -> list[str]:
    """The violations under the schedule of a seed: none, if all is well."""
    chance = random.Random(seed)
    setting = setting_of(chance)

    async def work() -> list[str]:
        return await played(made(setting, seed), chance)

    return virtually(work)
