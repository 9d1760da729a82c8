"""A whole instance in virtual time: what it does when Kafka and the vendor misbehave."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import pytest

from streamer.errors import CheckFailed, Fenced, VendorRefused, VendorUnavailable
from streamer.observe.troubles import Troubles
from tests.runtime.fakes import (
    FakeKafka,
    FakeVendor,
    Fate,
    Instance,
    LyingVendor,
    alternating,
    always,
    config,
    row,
    virtually,
)


def assert_gapless(events: Sequence[Mapping[str, Any]]) -> None:
    """Each extension's events are numbered without hole or repeat, and chained."""
    last: dict[str, Mapping[str, Any]] = {}
    for event in events:
        before = last.get(event["extension"])
        assert event["sequence"] == (before["sequence"] + 1 if before else 1)
        assert event["previous"] == (before["current"] if before else None)
        last[event["extension"]] = event


def test_fence_then_read_to_the_true_end_then_poll() -> None:
    """Invariant 1: every slot's producer is started before the record is read, and nothing is polled before."""

    async def work() -> None:
        kafka, vendor = FakeKafka(), FakeVendor(alternating)
        instance = Instance(config("floor", "north"), kafka, {"floor": vendor, "north": FakeVendor(alternating)})
        await asyncio.sleep(0.06)
        assert kafka.calls[0] == "prepare"
        assert all(call.startswith("open") for call in kafka.calls[1:-1])
        assert kafka.calls[-1] == "restore"
        await asyncio.sleep(3)
        assert vendor.polls
        await instance.end()

    virtually(work)


@pytest.mark.parametrize("fate", ["lost", "unknown", "timed_out"])
@pytest.mark.parametrize("at", [0, 1, 2, 5])
def test_the_commit_cursor_is_the_truth_about_what_was_published(fate: Fate, at: int) -> None:
    """Invariant 2: a write of unknown outcome is settled by the cursor; consumers see each event once, none is lost."""

    async def work() -> None:
        kafka, vendor = FakeKafka(), FakeVendor(alternating)
        before: list[Fate] = ["committed"] * at
        kafka.fates.extend([*before, fate])
        instance = Instance(config(), kafka, {"floor": vendor})
        await asyncio.sleep(30)
        await instance.end()
        events = kafka.events()
        assert_gapless(events)
        assert len(events) == len(vendor.polls)
        assert instance.witness.events == [event["event_id"] for event in events]

    virtually(work)


def test_another_writers_cursor_ends_the_tenure() -> None:
    """Invariant 4: whoever was fenced by an instance that goes on publishes nothing more and ends with Fenced."""

    async def work() -> None:
        kafka = FakeKafka()
        first = Instance(config(), kafka, {"floor": FakeVendor(alternating)})
        await asyncio.sleep(5)
        second = Instance(config(), kafka, {"floor": FakeVendor(alternating)}, name="b")
        await asyncio.sleep(20)
        with pytest.raises(Fenced, match="another instance has taken over"):
            await first.task
        await second.end()
        assert_gapless(kafka.events())
        writers = [feed["cursor"]["writer"] for feed in kafka.feed_records()]
        assert sum(a != b for a, b in pairwise(writers)) == 1

    virtually(work)


def test_an_instance_that_was_cut_off_while_another_took_over_publishes_nothing_more() -> None:
    """Invariant 2: after an unknown outcome a foreign cursor means that what waits here is stale."""

    async def work() -> None:
        kafka = FakeKafka()
        first = Instance(config(), kafka, {"floor": FakeVendor(alternating)})
        await asyncio.sleep(5)
        kafka.sinks[0].cut_off = True
        await asyncio.sleep(5)
        second = Instance(config(), kafka, {"floor": FakeVendor(alternating)}, name="b")
        await asyncio.sleep(5)
        kafka.sinks[0].cut_off = False
        with pytest.raises(Fenced, match="another instance has taken over"):
            await first.task
        await asyncio.sleep(20)
        await second.end()
        assert_gapless(kafka.events())
        assert len({feed["cursor"]["writer"] for feed in kafka.feed_records()}) == 2

    virtually(work)


def test_sequences_go_on_after_a_restart() -> None:
    """Invariant 3: the next life restores the numbers and repeats no first_seen."""

    async def work() -> None:
        kafka = FakeKafka()
        for _ in range(3):
            instance = Instance(config(), kafka, {"floor": FakeVendor(alternating)})
            await asyncio.sleep(4.5)
            await instance.end()
        events = kafka.events()
        assert_gapless(events)
        assert [event["change"] for event in events].count("first_seen") == 1

    virtually(work)


