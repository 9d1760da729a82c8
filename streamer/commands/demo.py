"""`demo`: simulator, Kafka, `run` and wallboard on one machine, with nothing to install."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Mapping, Sequence

from rich.text import Text

from streamer.commands.lines import Output, event_line, paint
from streamer.commands.serve import serve, stopping_on_signals
from streamer.config import Config
from streamer.configure import build
from streamer.core import wire
from streamer.core.model import AgentState, AgentStateChanged, Snapshot
from streamer.kafka.connection import Connection
from streamer.kafka.embedded import embedded_broker
from streamer.kafka.store import KafkaStore
from streamer.observe.metrics import states_by_name
from streamer.observe.observer import Observer
from streamer.simulator.server import serve as simulate

SUMMARY_EVERY = 5.0
"""Seconds between two summary lines."""

RATE_OVER = 10.0
"""Seconds over which events a second are counted."""


class Narrator(Observer):
    """Prints a line for each committed event; `summary` tells how the floor stands. Sets `stop` once nobody reads."""

    def __init__(self, out: Output, stop: asyncio.Event) -> None:
        self._out = out
        self._stop = stop
        self._agents: dict[str, AgentState] = {}
        self._times: deque[float] = deque()
        self._polled = 0.0
        self._began = time.monotonic()

    def polled(self, source: str, snapshot: Snapshot, seconds: float) -> None:
        self._polled = time.monotonic()

    def committed(
        self,
        source: str,
        events: Sequence[AgentStateChanged],
        states: Sequence[AgentState],
        forgotten: Sequence[str],
        at: int,
    ) -> None:
        self._agents.update({agent.extension: agent for agent in states})
        for event in events:
            self._times.append(time.monotonic())
            self.say(event_line(wire.event(event)))

    def say(self, what: Text | str, style: str = "") -> None:
        """Print a line."""
        try:
            self._out.print(what, style=style)
        except BrokenPipeError:
            self._stop.set()

    def summary(self) -> Text:
        """Extensions, states, events a second, age of the last poll."""
        now = time.monotonic()
        while self._times and self._times[0] < now - RATE_OVER:
            self._times.popleft()
        states = [Text.assemble(f"{count} ", paint(state)) for state, count in states_by_name(self._agents).items()]
        rate = len(self._times) / max(1.0, min(RATE_OVER, now - self._began))
        age = f"{now - self._polled:.1f} s ago" if self._polled else "not yet"
        return Text.assemble(
            f"── {len(self._agents)} extensions: ",
            Text(", ").join(states),
            f" · {rate:.1f} events/s · last poll {age}",
            style="bold",
        )


async def demo(
    out: Output,
    *,
    agents: int,
    duration: float | None,
    listen: str,
    bootstrap_servers: str | None,
    env: Mapping[str, str],
) -> None:
    """Run the whole set-up until interrupted, or for `duration` seconds. Of `env` only `[http]` counts."""
    with contextlib.ExitStack() as stack:
        stop = stack.enter_context(stopping_on_signals())
        address = bootstrap_servers or stack.enter_context(embedded_broker())
        simulator = await simulate(agents=agents, seed=int(time.time()))
        try:
            config = _config(simulator.url, address, listen, env, embedded=bootstrap_servers is None)
            await _show(out, config, stop, duration, managed=bootstrap_servers is not None)
        finally:
            await simulator.close()


def _config(vendor: str, kafka: str, listen: str, env: Mapping[str, str], *, embedded: bool) -> Config:
    return build(
        {
            "kafka": {"bootstrap_servers": kafka, "delivery": "at_least_once" if embedded else "exactly_once"},
            "sources": [{"name": "demo", "url": vendor, "appid": "app-1", "accesskey": "key-1"}],
        },
        {name: value for name, value in env.items() if name.startswith("STREAMER_HTTP__") or "STREAMER_" not in name},
        {"http.listen": listen},
    )


async def _show(out: Output, config: Config, stop: asyncio.Event, duration: float | None, *, managed: bool) -> None:
    narrator = Narrator(out, stop)
    store = KafkaStore(Connection(config.kafka), managed=managed)
    started: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    serving = asyncio.create_task(serve(config, store, stop, narrator, started=started))
    telling = asyncio.create_task(_tell(config, narrator, started))
    try:
        await asyncio.wait([serving], timeout=duration)
        stop.set()
        await serving
    finally:
        telling.cancel()
        await asyncio.gather(telling, return_exceptions=True)
    out.print(narrator.summary())


async def _tell(config: Config, narrator: Narrator, started: asyncio.Future[str]) -> None:
    address = await started
    narrator.say(Text.assemble("wallboard  ", (f"{address}/", "bold underline")))
    narrator.say(f"Kafka      {config.kafka.bootstrap_servers}  topic {config.kafka.events_topic}")
    if config.kafka.delivery == "at_least_once":
        narrator.say("           embedded, without transactions: at least once", style="dim")
    while True:
        await asyncio.sleep(SUMMARY_EVERY)
        narrator.say(narrator.summary())
