"""The way to Kafka: options for every client, errors in our words, an end to every call."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path

import pytest
from aiokafka import errors

from streamer.config import Kafka
from streamer.errors import ConfigError, Fenced, KafkaRefused, KafkaUnavailable
from streamer.kafka.connection import Connection
from streamer.kafka.rights import librdkafka_options
from tests.kafka_server import KafkaServer


def guarded(server: KafkaServer, password: str) -> Connection:
    return Connection(
        Kafka.model_validate(
            {
                "bootstrap_servers": server.bootstrap,
                "security_protocol": "SASL_PLAINTEXT",
                "sasl_plain_username": "alice",
                "sasl_plain_password": password,
            }
        )
    )


async def test_a_wrong_password_is_a_refusal_for_every_kind_of_client(sasl_kafka: KafkaServer) -> None:
    """The client only logs it and calls the broker unreachable; we find out."""
    connection = guarded(sasl_kafka, "wr0ng")
    for client in (connection.admin(), connection.consumer(), connection.producer(None, 1000)):
        with pytest.raises(KafkaRefused, match="refused our log-in") as raised:
            await connection.start(client)
        assert "wr0ng" not in f"{raised.value!r} {raised.value.__cause__!r}"


async def test_a_right_password_is_let_in(sasl_kafka: KafkaServer) -> None:
    """One of several addresses is enough."""
    connection = guarded(sasl_kafka, "alice-password")
    await connection.probe()
    several = connection.config.model_copy(update={"bootstrap_servers": f"127.0.0.1:1,{sasl_kafka.bootstrap}"})
    await Connection(several).probe()


async def test_a_broker_that_is_away_is_unavailable_at_once() -> None:
    """For every kind of client, in a moment."""
    connection = Connection(Kafka(bootstrap_servers="127.0.0.1:1"))
    async with asyncio.timeout(10):
        for client in (connection.admin(), connection.consumer(), connection.producer("id", 1000)):
            with pytest.raises(KafkaUnavailable, match=r"127\.0\.0\.1:1"):
                await connection.start(client)


async def test_a_call_that_never_returns_ends(kafka: str) -> None:
    """With its name in the message."""
    connection = Connection(Kafka(bootstrap_servers=kafka))
    with pytest.raises(KafkaUnavailable, match=r"within 0 s \(wait\)"):
        await connection.call(asyncio.Event().wait(), "wait", timeout=0.01)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (errors.SaslAuthenticationFailed("no"), KafkaRefused),
        (errors.TopicAuthorizationFailedError("t"), KafkaRefused),
        (errors.TransactionalIdAuthorizationFailed(), KafkaRefused),
        (errors.ClusterAuthorizationFailedError(), KafkaRefused),
        (errors.GroupAuthorizationFailedError("g"), KafkaRefused),
        (errors.ProducerFenced(), Fenced),
        (errors.InvalidProducerEpoch(), Fenced),
        (errors.KafkaConnectionError("x"), KafkaUnavailable),
        (errors.KafkaTimeoutError(), KafkaUnavailable),
        (ssl.SSLError("handshake"), KafkaUnavailable),
        (ConnectionResetError(), KafkaUnavailable),
        (AssertionError(), KafkaUnavailable),
    ],
)
def test_errors_are_told_in_our_words(error: BaseException, kind: type[Exception]) -> None:
    """On one line, with a remedy."""
    told = Connection(Kafka()).explained(error, "write")
    assert type(told) is kind
    assert told.remedy
    assert "\n" not in str(told)


@pytest.mark.parametrize("compression", ["none", "gzip", "snappy", "lz4", "zstd"])
async def test_every_compression_that_can_be_configured_is_there(compression: str) -> None:
    """Its library is installed."""
    connection = Connection(Kafka.model_validate({"compression_type": compression}))
    await connection.discard(connection.producer(None, 1000))


def test_tls_files_that_cannot_be_used_are_a_config_error(tmp_path: Path) -> None:
    """Before anything is connected to."""
    file = tmp_path / "ca.pem"
    file.write_text("no certificate")
    with pytest.raises(ConfigError, match="ssl_cafile"):
        Connection(Kafka(security_protocol="SSL", ssl_cafile=file))


def test_the_second_client_library_is_given_the_same_security() -> None:
    """In its own words."""
    connection = Connection(
        Kafka.model_validate(
            {
                "bootstrap_servers": "kafka:9093",
                "security_protocol": "SASL_PLAINTEXT",
                "sasl_mechanism": "SCRAM-SHA-512",
                "sasl_plain_username": "u",
                "sasl_plain_password": "p",
                "ssl_check_hostname": False,
            }
        )
    )
    options = librdkafka_options(connection)
    assert options["sasl.mechanism"] == "SCRAM-SHA-512"
    assert (options["sasl.username"], options["sasl.password"]) == ("u", "p")
    assert options["ssl.endpoint.identification.algorithm"] == "none"
