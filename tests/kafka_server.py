"""A real Apache Kafka on this machine that a test or a benchmark may start, freeze, kill and start again.

One process is broker and controller. It listens on loopback only, keeps its data in a temporary directory of
its own, and creates no topic unasked: creating them is our code's job.
"""

from __future__ import annotations

import atexit
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from confluent_kafka import admin as confluent_admin

from tests.kafka_distribution import Distribution, KafkaUnobtainable, obtain
from tests.kafka_properties import SUPER_PASSWORD, SUPER_USER, server_properties
from tests.kafka_readiness import KafkaStartFailed, free_port, wait_until_ready

__all__ = ["KafkaServer", "KafkaStartFailed", "KafkaUnobtainable"]

CLUSTER_ID = "5L6g3nShT-eMCtK--X86sw"
START_TIMEOUT = 60.0  # seconds; 3 on an idle machine, much more on two busy cores
STOP_TIMEOUT = 20.0  # seconds for an orderly shutdown before SIGKILL
START_ATTEMPTS = 3  # a free port can be taken between choosing and binding it
LOG_TAIL = 30  # lines of the broker's log in the error when it does not start


class KafkaServer:
    """A broker of our own.

    `sasl` maps user names to passwords: clients must then log in (SASL_PLAINTEXT, mechanism PLAIN), and a
    user may do nothing until `grant` allows it. `properties` are added to the server's and win over ours. `heap`
    is the virtual machine's limit. Raises KafkaUnobtainable from `start` where there is no Java or no jars.
    """

    def __init__(
        self,
        *,
        sasl: Mapping[str, str] | None = None,
        properties: Mapping[str, str] | None = None,
        heap: str = "384m",
    ) -> None:
        self._users = {SUPER_USER: SUPER_PASSWORD, **sasl} if sasl is not None else None
        self._extra = dict(properties or {})
        self._heap = heap
        self._home: Path | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._distribution: Distribution | None = None
        self._port = 0
        self.start_seconds = 0.0
        """How long the latest start took, from the call to the first answer."""

    @property
    def bootstrap(self) -> str:
        """`host:port`, the same for the server's whole life; set by the first `start`."""
        return f"127.0.0.1:{self._port}"

    @property
    def log(self) -> Path:
        """The file with everything that the broker wrote."""
        return self._existing_home() / "broker.log"

    @property
    def running(self) -> bool:
        """Whether the process lives."""
        return self._process is not None and self._process.poll() is None

    def client_options(self, user: str = SUPER_USER, password: str | None = None) -> dict[str, Any]:
        """Keyword arguments for any aiokafka client; the password defaults to the right one."""
        options: dict[str, Any] = {"bootstrap_servers": self.bootstrap}
        if self._users is not None:
            options |= {
                "security_protocol": "SASL_PLAINTEXT",
                "sasl_mechanism": "PLAIN",
                "sasl_plain_username": user,
                "sasl_plain_password": self._users.get(user, "") if password is None else password,
            }
        return options

    def librdkafka_options(self, user: str = SUPER_USER) -> dict[str, Any]:
        """The same for confluent-kafka's clients, which are made of one dictionary."""
        options: dict[str, Any] = {"bootstrap.servers": self.bootstrap}
        if self._users is not None:
            options |= {
                "security.protocol": "SASL_PLAINTEXT",
                "sasl.mechanism": "PLAIN",
                "sasl.username": user,
                "sasl.password": self._users.get(user, ""),
            }
        return options

    def start(self) -> Self:
        """Start, or start again after `stop` or `kill` on the same port with the same data; wait until it answers.

        Raises KafkaStartFailed, KafkaUnobtainable.
        """
        if self.running:
            return self
        began = time.monotonic()
        if self._home is None:
            self._first_start()
        else:
            self._launch()
        self.start_seconds = time.monotonic() - began
        return self

    def stop(self) -> None:
        """End it in an orderly way (SIGTERM), keep its data."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End it at once (SIGKILL), as a crash would; keep its data."""
        self._end(signal.SIGKILL)

    def restart(self) -> None:
        """Stop it if it runs, and start it on the same port with the same data."""
        self.stop()
        self.start()

    def freeze(self) -> None:
        """Let it answer nothing while its connections stay open (SIGSTOP), until `thaw` or its end."""
        self._running_process().send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on after `freeze`."""
        self._running_process().send_signal(signal.SIGCONT)

    def close(self) -> None:
        """End it and delete its data. Safe to call twice."""
        self.kill()
        if self._home is not None:
            shutil.rmtree(self._home, ignore_errors=True)
            self._home = None
        atexit.unregister(self.close)

    def __enter__(self) -> Self:
        try:
            return self.start()
        except BaseException:
            self.close()
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def grant(self, user: str, operation: str, resource: str, name: str, *, prefix: bool = False) -> None:
        """Allow `user` an operation, as in `grant("bob", "WRITE", "TOPIC", "changes")`; return when it holds.

        `name` is `*` for all of a kind, or with `prefix` how the names begin; the cluster itself is the resource
        BROKER of the name `kafka-cluster`. Operations and resources are those of Kafka's ACLs. Only with `sasl`.
        """
        kafka: Any = confluent_admin  # declares only a part of its types
        terms = (
            kafka.ResourceType[resource],
            name,
            kafka.ResourcePatternType.PREFIXED if prefix else kafka.ResourcePatternType.LITERAL,
            f"User:{user}",
            "*",
            kafka.AclOperation[operation],
            kafka.AclPermissionType.ALLOW,
        )
        rule = kafka.AclBinding(*terms)
        client = kafka.AdminClient({"log_level": 0, **self.librdkafka_options()})
        for outcome in client.create_acls([rule]).values():
            outcome.result(timeout=10)
        # The controller's answer comes before the broker has heard of it; what a broker describes is what it applies.
        deadline = time.monotonic() + START_TIMEOUT
        while rule not in client.describe_acls(kafka.AclBindingFilter(*terms)).result(timeout=10):
            if time.monotonic() > deadline:
                raise KafkaStartFailed(f"the broker never applied {rule}")

    def _first_start(self) -> None:
        """Choose ports, format and launch; once more with other ports if somebody took one in between."""
        self._distribution = obtain()
        atexit.register(self.close)  # a broker must not outlive a run that ended in an unforeseen way
        for attempt in range(1, START_ATTEMPTS + 1):
            self._home = Path(tempfile.mkdtemp(prefix="streamer-kafka-"))
            self._port = free_port()
            try:
                self._format(self._distribution)
                self._launch()
            except KafkaStartFailed as error:
                self.close()
                if attempt == START_ATTEMPTS or "Address already in use" not in str(error):
                    raise
            else:
                return

    def _format(self, distribution: Distribution) -> None:
        home = self._existing_home()
        ports = (self._port, free_port(), free_port())
        properties = server_properties(home / "data", *ports, self._users) | self._extra
        config = home / "server.properties"
        config.write_text("".join(f"{key}={value}\n" for key, value in properties.items()))
        config.chmod(0o600)
        command = distribution.command(
            "kafka.tools.StorageTool", "format", "-t", CLUSTER_ID, "-c", str(config), jvm=self._jvm_options()
        )
        with self.log.open("ab") as log:
            done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, timeout=60, check=False)
        if done.returncode != 0:
            raise KafkaStartFailed(f"formatting the data directory failed\n{self._log_tail()}")

    def _jvm_options(self) -> tuple[str, ...]:
        # The quick compiler alone: a test's broker never lives long enough for the thorough one to pay.
        return (
            f"-Xmx{self._heap}",
            "-XX:TieredStopAtLevel=1",
            "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
        )

    def _launch(self) -> None:
        assert self._distribution is not None, "start() has found it"
        config = self._existing_home() / "server.properties"
        command = self._distribution.command("kafka.Kafka", str(config), jvm=self._jvm_options())
        with self.log.open("ab") as log:
            # A session of its own: Ctrl-C is for the tests, which then end the broker themselves.
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        try:
            wait_until_ready(self.librdkafka_options(), START_TIMEOUT, lambda: self.running)
        except KafkaStartFailed as error:
            self.kill()
            raise KafkaStartFailed(f"{error}\n{self._log_tail()}") from None

    def _end(self, how: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(signal.SIGCONT)  # a frozen process would leave SIGTERM unread
        process.send_signal(how)
        try:
            process.wait(STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _running_process(self) -> subprocess.Popen[bytes]:
        if self._process is None or not self.running:
            raise KafkaStartFailed("the broker does not run")
        return self._process

    def _existing_home(self) -> Path:
        if self._home is None:
            raise KafkaStartFailed("the broker was never started, or is closed")
        return self._home

    def _log_tail(self) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-LOG_TAIL:])
