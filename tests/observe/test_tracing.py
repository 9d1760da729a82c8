"""Traces: a span for each poll, which its events' readers join; and that neither costs anything nor harms anybody."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web
from opentelemetry import propagate, trace
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from streamer.errors import ConfigError, VendorRefused, VendorUnavailable
from streamer.kafka.serde import Record
from streamer.observe.otel import OtelTracer
from streamer.observe.tracing import UNTRACED, tracing_to
from tests.runtime.fakes import (
    Answer,
    FakeJournal,
    FakeKafka,
    FakeVendor,
    Instance,
    LyingVendor,
    alternating,
    config,
    virtually,
)


class Traced:
    """An instance whose spans are kept in memory."""

    def __init__(self, kafka: FakeKafka, vendor: FakeVendor, journal: FakeJournal | None = None) -> None:
        self._exporter = InMemorySpanExporter()
        self.provider = TracerProvider(shutdown_on_exit=False)
        self.provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.instance = Instance(config(), kafka, {"floor": vendor}, journal=journal, tracer=OtelTracer(self.provider))

    def spans(self) -> dict[str, ReadableSpan]:
        """The spans that have ended, by their traces' ids."""
        return {f"{span.context.trace_id:032x}": span for span in self._exporter.get_finished_spans() if span.context}


def carried(record: Record) -> dict[str, str]:
    """A record's headers, as a consumer's propagator reads them."""
    return {name: value.decode() for name, value in record.headers}


@pytest.fixture(autouse=True)
def leaving_none_behind(monkeypatch: pytest.MonkeyPatch) -> Generator[None]:
    """What sends spans ends with the test: it rolls dice between its attempts, which others' tests may not see."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "1")
    yield
    none_left()


def none_left() -> None:
    """Wait until nobody sends spans."""
    for thread in threading.enumerate():
        if thread.name == "close tracing":
            thread.join(20)
            assert not thread.is_alive()


def nobody(problem: str, lost: int) -> None:
    """Is told nothing that matters."""


def facts(span: ReadableSpan) -> dict[str, object]:
    return dict(span.attributes or {})


def test_an_event_leads_a_consumer_to_the_span_of_its_poll() -> None:
    """Its own span is then a child of it; the span tells what the poll gave, and states and feeds carry nothing."""

    async def work() -> None:
        kafka = FakeKafka()
        traced = Traced(kafka, FakeVendor(alternating))
        await asyncio.sleep(3.5)
        await traced.instance.end()
        events = kafka.on(kafka.topics.events_topic)
        assert len(events) > 3
        for record, event in zip(events, kafka.events(), strict=True):
            context = propagate.extract(carried(record))
            with traced.provider.get_tracer("consumer").start_as_current_span("use", context) as child:
                assert isinstance(child, ReadableSpan)
                assert child.parent
                poll = traced.spans()[f"{child.get_span_context().trace_id:032x}"]
                assert poll.context
                assert child.parent.span_id == poll.context.span_id
            assert (poll.name, poll.kind, poll.parent) == ("poll floor", trace.SpanKind.CLIENT, None)
            assert poll.status.status_code is trace.StatusCode.UNSET
            assert facts(poll) == {
                "streamer.source": "floor",
                "streamer.outcome": "good",
                "streamer.poll_id": event["poll_id"],
                "streamer.rows": 1,
                "streamer.events": 1,
                "http.response.status_code": 200,
            }
        for topic in (kafka.topics.state_topic, kafka.topics.feed_topic):
            assert all(record.headers == () for record in kafka.on(topic))

    virtually(work)


def test_a_failed_poll_says_why_without_a_secret() -> None:
    """The status is an error with the public text; what was a mistake of ours names only its kind."""

    async def work() -> None:
        broken = VendorUnavailable("vendor:1 answered 500: token sesame", "wait")
        broken.status = 503

        def script(number: int, at: float) -> Answer:
            return {1: broken, 2: VendorRefused("601", "ask")}.get(number) or alternating(number, at)

        traced = Traced(FakeKafka(), FakeVendor(script))
        await asyncio.sleep(70)
        await traced.instance.end()
        _, failed, refused, good, *_ = traced.spans().values()
        assert (failed.status.status_code, failed.status.description) == (
            trace.StatusCode.ERROR,
            "vendor:1 answered 500: token ***",
        )
        assert facts(failed) == {
            "streamer.source": "floor",
            "streamer.outcome": "failed",
            "error.type": "failed",
            "http.response.status_code": 503,
        }
        assert (refused.status.description, facts(refused)["streamer.outcome"]) == ("601", "refused")
        assert facts(good)["streamer.outcome"] == "good"

        lying = Traced(FakeKafka(), LyingVendor(alternating))
        await asyncio.sleep(1)
        await lying.instance.end()
        ours, *_ = lying.spans().values()
        assert ours.status.description == "internal error: AttributeError"
        assert (facts(ours)["streamer.outcome"], ours.events) == ("error", ())

    virtually(work)


def test_what_waited_on_disk_still_leads_to_its_poll() -> None:
    """Kafka is away, the process dies: the next life publishes the first one's events with their own traces."""

    async def work() -> None:
        kafka, journal = FakeKafka(), FakeJournal()
        first = Traced(kafka, FakeVendor(alternating), journal)
        await asyncio.sleep(5)
        kafka.away = True
        await asyncio.sleep(30)
        await first.instance.die()
        assert len(journal.kept) > 20
        kafka.away = False
        second = Traced(kafka, FakeVendor(alternating), journal)
        await asyncio.sleep(5)
        await second.instance.end()
        known = first.spans() | second.spans()
        led = [carried(record)["traceparent"].split("-")[1] for record in kafka.on(kafka.topics.events_topic)]
        assert set(led) <= known.keys()
        assert len(set(led)) == len(led) > 30

    virtually(work)


