"""Is a source's feed live, and how far is its record complete: what the feed topic says."""

from __future__ import annotations

from typing import Literal

import msgspec

from streamer.core.model import SECOND, Offset

Status = Literal["live", "recovering", "stale", "refused", "stopped"]
Delivery = Literal["exactly_once", "at_least_once"]

STALE_AFTER = 3
"""Poll intervals without a good poll after which a feed is stale (contract)."""


class Cursor(msgspec.Struct, frozen=True):
    """The last batch published for a source: `writer` is one tenure of one process, `number` counts within it."""

    writer: str
    number: int


class FeedStatus(msgspec.Struct, frozen=True):
    """One record of the feed topic. `since`, `at` are on our clock, `confirmed_until` on the vendor's (unix ms)."""

    source: str
    status: Status
    since: int
    reason: str
    at: int
    confirmed_until: int | None
    poll_interval_s: float
    heartbeat_s: float
    extensions: int
    delivery: Delivery
    cursor: Cursor | None
    outbox_batches: int
    outbox_bytes: int
    superseded: int
    clock_offset: Offset | None
    config_digest: str
    instance: str


class Health(msgspec.Struct, frozen=True):
    """What the poller knows about its source.

    `started_at`, `good_at`: when it was taken over and the last good poll, in ms of a clock that does not jump; None
    before the first. `trouble` is the reason why the latest
    attempt was not good, empty if it was. `refused`: the vendor refuses until an operator acts. `doubted`: the
    last list lost more than the gate believes. `blocked` says why polling has stopped: nothing more could be kept.
    `lost` says what of the record could not be read when the source was taken over.
    """

    started_at: int
    good_at: int | None = None
    trouble: str = ""
    refused: bool = False
    doubted: bool = False
    blocked: str = ""
    lost: str = ""
    stopped: bool = False


def judge(health: Health, now: int, poll_interval_ms: int) -> tuple[Status, str]:
    """The feed's status at `now` (ms as in Health), and the reason in words; empty when live."""
    if health.stopped:
        return "stopped", health.trouble or "stopped by its operator"
    if health.refused:
        return "refused", health.trouble or "the vendor refuses"
    patience = STALE_AFTER * poll_interval_ms
    silent = now - (health.good_at if health.good_at is not None else health.started_at)
    if silent > patience:
        why = health.blocked or health.trouble or "no answer"
        return "stale", f"no good poll for {silent / SECOND:.0f} s: {why}"
    if health.good_at is None:
        return "recovering", health.trouble or "the first poll is under way" + (health.lost and f"; {health.lost}")
    if health.doubted:
        return "recovering", "many extensions vanished at once; waiting for later polls to agree"
    return "live", ""
