"""Batches on disk: what a crash during an outage keeps, and what another instance's going on makes stale."""

from __future__ import annotations

import asyncio
from itertools import pairwise

import pytest

from streamer.errors import CheckFailed
from tests.runtime.fakes import (
    FakeJournal,
    FakeKafka,
    FakeVendor,
    Instance,
    alternating,
    config,
    virtually,
)
from tests.runtime.test_supervisor import assert_gapless


def test_a_crash_while_kafka_is_away_loses_nothing_that_was_seen() -> None:
    """The next life publishes what is on disk first, then goes on."""

    async def work() -> None:
        kafka, journal, vendor = FakeKafka(), FakeJournal(), FakeVendor(alternating)
        first = Instance(config(), kafka, {"floor": vendor}, journal=journal)
        await asyncio.sleep(5)
        kafka.away = True
        await asyncio.sleep(60)
        seen = len(vendor.polls)
        await first.die()
        assert len(journal.kept) > 50
        kafka.away = False
        second = Instance(config(), kafka, {"floor": vendor}, journal=journal)
        await asyncio.sleep(5)
        await second.end()
        events = kafka.events()
        assert_gapless(events)
        # The floor changes with every poll, and the poll under way at the crash was not seen.
        assert len(events) >= len(vendor.polls) - 1 > seen + 3
        assert journal.kept == []
        assert second.witness.dropped == 0

    virtually(work)


def test_batches_whose_parent_is_not_the_cursor_are_superseded() -> None:
    """Invariant 2: a machine that comes back after another went on publishes nothing stale; the feed counts it."""

    async def work() -> None:
        kafka, journal, vendor = FakeKafka(), FakeJournal(), FakeVendor(alternating)
        first = Instance(config(), kafka, {"floor": vendor}, journal=journal)
        await asyncio.sleep(5)
        kafka.away = True
        await asyncio.sleep(20)
        await first.die()
        stale = len(journal.kept)
        kafka.away = False
        second = Instance(config(), kafka, {"floor": vendor}, name="b")
        await asyncio.sleep(5)
        await second.die()
        before = len(kafka.events())
        third = Instance(config(), kafka, {"floor": vendor}, journal=journal)
        await asyncio.sleep(5)
        await third.end()
        assert_gapless(kafka.events())
        assert kafka.events()[before]["observed_at"] > kafka.events()[before - 1]["observed_at"]
        assert stale > 10
        assert third.witness.dropped == stale
        assert kafka.feed_records()[-1]["superseded"] == stale
        assert journal.kept == []

    virtually(work)


def test_a_batch_that_was_published_but_not_removed_is_not_counted_as_superseded() -> None:
    """A crash between the commit and the removal leaves it on disk; the cursor tells."""

    async def work() -> None:
        kafka, journal, vendor = FakeKafka(), FakeJournal(), FakeVendor(alternating)
        first = Instance(config(), kafka, {"floor": vendor}, journal=journal)
        await asyncio.sleep(5.5)
        kafka.away = True
        await asyncio.sleep(3)
        left = list(journal.kept)
        kafka.away = False
        await asyncio.sleep(20)
        await first.die()
        journal.kept = left
        second = Instance(config(), kafka, {"floor": vendor}, journal=journal)
        await asyncio.sleep(5)
        await second.end()
        assert left
        assert second.witness.dropped == 0
        assert_gapless(kafka.events())

    virtually(work)


def test_a_batch_is_on_disk_before_it_is_published_and_gone_after_its_commit() -> None:
    """Invariant 2: so that no crash in between loses it."""

    async def work() -> None:
        kafka, journal = FakeKafka(), FakeJournal()
        instance = Instance(config(), kafka, {"floor": FakeVendor(alternating)}, journal=journal)
        on_disk: list[int] = []
        write = kafka.sinks[0].write if kafka.sinks else None
        while write is None:
            await asyncio.sleep(0.01)
            write = kafka.sinks[0].write if kafka.sinks else None

        async def watched(records: object) -> None:
            on_disk.append(len(journal.kept))
            await write(records)  # type: ignore[arg-type]

        kafka.sinks[0].write = watched  # type: ignore[method-assign]
        await asyncio.sleep(5)
        await instance.end()
        assert on_disk.count(1) >= 4
        assert journal.kept == []

    virtually(work)


