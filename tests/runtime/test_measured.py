"""What whole instances count: transactions and their outcomes, what waits and since when, how late events are told."""

from __future__ import annotations

import asyncio

import msgspec
from prometheus_client import CollectorRegistry

from streamer.core.model import AgentStateChanged, Basis, Change, Offset, When
from streamer.kafka.store import slot_of
from streamer.observe.metrics import MetricsObserver
from streamer.runtime.outbox import Load
from streamer.vendor import session
from tests.runtime.fakes import (
    Answer,
    FakeJournal,
    FakeKafka,
    FakeMembership,
    FakeVendor,
    Instance,
    VirtualClock,
    alternating,
    config,
    virtually,
)
from tests.web.floor import AT, agent, event


class Counted:
    """An instance of one source that is measured."""

    def __init__(
        self,
        kafka: FakeKafka,
        vendor: FakeVendor,
        journal: FakeJournal | None = None,
        membership: FakeMembership | None = None,
    ) -> None:
        self.registry = CollectorRegistry()
        metrics = MetricsObserver(self.registry, lambda: VirtualClock().now_ms() / 1000)
        self.instance = Instance(
            config(), kafka, {"floor": vendor}, journal=journal, membership=membership, watching=[metrics]
        )

    def __call__(self, name: str, **labels: str) -> float:
        """Of the source, or of all."""
        found = self.registry.get_sample_value(f"streamer_{name}", {"source": "floor", **labels})
        if found is None:
            found = self.registry.get_sample_value(f"streamer_{name}", labels)
        assert found is not None, name
        return found

    def gauges(self) -> set[str]:
        """The gauges of the source that are there, but for the one that says only that it is in the file."""
        samples = (sample for metric in self.registry.collect() if metric.type == "gauge" for sample in metric.samples)
        found = {sample.name for sample in samples if sample.labels.get("source") == "floor"}
        return found - {"streamer_source_configured"}


def test_transactions_are_counted_by_outcome_and_timed() -> None:
    """One whose answer was lost, one that the broker ended, and all others."""

    async def work() -> None:
        kafka = FakeKafka()
        value = Counted(kafka, FakeVendor(alternating))
        await asyncio.sleep(5)
        before = value("transactions_total", outcome="committed")
        kafka.fates.extend(("unknown", "committed", "timed_out"))
        await asyncio.sleep(60)
        assert [value("transactions_total", outcome=o) for o in ("unknown", "fenced")] == [1, 1]
        assert value("transactions_total", outcome="committed") > before > 4
        every = sum(value("transactions_total", outcome=o) for o in ("committed", "unknown", "fenced"))
        assert value("transaction_duration_seconds_count") == every
        assert round(value("transaction_duration_seconds_sum") / every, 3) == 0.01
        await value.instance.end()

    virtually(work)


def test_the_age_of_what_waits_grows_while_kafka_is_away_and_ends_with_it() -> None:
    """Between polls too; a crash later the age is that of the first poll that waits on disk."""

    async def work() -> None:
        kafka, journal = FakeKafka(), FakeJournal()
        value = Counted(kafka, FakeVendor(alternating), journal)
        await asyncio.sleep(5)
        assert value("outbox_age_seconds") == 0
        kafka.away = True
        await asyncio.sleep(60)
        age = value("outbox_age_seconds")
        assert 58 < age < 61
        assert value("outbox_bytes") > 100 * value("outbox_batches") > 5000
        await asyncio.sleep(0.25)
        assert round(value("outbox_age_seconds") - age, 3) == 0.25
        await value.instance.die()
        assert value.gauges() == set()
        kafka.away = False
        slow = FakeVendor(alternating, latency=5)
        again = Counted(kafka, slow, journal)
        await asyncio.sleep(0.055)  # it has read the record, and nothing is committed yet
        assert again("outbox_age_seconds") > age
        await asyncio.sleep(4)
        assert slow.polls
        assert [again(f"outbox_{name}") for name in ("age_seconds", "batches", "bytes")] == [0, 0, 0]
        assert again("event_latency_seconds_bucket", le="20.0") < again("event_latency_seconds_count") - 30
        await again.instance.end()

    virtually(work)


def test_a_slot_that_is_lost_leaves_no_gauge_of_its_source() -> None:
    """And none of what it held; when it comes back they are there again."""

    async def work() -> None:
        group = FakeMembership()
        value = Counted(FakeKafka(), FakeVendor(alternating), membership=group)
        await asyncio.sleep(1)
        assert (value("slots_held"), value.gauges()) == (0, set())
        mine = frozenset({slot_of("floor", value.instance.supervisor.config.slots)})
        for _ in range(2):
            group.assign(mine)
            await asyncio.sleep(5)
            assert value("slots_held") == 1
            assert {"streamer_outbox_age_seconds", "streamer_rows", "streamer_feed_status"} <= value.gauges()
            group.assign(frozenset())
            await asyncio.sleep(1)
            assert (value("slots_held"), value.gauges()) == (0, set())
        await value.instance.end()

    virtually(work)


def test_an_answer_that_is_none_is_counted_as_a_body() -> None:
    """Beside the poll that failed."""

    async def work() -> None:
        page = session.Answer(AT, AT, 200, b"<html>")

        def script(number: int, at: float) -> Answer:
            return session.Unusable("not JSON", "", page) if number == 3 else alternating(number, at)

        value = Counted(FakeKafka(), FakeVendor(script))
        await asyncio.sleep(8)
        assert value("rejected_rows_total", reason="body") == value("polls_total", outcome="failed") == 1
        await value.instance.end()

    virtually(work)


def test_lateness_counts_from_the_vendors_stamp_on_our_clock() -> None:
    """The vendor's clock is about an hour ahead. What a poll shows counts, if it was not there for long already."""

    def changed(happened: int, change: Change = "state", basis: Basis = "observed") -> AgentStateChanged:
        when = When(AT + happened, None, AT + happened, ())
        return msgspec.structs.replace(event(agent()), change=change, basis=basis, when=when)

    ahead = Offset(3_599_000, 3_601_500)
    load = Load(
        (),
        (
            changed(3_598_250),
            changed(3_598_250, "first_seen"),
            changed(3_598_250, basis="inferred"),
            changed(3_600_250, "signed_in"),
            changed(3_601_000),
        ),
    )
    assert load.told_after(ahead, AT) == [2.0, 0.0, 0.0]
    assert load.told_after(None, AT + 3_600_000) == [1.75, 0.0, 0.0]
