"""Registers our schemas with a schema registry, and says how records name them.

1. What is registered already, in whichever version of its subject, is used as it is.
2. Else the subject's newest schema is compared with ours, by our own rules: they know every keyword that we use, and
   name the field. Then ours is registered, and the registry may still refuse by its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import Any, cast

import orjson

from streamer import schemas
from streamer.compatibility import NotASchema, Schema, compare
from streamer.config import Kafka
from streamer.config.registry import Registry
from streamer.errors import ConfigError, KafkaUnavailable, RegistryRefused
from streamer.kafka.framing import HEADER, Framing

REQUEST_TIMEOUT = 5.0
"""Seconds that one request may take."""

TIMEOUT = 20.0
"""Seconds that all of them together may take."""

NOT_THERE = {40401, 40402, 40403}
"""Confluent's codes for a subject, a version and a schema that is not registered."""


class Registrar:
    """The schemas of our four topics, under the subjects `<topic>-value`; ConfigError without the extra `registry`."""

    def __init__(self, config: Registry, topics: Kafka) -> None:
        self._config = config
        self._options = _options(config)
        self._subjects = {
            topics.events_topic: "agent-state-changed",
            topics.state_topic: "agent-state",
            topics.feed_topic: "feed-status",
            topics.rejected_topic: "rejected-record",
        }
        self._framings: Mapping[str, Framing] | None = None

    async def framings(self) -> Mapping[str, Framing]:
        """Register what is not, once; then how each topic's values are framed.

        KafkaUnavailable while the registry does not answer, RegistryRefused where it does not take a schema or us.
        """
        if self._framings is None:
            async with self._client() as client:
                self._framings = {
                    topic: self._framing(await self._registered(client, topic)) for topic in self._subjects
                }
        return self._framings

    async def inspect(self) -> list[str]:
        """The subjects that `run` would register a schema under; errors as of `framings`. Registers nothing."""
        async with self._client() as client:
            return [_subject(topic) for topic in self._subjects if await self._found(client, topic) is None]

    def _framing(self, registered: Any) -> Framing:
        from confluent_kafka.schema_registry.serde import SchemaId

        schema = SchemaId("JSON", registered.schema_id, registered.guid)
        match self._config.framing:
            case "prefix":
                return Framing(prefix=schema.id_to_bytes())
            case "header":  # a registry that gives no GUIDs has its number there, which is read just as well
                name = schema.guid_to_bytes() if registered.guid else schema.id_to_bytes()
                return Framing(headers=((HEADER, name),))
            case None:
                return Framing()

    async def _registered(self, client: Any, topic: str) -> Any:
        found = await self._found(client, topic)
        return found or await client.register_schema_full_response(_subject(topic), self._schema(topic))

    async def _found(self, client: Any, topic: str) -> Any | None:
        """Our schema as it is registered, or None where it can be; RegistryRefused where it cannot."""
        subject = _subject(topic)
        if (found := await _there(client.lookup_schema(subject, self._schema(topic)))) is not None:
            return found
        newest = await _there(client.get_latest_version(subject))
        if newest is not None and (findings := _differences(newest.schema, self._subjects[topic])):
            more = f", and {len(findings) - 1} more" if len(findings) > 1 else ""
            raise RegistryRefused(
                f"the schema registry's version {newest.version} of {subject} does not go together with ours: "
                f"{findings[0]}{more}",
                "its consumers would break: delete that version if it is not in use, or give the topic another name",
            )
        return None

    def _schema(self, topic: str) -> Any:
        from confluent_kafka.schema_registry import Schema

        return Schema(schemas.text(self._subjects[topic]), "JSON")

    @asynccontextmanager
    async def _client(self) -> AsyncGenerator[Any]:
        """A client for one conversation, with its errors in our words."""
        from confluent_kafka.schema_registry import AsyncSchemaRegistryClient
        from confluent_kafka.schema_registry.error import SchemaRegistryError

        where = f"the schema registry at {self._config.url}"
        try:
            async with asyncio.timeout(TIMEOUT), AsyncSchemaRegistryClient(self._options) as client:
                yield client
        except (RegistryRefused, ConfigError):
            raise
        except SchemaRegistryError as error:
            raise self._explained(error, where) from None
        except Exception as error:  # its HTTP client's many, and answers that are none
            why = " ".join(str(error).split())[:200] or type(error).__name__
            raise KafkaUnavailable(f"{where} does not answer: {why}", "check registry.url; is it up?") from None

    def _explained(self, error: Any, where: str) -> RegistryRefused | KafkaUnavailable:
        status = cast(int, error.http_status_code)
        why = f"{status} {' '.join(str(error.error_message).split())[:300]}"
        if status in (401, 403):
            return RegistryRefused(f"{where} refuses us: {why}", "check registry.user and password, and its rights")
        if status in (409, 422):
            return RegistryRefused(
                f"{where} does not take our schema: {why}",
                "its consumers would break: see what is registered there, or give the topic another name",
            )
        if status == 404:
            return RegistryRefused(f"{where} is none: {why}", "give registry.url with its path: see docs/schemas.md")
        return KafkaUnavailable(f"{where} cannot serve us: {why}", "its own log says why")


def _options(config: Registry) -> dict[str, Any]:
    """What the client is given. ConfigError where it is not installed or its certificates cannot be read."""
    try:
        from confluent_kafka.schema_registry import AsyncSchemaRegistryClient
    except ImportError as error:
        raise ConfigError(
            f"registry.url: the registry's client is not there: {error}",
            "pip install 'streamer[registry]', or remove the section",
        ) from None
    options: dict[str, Any] = {"url": config.url, "timeout": REQUEST_TIMEOUT, "max.retries": 0}
    if config.user is not None and config.password is not None:
        options["basic.auth.user.info"] = f"{config.user}:{config.password.get_secret_value()}"
    if config.ca_file is not None:
        options["ssl.ca.location"] = str(config.ca_file)
    try:
        AsyncSchemaRegistryClient(options)
    except (OSError, ValueError) as error:
        raise ConfigError(f"registry.ca_file cannot be used: {error}", "give a readable PEM file") from None
    return options


def _subject(topic: str) -> str:
    """By Confluent's TopicNameStrategy, where consumers look by default."""
    return f"{topic}-value"


async def _there(asked: Any) -> Any | None:
    from confluent_kafka.schema_registry.error import SchemaRegistryError

    try:
        return await asked
    except SchemaRegistryError as error:
        if error.http_status_code == 404 and error.error_code in NOT_THERE:
            return None
        raise


def _differences(registered: Any, name: str) -> list[str]:
    """Why the newest schema of a subject and ours do not go together; empty if they do."""
    if registered.schema_type != "JSON":
        return [f"it is {registered.schema_type}, ours is JSON"]
    try:
        found: Any = orjson.loads(registered.schema_str)
        if not isinstance(found, dict):
            return ["it describes no record"]
        return compare(cast(Schema, found), schemas.load(name))
    except (orjson.JSONDecodeError, NotASchema) as error:
        return [f"it cannot be compared: {error}"]
