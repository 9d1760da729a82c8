"""What a consumer finds on the topics, held against what the vendor answered and what truly happened.

Everything here is read with a client, and computed with code tables, that the streamer itself does not use.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from confluent_kafka import Consumer, TopicPartition

from streamer.simulator.states import SIGNED_OUT, busiest, row_state
from tests.conftest import Topics
from tests.truth import Told
from tests.validation import validate

Record = dict[str, Any]


def read_topic(kafka: str, topic: str) -> list[tuple[str, Record | None]]:
    """Every committed (key, value) of a topic, partition by partition, in order."""
    consumer = Consumer(
        {
            "bootstrap.servers": kafka,
            "group.id": "audit",
            "enable.auto.commit": False,
            "isolation.level": "read_committed",
            "auto.offset.reset": "earliest",
            "enable.partition.eof": True,
        }
    )
    try:
        partitions = consumer.list_topics(topic, timeout=10).topics[topic].partitions
        consumer.assign([TopicPartition(topic, number, 0) for number in partitions])
        found: list[tuple[str, Record | None]] = []
        left = set(partitions)
        while left:
            message = consumer.poll(10)
            assert message is not None, f"{topic}: nothing more came, but the end was not reached"
            error = message.error()
            if error is not None:
                left.discard(message.partition() or 0)
                continue
            key, value = message.key(), message.value()
            text = key.decode() if isinstance(key, bytes) else str(key)
            found.append((text, None if value is None else json.loads(value)))
        return found
    finally:
        consumer.close()


@dataclass
class Audit:
    """The topics' content, and every promise that it breaks."""

    events: list[Record]
    states: dict[str, Record]
    feeds: list[Record]
    rejected: list[Record]
    violations: list[str] = field(default_factory=list[str])

    @property
    def by_key(self) -> dict[str, list[Record]]:
        """Events of each `source/extension`, in the topic's order."""
        found: dict[str, list[Record]] = defaultdict(list)
        for event in self.events:
            found[f"{event['source']}/{event['extension']}"].append(event)
        return found


def audit(kafka: str, topics: Topics) -> Audit:
    """Read everything and check what any consumer may rely on: schemas, order, gaplessness, fold = state topic."""
    events = [(key, value) for key, value in read_topic(kafka, topics.events) if value is not None]
    states: dict[str, Record] = {}
    for key, value in read_topic(kafka, topics.state):
        if value is None:
            states.pop(key, None)
        else:
            validate(value)
            states[key] = value
    feeds = [value for _, value in read_topic(kafka, topics.feed) if value is not None]
    rejected = [value for _, value in read_topic(kafka, topics.rejected) if value is not None]
    found = Audit([value for _, value in events], states, feeds, rejected)
    for record in (*found.events, *feeds, *rejected):
        validate(record)
    for key, chain in found.by_key.items():
        found.violations += _chain(key, chain)
        found.violations += _fold(key, chain, states.get(key))
    found.violations += [f"{key}: a state without events" for key in states.keys() - found.by_key.keys()]
    return found


def _chain(key: str, chain: Sequence[Record]) -> Iterable[str]:
    before: Record | None = None
    for event in chain:
        name = f"{key} {event['event_id']}"
        if before is None:
            if (event["sequence"], event["change"]) != (1, "first_seen"):
                yield f"{name}: begins with {event['change']} as number {event['sequence']}"
        else:
            if event["epoch"] != before["epoch"]:
                yield f"{name}: a new epoch"
            if event["sequence"] != before["sequence"] + 1:
                yield f"{name}: follows number {before['sequence']}"
            if event["previous"] is None or event["previous"] != before["current"]:
                yield f"{name}: says {event['previous']} came before, it was {before['current']}"
            if datetime.fromisoformat(event["occurred_at"]) < datetime.fromisoformat(before["occurred_at"]):
                yield f"{name}: goes back in time"
        before = event


def _fold(key: str, chain: Sequence[Record], state: Record | None) -> Iterable[str]:
    last = chain[-1]
    if state is None:
        yield f"{key}: no state record"
        return
    folded = {
        "state": last["current"]["state"],
        "since": last["current"]["since"],
        "sequence": last["sequence"],
        "event_id": last["event_id"],
    }
    if any(state[name] != value for name, value in folded.items()):
        yield f"{key}: the state topic says {state}, the events fold to {folded}"


