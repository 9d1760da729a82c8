"""Kafka in a container, through testcontainers: for machines with a Docker engine."""

from __future__ import annotations

import importlib
import os
import socket
from types import TracebackType
from typing import Any, Self

from tests.kafka_distribution import KAFKA_VERSION, KafkaUnobtainable
from tests.kafka_readiness import KafkaStartFailed, free_port, wait_until_ready

IMAGE_VARIABLE = "STREAMER_TEST_KAFKA_IMAGE"
DEFAULT_IMAGE = f"apache/kafka:{KAFKA_VERSION}"

ENGINE_TIMEOUT = 10  # seconds for one answer of the Docker engine, or of the registry it asks for us
START_TIMEOUT = 90.0  # seconds; 6 on an idle machine
CLIENT_PORT = 9092  # inside the container

ENVIRONMENT = {
    "KAFKA_NODE_ID": "1",
    "KAFKA_PROCESS_ROLES": "broker,controller",
    # The broker writes transaction markers to itself through an advertised address, and the one for clients is
    # valid outside the container only: with one listener for both, a commit never ends.
    "KAFKA_LISTENERS": f"PLAINTEXT://:{CLIENT_PORT},INTERNAL://localhost:9094,CONTROLLER://localhost:9093",
    "KAFKA_INTER_BROKER_LISTENER_NAME": "INTERNAL",
    "KAFKA_CONTROLLER_LISTENER_NAMES": "CONTROLLER",
    "KAFKA_CONTROLLER_QUORUM_VOTERS": "1@localhost:9093",
    "KAFKA_LISTENER_SECURITY_PROTOCOL_MAP": "PLAINTEXT:PLAINTEXT,INTERNAL:PLAINTEXT,CONTROLLER:PLAINTEXT",
    "KAFKA_AUTO_CREATE_TOPICS_ENABLE": "false",
    # As in the server's own defaults these are 3, with which a transactional start() hangs on one broker.
    "KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR": "1",
    "KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR": "1",
    "KAFKA_TRANSACTION_STATE_LOG_MIN_ISR": "1",
    "KAFKA_SHARE_COORDINATOR_STATE_TOPIC_REPLICATION_FACTOR": "1",
    "KAFKA_SHARE_COORDINATOR_STATE_TOPIC_MIN_ISR": "1",
    "KAFKA_OFFSETS_TOPIC_NUM_PARTITIONS": "2",
    "KAFKA_TRANSACTION_STATE_LOG_NUM_PARTITIONS": "2",
    "KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS": "0",
    "KAFKA_GROUP_MIN_SESSION_TIMEOUT_MS": "500",
    "KAFKA_TRANSACTION_ABORT_TIMED_OUT_TRANSACTION_CLEANUP_INTERVAL_MS": "500",
    "KAFKA_LOG_CLEANER_DEDUPE_BUFFER_SIZE": "16777216",
    "KAFKA_HEAP_OPTS": "-Xmx384m -XX:TieredStopAtLevel=1",
}


def image_name() -> str:
    """The image that the environment asks for, else Apache's own."""
    return os.environ.get(IMAGE_VARIABLE) or DEFAULT_IMAGE


def require_image(image: str) -> None:
    """Return if an engine answers and has the image, or its registry does.

    Raises KafkaUnobtainable within seconds: asking the registry first spares a pull that cannot work.
    """
    _require_socket(os.environ.get("DOCKER_HOST") or "unix:///var/run/docker.sock")
    try:
        docker = _module("docker")
        client = docker.from_env(timeout=ENGINE_TIMEOUT)
    except Exception as error:
        raise KafkaUnobtainable(f"no Docker engine answers: {_first_line(error)}") from None
    try:
        client.images.get(image)
    except docker.errors.ImageNotFound:
        try:
            client.images.get_registry_data(image)
        except Exception as error:
            raise KafkaUnobtainable(f"image {image} is not here and cannot be pulled: {_first_line(error)}") from None
    except Exception as error:
        raise KafkaUnobtainable(f"no Docker engine answers: {_first_line(error)}") from None
    finally:
        client.close()


def _require_socket(host: str) -> None:
    """Knock at a local engine's socket before docker's client does, which on a refusal leaves its own unclosed."""
    kind, _, path = host.partition("://")
    if kind != "unix":
        return
    with socket.socket(socket.AF_UNIX) as door:
        door.settimeout(ENGINE_TIMEOUT)
        try:
            door.connect(path)
        except OSError as error:
            raise KafkaUnobtainable(f"no Docker engine answers at {path}: {error.strerror or error}") from None


class KafkaContainer:
    """One broker in a container, on a port of this machine's loopback (or of the remote engine's host)."""

    def __init__(self, image: str | None = None) -> None:
        self.image = image or image_name()
        self.bootstrap = ""
        self._container: Any = None

    def start(self) -> Self:
        """Start it and return when it answers. Raises KafkaUnobtainable, KafkaStartFailed."""
        require_image(self.image)
        # No reaper beside us: its image is one more to pull, and `close` removes the container.
        _module("testcontainers.core.config").testcontainers_config.ryuk_disabled = True
        container = _module("testcontainers.core.container").DockerContainer(self.image)
        host = str(container.get_docker_client().host())
        port = free_port()
        # A broker tells its clients where to find it, so the port must be known before it starts.
        if host == "localhost":
            host = "127.0.0.1"
            container.ports[f"{CLIENT_PORT}/tcp"] = (host, port)  # on loopback, not for the whole network
        else:
            container.with_bind_ports(CLIENT_PORT, port)
        self.bootstrap = f"{host}:{port}"
        advertised = f"PLAINTEXT://{self.bootstrap},INTERNAL://localhost:9094"
        container.with_envs(**ENVIRONMENT, KAFKA_ADVERTISED_LISTENERS=advertised)
        self._container = container
        try:
            container.start()
            wait_until_ready({"bootstrap.servers": self.bootstrap}, START_TIMEOUT, self._runs)
        except Exception as error:
            told = self._log_tail()
            self.close()
            raise KafkaStartFailed(f"container of {self.image}: {_first_line(error)}\n{told}") from None
        return self

    def close(self) -> None:
        """Remove the container and its data. Safe to call twice."""
        container, self._container = self._container, None
        if container is not None:
            container.stop()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _runs(self) -> bool:
        self._container.reload()
        return self._container.status in ("created", "running")

    def _log_tail(self) -> str:
        try:
            output, errors = self._container.get_logs()
        except Exception:
            return "no log"
        return "\n".join((output + errors).decode(errors="replace").splitlines()[-30:])


def _module(name: str) -> Any:
    """Import late and untyped: neither package declares its types, and most runs need neither."""
    return importlib.import_module(name)


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:300]
