"""One way to reach Kafka: its address and security for every client, time-outs on every call, errors in our words."""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Awaitable
from typing import Any, TypeVar

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, errors
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.conn import create_conn  # pyright: ignore[reportUnknownVariableType]
from aiokafka.helpers import create_ssl_context

from streamer.config import Kafka
from streamer.errors import ConfigError, Fenced, KafkaError, KafkaRefused, KafkaUnavailable
from streamer.units import split_address

CALL_TIMEOUT = 15.0
"""Seconds that any one call may take: with idempotence the client itself waits for ever for a broker that is away."""

STOP_TIMEOUT = 3.0
"""Seconds that a client gets to close before it is dropped."""

REQUEST_TIMEOUT_MS = 10_000
"""Below CALL_TIMEOUT, so that the client names the cause before our own time-out hides it."""

BATCH_BYTES = 256 * 2**10
"""Of a batch, before it is compressed: a poll's records for a partition are mostly one batch, so that its transaction
takes one round."""

MOST_RECORD_BYTES = 2**20
"""Of one record as the client estimates it, with its headers: what a broker takes by default. A larger one is refused
on our side."""

T = TypeVar("T")

_CREDENTIALS = (
    errors.SaslAuthenticationFailed,
    errors.AuthenticationFailedError,
    errors.UnsupportedSaslMechanismError,
    errors.AuthenticationMethodNotSupported,
    errors.IllegalSaslStateError,
)
_RIGHTS = (
    errors.TopicAuthorizationFailedError,
    errors.GroupAuthorizationFailedError,
    errors.ClusterAuthorizationFailedError,
    errors.TransactionalIdAuthorizationFailed,
)
_FENCED = (errors.ProducerFenced, errors.InvalidProducerEpoch)