def test_lower_bounds_start_at_confirmed_until_after_a_restart() -> None:
    """Invariant 9: what changed while nobody polled is told with bounds from the last life's watermark."""

    async def work() -> None:
        kafka = FakeKafka()
        first = Instance(config(), kafka, {"floor": FakeVendor(always([row("1", 1213)]))})
        await asyncio.sleep(3)
        await first.end()
        until = kafka.feed_records()[-1]["confirmed_until"]
        await asyncio.sleep(600)
        second = Instance(config(), kafka, {"floor": FakeVendor(always([row("1", 1217)]))})
        await asyncio.sleep(3)
        await second.end()
        assert kafka.events()[-1]["occurred_not_before"] == until

    virtually(work)


def test_polling_goes_on_while_kafka_is_away() -> None:
    """What was seen during an outage of minutes arrives afterwards, in order; the observers were told on the edges."""

    async def work() -> None:
        kafka, vendor = FakeKafka(), FakeVendor(alternating)
        instance = Instance(config(), kafka, {"floor": vendor})
        await asyncio.sleep(5)
        kafka.away = True
        await asyncio.sleep(300)
        kafka.away = False
        await asyncio.sleep(20)
        await instance.end()
        events = kafka.events()
        assert_gapless(events)
        assert len(events) == len(vendor.polls) > 300
        assert instance.witness.kafka_news == [True, False, True]

    virtually(work)


def test_why_kafka_is_away_is_what_the_last_attempt_said() -> None:
    """What ended the first transaction may be over; what keeps it from being settled is what an operator must know."""

    async def work() -> None:
        kafka, troubles = FakeKafka(), Troubles()
        instance = Instance(config(), kafka, {"floor": FakeVendor(alternating)}, watching=[troubles])
        await asyncio.sleep(5)
        assert troubles.kafka_away == ""
        kafka.away = True
        await asyncio.sleep(30)
        assert "Kafka is away" in troubles.kafka_away
        kafka.why = "the topic cannot be read to its end"
        await asyncio.sleep(30)
        assert "read to its end" in troubles.kafka_away
        kafka.away = False
        await asyncio.sleep(30)
        assert troubles.kafka_away == ""
        await instance.end()

    virtually(work)


def test_a_full_outbox_stops_polling_and_says_so() -> None:
    """Numbers already given are kept: polling stops at the bound, the feed was stale meanwhile, then all arrives."""

    async def work() -> None:
        kafka, vendor = FakeKafka(), FakeVendor(alternating)
        instance = Instance(config(outbox={"max_bytes": 20_000}), kafka, {"floor": vendor})
        await asyncio.sleep(5)
        kafka.away = True
        await asyncio.sleep(200)
        channel = instance.supervisor.channels["floor"]
        assert channel.backlog()[1] < 25_000
        status, reason = channel.status()
        assert status == "stale"
        assert "outbox is full" in reason
        polls = len(vendor.polls)
        await asyncio.sleep(100)
        assert len(vendor.polls) == polls
        kafka.away = False
        await asyncio.sleep(20)
        assert len(vendor.polls) > polls
        await instance.end()
        assert_gapless(kafka.events())

    virtually(work)


def test_kafka_down_at_the_start_is_waited_for() -> None:
    """Nothing is polled, and the instance is not ready, until Kafka answers."""

    async def work() -> None:
        kafka, vendor = FakeKafka(), FakeVendor(alternating)
        kafka.away = True
        instance = Instance(config(), kafka, {"floor": vendor})
        await asyncio.sleep(60)
        assert not vendor.polls
        assert "Kafka is away" in instance.supervisor.trouble
        kafka.away = False
        await asyncio.sleep(10)
        assert vendor.polls
        await instance.end()
        assert instance.witness.kafka_news == [False, True]

    virtually(work)


def test_one_bad_source_harms_no_other() -> None:
    """Invariant 8: sources that hang, refuse, or make us fail leave the good one its rhythm."""

    async def work() -> None:
        good = FakeVendor(alternating)
        hanging = FakeVendor(alternating, latency=1e6)
        refusing = FakeVendor(always(VendorRefused("604: not this IP", "tell the vendor")))
        broken = LyingVendor(alternating)
        vendors = {"good": good, "hanging": hanging, "refusing": refusing, "broken": broken}
        kafka = FakeKafka()
        instance = Instance(config(*vendors), kafka, vendors)
        await asyncio.sleep(60)
        assert len(good.polls) >= 59
        assert max(b - a for a, b in pairwise(good.polls)) < 1.05
        last = {feed["source"]: feed for feed in kafka.feed_records()}
        assert last["good"]["status"] == "live"
        assert last["refusing"]["status"] == "refused"
        assert "604" in last["refusing"]["reason"]
        assert last["hanging"]["status"] == last["broken"]["status"] == "stale"
        await instance.end()

    virtually(work)


