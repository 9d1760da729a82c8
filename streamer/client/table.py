"""`AgentTable`: the current state of every extension, complete before it is used and live afterwards."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from types import TracebackType
from typing import Any

import msgspec

from streamer.client.batches import Finding, Poison
from streamer.client.events import IDLE, warn
from streamer.client.feeds import Feeds, Now, is_live, poisoned, utc_now
from streamer.client.records import AgentState, FeedStatus
from streamer.client.session import Retry, Session, opened
from streamer.config import Kafka
from streamer.errors import KafkaUnavailable, TopicsWrong
from streamer.kafka import topics
from streamer.kafka.connection import Connection
from streamer.kafka.framing import body
from streamer.kafka.restore import Current, partitions_of

OnChange = Callable[[AgentState | None, AgentState | None], None]
"""Called with what an extension was and what it is: None before it was known, None after it was forgotten."""


class AgentTable:
    """Reads the state and feed topics, committed records only. `async with` it: the table is complete inside.

    kafka: bootstrap servers, or a whole `[kafka]` section. on_change: called for every change from then on that has an
    event of its own, also for those that an interruption hid. on_finding: gets damaged records and interruptions;
    without it they are warnings in the log.

    A Kafka that is away is waited for; meanwhile no source is live. So are topics that are deleted later: made anew,
    they are read anew. TopicsWrong, KafkaRefused: raised on entering; KafkaRefused on leaving, if it came later.
    """

    def __init__(
        self,
        kafka: str | Kafka,
        *,
        on_change: OnChange | None = None,
        on_finding: Callable[[Finding], None] = warn,
        now: Now = utc_now,
    ) -> None:
        config = kafka if isinstance(kafka, Kafka) else Kafka(bootstrap_servers=kafka)
        self._connection = Connection(config, client_id="streamer-table")
        self._on_change, self._on_finding, self._now = on_change, on_finding, now
        self._feeds = Feeds()
        self._agents: dict[str, AgentState] = {}
        self._complete = asyncio.Event()
        self._following: asyncio.Task[None] | None = None
        self._decoder = msgspec.json.Decoder(AgentState)

    async def __aenter__(self) -> AgentTable:
        self._following = asyncio.create_task(self._follow())
        complete = asyncio.create_task(self._complete.wait())
        try:
            await asyncio.wait([self._following, complete], return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            self._following.cancel()
            raise
        finally:
            complete.cancel()
        if self._following.done():
            self._following.result()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._following is not None:
            self._following.cancel()
            with suppress(asyncio.CancelledError):
                await self._following

    def __len__(self) -> int:
        return len(self._agents)

    def get(self, source: str, extension: str) -> AgentState | None:
        """One extension; None if it is not known."""
        return self._agents.get(f"{source}/{extension}")

    def where(
        self, *, source: str | None = None, group: str | None = None, state: str | None = None
    ) -> list[AgentState]:
        """The extensions of a source, with a seat in a task group, in a state; in no order. Each may be left out."""
        return [
            agent
            for agent in self._agents.values()
            if (source is None or agent.source == source)
            and (state is None or agent.state == state)
            and (group is None or any(seat.name == group for seat in agent.groups))
        ]

    @property
    def feeds(self) -> Mapping[str, FeedStatus]:
        """The newest status of each source's feed."""
        return self._feeds.statuses

    def live(self, source: str) -> bool:
        """Is the source's feed live, and said so within three heartbeats?"""
        return is_live(self._feeds.statuses.get(source), self._now())

    async def _follow(self) -> None:
        retry = Retry()
        while True:
            try:
                async with opened(self._connection) as session:
                    await self._read(session, retry)
            except (KafkaUnavailable, TopicsWrong) as error:
                if isinstance(error, TopicsWrong) and not self._complete.is_set():
                    raise
                for finding in retry.failed(error):
                    self._on_finding(finding)
            await retry.rest()

    async def _read(self, session: Session, retry: Retry) -> None:
        """Read everything anew: what was removed during a long interruption may have left no tombstone."""
        config, consumer = self._connection.config, session.consumer
        wanted = [config.state_topic, config.feed_topic]
        await topics.require(self._connection, wanted)
        partitions = [tp for topic in wanted for tp in await partitions_of(self._connection, consumer, topic)]
        consumer.assign(partitions)
        await self._connection.call(consumer.seek_to_beginning(*partitions), "seek")
        ends = await session.ends(partitions)
        current, building = Current(partitions), dict[str, AgentState]()
        complete = False
        while True:
            for tp, records in (await session.look(IDLE)).items():
                if tp.topic == config.feed_topic:
                    for poison in self._feeds.take(records)[1]:
                        self._on_finding(poison)
                    continue
                for record in records:
                    if current.holds(record):
                        self._take(record, None if complete else building)
            if not complete and await session.reached(ends):
                complete = True
                retry.succeeded()
                self._replace(building)

    def _take(self, record: Any, building: dict[str, AgentState] | None) -> None:
        key = (record.key or b"").decode("utf-8", "replace")
        state = self._state(record, key)
        if isinstance(state, Poison):
            self._on_finding(state)
        elif building is None:
            self._change(key, state)
        elif state is None:
            building.pop(key, None)
        else:
            building[key] = state

    def _state(self, record: Any, key: str) -> AgentState | Poison | None:
        if record.value is None:
            return None
        try:
            state = self._decoder.decode(body(record.value))
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            return poisoned(record, str(error))
        if state.type != "AgentState" or f"{state.source}/{state.extension}" != key:
            return poisoned(record, "it is no AgentState of its key")
        return state

    def _replace(self, agents: dict[str, AgentState]) -> None:
        first = not self._complete.is_set()
        if first:
            self._agents = agents
        else:
            for key in self._agents.keys() | agents.keys():
                self._change(key, agents.get(key))
        self._complete.set()

    def _change(self, key: str, after: AgentState | None) -> None:
        before = self._agents.get(key)
        if after is None:
            self._agents.pop(key, None)
        else:
            self._agents[key] = after
        same = before.event_id if before else None, after.event_id if after else None
        if self._on_change is not None and same[0] != same[1]:
            self._on_change(before, after)
