"""A Kafka and a vendor that may lie, stall and die, in virtual time: a test of hours takes milliseconds."""

from __future__ import annotations

import asyncio
import random
import selectors
from collections import defaultdict, deque
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import Any, Literal, TypeVar, cast

import orjson

from streamer.config import Config, Kafka, Source
from streamer.configure import build
from streamer.core.envelope import Opened
from streamer.core.feed import Delivery, Status
from streamer.core.model import AgentState, AgentStateChanged
from streamer.core.thaw import read_agent_state
from streamer.errors import Fenced, KafkaError, KafkaUnavailable, VendorError
from streamer.kafka.restore import LastFeed, Restored, read_feed
from streamer.kafka.serde import Record
from streamer.observe.observer import Observer, Observers
from streamer.runtime.journal import Written
from streamer.runtime.outbox import Kept
from streamer.runtime.ports import UNTRACED, Tracer
from streamer.runtime.supervisor import Supervisor
from streamer.vendor.session import Polled
from tests.validation import validate

T = TypeVar("T")
START_MS = 1_795_399_200_000

Fate = Literal["committed", "lost", "unknown", "timed_out"]
"""What becomes of a write: done; not done; done but not said so; ended by the broker for taking too long."""


class _Skipping(selectors.SelectSelector):
    """Never waits: tells how long it would have."""

    skipped = 0.0

    def select(self, timeout: float | None = None) -> list[Any]:
        events = super().select(0)
        if not events and timeout:
            self.skipped += timeout
        return events


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop whose time jumps to the next timer as soon as nothing else is to be done."""

    def __init__(self) -> None:
        self._skipping = _Skipping()
        super().__init__(self._skipping)

    def time(self) -> float:
        return self._skipping.skipped


def virtually(work: Callable[[], Awaitable[T]]) -> T:
    """Run `work` in virtual time."""

    async def main() -> T:
        return await work()

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main())


class VirtualClock:
    """The virtual loop's time as a clock on the wall."""

    def now_ms(self) -> int:
        return START_MS + round(asyncio.get_running_loop().time() * 1000)

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class FakeKafka:
    """Committed records, and a producer epoch for each slot. `fates` are drawn by the next writes, then all succeed."""

    def __init__(self, delivery: Delivery = "exactly_once") -> None:
        self.topics = Kafka()
        self.delivery: Delivery = delivery
        self.committed: list[Record] = []
        self.epochs: dict[int, int] = defaultdict(int)
        self.fates: deque[Fate] = deque()
        self.away = False
        self.why = "Kafka is away"
        self.problems: tuple[str, ...] = ()
        self.calls: list[str] = []
        self.sinks: list[FakeSink] = []

    async def prepare(self) -> None:
        self.calls.append("prepare")
        self.reached()

    def sink(self, slot: int) -> FakeSink:
        self.sinks.append(FakeSink(self, slot))
        return self.sinks[-1]

    async def restore(self, sources: Collection[str]) -> Restored:
        self.calls.append("restore")
        self.reached()
        agents: dict[str, dict[str, AgentState]] = {name: {} for name in sources}
        for record in self.on(self.topics.state_topic):
            source, _, extension = record.key.decode().partition("/")
            if source not in agents:
                continue
            if record.value is None:
                agents[source].pop(extension, None)
            else:
                agents[source][extension] = read_agent_state(record.value)
        return Restored(agents, self._feeds(), self.problems)

    async def glance(self) -> Mapping[str, LastFeed]:
        return await self.feeds()

    async def check_slots(self) -> None:
        self.reached()

    async def feeds(self) -> Mapping[str, LastFeed]:
        self.calls.append("feeds")
        self.reached()
        return self._feeds()

    def _feeds(self) -> dict[str, LastFeed]:
        feeds = self.on(self.topics.feed_topic)
        return {
            name: read_feed(record.value, name) for record in feeds if record.value and (name := record.key.decode())
        }

    def on(self, topic: str) -> list[Record]:
        """What consumers of a topic have read."""
        return [record for record in self.committed if record.topic == topic]

    def events(self) -> list[dict[str, Any]]:
        """All events, validated."""
        return self._read(self.topics.events_topic)

    def feed_records(self) -> list[dict[str, Any]]:
        """All feed statuses, validated."""
        return self._read(self.topics.feed_topic)

    def _read(self, topic: str) -> list[dict[str, Any]]:
        found = [orjson.loads(record.value or b"") for record in self.on(topic)]
        for record in found:
            validate(record)
        return found

    def reached(self) -> None:
        """Raises while Kafka is away."""
        if self.away:
            raise KafkaUnavailable(self.why, "wait")


