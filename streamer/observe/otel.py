"""Spans by OpenTelemetry, sent over OTLP/HTTP by a thread of its own: no poll ever waits for it, or fails with it."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from typing import Self
from urllib.parse import urlsplit

from opentelemetry import propagate, trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

from streamer.observe.tracing import Outcome, Span, Tracer

PATIENCE = 0.5
"""Seconds that the last spans get to leave at the end; a collector that is away must not delay a shutdown."""

HTTP_STATUS = "http.response.status_code"


class OtelTracer(Tracer):
    """Makes spans of `provider`'s. Close it after use."""

    def __init__(self, provider: TracerProvider, exporter: _OnEdges | None = None) -> None:
        self._provider = provider
        self._exporter = exporter
        self._tracer = provider.get_tracer("streamer", version("streamer"))

    @classmethod
    def to(cls, endpoint: str, instance: str, tell: Callable[[str, int], None]) -> Self:
        """One that sends to the collector at `endpoint` (http://host:4318); `tell` as in `tracing_to`."""
        resource = Resource.create(
            {"service.name": "streamer", "service.version": version("streamer"), "service.instance.id": instance}
        )
        provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        exporter = _OnEdges(endpoint, tell)
        provider.add_span_processor(BatchSpanProcessor(exporter))
        return cls(provider, exporter)

    @contextmanager
    def poll(self, source: str) -> Generator[Span]:
        with self._tracer.start_as_current_span(
            f"poll {source}",
            Context(),
            trace.SpanKind.CLIENT,
            {"streamer.source": source},
            record_exception=False,
            set_status_on_exception=False,
        ) as span:
            yield _Poll(span)

    async def close(self) -> None:
        """Send what waits, for at most PATIENCE seconds, and not at all where nobody takes it."""
        # Shutting down waits for an export that hangs: a daemon thread may be left to it.
        closing = threading.Thread(target=self._provider.shutdown, name="close tracing", daemon=True)
        lost = self._exporter is not None and self._exporter.in_trouble
        closing.start()
        await asyncio.to_thread(closing.join, 0.0 if lost else PATIENCE)


class _Poll(Span):
    def __init__(self, span: trace.Span) -> None:
        carrier: dict[str, str] = {}
        propagate.inject(carrier, trace.set_span_in_context(span))
        self.headers = tuple((name, value.encode()) for name, value in carrier.items())
        self._span = span

    def ended(self, outcome: Outcome, problem: str = "", **facts: str | int | None) -> None:
        self._span.set_attribute("streamer.outcome", outcome)
        for name, value in facts.items():
            if value is not None:
                self._span.set_attribute(HTTP_STATUS if name == "status" else f"streamer.{name}", value)
        if problem:
            self._span.set_attribute("error.type", outcome)
            self._span.set_status(trace.StatusCode.ERROR, problem)


class _OnEdges(SpanExporter):
    """Sends spans, and tells when that fails for the first time, and when it is over."""

    def __init__(self, endpoint: str, tell: Callable[[str, int], None]) -> None:
        self._exporter = OTLPSpanExporter(f"{endpoint.rstrip('/')}/v1/traces")
        self._where = urlsplit(endpoint).netloc
        self._tell = tell
        self._lost = 0
        self._begun: float | None = None

    @property
    def in_trouble(self) -> bool:
        """Did the last spans get lost, or do some hang?"""
        return self._lost > 0 or (self._begun is not None and time.monotonic() - self._begun > PATIENCE)

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self._begun = time.monotonic()
        try:
            result = self._exporter.export(spans)
        except Exception:  # whatever a library does with a strange address
            result = SpanExportResult.FAILURE
        self._begun = None
        if result is SpanExportResult.FAILURE:
            if not self._lost:
                self._tell(f"the collector at {self._where} does not take spans", 0)
            self._lost += len(spans)
        elif self._lost:
            self._tell("", self._lost)
            self._lost = 0
        return result

    def shutdown(self) -> None:
        self._exporter.shutdown()
