"""`record`: poll one source and keep what the vendor answers."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import structlog

from streamer.commands.serve import stopping_on_signals
from streamer.commands.sources import recording_to, vendors
from streamer.config import Config
from streamer.errors import CheckFailed, ConfigError, VendorError, VendorRefused
from streamer.runtime.clock import SystemClock
from streamer.vendor.budget import UNAVAILABLE_CAP, backoff


async def record(config: Config, name: str, out: Path) -> int:
    """Poll until interrupted; the number of answers kept. VendorRefused ends it."""
    source = next((s for s in config.sources if s.name == name), None)
    if source is None:
        known = ", ".join(s.name for s in config.sources)
        raise ConfigError(f"--source {name}: no such source", f"the file has: {known}")
    clock, rng = SystemClock(), random.Random()  # noqa: S311 - spreads retries
    log = structlog.get_logger("streamer")
    failures = 0
    with stopping_on_signals() as stop, recording_to(out, log.warning) as recorder:
        async with vendors(config, clock, log.warning, recorder) as made:
            client = made.source(source)
            while not stop.is_set() and recorder.failure is None:
                began = clock.monotonic()
                pause = source.poll_interval
                try:
                    await client.poll()
                    failures = 0
                except VendorRefused:
                    raise
                except VendorError as error:
                    if failures == 0:
                        log.warning("poll failed", source=name, problem=error.problem, remedy=error.remedy)
                    failures += 1
                    pause = backoff(failures, source.poll_interval, max(UNAVAILABLE_CAP, source.poll_interval), rng)
                try:
                    async with asyncio.timeout(max(0.0, began + pause - clock.monotonic())):
                        await stop.wait()
                except TimeoutError:
                    pass
        if recorder.failure is not None:
            raise CheckFailed(f"{out}: {recorder.failure.strerror}", f"{recorder.count} answers were kept; make room")
        return recorder.count