class FakeSink:
    """One slot's producer, with the epoch that its `open` gave it."""

    def __init__(self, kafka: FakeKafka, slot: int) -> None:
        self._kafka = kafka
        self._slot = slot
        self._epoch = 0
        self.cut_off = False

    async def open(self) -> None:
        self._kafka.calls.append(f"open {self._slot}")
        self._kafka.reached()
        if self.cut_off:
            raise KafkaUnavailable("the network is cut")
        self._kafka.epochs[self._slot] += 1
        self._epoch = self._kafka.epochs[self._slot]

    async def write(self, records: Sequence[Record]) -> None:
        await asyncio.sleep(0.01)
        if self.cut_off:
            raise KafkaUnavailable("the network is cut")
        if self._epoch != self._kafka.epochs[self._slot]:
            raise Fenced("a newer producer")
        if self._kafka.away:
            await asyncio.sleep(15)
            raise KafkaUnavailable("no answer")
        fate = self._kafka.fates.popleft() if self._kafka.fates else "committed"
        if fate in ("committed", "unknown"):
            self._kafka.committed.extend(records)
        if fate == "timed_out":
            raise Fenced("a newer producer, or the transaction took too long")
        if fate != "committed":
            raise KafkaUnavailable(f"the answer was {fate}")

    async def close(self) -> None:
        self._kafka.calls.append(f"close {self._slot}")


Answer = Sequence[Mapping[str, Any]] | VendorError
Script = Callable[[int, float], Answer]
"""(number of the poll, seconds since the start) → rows, or what goes wrong."""


class FakeVendor:
    """Answers each poll from a script, after `latency` seconds."""

    def __init__(self, script: Script, latency: float = 0.02) -> None:
        self._script = script
        self.latency = latency
        self.polls: list[float] = []

    async def poll(self) -> Polled:
        clock = VirtualClock()
        requested = clock.now_ms()
        self.polls.append(clock.monotonic())
        rows = self._script(len(self.polls) - 1, clock.monotonic())
        await asyncio.sleep(self.latency)
        if isinstance(rows, VendorError):
            raise rows
        second = requested // 1000
        body = orjson.dumps(rows)
        return Polled(requested, clock.now_ms(), 200, body, Opened(body, second, second))

    def spare(self) -> float:
        return 0.0

    def secrets(self) -> tuple[str, ...]:
        return ("sesame",)


class FakeVendors(dict[str, FakeVendor]):
    """The vendors, by source name."""

    def source(self, source: Source) -> FakeVendor:
        return self[source.name]


class LyingVendor(FakeVendor):
    """Breaks its own promise: what follows is an error that only a mistake of ours could make."""

    async def poll(self) -> Polled:
        polled = await super().poll()
        return Polled(polled.requested_at, polled.answered_at, 200, b"", cast(Opened, None))


class FakeJournal:
    """A disk that outlives its instances: `kept` is what is on it. While `full`, nothing can be written."""

    def __init__(self) -> None:
        self.kept: list[Kept] = []
        self.full = False

    async def load(self, source: str) -> tuple[Sequence[Kept], int]:
        await asyncio.sleep(0)
        return [batch for batch in self.kept if batch.source == source], 0

    def keep(self, batch: Kept, written: Written) -> None:
        asyncio.get_running_loop().call_later(0.005, self._write, batch, written)

    def _write(self, batch: Kept, written: Written) -> None:
        if self.full:
            asyncio.get_running_loop().call_later(1.0, self._write, batch, written)
            written("the outbox cannot be written: the disk is full")
        else:
            self.kept.append(batch)
            written("")

    async def count(self, sources: Collection[str]) -> int:
        return sum(batch.source in sources for batch in self.kept)

    def drop(self, batch: Kept) -> None:
        self.kept = [other for other in self.kept if other != batch]


