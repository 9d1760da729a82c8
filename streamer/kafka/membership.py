"""One instance's part in the group of a deployment: Kafka says which slots are its own.

The slots are the partitions of a topic, spread by Kafka's consumer-group protocol; its records (hints.py) are none of
this module's business. What an instance runs goes on until Kafka says that a slot is another's: a broken connection or
a rebalance under way change nothing. That two instances never write for one slot at a time is ensured elsewhere, by
transactional fencing.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Collection
from dataclasses import KW_ONLY, dataclass, field
from types import SimpleNamespace
from typing import Any

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, errors
from aiokafka.protocol.group import HeartbeatRequest, JoinGroupRequest, LeaveGroupRequest, SyncGroupRequest

from streamer.errors import ConfigError, Fenced, KafkaUnavailable
from streamer.kafka import topics
from streamer.kafka.assignor import assignor
from streamer.kafka.connection import REQUEST_TIMEOUT_MS, STOP_TIMEOUT, Connection

TICK = 0.5
"""Seconds between two looks at how the consumer does."""

BACKOFF = (0.2, 5.0)
"""Seconds between two attempts, at first and at most."""

STUCK_AFTER = 20.0
"""Seconds (or three session time-outs, if that is more) without progress after which a consumer counts as stuck."""

FENCED_INSTANCE_ID = 82
"""Kafka's code for: another member has joined under this instance name. aiokafka does not know it."""

Slots = Callable[[], Collection[int]]
Assigned = Callable[[frozenset[int]], None]

_log = logging.getLogger(__name__)


