"""Spans of polls: who reads an event can join the trace of the poll that told it. OpenTelemetry is imported only where
it is configured: see `otel`."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext
from typing import Literal

from streamer.errors import ConfigError

Outcome = Literal["good", "failed", "refused", "error"]


class Span:
    """A poll under way, from its request until its batch waits for Kafka. This one is kept nowhere."""

    headers: tuple[tuple[str, bytes], ...] = ()
    """What the poll's events carry, so that their readers' spans can join it."""

    def ended(self, outcome: Outcome, problem: str = "", **facts: str | int | None) -> None:
        """How it went; `problem` is the reason if it was not good, without secrets. Facts that are None are none."""


class Tracer:
    """Where spans go. From this one they go nowhere."""

    def poll(self, source: str) -> AbstractContextManager[Span]:
        """A span that lasts as long as the context."""
        return nullcontext(_NONE)


_NONE = Span()
UNTRACED = Tracer()


@asynccontextmanager
async def tracing_to(endpoint: str | None, instance: str, tell: Callable[[str, int], None]) -> AsyncGenerator[Tracer]:
    """The tracer for a collector's address; ConfigError where OpenTelemetry is not installed.

    `tell` is told, in a thread of its own, why spans are lost, once; and an empty text with how many were when they are
    taken again.
    """
    if endpoint is None:
        yield UNTRACED
        return
    try:
        from streamer.observe.otel import OtelTracer
    except ImportError as error:
        raise ConfigError(
            f"tracing.endpoint: OpenTelemetry is not there: {error}", "pip install 'streamer[otel]', or remove the key"
        ) from None
    tracer = OtelTracer.to(endpoint, instance, tell)
    try:
        yield tracer
    finally:
        await tracer.close()