class Connection:
    """Makes clients for one cluster, as configured. aiokafka ships no types: its clients are `Any` from here on."""

    def __init__(self, config: Kafka, client_id: str = "streamer") -> None:
        self.config = config
        self.client_id = client_id
        self._ssl = _tls(config)

    @property
    def where(self) -> str:
        """The bootstrap address, for messages."""
        return self.config.bootstrap_servers

    def options(self) -> dict[str, Any]:
        """What every aiokafka client is given."""
        c = self.config
        password = c.sasl_plain_password
        return {
            "bootstrap_servers": c.bootstrap_servers,
            "client_id": self.client_id,
            "request_timeout_ms": REQUEST_TIMEOUT_MS,
            "security_protocol": c.security_protocol,
            "ssl_context": self._ssl,
            "sasl_mechanism": c.sasl_mechanism,
            "sasl_plain_username": c.sasl_plain_username,
            "sasl_plain_password": password.get_secret_value() if password else None,
            "sasl_kerberos_service_name": c.sasl_kerberos_service_name,
            "sasl_kerberos_domain_name": c.sasl_kerberos_domain_name,
        }

    def producer(self, transactional_id: str | None, transaction_timeout_ms: int) -> Any:
        """An idempotent producer, not started; transactional if it is given an id."""
        compression = self.config.compression_type
        extra: dict[str, Any] = (
            {"transactional_id": transactional_id, "transaction_timeout_ms": transaction_timeout_ms}
            if transactional_id
            else {"enable_idempotence": True}
        )
        return AIOKafkaProducer(
            **self.options(),
            acks="all",
            compression_type=None if compression == "none" else compression,
            max_request_size=MOST_RECORD_BYTES,
            max_batch_size=BATCH_BYTES,
            **extra,
        )

    def consumer(self, *, committed: bool = True, group: str | None = None) -> Any:
        """A consumer, not started, that reads from the beginning and commits no offset by itself."""
        return AIOKafkaConsumer(
            **self.options(),
            group_id=group,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            isolation_level="read_committed" if committed else "read_uncommitted",
        )

    def admin(self) -> Any:
        """An admin client, not started."""
        return AIOKafkaAdminClient(**self.options())

    async def start(self, client: Any) -> None:
        """Start a client; what the client only logs (a wrong password) is found out and raised."""
        starting = asyncio.ensure_future(self.call(client.start(), "start a client"))
        try:
            await asyncio.shield(starting)
        except KafkaError as error:
            await self.discard(client)
            if isinstance(error, KafkaUnavailable):
                await self.probe()
                raise KafkaUnavailable(
                    error.problem, "it takes connections: check kafka.security_protocol, or is it still starting?"
                ) from error
            raise
        except asyncio.CancelledError:
            # Given up half-way it would leave a connection that nobody closes.
            await asyncio.wait([starting], timeout=STOP_TIMEOUT)
            starting.cancel()
            await asyncio.gather(starting, return_exceptions=True)
            await self.discard(client)
            raise

    async def probe(self) -> None:
        """Connect to each bootstrap server once; raises the error of the last if none lets us in."""
        last: BaseException | None = None
        for address in self.config.bootstrap_servers.split(","):
            try:
                host, port = split_address(address.strip())
            except ValueError as error:
                raise ConfigError(f"kafka.bootstrap_servers: {error}", "give HOST:PORT[,HOST:PORT…]") from None
            options = {k: v for k, v in self.options().items() if k != "bootstrap_servers"}
            try:
                async with asyncio.timeout(CALL_TIMEOUT):
                    connection: Any = await create_conn(host, port, **options)
            except (Exception, TimeoutError) as error:
                last = error
            else:
                connection.close()
                return
        if last is not None:
            raise self.explained(last, "connect") from last

    async def call(self, awaitable: Awaitable[T], what: str, timeout: float = CALL_TIMEOUT) -> T:
        """Await one call of a client, for at most `timeout` seconds, with errors in our words."""
        try:
            async with asyncio.timeout(timeout):
                return await awaitable
        except TimeoutError as error:
            raise KafkaUnavailable(
                f"Kafka at {self.where} did not answer within {timeout:.0f} s ({what})", "is the broker up?"
            ) from error
        except (errors.KafkaError, errors.IllegalOperation, OSError, AssertionError, ValueError) as error:
            raise self.explained(error, what) from error

    def explained(self, error: BaseException, what: str) -> KafkaError:
        """The client's error as one of ours."""
        causes = [error]
        while (cause := causes[-1].__cause__) is not None and len(causes) < 8:
            causes.append(cause)
        name = type(error).__name__
        for cause in causes:
            if isinstance(cause, _CREDENTIALS):
                return KafkaRefused(
                    f"Kafka at {self.where} refused our log-in",
                    "check kafka.sasl_mechanism, sasl_plain_username and sasl_plain_password",
                )
            if isinstance(cause, _RIGHTS):
                return KafkaRefused(
                    f"Kafka at {self.where} denies us the right to {what} ({type(cause).__name__})",
                    "grant the rights that docs/operations.md lists",
                )
            if isinstance(cause, _FENCED):
                return Fenced(f"another producer has taken over ({what})", "run one instance for these topics")
            if isinstance(cause, ssl.SSLError):
                return KafkaUnavailable(
                    f"Kafka at {self.where}: TLS failed: {getattr(cause, 'reason', None) or cause}",
                    "check kafka.ssl_cafile and security_protocol",
                )
        text = str(error).splitlines()[0] if str(error) else name
        return KafkaUnavailable(f"Kafka at {self.where}: could not {what}: {text[:200]}", "is the broker up?")

    async def discard(self, client: Any) -> None:
        """Close a client whatever state it is in, within STOP_TIMEOUT seconds."""
        stop = client.close if isinstance(client, AIOKafkaAdminClient) else client.stop
        closing = asyncio.ensure_future(stop())
        done, _ = await asyncio.wait([closing], timeout=STOP_TIMEOUT)
        if not done:
            closing.cancel()
            sender = getattr(getattr(client, "_sender", None), "sender_task", None)
            if sender is not None:
                sender.cancel()
            await asyncio.wait([closing], timeout=STOP_TIMEOUT)
            inner = getattr(client, "client", None) or getattr(client, "_client", None)
            if inner is not None:
                closing = asyncio.ensure_future(inner.close())
                await asyncio.wait([closing], timeout=STOP_TIMEOUT)
        _read_errors(client)
        if closing.done() and not closing.cancelled() and closing.exception() is not None:
            logging.getLogger(__name__).debug("closing a Kafka client: %r", closing.exception())


def _read_errors(client: Any) -> None:
    # A producer that is fenced fails futures of its own as well, which only its own calls would await: asyncio would
    # log each as an error that nobody has read, long after a call of ours has raised it.
    queues = getattr(getattr(client, "_message_accumulator", None), "_batches", {}).values()
    inner = [getattr(batch, "_drain_waiter", None) for queue in queues for batch in queue]
    inner.append(getattr(getattr(client, "_txn_manager", None), "_transaction_waiter", None))
    for future in inner:
        if future is not None and future.done() and not future.cancelled():
            future.exception()


def _tls(config: Kafka) -> ssl.SSLContext | None:
    if not config.security_protocol.endswith("SSL"):
        return None
    try:
        context = create_ssl_context(
            cafile=config.ssl_cafile,
            certfile=config.ssl_certfile,
            keyfile=config.ssl_keyfile,
            password=config.ssl_password.get_secret_value() if config.ssl_password else None,
        )
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"kafka.ssl_cafile, ssl_certfile or ssl_keyfile cannot be used: {error}",
            "give readable PEM files that belong together",
        ) from None
    context.check_hostname = config.ssl_check_hostname
    return context