@dataclass
class Membership:
    """Takes part in `group`, whose members share the `slots` partitions of `topic`.

    `instance` is a name that survives a restart: a process that starts under it within `session_timeout` seconds gets
    the slots of the one before, and nobody else notices. Without a name (""), an instance that ends leaves at once. An
    instance that dies loses its slots `session_timeout` seconds later. `busy` tells which slots have work to do;
    `problem` gets a sentence for the operator when the group is out of reach, and when it is reached again.
    """

    connection: Connection
    _: KW_ONLY
    group: str
    topic: str
    slots: int
    instance: str
    session_timeout: float
    busy: Slots
    problem: Callable[[str], None]
    _in_trouble: bool = field(default=False, init=False)

    async def run(self, claims: Slots, assigned: Assigned) -> None:
        """Take part until cancelled; then leave, which takes a few seconds at most.

        `claims` tells which slots we run now. `assigned` is called after each completed rebalance with all slots that
        are ours from then on. Both must be quick; what `assigned` raises ends this. Kafka being away is no error.
        Raises TopicsWrong, ConfigError (a session time-out that the broker does not allow), KafkaRefused, and Fenced
        if another process has joined under our instance name.
        """
        pause, ready = BACKOFF[0], False
        while True:
            try:
                if not ready:
                    await topics.ensure_slots(self.connection, self.topic, self.slots)
                    ready = True
                await self._take_part(claims, assigned)
            except KafkaUnavailable as error:
                pause = min(2 * pause, BACKOFF[1]) if self._in_trouble else BACKOFF[0]
                self._tell(str(error))
            await asyncio.sleep(pause)

    async def _take_part(self, claims: Slots, assigned: Assigned) -> None:
        """Be a member with one consumer; returns when that is stuck and another must be made."""
        consumer = self._consumer(claims)
        watch = _Watch(self.group, self.instance, assigned)
        try:
            await self.connection.start(consumer)
            # The topic's records are not for this consumer. Left alone, aiokafka would fetch twice a second, and
            # without any pause while a partition has no leader; nothing public keeps it from that.
            await self.connection.call(consumer._fetcher.close(), "start a client")
            watch.over(consumer)
            # Not before: with a subscription, start() would wait until all members have joined.
            consumer.subscribe([self.topic], listener=watch)
            await self._look_on(consumer, watch)
        finally:
            watch.close()
            await self._close(consumer)

    def _consumer(self, claims: Slots) -> Any:
        session_ms = int(self.session_timeout * 1000)
        options = self.connection.options()
        # A join is answered when all others have joined or their time is up.
        options["request_timeout_ms"] = max(REQUEST_TIMEOUT_MS, session_ms + 5000)
        return AIOKafkaConsumer(
            **options,
            group_id=self.group,
            group_instance_id=self.instance or None,
            enable_auto_commit=False,
            session_timeout_ms=session_ms,
            heartbeat_interval_ms=max(300, session_ms // 6),
            # How long the others wait for a member that does not join again: no longer than until it counts as dead.
            rebalance_timeout_ms=session_ms,
            # aiokafka alone looks at this: there is nothing to poll, and no member must be thrown out for it.
            max_poll_interval_ms=10**12,
            partition_assignment_strategy=(assignor(self.topic, self.slots, claims, self.busy),),
        )

    async def _look_on(self, consumer: Any, watch: _Watch) -> None:
        """Raise what goes wrong with a consumer; return when it is stuck."""
        polling: asyncio.Future[Any] = asyncio.ensure_future(consumer.getmany())
        try:
            while True:
                await asyncio.wait({watch.fenced}, timeout=TICK)
                if watch.fenced.done():
                    raise Fenced(
                        f"another process has joined group {self.group} as instance {self.instance!r}",
                        "give each instance a cluster.instance of its own",
                    )
                if watch.failure is not None:
                    raise watch.failure
                if polling.done():
                    # aiokafka tells the group's errors to whoever polls, and does nothing more until somebody does.
                    await self._told(polling)
                    polling = asyncio.ensure_future(consumer.getmany())
                if await self._stuck(watch):
                    return
        finally:
            polling.cancel()
            await asyncio.wait({polling})

    async def _told(self, polling: asyncio.Future[Any]) -> None:
        try:
            await self.connection.call(polling, f"take part in group {self.group}")
        except KafkaUnavailable as error:
            if isinstance(error.__cause__, errors.InvalidSessionTimeoutError):
                raise ConfigError(
                    f"cluster.session_timeout: Kafka at {self.connection.where} allows no {self.session_timeout:g} s",
                    "keep to the broker's group.min.session.timeout.ms and group.max.session.timeout.ms: "
                    "6 s and 30 min unless set",
                ) from error
            if isinstance(error.__cause__, errors.InconsistentGroupProtocolError):
                raise KafkaUnavailable(
                    f"group {self.group} has members that are no streamers", "give cluster.group a name of its own"
                ) from error
            raise

    async def _stuck(self, watch: _Watch) -> bool:
        """Whether the consumer has got nowhere for so long, although Kafka is there, that it never will."""
        silence = time.monotonic() - watch.progress
        if silence <= 1.5 * self.session_timeout:  # a rebalance may take a session without anything being wrong
            if watch.taken_part:
                self._tell("")
            return False
        self._tell(
            f"group {self.group} at {self.connection.where} is out of reach for {silence:.0f} s: "
            "our slots go on here, but others may take them"
        )
        if time.monotonic() - max(watch.progress, watch.excused) < max(STUCK_AFTER, 3 * self.session_timeout):
            return False
        try:
            await self.connection.probe()
        except KafkaUnavailable:
            watch.excused = time.monotonic()  # not the consumer's fault: its time begins anew
            return False
        # Seen after restarts of brokers (aiokafka's issue 1154).
        _log.warning("the consumer of group %s got nowhere for %.0f s: making a new one", self.group, silence)
        return True

    def _tell(self, trouble: str) -> None:
        """Say once that there is trouble, and once that there is none any more ("")."""
        if bool(trouble) != self._in_trouble:
            self._in_trouble = bool(trouble)
            self.problem(trouble or f"group {self.group} at {self.connection.where} is reached again")

    async def _close(self, consumer: Any) -> None:
        await self.connection.discard(consumer)
        # A stop() that had to be cut short leaves these behind, and they would go on for ever.
        tasks = ("_coordination_task", "_heartbeat_task", "_commit_refresh_task")
        left: list[Any] = [task for name in tasks if (task := getattr(consumer._coordinator, name, None)) is not None]
        for task in left:
            task.cancel()
        await asyncio.wait({asyncio.gather(*left, return_exceptions=True)}, timeout=STOP_TIMEOUT)


class _Watch(ConsumerRebalanceListener):
    """Passes on what a consumer is assigned, and sees what the group's coordinator answers to it. By that it knows what
    aiokafka does not tell: when there was progress last, and whether another process has joined under our name.
    """

    def __init__(self, group: str, instance: str, assigned: Assigned) -> None:
        self._group = group
        self._instance = instance
        self._assigned = assigned
        self._send: Any = None
        self._member: tuple[int, str] = (-1, "")
        self._closing: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.fenced: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.failure: Exception | None = None
        self.progress = self.excused = time.monotonic()
        self.taken_part = False

    def on_partitions_revoked(self, revoked: Collection[Any]) -> None:
        pass  # of all slots at the begin of every rebalance: whose they will be is not known yet

    def on_partitions_assigned(self, assigned: Collection[Any]) -> None:
        try:
            self._assigned(frozenset(place.partition for place in assigned))
        except Exception as error:
            self.failure = error  # aiokafka would only log it

    def over(self, consumer: Any) -> None:
        """Begin to watch a consumer: its inner client's send() is the one place where all answers pass."""
        self._send = consumer._client.send
        consumer._client.send = self._watched

    def close(self) -> None:
        """Let no request that waits for other members keep the consumer from leaving."""
        if not self._closing.done():
            self._closing.set_result(None)

    async def _watched(self, node: Any, request: Any, **more: Any) -> Any:
        if isinstance(request, LeaveGroupRequest):
            more = {}  # on the connection for other things: a broker reads none on this one while it delays an answer
        if not isinstance(request, JoinGroupRequest | SyncGroupRequest | HeartbeatRequest):
            return await self._send(node, request, **more)
        answering = asyncio.ensure_future(self._answer(node, request, more))
        try:
            await asyncio.wait({answering, self._closing}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            if not answering.done():
                answering.cancel()
        if answering.done():
            return answering.result()
        # An error would make it take the coordinator for dead, and then it could not leave. These codes just end it.
        joining = isinstance(request, JoinGroupRequest)
        later = errors.GroupLoadInProgressError if joining else errors.RebalanceInProgressError
        return SimpleNamespace(error_code=later.errno)

    async def _answer(self, node: Any, request: Any, more: dict[str, Any]) -> Any:
        answer = await self._send(node, request, **more)
        code: int = answer.error_code
        if code == 0 and isinstance(request, JoinGroupRequest):
            self._member = (answer.generation_id, answer.member_id)
        elif code == 0:
            self.progress, self.taken_part = time.monotonic(), True
        if code == errors.UnknownMemberIdError.errno and self._instance and isinstance(request, HeartbeatRequest):
            # Its heartbeats do not carry our name, so Kafka cannot say why it knows us no more. aiokafka would join
            # anew and take the name back, then so would the other, for ever. This request does carry it.
            question = SyncGroupRequest(self._group, *self._member, self._instance, [])
            code = (await self._send(node, question, **more)).error_code
        if code == FENCED_INSTANCE_ID:
            if not self.fenced.done():
                self.fenced.set_result(None)
            await asyncio.wait({self._closing})  # nothing more may be sent
        return answer
