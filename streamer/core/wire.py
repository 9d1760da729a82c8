"""The records as JSON, as the published schemas describe them.

Moments are written as RFC 3339 in UTC, with milliseconds only where there are any.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec
import orjson

from streamer.core import shapes
from streamer.core.feed import FeedStatus
from streamer.core.infer import state_of
from streamer.core.merge import Memories, by_group
from streamer.core.model import SECOND, AgentState, AgentStateChanged, Ended

SCHEMA_VERSION = "1.0"

MOST_TEXTS = 32_768
"""Texts of moments that are remembered, some 4 MB."""


class _Texts(dict[int, str]):
    """Moments that were written before: the same few turn up in record after record."""

    def __missing__(self, moment: int) -> str:
        if len(self) >= MOST_TEXTS:
            self.clear()
        second, ms = divmod(moment, SECOND)
        text = datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S")
        text = self[moment] = f"{text}.{ms:03d}Z" if ms else f"{text}Z"
        return text


_text = _Texts()


def rfc3339(moment: int) -> str:
    """Unix milliseconds as RFC 3339 UTC."""
    return _text[moment]


def _maybe(moment: int | None) -> str | None:
    return None if moment is None else rfc3339(moment)


def milliseconds(text: str) -> int:
    """Unix milliseconds of an RFC 3339 text; ValueError if it is none or has no zone."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"{text!r} has no time zone")
    return round(moment.timestamp() * SECOND)


_encode = msgspec.json.Encoder().encode


def event_text(changed: AgentStateChanged) -> bytes:
    """An `AgentStateChanged` as the contract writes it, in compact JSON."""
    before, after, when = changed.before, changed.after, changed.when
    lasted, shortest, longest = _durations(changed)
    memories: Memories = by_group(after.memory) if after.memory else {}
    record = shapes.Event(
        "AgentStateChanged",
        SCHEMA_VERSION,
        after.event_id,
        after.source,
        after.extension,
        after.agent,
        after.epoch,
        after.sequence,
        changed.change,
        None if before is None else shapes.Since(before.state, _text[before.since]),
        shapes.Since(after.state, _text[after.since]),
        lasted,
        shortest,
        longest,
        _text[when.at],
        None if when.not_before is None else _text[when.not_before],
        _text[when.not_after],
        changed.basis,
        when.evidence,
        _text[after.observed_at],
        after.poll_id,
        [
            shapes.Group(
                seat.group,
                state_of(seat, memories.get(seat.group)),
                seat.state_code,
                seat.status_code,
                None if seat.offered_at is None else _text[seat.offered_at],
                None if seat.answered_at is None else _text[seat.answered_at],
                None if seat.status_changed_at is None else _text[seat.status_changed_at],
                seat.calls_answered,
                seat.no_answer_count,
                seat.wrap_up_s,
            )
            for seat in after.groups
        ],
    )
    if changed.change == "groups" or changed.joined or changed.left:
        record.joined, record.left = changed.joined, changed.left
    if changed.gap is not None:
        record.gap_s = changed.gap / SECOND
    return _encode(record)


def _durations(changed: AgentStateChanged) -> tuple[float | None, float | None, float | None]:
    """How long the previous state lasted, in seconds, with the bounds that both ends' bounds leave."""
    before, when = changed.before, changed.when
    if before is None or changed.change == "groups":
        return None, None, None
    began, until = before.occurred_not_after, when.not_before
    if changed.ended_from is not None and (until is None or changed.ended_from < until):
        until = changed.ended_from
    longest = None
    if before.occurred_not_before is not None:
        longest = max(0, when.not_after - before.occurred_not_before) / SECOND
    shortest = (until - began) / SECOND if until is not None and until > began else 0.0
    return (when.at - before.since) / SECOND, shortest, longest


def state_text(agent: AgentState) -> bytes:
    """An `AgentState` as the state topic holds it, in compact JSON."""
    memories: Memories = by_group(agent.memory) if agent.memory else {}
    return _encode(
        shapes.State(
            "AgentState",
            SCHEMA_VERSION,
            agent.source,
            agent.extension,
            agent.agent,
            agent.epoch,
            agent.sequence,
            agent.event_id,
            _text[agent.occurred_at],
            agent.state,
            _text[agent.since],
            None if agent.occurred_not_before is None else _text[agent.occurred_not_before],
            _text[agent.occurred_not_after],
            [
                shapes.Row(
                    seat.group,
                    state_of(seat, memory := memories.get(seat.group)),
                    seat.state_code,
                    seat.status_code,
                    None if seat.offered_at is None else _text[seat.offered_at],
                    None if seat.answered_at is None else _text[seat.answered_at],
                    None if seat.status_changed_at is None else _text[seat.status_changed_at],
                    seat.calls_answered,
                    seat.no_answer_count,
                    seat.wrap_up_s,
                    seat.agent,
                    seat.status,
                    None if memory is None else _ended(memory.ended),
                    memory is not None and memory.on_demand,
                )
                for seat in agent.groups
            ],
            _text[agent.observed_at],
            agent.poll_id,
            _maybe(agent.wrap_up_due),
            _maybe(agent.absent_since),
            agent.absent_polls,
            _maybe(agent.read_until),
            agent.absent_groups,
        )
    )


def _ended(ended: Ended | None) -> shapes.Ended | None:
    return None if ended is None else shapes.Ended(_text[ended.at], _text[ended.not_before], _text[ended.not_after])


def event(changed: AgentStateChanged) -> dict[str, Any]:
    """The fields of an `AgentStateChanged`, for who reads them here."""
    return orjson.loads(event_text(changed))


def agent_state(agent: AgentState) -> dict[str, Any]:
    """The fields of an `AgentState`, for who reads them here."""
    return orjson.loads(state_text(agent))


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
