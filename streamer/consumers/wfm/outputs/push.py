"""The generic push: JSON items, each with a key of its own, by HTTPS."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from streamer.client import AgentStateChanged
from streamer.config.outputs import Output, Signal
from streamer.consumers.wfm.outputs.http import Answer, Away
from streamer.consumers.wfm.outputs.receivers import Request, Told, refusal
from streamer.consumers.wfm.outputs.tables import Standing

LOG_ON = {"first_seen", "signed_in"}


class Push:
    """`POST url` with `{"items": […]}`, oldest first; any 2xx means that all of them were taken."""

    most = 200
    most_closing: int | None = None

    def __init__(self, output: Output) -> None:
        self._key = output.key.get_secret_value() if output.key else ""
        self._headers = {"Content-Type": "application/json"}
        if self._key:
            self._headers["Authorization"] = f"Bearer {self._key}"

    def request(
        self, states: Sequence[Told], now: float, snapshot: float | None = None, *, close: bool = False
    ) -> Request:
        """A batch; the header's key is made of its items' keys, so that the same batch has the same one."""
        items = [named(state) for state in states]
        digest = hashlib.sha256("\n".join(str(item["key"]) for item in items).encode()).hexdigest()[:32]
        return Request("", msgspec.json.encode({"items": items}), self._headers | {"Idempotency-Key": digest})

    def judge(self, answer: Answer) -> None:
        """2xx is good."""
        if answer.status == 500:
            raise Away("HTTP 500", answer.retry_after)
        if answer.status >= 300:
            raise refusal(answer, self._key)


def named(told: Told) -> dict[str, Any]:
    """An item with the agent's id, as of now, and the receiver's words."""
    item: dict[str, Any] = msgspec.json.decode(told.item)
    if item["type"] == "state":
        item |= {"agent": told.agent, "code": told.code, "reason": told.reason}
    return item


def event_item(event: AgentStateChanged) -> bytes:
    """What is told of an event; agent and codes are put in when it is sent."""
    ended = None if event.previous is None else event.previous.state
    lasted = event.previous_duration_s
    kind = "log_on" if event.change in LOG_ON else "log_off" if event.change == "signed_out" else event.change
    return msgspec.json.encode(
        {
            "key": event.event_id,
            "type": "state",
            "event": "log_off" if event.current.state == "signed_out" else kind,
            "source": event.source,
            "extension": event.extension,
            "state": event.current.state,
            "since": _stamp(event.current.since.timestamp()),
            "at": _stamp(event.occurred_at.timestamp()),
            "previous_state": ended,
            "previous_seconds": None if lasted is None else max(0.0, lasted),
            "epoch": event.epoch,
            "sequence": event.sequence,
            "basis": event.basis,
        }
    )


def refresh_item(standing: Standing, now: float) -> bytes:
    """The state that an agent is in, told once more."""
    return msgspec.json.encode(
        {
            "key": f"{standing.event_id}/refresh/{now:.3f}",
            "type": "state",
            "event": "refresh",
            "source": standing.source,
            "extension": standing.extension,
            "state": standing.state,
            "since": _stamp(standing.since),
            "at": _stamp(now),
            "seconds_in_state": max(0, int(now - standing.since)),
            "epoch": standing.epoch,
            "sequence": standing.sequence,
            "basis": standing.basis,
        }
    )


def state_of(item: bytes) -> str:
    """The state that an item tells of; empty if none."""
    return msgspec.json.decode(item).get("state", "")


def feed_item(output: Output, source: str, signal: Signal, now: float) -> bytes:
    """Whether this source's states can be relied on."""
    return msgspec.json.encode(
        {
            "key": f"{source}/feed/{now:.3f}/{signal}",
            "type": "feed",
            "source": source,
            "status": output.feeds.get(signal, signal),
            "at": _stamp(now),
        }
    )


def dropped_item(items: Sequence[bytes], now: float) -> bytes:
    """How many items were dropped unsent, those included that were told of by dropped items that are dropped, too."""
    parts: list[dict[str, Any]] = [msgspec.json.decode(item) for item in items]
    count = sum(part.get("count", 1) for part in parts)
    return msgspec.json.encode(
        {
            "key": f"dropped/{now:.3f}/{count}",
            "type": "dropped",
            "count": count,
            "first_at": min(part.get("first_at", part["at"]) for part in parts),
            "last_at": max(part.get("last_at", part["at"]) for part in parts),
            "at": _stamp(now),
        }
    )


def _stamp(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