def test_nothing_is_ever_silent() -> None:
    """Invariant 10: a feed writes a heartbeat, and says within a second of it when it turns stale and live again."""

    async def work() -> None:
        vendor = FakeVendor(lambda _, at: [row("1", 1213)] if not 10 <= at < 40 else VendorUnavailable("down"))
        kafka = FakeKafka()
        instance = Instance(config(), kafka, {"floor": vendor})
        await asyncio.sleep(80)
        await instance.end()
        feeds = kafka.feed_records()
        assert [status for _, status in instance.witness.feeds] == ["recovering", "live", "stale", "live", "stopped"]
        times = [record.timestamp / 1000 for record in kafka.on(kafka.topics.feed_topic)]
        assert max(b - a for a, b in pairwise(times)) < 11
        stale = next(feed for feed in feeds if feed["status"] == "stale")
        assert "down" in stale["reason"]
        assert feeds[-1]["confirmed_until"] > feeds[0]["at"]

    virtually(work)


def test_confirmed_until_never_passes_what_is_unpublished() -> None:
    """Every FeedStatus's watermark lies before the observation of each event that is committed after it."""

    async def work() -> None:
        kafka = FakeKafka()
        fates: list[Fate] = ["committed", "lost", "unknown", "committed", "lost"]
        kafka.fates.extend(fates * 5)
        instance = Instance(config(), kafka, {"floor": FakeVendor(alternating)})
        await asyncio.sleep(60)
        await instance.end()
        watermark = ""
        for record in kafka.committed:
            if record.topic == kafka.topics.feed_topic and record.value:
                watermark = kafka.feed_records()[kafka.on(record.topic).index(record)]["confirmed_until"] or ""
            elif record.topic == kafka.topics.events_topic and record.value:
                event = kafka.events()[kafka.on(record.topic).index(record)]
                assert event["occurred_not_after"] >= watermark

    virtually(work)


def test_a_stop_while_kafka_is_away_counts_what_is_left() -> None:
    """The shutdown ends in time, with exit code 1 and the number of batches that were not published."""

    async def work() -> None:
        kafka = FakeKafka()
        instance = Instance(config(), kafka, {"floor": FakeVendor(alternating)})
        await asyncio.sleep(5)
        kafka.away = True
        await asyncio.sleep(10)
        began = asyncio.get_running_loop().time()
        with pytest.raises(CheckFailed, match=r"\d+ batches \(\d+ events\) unpublished"):
            await instance.end()
        assert asyncio.get_running_loop().time() - began <= 10.5

    virtually(work)


def test_the_poll_in_hand_is_finished_and_committed() -> None:
    """A stop in the middle of a slow poll publishes that poll before it ends."""

    async def work() -> None:
        kafka, vendor = FakeKafka(), FakeVendor(alternating, latency=0.8)
        instance = Instance(config(), kafka, {"floor": vendor})
        await asyncio.sleep(2.5)
        assert len(vendor.polls) == 3
        await instance.end()
        assert len(kafka.events()) == len(vendor.polls) == 3

    virtually(work)


def test_a_vendor_that_hangs_does_not_hold_up_the_stop() -> None:
    """The poll in hand gets half of shutdown_timeout; the feed still ends with `stopped`, and in time."""

    async def work() -> None:
        kafka = FakeKafka()
        instance = Instance(config(), kafka, {"floor": FakeVendor(alternating, latency=1e6)})
        await asyncio.sleep(5)
        began = asyncio.get_running_loop().time()
        await instance.end()
        assert asyncio.get_running_loop().time() - began < 6
        assert kafka.feed_records()[-1]["status"] == "stopped"

    virtually(work)


def test_refused_sources_are_asked_slowly_and_failing_ones_back_off() -> None:
    """A refusal is asked again about once a minute; failures wait longer and longer, up to ten seconds."""

    async def work() -> None:
        refused = FakeVendor(always(VendorRefused("601")))
        failing = FakeVendor(always(VendorUnavailable("500")))
        instance = Instance(config("r", "f"), FakeKafka(), {"r": refused, "f": failing})
        await asyncio.sleep(600)
        assert 9 <= len(refused.polls) <= 21
        assert 60 <= len(failing.polls) <= 140
        await instance.end()

    virtually(work)