class Witness(Observer):
    """Remembers what it was told."""

    def __init__(self) -> None:
        self.feeds: list[tuple[str, Status]] = []
        self.kafka_news: list[bool] = []
        self.problems: list[str] = []
        self.dropped = 0
        self.kept_events = 0
        self.gone: list[str] = []
        self.events: list[str] = []
        self.late: list[float] = []

    def polling(self, source: str, late: float) -> None:
        self.late.append(late)

    def feed(self, source: str, status: Status, reason: str) -> None:
        self.feeds.append((source, status))

    def kafka(self, error: KafkaError | None) -> None:
        if self.kafka_news[-1:] != [error is None]:
            self.kafka_news.append(error is None)

    def resumed(self, source: str, batches: int, events: int) -> None:
        self.kept_events += events

    def superseded(self, source: str, batches: int) -> None:
        self.dropped += batches

    def released(self, source: str) -> None:
        self.gone.append(source)

    def problem(self, what: str, **details: object) -> None:
        self.problems.append(what)

    def committed(
        self,
        source: str,
        events: Sequence[AgentStateChanged],
        states: Sequence[AgentState],
        forgotten: Sequence[str],
        at: int,
    ) -> None:
        self.events += [event.after.event_id for event in events]


def config(*names: str, **sections: Any) -> Config:
    """A configuration with these sources at one poll a second."""
    sources = [{"name": name, "url": "http://vendor:1", "token": "sesame"} for name in names or ("floor",)]
    return build({"sources": sources, **sections}, {})


class FakeMembership:
    """A group that assigns what the test says."""

    def __init__(self) -> None:
        self.assign: Callable[[frozenset[int]], None] = lambda _: None
        self.claims: Callable[[], Collection[int]] = tuple

    async def run(self, claims: Callable[[], Collection[int]], assigned: Callable[[frozenset[int]], None]) -> None:
        self.claims, self.assign = claims, assigned
        await asyncio.get_running_loop().create_future()


class Instance:
    """A supervisor under test."""

    def __init__(
        self,
        settings: Config,
        kafka: FakeKafka,
        vendors: Mapping[str, FakeVendor],
        name: str = "a",
        journal: FakeJournal | None = None,
        membership: FakeMembership | None = None,
        watching: Sequence[Observer] = (),
        tracer: Tracer = UNTRACED,
    ) -> None:
        self.witness = Witness()
        self.stop = asyncio.Event()
        self.supervisor = Supervisor(
            settings,
            kafka,
            FakeVendors(vendors),
            VirtualClock(),
            Observers(self.witness, *watching) if watching else self.witness,
            random.Random(1),
            name,
            journal=journal,
            membership=membership,
            tracer=tracer,
        )
        self.task = asyncio.ensure_future(self.supervisor.run(self.stop))

    async def die(self) -> None:
        """kill -9: nothing that it had in hand is finished."""
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)

    async def end(self) -> None:
        """Stop it as SIGTERM does, and wait; raises what `run` raises."""
        self.stop.set()
        await self.task


def always(answer: Answer) -> Script:
    """A vendor that never answers anything else."""

    def script(_: int, __: float) -> Answer:
        return answer

    return script


def row(extension: str, state: int, group: str = "q", **fields: Any) -> dict[str, Any]:
    """One of the vendor's rows."""
    return {
        "queuename": group,
        "seatsname": f"{extension}_{extension}_{group}",
        "extnumber": extension,
        "status": state,
        "state": state,
        "lastanswertime": "",
        "lastassigntime": "",
        "seatschangetime": "",
        "noanswercount": 0,
        "callsanswered": 0,
        "wrapuptime": 0,
        **fields,
    }


def alternating(number: int, _: float) -> Sequence[Mapping[str, Any]]:
    """A floor of one extension that changes its state with every poll."""
    return [row("100001", (1213, 1215)[number % 2])]
