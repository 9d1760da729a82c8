"""A hint means "poll now", within the budget, and nothing else: in virtual time."""

from __future__ import annotations

import asyncio
import gc
import tracemalloc
from collections.abc import Mapping, Sequence
from itertools import pairwise
from random import Random
from typing import Any, cast

import pytest

from streamer.errors import VendorError, VendorRefused, VendorUnavailable
from streamer.runtime.poller import SETTLE
from streamer.vendor.client import Session, VendorClient
from streamer.vendor.session import Answer, Polled
from tests.runtime.fakes import Answer as Rows
from tests.runtime.fakes import (
    FakeKafka,
    FakeVendor,
    Instance,
    VirtualClock,
    alternating,
    always,
    config,
    row,
    virtually,
)
from tests.vendor.lying import KEY, LOGIN, envelope, good

INTERVAL = 1.0
PROMPT = 1e-6
"""Seconds: in virtual time nothing is late, but floats are added up."""


class Account(Session):
    """A session whose vendor is in this process: it counts status calls, and forgets its token now and then."""

    def __init__(self, forgets_every: float) -> None:
        super().__init__(
            url="http://vendor:1",
            appid="app-1",
            accesskey=KEY,
            token="",
            http=cast(Any, None),
            clock=VirtualClock(),
        )
        self.calls: list[float] = []
        self._forgets_every = forgets_every
        self._token = (-1, "")

    async def exchange(self, form: dict[str, str]) -> Answer:
        now = self.clock.now_ms()
        era = int(self.clock.monotonic() // self._forgets_every)
        if form["service"] == LOGIN:
            self._token = (era, f"{era:032x}")
            body = good({"token": self._token[1]})
        else:
            self.calls.append(self.clock.monotonic())
            body = good([row("100001", 1213)]) if self._token == (era, form["token"]) else envelope(600, [], "no")
        await asyncio.sleep(0.02)
        return Answer(now, self.clock.now_ms(), 200, body)


class Budgeted(FakeVendor):
    """The true client, with its budgets, at such an account."""

    def __init__(self, forgets_every: float = 1e9) -> None:
        super().__init__(always([]))
        self.account = Account(forgets_every)
        self._client = VendorClient(self.account, name="floor", poll_interval=INTERVAL)

    async def poll(self) -> Polled:
        self.polls.append(self.account.clock.monotonic())
        return await self._client.poll()

    def spare(self) -> float:
        return self._client.spare()


async def running(vendor: FakeVendor, kafka: FakeKafka | None = None, **sections: Any) -> Instance:
    """An instance that has polled a few times; the last time 50 ms ago."""
    instance = Instance(config(**sections), kafka or FakeKafka(), {"floor": vendor})
    await asyncio.sleep(5)
    await begun(vendor)
    await asyncio.sleep(vendor.polls[-1] + 0.05 - now())
    return instance


async def begun(vendor: FakeVendor) -> float:
    """The moment at which the next poll begins."""
    count = len(vendor.polls)
    while len(vendor.polls) == count:  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    return vendor.polls[-1]


def now() -> float:
    return asyncio.get_running_loop().time()


def test_a_hint_brings_the_next_poll_forward_and_the_rhythm_with_it() -> None:
    """It begins when the hint has settled, in time; the next regular one is due an interval later."""

    async def work() -> None:
        vendor = FakeVendor(alternating)
        instance = await running(vendor)
        await asyncio.sleep(0.3)
        hinted, before = now(), len(vendor.polls)
        assert instance.supervisor.hint("floor")
        await asyncio.sleep(2.5)
        polls = [poll - hinted for poll in vendor.polls[before:]]
        assert polls == pytest.approx([SETTLE, SETTLE + INTERVAL, SETTLE + 2 * INTERVAL])
        assert max(instance.witness.late) < PROMPT
        await instance.end()

    virtually(work)


def test_hints_that_come_together_are_one_poll() -> None:
    """Lost and repeated deliveries change nothing about that."""

    async def work() -> None:
        vendor = FakeVendor(alternating)
        instance = await running(vendor)
        before = len(vendor.polls)
        for _ in range(9):
            instance.supervisor.hint("floor")
            await asyncio.sleep(SETTLE / 10)
        await asyncio.sleep(0.5)
        assert len(vendor.polls) == before + 1
        await instance.end()

    virtually(work)


@pytest.mark.parametrize("hints", [1, 7])
def test_hints_during_a_poll_are_one_more_poll_after_it(hints: int) -> None:
    """What the answer shows may be older than the hint."""

    async def work() -> None:
        vendor = FakeVendor(alternating, latency=0.4)
        instance = Instance(config(), FakeKafka(), {"floor": vendor})
        await asyncio.sleep(5)
        last = await begun(vendor)
        count = len(vendor.polls)
        for _ in range(hints):
            await asyncio.sleep(0.03)
            instance.supervisor.hint("floor")
        await asyncio.sleep(0.9)
        assert [poll - last for poll in vendor.polls[count:]] == pytest.approx([0.4])
        assert max(instance.witness.late) < PROMPT
        await instance.end()

    virtually(work)


def test_a_hint_right_before_a_regular_poll_is_one_more_after_it() -> None:
    """The regular one comes on time, but may be too early to see what was hinted."""

    async def work() -> None:
        vendor = FakeVendor(alternating)
        instance = await running(vendor)
        last = vendor.polls[-1]
        await asyncio.sleep(last + INTERVAL - 0.03 - now())
        instance.supervisor.hint("floor")
        await asyncio.sleep(0.5)
        polls = [poll - last for poll in vendor.polls[-2:]]
        assert polls == pytest.approx([INTERVAL, INTERVAL - 0.03 + SETTLE])
        await instance.end()

    virtually(work)


def test_a_hint_waits_until_the_budget_is_full() -> None:
    """Half an interval after the poll before: its own repeat must find its share."""

    async def work() -> None:
        vendor = Budgeted()
        instance = await running(vendor)
        last = vendor.polls[-1]
        instance.supervisor.hint("floor")
        await asyncio.sleep(1.0)
        assert vendor.polls[-1] - last == pytest.approx(INTERVAL / 2)
        assert max(instance.witness.late) < PROMPT
        await instance.end()

    virtually(work)


@pytest.mark.parametrize(
    ("error", "longest"), [(VendorUnavailable("down", "wait"), 10.0), (VendorRefused("no", "ask"), 60.0)]
)
def test_hints_hasten_no_retry(error: VendorError, longest: float) -> None:
    """The waits after failures stay what they are, hints or none."""

    def waits(*, hinting: bool) -> Sequence[float]:
        async def work() -> list[float]:
            def script(number: int, _: float) -> Rows:
                return [] if number < 3 else error

            vendor = FakeVendor(script)
            instance = Instance(config(), FakeKafka(), {"floor": vendor})
            while now() < 300:
                await asyncio.sleep(0.07)
                if hinting and len(vendor.polls) > 3:
                    instance.supervisor.hint("floor")
            await instance.die()
            return [after - before for before, after in pairwise(vendor.polls[3:])]

        return virtually(work)

    hinted = waits(hinting=True)
    assert hinted == pytest.approx(waits(hinting=False))
    assert max(hinted) > longest / 2


def test_nothing_is_polled_for_a_hint_while_nothing_more_can_be_kept() -> None:
    """A full outbox stops polling; hints then change nothing, and afterwards the beat goes on."""

    async def work() -> None:
        kafka, vendor = FakeKafka(), FakeVendor(alternating)
        instance = await running(vendor, kafka, outbox={"max_bytes": 20_000})
        kafka.away = True
        await asyncio.sleep(300)
        assert instance.supervisor.channels["floor"].blocked()
        before = len(vendor.polls)
        for _ in range(100):
            instance.supervisor.hint("floor")
            await asyncio.sleep(0.1)
        assert len(vendor.polls) == before
        kafka.away = False
        await asyncio.sleep(60)
        assert len(vendor.polls) > before + 30
        await instance.end()

    virtually(work)


def test_a_hint_for_what_is_not_polled_here_says_so() -> None:
    """Unknown, not yet restored, or another's."""

    async def work() -> None:
        instance = Instance(config(), FakeKafka(), {"floor": FakeVendor(alternating)})
        assert not instance.supervisor.hint("floor")
        await asyncio.sleep(3)
        assert instance.supervisor.hint("floor")
        assert not instance.supervisor.hint("north")
        await instance.end()
        assert not instance.supervisor.hint("floor")

    virtually(work)


def test_hints_leave_no_trace_in_what_is_published() -> None:
    """They carry no facts: on a floor where nothing happens, they publish nothing."""

    def events(*, hinting: bool) -> Sequence[Mapping[str, Any]]:
        async def work() -> Sequence[Mapping[str, Any]]:
            kafka = FakeKafka()
            instance = Instance(config(), kafka, {"floor": FakeVendor(always([row("100001", 1213)]))})
            while now() < 30:
                await asyncio.sleep(0.19)
                if hinting:
                    instance.supervisor.hint("floor")
            await instance.end()
            return kafka.events()

        return virtually(work)

    assert [event["event_id"] for event in events(hinting=True)] == [e["event_id"] for e in events(hinting=False)]


class Promise:
    """Holds status calls to 2 + 2·W/interval in any W seconds, however many they are."""

    def __init__(self) -> None:
        self.number = 0
        self._least = float("inf")

    def hold(self, calls: Sequence[float]) -> None:
        for at in calls:
            ahead = self.number - 2 * at / INTERVAL
            self._least = min(self._least, ahead)
            assert ahead + 1 - self._least <= 2 + PROMPT
            self.number += 1


def test_a_storm_of_hints_for_an_hour_keeps_every_promise() -> None:
    """The bound on status calls in every window, log-ins' repeats included; no poll late; memory as before."""

    async def work() -> None:
        vendor, kafka, random = Budgeted(forgets_every=600), FakeKafka(), Random(7)
        instance = Instance(config(), kafka, {"floor": vendor})
        promise, polled, hints, sizes = Promise(), 0, 0, list[int]()
        while now() < 3600:
            hints += (several := random.choice((1, 1, 1, 2, 50)))
            for _ in range(several):
                instance.supervisor.hint("floor")
            await asyncio.sleep(random.choice((0.001, 0.05, 0.1, 0.1, 0.4, 1.3)))
            if now() > 60 * (len(sizes) + 1):
                promise.hold(vendor.account.calls)
                polled += len(vendor.polls)
                assert max(instance.witness.late) < PROMPT
                assert max(after - before for before, after in pairwise(vendor.polls)) <= INTERVAL + PROMPT
                for kept in (vendor.account.calls, vendor.polls, instance.witness.late, kafka.committed):
                    kept.clear()
                gc.collect()
                sizes.append(tracemalloc.get_traced_memory()[0])
        await instance.end()
        assert polled > 1.5 * 3600 / INTERVAL, "hints were heeded"
        assert promise.number >= polled + 5, "tokens were forgotten"
        # Bytes: caches fill up, those of other threads too; a single pointer kept of each hint would be twice as many.
        assert sizes[-1] - sizes[9] < 4 * hints

    tracemalloc.start()
    try:
        virtually(work)
    finally:
        tracemalloc.stop()
