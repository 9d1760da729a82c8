"""The fast path is one part with one door: with it taken out, an instance publishes the same, only slower."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from random import Random
from typing import Any

import pytest

from streamer.core.quick.door import Quick
from streamer.kafka.serde import Record
from tests.core.answers import Vendor
from tests.core.plain import Plain
from tests.runtime.fakes import FakeKafka, FakeVendor, Instance, config, virtually


def busy(number: int, _: float) -> Sequence[Mapping[str, Any]]:
    """A floor of which everything that a vendor may do is done now and then, the same for each number."""
    vendor, random = Vendor(30, 1), Random(1)
    for _turn in range(number):
        vendor.now += 1
        for deed in random.choices(("change", "come", "go", "back", "twist", "shuffle"), (40, 3, 3, 1, 1, 1), k=5):
            getattr(vendor, deed)()
    return vendor.rows


def published() -> list[Record]:
    """All that an instance writes in two minutes, and that a second one writes after it."""
    found: list[Record] = []

    async def work() -> None:
        kafka = FakeKafka()
        for name in ("a", "b"):
            instance = Instance(config(), kafka, {"floor": FakeVendor(busy)}, name=name)
            await asyncio.sleep(60)
            await instance.end()
        found.extend(kafka.committed)

    virtually(work)
    return found


def test_without_the_fast_path_the_same_is_published(monkeypatch: pytest.MonkeyPatch) -> None:
    """The switch: another class at the door, and not one byte differs."""
    assert {Quick.open.__name__, Quick.advance.__name__, Quick.seated.__name__} <= vars(Plain).keys()
    quick = published()
    monkeypatch.setattr("streamer.runtime.channel.Quick", Plain)
    plain = published()
    assert len(plain) > 500
    assert quick == plain
