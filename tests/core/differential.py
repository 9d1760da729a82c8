"""The simulator's floor polled in virtual time, and its own truth beside what the core makes of the answers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import groupby
from math import ceil, floor
from random import Random

import orjson

from streamer.core.decode import decode
from streamer.core.envelope import Opened, open_envelope
from streamer.core.model import AgentStateChanged, Batch, Seat, Settings, Snapshot, SourceState
from streamer.core.step import step
from streamer.simulator.api import VendorApi
from streamer.simulator.faults import Faults
from streamer.simulator.floor import Floor
from streamer.simulator.states import busiest
from streamer.simulator.world import Truth, World
from tests.core.builders import check
from tests.truth import Told

START = 1_795_399_200.0
"""2026-11-23 02:00:00 UTC, the contract's example."""


NewTruth = dict[str, list[tuple[float, str]]]


@dataclass(slots=True)
class Measured:
    """What one run counted. `wrong_*` hold a line for each disagreement."""

    compared: int = 0
    wrong_states: list[str] = field(default_factory=list[str])
    judged: int = 0
    wrong_bounds: list[str] = field(default_factory=list[str])

    @property
    def state_share(self) -> float:
        """Share of (poll, extension) pairs whose state is the truth's."""
        return 1 - len(self.wrong_states) / max(1, self.compared)

    @property
    def bound_share(self) -> float:
        """Share of judged events whose bounds contain the true moment."""
        return 1 - len(self.wrong_bounds) / max(1, self.judged)


class Truths:
    """The seats' truth, with wrap-up as the row shows it, made into the extensions' truth."""

    def __init__(self) -> None:
        self._seats: dict[str, dict[str, str]] = defaultdict(dict)
        self.states: dict[str, str] = {}

    def take(self, entries: Iterable[Truth]) -> NewTruth:
        """What each extension newly went through: its states, and when by the vendor's clock."""
        news: NewTruth = defaultdict(list)
        for at, together in groupby((e for e in entries if e.group is not None), key=lambda e: (e.at, e.extension)):
            seats = self._seats[at[1]]
            for entry in together:
                seats[entry.group or ""] = "available" if entry.state == "wrap_up" else entry.state
            state = busiest(seats.values())
            if state != self.states.get(at[1]):
                self.states[at[1]] = state
                news[at[1]].append((at[0], state))
        return news


@dataclass(slots=True)
class Run:
    """A floor polled every `interval` seconds, each way taking `latency`; our clock is the true one."""

    floor: Floor
    seed: int
    faults: str = ""
    skew: float = 0.0
    latency: tuple[float, float] = (0.02, 0.1)
    interval: float = 1.0
    settings: Settings | None = None
    state: SourceState = field(default_factory=lambda: SourceState(agents={}))
    truth: list[Truth] = field(default_factory=list[Truth])

    def polls(self, seconds: float) -> Iterator[tuple[Snapshot, Batch, Truths, NewTruth]]:
        """Each poll, what the core made of it, and the truth when the answer was made; every record is validated."""
        random, truths, unseen = Random(self.seed), Truths(), list[Truth]()
        world = World(self.floor, self.seed, START, self.skew)
        api = VendorApi(world, {"app": "key"})
        login = {"service": "App.Sip_Auth.Login", "appid": "app", "accesskey": "key"}
        token = str(orjson.loads(api.answer(login, START).body)["data"]["result"]["token"])
        api.set_faults(Faults.parse(self.faults, self.seed), START)
        if self.skew:
            world.skew = self.skew
        settings = self.settings or Settings("floor", timezone=self.floor.zone, wrap_up=False)
        by_bytes: Mapping[bytes, Seat] = {}
        for turn in range(round(seconds / self.interval)):
            asked = START + turn * self.interval
            read = asked + random.uniform(*self.latency)
            answered = read + random.uniform(*self.latency)
            body = api.answer({"service": "App.Sip_Queue.GetQueueSipStatus", "token": token}, read).body
            fresh = world.take_truth()
            self.truth += fresh
            unseen += fresh
            opened = open_envelope(body)
            if not isinstance(opened, Opened):
                continue
            snapshot = decode(opened, floor(asked * 1000), ceil(answered * 1000), settings, by_bytes)
            by_bytes = snapshot.by_bytes
            self.state, batch = step(self.state, snapshot, settings)
            check(batch)
            yield snapshot, batch, truths, truths.take(unseen)
            unseen = []

    def transitions(self, seconds: float) -> tuple[dict[str, list[tuple[float, str]]], dict[str, list[Told]]]:
        """What truly happened to each extension after its first state, and what is told of it, both in order."""
        told: dict[str, list[Told]] = defaultdict(list)
        for _, batch, _, _ in self.polls(seconds):
            for event in batch.events:
                when = event.when
                if event.change not in ("first_seen", "groups") and when.not_before is not None:
                    bounds = (moment / 1000 for moment in (when.not_before, when.at, when.not_after))
                    told[event.after.extension].append(Told(event.after.state, *bounds))
        true: dict[str, list[tuple[float, str]]] = defaultdict(list)
        for entry in self.truth:
            if entry.group is None:
                true[entry.extension].append((entry.at, entry.state))
        return {extension: entries[1:] for extension, entries in true.items()}, told

    def measure(self, seconds: float) -> Measured:
        """Compare every poll's states, and the bounds of every event that one true transition explains."""
        found = Measured()
        for snapshot, batch, truths, news in self.polls(seconds):
            for extension, true in truths.states.items():
                agent = self.state.agents.get(extension)
                shown = "signed_out" if agent is None else agent.state
                found.compared += 1
                if shown != true:
                    found.wrong_states.append(f"{extension} in {snapshot.requested_at}: {shown}, truly {true}")
            for event in batch.events:
                _judge(found, event, news.get(event.after.extension, []))
        return found


def _judge(found: Measured, event: AgentStateChanged, news: list[tuple[float, str]]) -> None:
    """An event of the groups alone changed no state; one that several true transitions led to is for inference."""
    if event.change == "groups" or len(news) != 1 or news[0][1] != event.after.state:
        return
    at, low, high = news[0][0] * 1000, event.when.not_before, event.when.not_after
    found.judged += 1
    if (low is not None and at < low) or at > high:
        found.wrong_bounds.append(
            f"{event.after.event_id} {event.change} from {event.before and event.before.state} to {event.after.state}: "
            f"truly {at:.0f}, told {low} to {high} by {', '.join(event.when.evidence)}"
        )
