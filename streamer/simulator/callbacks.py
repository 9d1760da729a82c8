"""The vendor's push callbacks: a form for each phone that rings, is answered or hangs up, to a URL of the customer's.

They are what such deliveries are: late by up to the time between two looks at the floor, now and then lost, repeated or
out of order. A receiver that is away or slow never holds the floor up.
"""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import Iterable
from random import Random

import aiohttp

from streamer.simulator.world import COMPANY, Truth

LOST, TWICE = 0.02, 0.02
"""Shares of the deliveries."""

AT_ONCE = 4
"""Deliveries under way."""

PATIENCE = 2.0
"""Seconds for one of them."""

MOST = 1000
"""That wait; beyond, the oldest are lost."""


def status_of(truth: Truth) -> str | None:
    """What the platform calls back of a change: `ring`, `answer` or `hangup`; None where it says nothing."""
    if truth.group is not None or truth.previous is None:
        return None
    if truth.state in ("ringing", "talking"):
        return "ring" if truth.state == "ringing" else "answer"
    return "hangup" if truth.previous in ("ringing", "talking") else None


class Caller:
    """Calls `url` back. `start` and `close` within a loop; `tell` at any time between."""

    def __init__(self, url: str, seed: int) -> None:
        self._url = url
        self._random = Random(seed)
        self._waiting: deque[dict[str, str]] = deque(maxlen=MOST)
        self._news = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self.delivered = 0
        """That were answered with 2xx."""

    def start(self) -> None:
        """Begin to deliver."""
        self._tasks = [asyncio.create_task(self._deliver()) for _ in range(AT_ONCE)]

    async def close(self) -> None:
        """What has not been delivered is lost."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def tell(self, truths: Iterable[Truth]) -> None:
        """What has truly happened since the last time."""
        details = [self._detail(truth, status) for truth in truths if (status := status_of(truth))]
        details = [detail for detail in details if self._random.random() >= LOST]
        details += [detail for detail in details if self._random.random() < TWICE]
        self._random.shuffle(details)
        self._waiting.extend(details)
        self._news.set()

    def _detail(self, truth: Truth, status: str) -> dict[str, str]:
        return {
            "uuid": f"{self._random.getrandbits(128):032x}",
            "buuid": "",
            "companycode": COMPANY,
            "extnumber": truth.extension,
            "caller": f"138{self._random.randrange(10**8):08d}",
            "callee": truth.extension,
            "disnumber": "02000000000",
            "direction": "callin",
            "isbleg": "true",
            "method": "5",
            "starttime": str(int(truth.at)),
            "status": status,
            "type": "call",
        }

    async def _deliver(self) -> None:
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(PATIENCE)) as session:
            while True:
                await self._news.wait()
                if not self._waiting:
                    self._news.clear()
                    continue
                form = {"detail": json.dumps(self._waiting.popleft())}
                try:
                    async with session.post(self._url, data=form, allow_redirects=False) as answer:
                        self.delivered += answer.status < 300
                except (aiohttp.ClientError, TimeoutError):
                    pass