def visible(recordings: Iterable[Path]) -> dict[str, list[str]]:
    """The states that each extension goes through in the recorded answers: what no poller could miss."""
    found: dict[str, list[str]] = defaultdict(list)
    for recording in recordings:
        for line in recording.read_text().splitlines():
            rows = _rows(json.loads(line))
            if rows is None:
                continue
            seen: dict[str, list[str]] = defaultdict(list)
            for row in rows:
                seen[row["extnumber"]].append(row_state(row["status"], row["state"]))
            for extension in seen.keys() | found.keys():
                state = busiest(seen[extension]) if extension in seen else SIGNED_OUT
                if not found[extension] or found[extension][-1] != state:
                    found[extension].append(state)
    return dict(found)


def _rows(answer: Mapping[str, Any]) -> list[Record] | None:
    if answer["status"] != 200:
        return None
    body = json.loads(answer["body"])
    return body["data"]["result"] if body["ret"] == 200 and body["data"]["status"] == 0 else None


def told_otherwise(shown: Mapping[str, Sequence[str]], found: Audit) -> list[str]:
    """The extensions whose events do not tell, in order, every state that the answers show.

    Beyond these, events tell what happened between the answers, and that an available agent is in wrap-up.
    """
    told: dict[str, list[str]] = {}
    for key, chain in found.by_key.items():
        # Who signed in and moved on before the first answer that shows her is told through all of that by one poll.
        first = sum(e["observed_at"] == chain[0]["observed_at"] for e in chain)
        seen = chain[first - 1 :]
        states = ["available" if e["current"]["state"] == "wrap_up" else e["current"]["state"] for e in seen]
        told[key.partition("/")[2]] = [s for s, before in zip(states, [None, *states], strict=False) if s != before]
    return sorted(name for name in shown.keys() | told.keys() if not _holds(told.get(name, []), shown.get(name, [])))


def _holds(told: Sequence[str], shown: Sequence[str]) -> bool:
    """Is `shown` told in this order, from the same beginning to the same end?"""
    rest = iter(told)
    return (
        bool(told and shown) and (told[0], told[-1]) == (shown[0], shown[-1]) and all(state in rest for state in shown)
    )


def transitions(found: Audit) -> dict[str, list[Told]]:
    """Every told transition of each extension, with its bounds, but the first sightings."""
    told: dict[str, list[Told]] = defaultdict(list)
    for event in found.events:
        if event["change"] not in ("first_seen", "groups"):
            moments = (event[f"occurred_{name}"] for name in ("not_before", "at", "not_after"))
            low, at, high = (datetime.fromisoformat(moment).timestamp() for moment in moments)
            told[event["extension"]].append(Told(event["current"]["state"], low, at, high))
    return told


def true_transitions(truth: Path) -> dict[str, list[tuple[float, str]]]:
    """What each extension truly went through, by the simulator."""
    true: dict[str, list[tuple[float, str]]] = defaultdict(list)
    for line in truth.read_text().splitlines():
        entry = json.loads(line)
        if entry["group"] is None:
            true[entry["extension"]].append((entry["at"], entry["state"]))
    return true


def last_poll(recordings: Sequence[Path]) -> tuple[float, float]:
    """When the last recorded answer was asked for and came, in unix seconds."""
    answer = json.loads(recordings[-1].read_text().splitlines()[-1])
    return answer["requested_at"], answer["answered_at"]


def true_states(truth: Path, begin: float, end: float) -> dict[str, set[str]]:
    """Every state that each extension truly was in between two moments; wrap-up counts as available."""
    found: dict[str, set[str]] = {}
    for line in truth.read_text().splitlines():
        entry = json.loads(line)
        if entry["group"] is not None or entry["at"] > end:
            continue
        state = "available" if entry["state"] == "wrap_up" else entry["state"]
        if entry["at"] <= begin:
            found[entry["extension"]] = {state}
        else:
            found.setdefault(entry["extension"], {SIGNED_OUT}).add(state)
    return found
