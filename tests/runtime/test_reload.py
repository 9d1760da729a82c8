"""A new configuration while an instance runs: sources come, change and go, and the others do not notice."""

from __future__ import annotations

import asyncio
from typing import Any

from streamer.config import Config
from tests.runtime.fakes import (
    FakeKafka,
    FakeVendor,
    Instance,
    alternating,
    config,
    virtually,
)
from tests.runtime.test_supervisor import assert_gapless


def of(kafka: FakeKafka, source: str) -> list[dict[str, Any]]:
    """The feed statuses of one source."""
    return [feed for feed in kafka.feed_records() if feed["source"] == source]


def with_interval(settings: Config, source: str, interval: float) -> Config:
    """The same configuration with another interval for one source."""
    sources = tuple(
        s.model_copy(update={"poll_interval": interval}) if s.name == source else s for s in settings.sources
    )
    return Config(sources=sources)


def test_sources_come_and_go_without_touching_the_others() -> None:
    """One that is removed ends with `stopped`, one that is added begins, one that stays keeps its tenure."""

    async def work() -> None:
        kafka = FakeKafka()
        vendors = {name: FakeVendor(alternating) for name in ("floor", "north", "south")}
        instance = Instance(config("floor", "north"), kafka, vendors)
        await asyncio.sleep(5)
        instance.supervisor.reload(config("floor", "south"))
        await asyncio.sleep(10)
        assert of(kafka, "north")[-1]["status"] == "stopped"
        assert "removed" in of(kafka, "north")[-1]["reason"]
        assert len(vendors["north"].polls) <= 6
        assert of(kafka, "south")[-1]["status"] == "live"
        assert len(vendors["floor"].polls) >= 14
        assert len({feed["cursor"]["writer"] for feed in of(kafka, "floor")}) == 1
        assert all(feed["status"] in ("live", "recovering") for feed in of(kafka, "floor"))
        assert instance.supervisor.channels.keys() == {"floor", "south"}
        assert instance.witness.gone == ["north"]
        await instance.end()
        assert_gapless([event for event in kafka.events() if event["source"] == "floor"])

    virtually(work)


def test_sources_of_one_slot_come_and_go_too() -> None:
    """A source may be added to a slot that is at work, and removed from it."""

    async def work() -> None:
        kafka = FakeKafka()
        vendors = {name: FakeVendor(alternating) for name in ("floor", "north", "south")}
        one_slot = {"cluster": {"slots": 1}}
        instance = Instance(config("floor", **one_slot), kafka, vendors)
        await asyncio.sleep(5)
        instance.supervisor.reload(config("floor", "north", "south", **one_slot))
        await asyncio.sleep(5)
        assert of(kafka, "south")[-1]["status"] == "live"
        instance.supervisor.reload(config("floor", "south", **one_slot))
        await asyncio.sleep(5)
        assert of(kafka, "north")[-1]["status"] == "stopped"
        assert kafka.calls.count("open 0") == 1
        instance.supervisor.reload(config("floor", "north", "south", **one_slot))
        await asyncio.sleep(5)
        assert of(kafka, "north")[-1]["status"] == "live"
        await instance.end()
        for name in vendors:
            assert_gapless([event for event in kafka.events() if event["source"] == name])

    virtually(work)


def test_a_changed_source_goes_on_with_what_it_knows() -> None:
    """Another interval: the poller is another one, the record goes on, the other source is not disturbed."""

    async def work() -> None:
        kafka = FakeKafka()
        vendors = {name: FakeVendor(alternating) for name in ("floor", "north")}
        settings = config("floor", "north")
        instance = Instance(settings, kafka, vendors)
        await asyncio.sleep(5)
        before = len(vendors["floor"].polls)
        instance.supervisor.reload(with_interval(settings, "floor", 0.25))
        await asyncio.sleep(5)
        assert 18 <= len(vendors["floor"].polls) - before <= 22
        assert of(kafka, "floor")[-1]["poll_interval_s"] == 0.25
        assert len({feed["cursor"]["writer"] for feed in of(kafka, "floor")}) == 1
        assert len({feed["config_digest"] for feed in kafka.feed_records()}) == 2
        await instance.end()
        events = [event for event in kafka.events() if event["source"] == "floor"]
        assert_gapless(events)
        assert len(events) == len(vendors["floor"].polls)

    virtually(work)


def test_a_reload_while_kafka_is_away_takes_effect_when_it_is_back() -> None:
    """Nothing of the removed source is lost: its last batches come first, then `stopped`."""

    async def work() -> None:
        kafka = FakeKafka()
        vendors = {name: FakeVendor(alternating) for name in ("floor", "north")}
        instance = Instance(config("floor"), kafka, vendors)
        await asyncio.sleep(5)
        kafka.away = True
        await asyncio.sleep(10)
        instance.supervisor.reload(config("north"))
        await asyncio.sleep(10)
        seen = len(vendors["floor"].polls)
        kafka.away = False
        await asyncio.sleep(20)
        assert len(vendors["floor"].polls) == seen == len([e for e in kafka.events() if e["source"] == "floor"])
        assert of(kafka, "floor")[-1]["status"] == "stopped"
        assert of(kafka, "north")[-1]["status"] == "live"
        await instance.end()

    virtually(work)


def test_a_feed_of_an_unknown_source_and_another_configuration_are_said() -> None:
    """Instances whose files differ are noticed when one of them reads the record."""

    async def work() -> None:
        kafka = FakeKafka()
        vendors = {name: FakeVendor(alternating) for name in ("floor", "north")}
        first = Instance(config("floor", "north"), kafka, vendors, name="a")
        await asyncio.sleep(5)
        await first.die()
        second = Instance(config("floor"), kafka, vendors, name="b")
        await asyncio.sleep(5)
        assert second.witness.problems == [
            "a feed has a source that this configuration does not know",
            "an instance runs under another configuration",
        ]
        await second.end()

    virtually(work)


def test_what_cannot_be_read_of_the_record_is_named_and_in_the_feed() -> None:
    """A corrupt record on the state topic costs its extension's knowledge, not the start."""

    async def work() -> None:
        kafka, vendor = FakeKafka(), FakeVendor(alternating)
        kafka.problems = (f"{kafka.topics.state_topic}[3]@7: not an AgentState: nonsense",)
        instance = Instance(config("floor"), kafka, {"floor": vendor})
        await asyncio.sleep(5)
        await instance.end()
        assert instance.witness.problems == ["skipped a record that is not ours"]
        assert "1 records on the state topic could not be read" in kafka.feed_records()[0]["reason"]
        assert kafka.feed_records()[1]["reason"] == ""

    virtually(work)