def test_while_the_disk_is_full_polling_goes_on_as_long_as_kafka_takes_the_batches() -> None:
    """A batch is at risk only while it waits in memory alone: then polling stops, and the feed says why."""

    async def work() -> None:
        kafka, journal, vendor = FakeKafka(), FakeJournal(), FakeVendor(alternating)
        instance = Instance(config(), kafka, {"floor": vendor}, journal=journal)
        await asyncio.sleep(5)
        journal.full = True
        polls = len(vendor.polls)
        await asyncio.sleep(10)
        assert len(vendor.polls) >= polls + 8
        kafka.away = True
        await asyncio.sleep(5)
        polls = len(vendor.polls)
        await asyncio.sleep(20)
        assert len(vendor.polls) == polls
        channel = instance.supervisor.channels["floor"]
        assert len(channel.waiting) <= 2
        assert "disk is full" in channel.status()[1]
        journal.full = False
        await asyncio.sleep(5)
        assert len(vendor.polls) > polls + 2
        kafka.away = False
        await asyncio.sleep(20)
        await instance.end()
        assert_gapless(kafka.events())
        assert len(kafka.events()) == len(vendor.polls)

    virtually(work)


def test_a_stop_while_kafka_is_away_keeps_what_waits_and_says_so() -> None:
    """Exit code 1, because work is left; the message says that it is kept."""

    async def work() -> None:
        kafka, journal, vendor = FakeKafka(), FakeJournal(), FakeVendor(alternating)
        instance = Instance(config(), kafka, {"floor": vendor}, journal=journal)
        await asyncio.sleep(5)
        kafka.away = True
        await asyncio.sleep(20)
        with pytest.raises(CheckFailed, match="kept on disk"):
            await instance.end()
        assert len(journal.kept) > 15

    virtually(work)


def test_a_stop_before_kafka_was_reached_says_what_is_on_disk() -> None:
    """A life that never began has work left all the same."""

    async def work() -> None:
        kafka, journal, vendor = FakeKafka(), FakeJournal(), FakeVendor(alternating)
        first = Instance(config(), kafka, {"floor": vendor}, journal=journal)
        await asyncio.sleep(5)
        kafka.away = True
        await asyncio.sleep(20)
        await first.die()
        second = Instance(config(), kafka, {"floor": vendor}, journal=journal)
        await asyncio.sleep(20)
        with pytest.raises(CheckFailed, match=f"stopped with {len(journal.kept)} batches unpublished"):
            await second.end()
        assert second.witness.kafka_news == [False]

    virtually(work)


def test_what_waits_is_packed_and_goes_in_few_transactions() -> None:
    """A backlog takes a fraction of its records' bytes, and catches up in portions."""

    async def work() -> None:
        kafka, vendor = FakeKafka(), FakeVendor(alternating)
        instance = Instance(config(), kafka, {"floor": vendor})
        await asyncio.sleep(5)
        kafka.away = True
        await asyncio.sleep(100)
        channel = instance.supervisor.channels["floor"]
        batches, size, oldest = channel.backlog()
        assert batches > 90
        assert oldest == channel.waiting[0].load().records[0].timestamp
        assert size < sum(item.bulk for item in channel.waiting) * 0.6
        feeds = len(kafka.feed_records())
        kafka.away = False
        await asyncio.sleep(20)
        await instance.end()
        assert_gapless(kafka.events())
        assert len(kafka.events()) == len(vendor.polls)
        assert len(kafka.feed_records()) - feeds < 30
        times = [event["observed_at"] for event in kafka.events()]
        assert all(a < b for a, b in pairwise(times))

    virtually(work)
