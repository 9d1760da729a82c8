"""What a leg of a campaign runs on: a broker, a floor for each source, two instances behind proxies of their own."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Self

from benchmarks.campaign_follower import Follower
from benchmarks.campaign_instance import Instance, answers, bound, compile_shim
from benchmarks.campaign_outbox import KeptBatch, kept_batches
from benchmarks.proxy import Proxies, Proxy
from tests.conftest import Topics
from tests.e2e.deployment import wait_for
from tests.kafka_distribution import Distribution
from tests.kafka_readiness import free_port
from tests.kafka_server import KafkaServer

INSTANCES = ("a", "b")
SESSION_TIMEOUT = 6.0
"""Seconds after which the group gives a dead instance's sources to the other."""


class _Bound(Distribution):
    def command(self, main_class: str, *arguments: str, jvm: tuple[str, ...] = ()) -> list[str]:
        return bound(Distribution.command(self, main_class, *arguments, jvm=jvm))


class Broker(KafkaServer):
    """A broker with a listener more for each instance, advertised under the port of that instance's proxy.

    So a client that begins at a proxy is never told of a way around it. `inner` and `outer` are ports by instance.
    """

    def __init__(self, inner: dict[str, int], outer: dict[str, int]) -> None:
        super().__init__()
        self._inner, self._outer = inner, outer

    def _format(self, distribution: Distribution) -> None:
        self._distribution = _Bound(distribution.java, distribution.libs)
        controller = free_port()
        names = {name: f"I{name.upper()}" for name in self._inner}

        def listeners(ports: dict[str, int]) -> str:
            return ",".join(f"{names[name]}://127.0.0.1:{port}" for name, port in ports.items())

        own = f"PLAINTEXT://127.0.0.1:{self._port}"
        self._extra |= {
            "listeners": f"{own},CONTROLLER://127.0.0.1:{controller},{listeners(self._inner)}",
            "advertised.listeners": f"{own},{listeners(self._outer)}",
            "listener.security.protocol.map": ",".join(
                f"{name}:PLAINTEXT" for name in ("PLAINTEXT", "CONTROLLER", *names.values())
            ),
            "inter.broker.listener.name": "PLAINTEXT",
            "controller.quorum.voters": f"1@127.0.0.1:{controller}",
            # As a broker has it unless told otherwise: whoever is back first after an outage waits for the others.
            "group.initial.rebalance.delay.ms": "3000",
        }
        super()._format(self._distribution)


class Site:
    """One leg's processes. Enter to start them; all of them have ended at exit."""

    def __init__(self, folder: Path, topics: Topics, *, sources: int, agents: int, seed: int) -> None:
        self.folder = folder
        self.topics = topics
        self.sources = [f"floor-{number}" for number in range(1, sources + 1)]
        self.truths = {name: folder / f"{name}.truth.jsonl" for name in self.sources}
        self.kept: list[KeptBatch] = []
        self.shim = compile_shim(folder)
        self._agents, self._seed = agents, seed
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as stack:
            self.proxies = stack.enter_context(Proxies())
            inner = {name: free_port() for name in INSTANCES}
            self.kafka = {name: self.proxies.add(inner[name], free_port()) for name in INSTANCES}
            self.broker = stack.enter_context(Broker(inner, {name: proxy.port for name, proxy in self.kafka.items()}))
            vendors = {name: self._simulate(stack, number) for number, name in enumerate(self.sources)}
            self.vendors = {
                (name, source): self.proxies.add(port, free_port())
                for name in INSTANCES
                for source, port in vendors.items()
            }
            self.instances = {name: self._instance(stack, name) for name in INSTANCES}
            for instance in self.instances.values():
                instance.start()
            self.follower = stack.enter_context(Follower(self.broker.bootstrap, self.topics, self.sources))
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _simulate(self, stack: contextlib.ExitStack, number: int) -> int:
        port, name = free_port(), self.sources[number]
        command = [sys.executable, "-m", "streamer", "simulate", f"--port={port}", f"--agents={self._agents}"]
        with (self.folder / f"{name}.log").open("wb") as log:
            process = subprocess.Popen(
                bound([*command, f"--seed={self._seed * 1000 + number}", f"--truth={self.truths[name]}"]),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        stack.callback(_end, process)
        wait_for(lambda: answers(f"http://127.0.0.1:{port}/control/stats"), f"the simulator of {name}")
        return port

    def _instance(self, stack: contextlib.ExitStack, name: str) -> Instance:
        port = free_port()
        urls = {source: proxy.port for (owner, source), proxy in self.vendors.items() if owner == name}
        config = config_text(name, self.topics, self.kafka[name].port, port, self.folder / f"{name}.outbox", urls)
        instance = Instance(name, self.folder, config, port, self.shim)
        stack.callback(instance.kill)
        return instance

    def kill(self, instance: Instance) -> None:
        """kill -9, and remember what it leaves in its outbox."""
        instance.kill()
        self.kept += kept_batches(instance.name, instance.outbox)

    def proxy(self, instance: str, source: str | None) -> Proxy:
        """That of an instance's way to Kafka, or to a source."""
        return self.kafka[instance] if source is None else self.vendors[instance, source]

    def do(self, action: Callable[[], None]) -> None:
        """Do something to a proxy."""
        self.proxies.do(action)


def config_text(name: str, topics: Topics, kafka: int, http: int, outbox: Path, urls: dict[str, int]) -> str:
    """The configuration of one instance; `urls` are its ports for the sources."""
    text = f"""
[kafka]
bootstrap_servers = "127.0.0.1:{kafka}"
events_topic = "{topics.events}"
state_topic = "{topics.state}"
feed_topic = "{topics.feed}"
rejected_topic = "{topics.rejected}"
[http]
listen = "127.0.0.1:{http}"
[cluster]
group = "{topics.group}"
instance = "{name}"
session_timeout = {SESSION_TIMEOUT}
[outbox]
path = "{outbox}"
"""
    for source, port in urls.items():
        text += f'[[sources]]\nname = "{source}"\nurl = "http://127.0.0.1:{port}"\n'
        text += 'appid = "app-1"\naccesskey_env = "CAMPAIGN_ACCESSKEY"\n'
    return text


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
