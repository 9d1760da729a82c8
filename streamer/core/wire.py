"""The records as JSON, as the published schemas describe them.

Moments are written as RFC 3339 in UTC, with milliseconds only where there are any.
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import orjson

from streamer.core.feed import FeedStatus
from streamer.core.infer import state_of
from streamer.core.merge import by_group
from streamer.core.model import SECOND, AgentState, AgentStateChanged, Memory, Seat

SCHEMA_VERSION = "1.0"


def rfc3339(moment: int) -> str:
    """Unix milliseconds as RFC 3339 UTC."""
    second, ms = divmod(moment, SECOND)
    return f"{_second(second)}.{ms:03d}Z" if ms else f"{_second(second)}Z"


@lru_cache(maxsize=65_536)
def _second(second: int) -> str:
    return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def _maybe(moment: int | None) -> str | None:
    return None if moment is None else rfc3339(moment)


def milliseconds(text: str) -> int:
    """Unix milliseconds of an RFC 3339 text; ValueError if it is none or has no zone."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"{text!r} has no time zone")
    return round(moment.timestamp() * SECOND)


def group(seat: Seat, memory: Memory | None) -> dict[str, Any]:
    """A seat as an item of `groups`."""
    return {
        "name": seat.group,
        "state": state_of(seat, memory),
        "state_code": seat.state_code,
        "status_code": seat.status_code,
        "offered_at": _maybe(seat.offered_at),
        "answered_at": _maybe(seat.answered_at),
        "status_changed_at": _maybe(seat.status_changed_at),
        "calls_answered": seat.calls_answered,
        "no_answer_count": seat.no_answer_count,
        "wrap_up_s": seat.wrap_up_s,
    }


def _groups(agent: AgentState, *, evidence: bool = False) -> list[dict[str, Any]]:
    """The extension's rows; with `evidence` also what only inference needs of them."""
    memories = by_group(agent.memory)
    if not evidence:
        return [group(seat, memories.get(seat.group)) for seat in agent.groups]
    return [
        {**group(seat, known := memories.get(seat.group)), "agent": seat.agent, "status": seat.status, **_memory(known)}
        for seat in agent.groups
    ]


def _memory(memory: Memory | None) -> dict[str, Any]:
    ended = memory and memory.ended
    return {
        "call_ended": ended
        and {
            "at": rfc3339(ended.at),
            "not_before": rfc3339(ended.not_before),
            "not_after": rfc3339(ended.not_after),
        },
        "on_demand": memory is not None and memory.on_demand,
    }


def event(changed: AgentStateChanged) -> dict[str, Any]:
    """An `AgentStateChanged` as the contract writes it."""
    before, after, when = changed.before, changed.after, changed.when
    record: dict[str, Any] = {
        "type": "AgentStateChanged",
        "schema_version": SCHEMA_VERSION,
        "event_id": after.event_id,
        "source": after.source,
        "extension": after.extension,
        "agent": after.agent,
        "epoch": after.epoch,
        "sequence": after.sequence,
        "change": changed.change,
        "previous": before and {"state": before.state, "since": rfc3339(before.since)},
        "current": {"state": after.state, "since": rfc3339(after.since)},
        **_durations(changed),
        "occurred_at": rfc3339(when.at),
        "occurred_not_before": _maybe(when.not_before),
        "occurred_not_after": rfc3339(when.not_after),
        "basis": changed.basis,
        "evidence": list(when.evidence),
        "observed_at": rfc3339(after.observed_at),
        "poll_id": after.poll_id,
        "groups": _groups(after),
    }
    if changed.change == "groups" or changed.joined or changed.left:
        record["joined"] = list(changed.joined)
        record["left"] = list(changed.left)
    if changed.gap is not None:
        record["gap_s"] = changed.gap / SECOND
    return record


def _durations(changed: AgentStateChanged) -> dict[str, float | None]:
    """How long the previous state lasted, in seconds, with the bounds that both ends' bounds leave."""
    before, when = changed.before, changed.when
    if before is None or changed.change == "groups":
        return dict.fromkeys(("previous_duration_s", "previous_duration_min_s", "previous_duration_max_s"))
    ended = [moment for moment in (when.not_before, changed.ended_from) if moment is not None]
    shortest = min(ended, default=before.occurred_not_after) - before.occurred_not_after
    longest = None if before.occurred_not_before is None else when.not_after - before.occurred_not_before
    return {
        "previous_duration_s": (when.at - before.since) / SECOND,
        "previous_duration_min_s": max(0, shortest) / SECOND,
        "previous_duration_max_s": None if longest is None else max(0, longest) / SECOND,
    }


def agent_state(agent: AgentState) -> dict[str, Any]:
    """An `AgentState` as the state topic holds it."""
    return {
        "type": "AgentState",
        "schema_version": SCHEMA_VERSION,
        "source": agent.source,
        "extension": agent.extension,
        "agent": agent.agent,
        "epoch": agent.epoch,
        "sequence": agent.sequence,
        "event_id": agent.event_id,
        "occurred_at": rfc3339(agent.occurred_at),
        "state": agent.state,
        "since": rfc3339(agent.since),
        "occurred_not_before": _maybe(agent.occurred_not_before),
        "occurred_not_after": rfc3339(agent.occurred_not_after),
        "groups": _groups(agent, evidence=True),
        "observed_at": rfc3339(agent.observed_at),
        "poll_id": agent.poll_id,
        "wrap_up_due": _maybe(agent.wrap_up_due),
        "absent_since": _maybe(agent.absent_since),
        "absent_polls": agent.absent_polls,
        "read_until": _maybe(agent.read_until),
        "absent_groups": list(agent.absent_groups),
    }


def feed_status(feed: FeedStatus) -> dict[str, Any]:
    """A `FeedStatus` as the feed topic holds it."""
    offset = feed.clock_offset
    return {
        "type": "FeedStatus",
        "schema_version": SCHEMA_VERSION,
        "source": feed.source,
        "status": feed.status,
        "since": rfc3339(feed.since),
        "reason": feed.reason,
        "at": rfc3339(feed.at),
        "confirmed_until": _maybe(feed.confirmed_until),
        "poll_interval_s": feed.poll_interval_s,
        "heartbeat_s": feed.heartbeat_s,
        "extensions": feed.extensions,
        "delivery": feed.delivery,
        "cursor": feed.cursor and {"writer": feed.cursor.writer, "number": feed.cursor.number},
        "outbox": {"batches": feed.outbox_batches, "bytes": feed.outbox_bytes},
        "superseded": feed.superseded,
        "clock_offset_s": offset and {"min": offset.low / SECOND, "max": offset.high / SECOND},
        "config_digest": feed.config_digest,
        "instance": feed.instance,
    }


def dumps(record: dict[str, Any]) -> bytes:
    """Compact JSON, keys in the order given: the same record always gives the same bytes."""
    return orjson.dumps(record)
