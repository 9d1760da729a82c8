"""The token that all sources of a session share: one log-in at a time, few of them, renewed in time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Generator
from typing import Final, Protocol, TypeVar

from streamer.errors import VendorError, VendorUnavailable
from streamer.vendor.budget import login_budget
from streamer.vendor.session import Account, Answer, Call, NeedToken, Sent, Step, Unreached, log_in

T = TypeVar("T")

RENEW_AFTER: Final = 11 * 3600.0
"""Seconds: a token lives 12 h; renewed an hour before, so that a vendor who is away then still has an hour."""

RENEW_RETRY: Final = 300.0
"""Seconds between attempts to renew while the old token still works: twelve in the hour that is left, and the
log-in budget keeps what a revocation would need."""


class Clock(Protocol):
    """What a client needs to know of time."""

    def now_ms(self) -> int:
        """Unix time in milliseconds; may jump."""
        ...

    def monotonic(self) -> float:
        """Seconds since any fixed moment; never goes back."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Return after that many seconds."""
        ...


async def drive(conversation: Generator[Step, Sent, T], perform: Callable[[Step], Awaitable[Sent]]) -> T:
    """Perform each step that a conversation yields, until it returns; what `perform` raises ends it."""
    try:
        step = next(conversation)
        while True:
            step = conversation.send(await perform(step))
    except StopIteration as end:
        return end.value
    finally:
        conversation.close()


class Tokens:
    """Hands out the token of one account, and logs in where there is none that will do."""

    on_renewal_failed: Callable[[VendorError], None] | None = None
    """Called when a token near its end could not be renewed; polls go on with the old one."""

    def __init__(self, account: Account, clock: Clock, exchange: Callable[[dict[str, str]], Awaitable[Answer]]) -> None:
        self._account = account
        self._clock = clock
        self._exchange = exchange
        self._lock = asyncio.Lock()
        self._budget = login_budget()
        self._token = account.token
        self._replaced = ""  # the token before this one: calls in flight may still be answered about it
        self._renew_at = float("inf")
        self._attempts = 0  # log-ins that came to an end, well or not
        self._failure: VendorError | None = None  # how the last of them ended, None if well

    def held(self) -> tuple[str, ...]:
        """Every token that a message could still contain."""
        return tuple(token for token in (self._token, self._replaced) if token)

    async def get(self, need: NeedToken) -> str:
        """A token other than `need.stale`, by a log-in if need be.

        1. The token held will do: it is not the stale one and not near its end. A configured one always does.
        2. One log-in at a time; whoever waited for another's takes its outcome, good or bad, as his own.
        3. A failed log-in is an error, unless it was a renewal: the old token still has an hour.
        Raises VendorUnavailable (also when the log-in budget is exhausted) or VendorRefused.
        """
        if self._account.token or self._will_do(need.stale):
            return self._token
        before = self._attempts
        async with self._lock:
            if self._will_do(need.stale):
                return self._token
            if self._attempts != before:
                return self._outcome()
            old = "" if self._token == need.stale else self._token
            try:
                return await self._log_in(need.words)
            except VendorError as error:
                if not old:
                    raise
                self._renew_at = self._clock.monotonic() + RENEW_RETRY
                if self.on_renewal_failed:
                    self.on_renewal_failed(error)
                return old

    def _will_do(self, stale: str | None) -> bool:
        return self._token not in ("", stale) and self._clock.monotonic() < self._renew_at

    def _outcome(self) -> str:
        """The last log-in's; the vendor may have answered it with the same token again."""
        if self._failure is None:
            return self._token
        raise type(self._failure)(self._failure.problem, self._failure.remedy)

    async def _log_in(self, words: str) -> str:
        wait = self._budget.take(self._clock.monotonic())
        if wait:
            problem = words or f"{self._account.where}: logged in too often"
            raise VendorUnavailable(problem, f"log-ins are limited: the next may be made in {wait:.0f} s")
        try:
            token = await drive(log_in(self._account), self._perform)
        except VendorError as error:
            if isinstance(error, Unreached):
                self._budget.give_back()
            self._failure = error
            self._attempts += 1
            raise
        self._replaced, self._token = self._token, token
        self._renew_at = self._clock.monotonic() + RENEW_AFTER
        self._failure = None
        self._attempts += 1
        return token

    async def _perform(self, step: Step) -> Sent:
        if isinstance(step, Call):
            return await self._exchange(step.form)
        raise TypeError("a log-in needs no token")
