"""Holds what consumers read against what the polls showed and what is true."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import orjson

from streamer.config import Kafka
from streamer.core.wire import milliseconds
from tests.simulation.cluster import Cluster
from tests.simulation.floor import Answer

Event = dict[str, Any]


def violations(
    cluster: Cluster,
    truth: Mapping[str, Mapping[str, str]],
    answers: Sequence[Answer],
    alive: Mapping[tuple[str, str], int],
) -> list[str]:
    """Every broken promise. `truth`: each source's final states. `alive`: source and writer of each tenure at the end,
    and the number of its last batch.

    Gapless, unique, ordered and chained; the state topic is the fold of the events; the last state is the true one;
    whatever a poll showed is told, unless its batch waited where it was lost with its tenure; no writer comes back.
    """
    topics = Kafka()
    chains: dict[str, list[Event]] = defaultdict(list)
    for stored in cluster.committed(topics.events_topic):
        chains[stored.key.decode()].append(orjson.loads(stored.value or b""))
    states: dict[str, Event] = {}
    for stored in cluster.committed(topics.state_topic):
        states[stored.key.decode()] = orjson.loads(stored.value or b"")
    feeds: dict[str, list[Event]] = defaultdict(list)
    for stored in cluster.committed(topics.feed_topic):
        feeds[stored.key.decode()].append(orjson.loads(stored.value or b""))
    found: list[str] = []
    for key in sorted(chains):
        found += _chain(key, chains[key], states.get(key))
    for source in sorted(truth):
        found += _final(source, truth[source], states)
        found += _writers(source, feeds[source])
        found += _told(source, answers, feeds[source], alive, chains)
    return found


def _chain(key: str, chain: Sequence[Event], state: Event | None) -> Iterable[str]:
    before: Event | None = None
    for event in chain:
        name = event["event_id"]
        if before is None:
            if (event["sequence"], event["change"]) != (1, "first_seen"):
                yield f"{name}: begins with {event['change']} as number {event['sequence']}"
        elif event["epoch"] != before["epoch"]:
            yield f"{name}: a new epoch"
        elif event["sequence"] != before["sequence"] + 1:
            yield f"{name}: follows number {before['sequence']}"
        elif event["previous"] != before["current"]:
            yield f"{name}: says {event['previous']} came before, it was {before['current']}"
        elif milliseconds(event["occurred_at"]) < milliseconds(before["occurred_at"]):
            yield f"{name}: goes back in time"
        before = event
    last = chain[-1]
    folded = (last["current"]["state"], last["sequence"], last["event_id"])
    if state is None or (state["state"], state["sequence"], state["event_id"]) != folded:
        yield f"{key}: the events fold to {folded}, the state topic says {state}"


def _final(source: str, truth: Mapping[str, str], states: Mapping[str, Event]) -> Iterable[str]:
    for extension, state in truth.items():
        said = states.get(f"{source}/{extension}")
        # Who came and went while nobody looked was never seen.
        if said is None and state != "signed_out":
            yield f"{source}/{extension}: is {state}, and nobody says anything"
        if said is not None and said["state"] != state:
            yield f"{source}/{extension}: is {state}, the state topic says {said['state']}"


def _writers(source: str, feeds: Sequence[Event]) -> Iterable[str]:
    """Cursors of one tenure rise, and a tenure that was followed by another never writes again."""
    gone: set[str] = set()
    last: tuple[str, int] | None = None
    for feed in feeds:
        writer, number = feed["cursor"]["writer"], feed["cursor"]["number"]
        if last is not None and writer != last[0]:
            gone.add(last[0])
        if writer in gone:
            yield f"{source}: {writer} writes again, as number {number}"
        if last is not None and writer == last[0] and number < last[1]:
            yield f"{source}: {writer} goes back from {last[1]} to {number}"
        last = (writer, number)


def _told(
    source: str,
    answers: Sequence[Answer],
    feeds: Sequence[Event],
    alive: Mapping[tuple[str, str], int],
    chains: Mapping[str, Sequence[Event]],
) -> Iterable[str]:
    """The states that the published polls show are told in their order.

    A poll after another tenure began, of one that does not know yet, is no part of the record even if it shows nothing
    new to that tenure.
    """
    published: dict[str, int] = {}
    followed: dict[str, int] = {}
    writer = None
    for feed in feeds:
        if feed["cursor"]["writer"] != writer and writer is not None:
            followed[writer] = milliseconds(feed["at"])
        writer = feed["cursor"]["writer"]
        published[writer] = feed["cursor"]["number"]
    for (name, writer), number in alive.items():
        if name == source and published.get(writer, 0) < number:
            yield f"{source}: {writer} has published {published.get(writer, 0)} of {number} batches"
    shown: dict[str, list[str]] = defaultdict(list)
    for answer in sorted(answers, key=lambda answer: answer.at):
        in_time = answer.at < followed.get(answer.writer, answer.at + 1)
        if answer.source == source and in_time and answer.number <= published.get(answer.writer, -1):
            for extension in answer.states.keys() | shown.keys():
                state = answer.states.get(extension, "signed_out")
                if not shown[extension] or shown[extension][-1] != state:
                    shown[extension].append(state)
    for extension in sorted(shown):
        told = [event["current"]["state"] for event in chains.get(f"{source}/{extension}", ())]
        rest = iter(told)
        if not all(state in rest for state in shown[extension]):
            yield f"{source}/{extension}: the polls show {shown[extension]}, told is {told}"
