"""What can be configured: one class a section, each value checked where it is declared."""

from __future__ import annotations

import hashlib
import json
import re
from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal, cast
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from pydantic import BeforeValidator, Field, SecretStr, field_validator, model_validator

from streamer.config.audit import Audit
from streamer.config.registry import Registry
from streamer.config.section import Section
from streamer.config.wfm import Wfm
from streamer.core.codes import MAPPABLE, State
from streamer.core.model import SECOND, Settings
from streamer.units import Addresses, Bytes, Code, Seconds, check_url, is_local, place, split_address

SLOTS = 32
"""Slots where no number is given: fixed, so that two deployments on the same topics fence each other."""


class Kafka(Section):
    """Where the records go. `sasl_*` and `ssl_*` are aiokafka's own names; files are PEM."""

    bootstrap_servers: str = "localhost:9092"
    events_topic: str = "agent-state-changed"
    state_topic: str = "agent-state"
    feed_topic: str = "agent-state-feed"
    rejected_topic: str = "agent-state-rejected"
    delivery: Literal["exactly_once", "at_least_once"] = "exactly_once"
    compression_type: Literal["none", "gzip", "snappy", "lz4", "zstd"] = "lz4"
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "GSSAPI"] = "PLAIN"
    sasl_plain_username: str | None = None
    sasl_plain_password: SecretStr | None = None
    sasl_plain_password_env: str | None = None
    sasl_plain_password_file: Path | None = None
    sasl_kerberos_service_name: str = "kafka"
    sasl_kerberos_domain_name: str | None = None
    ssl_cafile: Path | None = None
    ssl_certfile: Path | None = None
    ssl_keyfile: Path | None = None
    ssl_password: SecretStr | None = None
    ssl_check_hostname: bool = True

    @property
    def slots_topic(self) -> str:
        """Whose partitions are the slots of a deployment in a group."""
        return f"{self.state_topic}-slots"

    @field_validator("bootstrap_servers")
    @classmethod
    def _addresses(cls, text: str) -> str:
        for address in text.split(","):
            split_address(address.strip())
        return text

    @model_validator(mode="after")
    def _logs_in(self) -> Kafka:
        if self.security_protocol.startswith("SASL") and self.sasl_mechanism != "GSSAPI":
            if not self.sasl_plain_username:
                raise ValueError(f"sasl_plain_username: missing, and {self.sasl_mechanism} needs it")
            if self.sasl_plain_password is None:
                raise ValueError(
                    f"sasl_plain_password: missing, and {self.sasl_mechanism} needs it (or …_env, or …_file)"
                )
        return self

    @model_validator(mode="after")
    def _distinct(self) -> Kafka:
        topics = (self.events_topic, self.state_topic, self.feed_topic, self.rejected_topic)
        if len(set(topics)) < len(topics):
            raise ValueError("each topic needs a name of its own")
        for topic in topics:
            if not re.fullmatch(r"(?!\.{1,2}$)[A-Za-z0-9._-]{1,249}", topic):
                raise ValueError(f"{topic!r} cannot be a topic's name: use letters, digits, '.', '_' and '-'")
        return self


class Http(Section):
    """Where the wallboard, metrics, health and callbacks are served, and to whom.

    Beyond this machine only with a `token`, or where a proxy in front asks who comes (`behind_proxy`).
    """

    listen: str = "127.0.0.1:8080"
    token: SecretStr | None = None
    token_env: str | None = None
    token_file: Path | None = None
    behind_proxy: bool = False
    agent_names: bool = True

    @property
    def address(self) -> tuple[str, int]:
        """Host and port."""
        return split_address(self.listen)

    @property
    def local(self) -> bool:
        """Can only this machine connect?"""
        return is_local(self.address[0])

    @field_validator("listen")
    @classmethod
    def _listens(cls, text: str) -> str:
        split_address(text)
        return text

    @model_validator(mode="after")
    def _guarded(self) -> Http:
        if not (self.local or self.token or self.behind_proxy):
            raise ValueError(
                f"listen: {self.listen} is open to other machines: give a token (or token_env, or token_file), or set "
                "behind_proxy = true where a proxy lets in only whom it knows"
            )
        return self