class Collector:
    """Takes spans over OTLP/HTTP. While `away` it refuses them, while `hanging` it answers only when `over`."""

    def __init__(self) -> None:
        self.address = ""
        self.away = self.hanging = False
        self.asked, self.over = asyncio.Event(), asyncio.Event()
        self.got: asyncio.Queue[ExportTraceServiceRequest] = asyncio.Queue()

    async def take(self, request: web.Request) -> web.Response:
        assert request.content_type == "application/x-protobuf"
        self.asked.set()
        if self.hanging:
            await self.over.wait()
        if self.away:
            return web.Response(status=404)
        self.got.put_nowait(ExportTraceServiceRequest.FromString(await request.read()))
        return web.Response(content_type="application/x-protobuf")


@asynccontextmanager
async def collecting() -> AsyncGenerator[Collector]:
    collector = Collector()
    app = web.Application()
    app.router.add_post("/v1/traces", collector.take)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    collector.address = "http://{}:{}".format(*runner.addresses[0])
    try:
        yield collector
    finally:
        # A connection that comes while a server ends is nobody's to close.
        collector.over.set()
        await asyncio.to_thread(none_left)
        await runner.cleanup()


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Spans are sent every few milliseconds."""
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "20")


def poll_once(tracer: object) -> None:
    assert isinstance(tracer, OtelTracer)
    with tracer.poll("floor") as span:
        span.ended("good", rows=1)


async def test_spans_reach_a_collector_with_who_sent_them() -> None:
    """The last ones at the end."""
    async with collecting() as collector, asyncio.timeout(20):
        async with tracing_to(collector.address + "/", "a", nobody) as tracer:
            poll_once(tracer)
        got = await collector.got.get()
        (of_one,) = got.resource_spans
        who = {each.key: each.value.string_value for each in of_one.resource.attributes}
        assert (who["service.name"], who["service.instance.id"]) == ("streamer", "a")
        (span,) = of_one.scope_spans[0].spans
        assert (span.name, {each.key for each in span.attributes}) == (
            "poll floor",
            {"streamer.source", "streamer.outcome", "streamer.rows"},
        )


@pytest.mark.usefixtures("quick")
async def test_a_collector_that_is_away_is_told_of_once_and_so_is_its_return() -> None:
    """However many exports fail in between."""
    told: asyncio.Queue[tuple[str, int]] = asyncio.Queue()
    loop = asyncio.get_running_loop()

    def tell(problem: str, lost: int) -> None:
        loop.call_soon_threadsafe(told.put_nowait, (problem, lost))

    async with collecting() as collector, asyncio.timeout(20):
        collector.away = True
        where = collector.address.removeprefix("http://")
        async with tracing_to(collector.address, "a", tell) as tracer:
            for _ in range(3):
                collector.asked.clear()
                poll_once(tracer)
                await collector.asked.wait()
            assert await told.get() == (f"the collector at {where} does not take spans", 0)
            collector.away = False
            poll_once(tracer)
            problem, lost = await told.get()
        assert (problem, lost >= 3, told.empty()) == ("", True, True)


@pytest.mark.usefixtures("quick")
async def test_a_collector_that_never_answers_keeps_nobody_waiting() -> None:
    """Neither the polls, of which more come than it may keep, nor the end."""
    async with collecting() as collector, asyncio.timeout(8):
        collector.hanging = True
        async with tracing_to(collector.address, "a", nobody) as tracer:
            poll_once(tracer)
            await collector.asked.wait()
            for _ in range(5_000):
                poll_once(tracer)


async def test_nobody_listening_is_harmless() -> None:
    """Spans are lost, and nothing else."""
    async with asyncio.timeout(8), tracing_to("http://127.0.0.1:1", "a", nobody) as tracer:
        poll_once(tracer)


@pytest.mark.parametrize("endpoint", ["http://[", "http://", "http://c:99999", "http://c:0", "http://u:p@c", "c:4318"])
def test_an_address_that_is_none_is_refused_at_once(endpoint: str) -> None:
    """With the key's name, and without a password that it may hold."""
    with pytest.raises(ConfigError, match=r"tracing\.endpoint") as raised:
        config(tracing={"endpoint": endpoint})
    assert "u:p" not in str(raised.value)


async def test_without_the_packages_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only where an endpoint is configured."""
    monkeypatch.delitem(sys.modules, "streamer.observe.otel")
    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    with pytest.raises(ConfigError, match=r"tracing.endpoint.*pip install 'streamer\[otel\]'"):
        async with tracing_to("http://127.0.0.1:4318", "a", nobody):
            pass
    async with tracing_to(None, "a", nobody) as tracer:
        assert tracer is UNTRACED


def test_nothing_of_it_is_loaded_where_it_is_not_configured() -> None:
    """Polls of an instance leave no module of OpenTelemetry behind, and its events no header more."""
    program = """
import asyncio, sys
import streamer.cli, streamer.commands.serve
from tests.runtime.fakes import FakeKafka, FakeVendor, Instance, alternating, config, virtually
async def work():
    kafka = FakeKafka()
    instance = Instance(config(), kafka, {"floor": FakeVendor(alternating)})
    await asyncio.sleep(5)
    await instance.end()
    assert all("traceparent" not in dict(record.headers) for record in kafka.on(kafka.topics.events_topic))
virtually(work)
print([name for name in sys.modules if name.startswith(("opentelemetry", "requests", "google"))])
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout, done.stderr) == ("[]\n", "")
