"""The server properties of the tests' own broker: one node, quick to start, nothing replicated."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

SUPER_USER = "admin"
SUPER_PASSWORD = "admin-password"

PROPERTIES = {
    "process.roles": "broker,controller",
    "node.id": "1",
    "controller.listener.names": "CONTROLLER",
    "auto.create.topics.enable": "false",
    # With the default factor of 3, one broker never gets these topics and a transactional start() hangs.
    "offsets.topic.replication.factor": "1",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    # Few partitions: each costs a directory and a moment at every start.
    "offsets.topic.num.partitions": "2",
    "transaction.state.log.num.partitions": "2",
    "group.initial.rebalance.delay.ms": "0",
    "group.min.session.timeout.ms": "500",
    # How soon a transaction is noticed to be over its time-out; by default 10 s, which tests would wait.
    "transaction.abort.timed.out.transaction.cleanup.interval.ms": "500",
    # After a kill the controller refuses the new process until the old one's session is over.
    "broker.session.timeout.ms": "2000",
    "broker.heartbeat.interval.ms": "200",
    # The default takes 128 MB of a heap of 384.
    "log.cleaner.dedupe.buffer.size": "16777216",
}

PLAIN_LOGIN = "org.apache.kafka.common.security.plain.PlainLoginModule"


def server_properties(
    data: Path, port: int, internal: int, controller: int, users: Mapping[str, str] | None
) -> dict[str, str]:
    """All properties of a broker that keeps its files in `data` and serves clients on loopback at `port`.

    With `users` (names to passwords) clients must log in; the broker then talks to itself at `internal`.
    """
    listeners = _open(port, controller) if users is None else _guarded(port, internal, controller, users)
    quorum = {"controller.quorum.voters": f"1@127.0.0.1:{controller}"}
    return {**PROPERTIES, "log.dirs": str(data), **quorum, **listeners}


def _open(port: int, controller: int) -> dict[str, str]:
    return {
        "listeners": f"PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}",
        "inter.broker.listener.name": "PLAINTEXT",
    }


def _guarded(port: int, internal: int, controller: int, users: Mapping[str, str]) -> dict[str, str]:
    entries = " ".join(f'user_{name}="{password}"' for name, password in users.items())
    protocols = {"SASL_PLAINTEXT": "SASL_PLAINTEXT", "INTERNAL": "PLAINTEXT", "CONTROLLER": "PLAINTEXT"}
    ports = {"SASL_PLAINTEXT": port, "INTERNAL": internal, "CONTROLLER": controller}
    return {
        "listeners": ",".join(f"{name}://127.0.0.1:{number}" for name, number in ports.items()),
        "listener.security.protocol.map": ",".join(f"{name}:{kind}" for name, kind in protocols.items()),
        "inter.broker.listener.name": "INTERNAL",  # no log-in there, so its user ANONYMOUS is a super user
        "sasl.enabled.mechanisms": "PLAIN",
        "listener.name.sasl_plaintext.plain.sasl.jaas.config": f"{PLAIN_LOGIN} required {entries};",
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users": f"User:{SUPER_USER};User:ANONYMOUS",
    }