class Source(Section):
    """One customer's voice platform."""

    name: str = Field(pattern=r"^[a-z0-9-]{1,64}$")
    url: str
    appid: str = ""
    accesskey: SecretStr | None = None
    accesskey_env: str | None = None
    accesskey_file: Path | None = None
    token: SecretStr | None = None
    token_env: str | None = None
    token_file: Path | None = None
    poll_interval: Seconds = 1.0
    timezone: str = "Asia/Shanghai"
    queuename: str = ""
    extnumber: str = ""
    state: int | str = 0
    wrap_up: bool = True
    codes: dict[Code, str] = Field(default={})
    ca_file: Path | None = None
    connect_timeout: Seconds = 5.0
    total_timeout: Seconds = 10.0
    max_body: Bytes = 8 * 2**20
    callback_secret: SecretStr | None = None
    callback_secret_env: str | None = None
    callback_secret_file: Path | None = None
    callback_addresses: Addresses = ()

    @model_validator(mode="after")
    def _sensible(self) -> Source:
        try:
            parts = urlsplit(self.url)
            port = parts.port
        except ValueError as error:
            raise ValueError("url: its host or port is none") from error
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("url: must be http://host:port or https://host:port")
        if parts.username or parts.password:
            raise ValueError("url: must hold no password; use accesskey_env or accesskey_file")
        if port == 0:
            raise ValueError("url: 0 is no port")
        if str(self.state).strip() not in ("", "0"):
            raise ValueError(
                "state: only 0 (all) can be polled: leaving the filter would look like signing out; remove the key"
            )
        if self.poll_interval < 0.1:
            raise ValueError("poll_interval: at least 0.1 seconds")
        try:
            ZoneInfo(self.timezone)
        except (ValueError, KeyError, OSError) as error:
            raise ValueError(f"timezone: {self.timezone!r} is not a known time zone") from error
        if wrong := sorted(set(self.codes.values()) - MAPPABLE):
            raise ValueError(f"codes: {wrong[0]!r} is not one of {', '.join(sorted(MAPPABLE))}")
        return self


class Gate(Section):
    """When is a mass absence believed?"""

    absent_min: Annotated[int, Field(ge=0)] = 3
    absent_share: Annotated[float, Field(ge=0, le=1)] = 0.1
    confirm_polls: Annotated[int, Field(ge=1)] = 3
    max_delay: Seconds = 60.0


class StateRetention(Section):
    """How long a signed-out extension keeps its record."""

    forget_after: Seconds = 30 * 86_400.0


class Feed(Section):
    """The feed topic's rhythm."""

    heartbeat: Seconds = 10.0


class Outbox(Section):
    """What waits while Kafka is away."""

    path: Annotated[Path | None, BeforeValidator(place)] = None
    max_bytes: Bytes = 256 * 2**20


class Tracing(Section):
    """Where spans are sent, by OTLP over HTTP; nowhere if `endpoint` is not given."""

    endpoint: str | None = None

    @field_validator("endpoint")
    @classmethod
    def _leads_somewhere(cls, text: str | None) -> str | None:
        return text and check_url(text, "OTEL_EXPORTER_OTLP_HEADERS in the environment can")


class Cluster(Section):
    """Several instances that share the sources. `instance` is a name that survives a restart; without it an instance
    that ends gives its sources to the others at once. `slots` is fixed for a deployment.
    """

    group: str = Field(default="streamer", min_length=1, max_length=249)
    instance: str = Field(default="", pattern=r"^[A-Za-z0-9._-]{0,200}$")
    slots: Annotated[int, Field(ge=1, le=1024)] = SLOTS
    session_timeout: Seconds = 6.0


class Config(Section):
    """The whole configuration, secrets resolved."""

    kafka: Kafka = Kafka()
    http: Http = Http()
    sources: tuple[Source, ...] = ()
    cluster: Cluster | None = None
    outbox: Outbox = Outbox()
    gate: Gate = Gate()
    state: StateRetention = StateRetention()
    feed: Feed = Feed()
    tracing: Tracing = Tracing()
    registry: Registry | None = None
    wfm: Wfm | None = None
    audit: Audit | None = None
    shutdown_timeout: Seconds = 10.0

    @model_validator(mode="after")
    def _named_apart(self) -> Config:
        names = [source.name for source in self.sources]
        if doubled := {name for name in names if names.count(name) > 1}:
            raise ValueError(f"two sources are called {min(doubled)!r}; a name is part of every key")
        if self.cluster is not None and self.kafka.delivery != "exactly_once":
            raise ValueError("cluster: several instances need transactions: kafka.delivery must be exactly_once")
        return self

    @property
    def slots(self) -> int:
        """How many slots the sources are spread over."""
        return self.cluster.slots if self.cluster else SLOTS

    @property
    def called_back(self) -> bool:
        """Does the vendor of any source send callbacks?"""
        return any(source.callback_secret for source in self.sources)

    def settings(self, source: Source) -> Settings:
        """What the core needs to know for one source."""
        return Settings(
            source=source.name,
            timezone=source.timezone,
            codes=cast(dict[int, State], dict(source.codes)),
            absent_min=self.gate.absent_min,
            absent_share=self.gate.absent_share,
            confirm_polls=self.gate.confirm_polls,
            max_delay_ms=round(self.gate.max_delay * SECOND),
            forget_after_ms=round(self.state.forget_after * SECOND),
            wrap_up=source.wrap_up,
            poll_interval_ms=round(source.poll_interval * SECOND),
        )

    @cached_property
    def digest(self) -> str:
        """16 hex digits that differ where two instances' files differ in what they should agree on; without secrets."""
        private = {"http", "cluster", "outbox", "tracing", "registry", "wfm", "audit", "shutdown_timeout"}
        public = self.model_dump(mode="json", exclude=private)
        return hashlib.sha256(json.dumps(public, sort_keys=True).encode()).hexdigest()[:16]
