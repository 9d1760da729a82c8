"""Kafka as the runtime sees it: topics made ready, one sink a slot, and what is there read back."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from contextlib import suppress

from aiokafka.partitioner import murmur2  # pyright: ignore[reportUnknownVariableType]

from streamer.config import SLOTS
from streamer.core.feed import Delivery
from streamer.errors import KafkaUnavailable
from streamer.kafka import topics
from streamer.kafka.connection import Connection
from streamer.kafka.framing import unframed
from streamer.kafka.registry import Registrar
from streamer.kafka.restore import LastFeed, Restored, last_feeds, restore
from streamer.kafka.sink import Sink


class KafkaStore:
    """The records of one deployment. `managed` False leaves the topics to a broker that can neither describe nor
    create them (the embedded one). Without a `registrar` values stay as they are."""

    def __init__(
        self, connection: Connection, *, managed: bool = True, slots: int = SLOTS, registrar: Registrar | None = None
    ) -> None:
        self.connection = connection
        self._framings = registrar.framings if registrar else unframed
        self._managed = managed
        self._slots = slots

    @property
    def delivery(self) -> Delivery:
        """What readers of the topics may rely on."""
        return self.connection.config.delivery

    async def prepare(self) -> None:
        """Topics exist and are right, and nobody counts other slots; TopicsWrong where they are not.

        Before that, RegistryRefused where the registry does not take our schemas. One that is away holds up no poll,
        only what is published: see `Sink.write`.
        """
        with suppress(KafkaUnavailable):
            await self._framings()
        if self._managed:
            await topics.ensure(self.connection)
            await self.check_slots()

    async def check_slots(self) -> None:
        """TopicsWrong where a group counts other slots than we do."""
        if self._managed:
            await topics.ensure_slots(self.connection, self.connection.config.slots_topic, self._slots, create=False)

    def sink(self, slot: int) -> Sink:
        """The sink of one slot: its transactional.id makes every earlier holder of the slot a zombie."""
        if self.delivery == "at_least_once":
            return Sink(self.connection, None, self._framings)
        return Sink(self.connection, f"{self.connection.config.state_topic}-slot-{slot}", self._framings)

    async def restore(self, sources: Collection[str]) -> Restored:
        """What is recorded of `sources`, to the true end. Fence their slots first."""
        return await restore(self.connection, sources)

    async def feeds(self) -> Mapping[str, LastFeed]:
        """The newest feed status of every source that has one: fence a source's slot before its cursor is relied on."""
        return await last_feeds(self.connection)

    async def glance(self) -> Mapping[str, LastFeed]:
        """As `feeds`, but as far as it can be read at once: while a transaction is open it may be older."""
        return await last_feeds(self.connection, glance=True)


def slot_of(source: str, slots: int) -> int:
    """murmur2(source) mod slots."""
    hashed: int = murmur2(source.encode())
    return (hashed & 0x7FFFFFFF) % slots
