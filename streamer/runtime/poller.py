"""One source's poller: asks, lets the core compare, hands the batch on; never waits for Kafka while there is room.

A hint says that something has just changed: it brings the next poll forward and carries nothing else. It is heeded only
in a rest between two good polls, not while a failure or a full outbox makes the poller wait.
"""

from __future__ import annotations

import asyncio
import random
from contextlib import suppress

import msgspec

from streamer.core.model import Batch
from streamer.core.quick.door import Quick
from streamer.core.rejected import body_batch, redact
from streamer.errors import VendorError, VendorRefused
from streamer.runtime.channel import Channel
from streamer.runtime.ports import Clock, Observer, Opens, Source, Span, Tracer
from streamer.vendor.budget import REFUSED_RETRY, UNAVAILABLE_CAP, backoff
from streamer.vendor.session import Polled, Unusable

SETTLE = 0.1
"""Seconds from a hint to its poll: the vendor shows the change about when it tells of it; what is hinted meanwhile is
the same poll's."""


class Poller:
    """Polls one source at its interval until told to stop. Polls never overlap."""

    def __init__(
        self,
        channel: Channel,
        source: Source,
        clock: Clock,
        observer: Observer,
        tracer: Tracer,
        rng: random.Random,
    ) -> None:
        self._channel = channel
        self._source = source
        self._opens = source if isinstance(source, Opens) else None
        self._clock = clock
        self._observer = observer
        self._tracer = tracer
        self._rng = rng
        self._failures = 0
        self._blocked = ("", False)
        self._due = 0.0
        self._hinted: float | None = None
        self._rest: asyncio.Timeout | None = None
        self.turns = 0
        """Counts its polls: it stands still only if the poller does."""

    async def run(self, stop: asyncio.Event) -> None:
        """Poll, rest, poll …; after `stop` the poll in hand is finished."""
        channel = self._channel
        interval = channel.source.poll_interval
        self._due = self._clock.monotonic()
        while not stop.is_set():
            self.turns += 1
            pause = None
            blocked = channel.blocked()
            self._tell_blocked(blocked)
            if blocked:
                self._report(blocked=blocked)
            else:
                self._begin()
                with self._tracer.poll(channel.name) as span:
                    pause = await self._poll(span)
            self._observer.outbox(channel.name, *channel.backlog())
            now = self._clock.monotonic()
            if self.turns == 1:
                # Sources that begin together would go on together: each keeps to a beat of its own.
                self._due -= self._rng.uniform(0.0, interval)
            # A late poll does not make the next ones hurry: the rhythm goes on from the next beat.
            self._due = now + pause if pause is not None else max(self._due + interval, now)
            await self._wait(stop, heed=pause is None and not blocked)

    def hint(self) -> None:
        """Something has changed at the vendor: poll as soon as that is allowed."""
        if self._hinted is None:
            self._hinted = self._clock.monotonic() + SETTLE
            self._hasten()

    def _begin(self) -> None:
        """A poll begins; it answers the hints that have settled. Those that have not get one more after it."""
        now = self._clock.monotonic()
        self._observer.polling(self._channel.name, now - self._due)
        if self._hinted is not None and self._hinted <= now:
            self._hinted = None

    def _hasten(self) -> None:
        """Bring the next poll forward, if there is a hint and it may."""
        if self._hinted is None or self._rest is None or self._rest.expired():
            return
        now = self._clock.monotonic()
        wanted = max(self._hinted, now + self._source.spare())
        if wanted < self._due:
            # The rhythm goes on from there: the next regular poll is due an interval after it.
            self._due = wanted
            self._rest.reschedule(asyncio.get_running_loop().time() + wanted - now)

    async def _wait(self, stop: asyncio.Event, *, heed: bool) -> None:
        """Rest until the next poll is due, or a hint that is to be heeded makes it due, or `stop`."""
        with suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, self._due - self._clock.monotonic())) as rest:
                if heed:
                    self._rest = rest
                    self._hasten()
                await stop.wait()
        self._rest = None

    def _tell_blocked(self, blocked: str) -> None:
        """Once it has lasted for two beats; and once it is over."""
        if blocked and blocked == self._blocked[0] and not self._blocked[1]:
            self._observer.blocked(self._channel.name, blocked)
            self._blocked = (blocked, True)
        elif blocked != self._blocked[0]:
            if self._blocked[1]:
                self._observer.blocked(self._channel.name, "")
            self._blocked = (blocked, False)

    async def _poll(self, span: Span) -> float | None:
        """One poll. The seconds to wait before the next where it failed, None for the usual rhythm."""
        channel = self._channel
        quick = channel.quick  # a new configuration may bring another one meanwhile
        if self._opens is not None:
            self._opens.opener = quick.open
        try:
            polled = await self._source.poll()
        except VendorError as error:
            return self._failed(error, span)
        try:
            self._compare(quick, polled, span)
        except Exception as error:  # one bad source must not end the others' process
            self._observer.problem("internal error in a poll", source=channel.name, error=repr(error), exception=error)
            trouble = f"internal error: {type(error).__name__}"
            span.ended("error", trouble)
            self._report(trouble=trouble)
            return backoff(self._failed_again(), channel.source.poll_interval, UNAVAILABLE_CAP, self._rng)
        self._failures = 0
        return None

    def _compare(self, quick: Quick, polled: Polled, span: Span) -> None:
        channel = self._channel
        channel.state, batch, snapshot = quick.advance(
            channel.state, polled.opened, polled.requested_at, polled.answered_at
        )
        channel.take(batch, self._source.secrets(), span.headers)
        span.ended(
            "good", poll_id=batch.poll_id, rows=len(snapshot.seats), events=len(batch.events), status=polled.status
        )
        self._observer.compared(channel.name, batch.findings)
        self._observer.rejected(channel.name, snapshot.rejected)
        self._observer.polled(channel.name, snapshot, (self._clock.now_ms() - polled.requested_at) / 1000)
        channel.report(
            msgspec.structs.replace(
                channel.health,
                good_at=channel.moment(),
                trouble="",
                refused=False,
                doubted=channel.state.doubted,
                blocked="",
            )
        )

    def _failed(self, error: VendorError, span: Span) -> float:
        channel = self._channel
        attempt = self._failed_again()
        secrets = self._source.secrets()
        reason = redact(error.problem, secrets)
        if isinstance(error, Unusable):
            batch: Batch = body_batch(channel.name, error.requested_at, reason, error.body)
            channel.take(batch, secrets)
            self._observer.rejected(channel.name, batch.rejected)
        self._observer.poll_failed(channel.name, error)
        refused = isinstance(error, VendorRefused)
        span.ended("refused" if refused else "failed", reason, status=error.status)
        self._report(trouble=str(error), refused=refused)
        if refused:
            return backoff(1, REFUSED_RETRY, REFUSED_RETRY, self._rng)
        interval = channel.source.poll_interval
        return backoff(attempt, interval, max(UNAVAILABLE_CAP, interval), self._rng)

    def _failed_again(self) -> int:
        self._failures += 1
        return self._failures

    def _report(self, *, trouble: str = "", refused: bool = False, blocked: str = "") -> None:
        channel = self._channel
        channel.report(
            msgspec.structs.replace(
                channel.health, trouble=trouble or channel.health.trouble, refused=refused, blocked=blocked
            )
        )
