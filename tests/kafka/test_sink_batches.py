"""What a sink writes in batches lies where, and as, the client's own `send` would put it; and what fails is told."""

from __future__ import annotations

import asyncio
import gc
import random
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from aiokafka.admin import NewPartitions, NewTopic
from aiokafka.codec import lz4_encode
from aiokafka.errors import MessageSizeTooLargeError
from aiokafka.record.default_records import DefaultRecordBatchBuilder

from streamer.config import Kafka
from streamer.errors import Fenced, KafkaUnavailable
from streamer.kafka.connection import BATCH_BYTES, MOST_RECORD_BYTES, Connection
from streamer.kafka.framing import Framing
from streamer.kafka.restore import read_to_end
from streamer.kafka.serde import Record
from streamer.kafka.sink import LZ4_LEVEL, Sink
from tests.conftest import Topics

NOW = 1_795_399_205_120
PARTITIONS = 7
BATCH_HEAD = 61
"""Bytes before a batch's records, which alone are compressed."""
BOTH = pytest.mark.parametrize("transactional", [True, False], ids=["exactly once", "at least once"])


class Site(Connection):
    """A cluster, and the client of the sink that was opened last."""

    latest: Any = None

    def producer(self, transactional_id: str | None, transaction_timeout_ms: int) -> Any:
        """As ever, and remembered."""
        self.latest = super().producer(transactional_id, transaction_timeout_ms)
        return self.latest

    async def create(self, topic: str, partitions: int = PARTITIONS, **settings: str) -> None:
        """A topic; underscores in the names of settings are dots."""
        configs = {name.replace("_", "."): value for name, value in settings.items()}
        admin = self.admin()
        await self.start(admin)
        await admin.create_topics([NewTopic(topic, partitions, 1, topic_configs=configs)])
        await self.discard(admin)

    async def enlarge(self, topic: str, partitions: int) -> None:
        """Give the topic more partitions."""
        admin = self.admin()
        await self.start(admin)
        await admin.create_partitions({topic: NewPartitions(partitions)})
        await self.discard(admin)

    async def records(self, *topics: str) -> list[Any]:
        """All that is committed, each partition's in order."""
        return [record async for record in read_to_end(self, list(topics))]


@pytest.fixture
def site(kafka: str) -> Site:
    """The Kafka that all tests share."""
    return Site(Kafka(bootstrap_servers=kafka))


@pytest.fixture
def uncompressed(kafka: str) -> Site:
    """The same, where a record weighs what it has."""
    return Site(Kafka(bootstrap_servers=kafka, compression_type="none"))


async def opened(site: Site, topics: Topics, transactional: bool = True) -> Sink:
    """A sink of this test's own."""
    sink = Sink(site, f"{topics.state}-slot-1" if transactional else None)
    await sink.open()
    return sink


def number(record: Any) -> int:
    """What `numbered` gave it."""
    return int.from_bytes(record.value[:8])


def numbered(topic: str, count: int, size: int, keys: Sequence[bytes]) -> list[Record]:
    """Records whose values begin with their number and have `size` bytes that cannot be compressed."""
    rng = random.Random(7)
    return [
        Record(topic, rng.choice(keys), number.to_bytes(8) + rng.randbytes(size - 8), NOW + number)
        for number in range(count)
    ]


async def send_plainly(site: Site, topic: str, keys: Sequence[bytes]) -> None:
    """A record for each key by the client's own `send`."""
    plain = site.producer(None, 0)
    await site.start(plain)
    for arrival in [await plain.send(topic, b"plain", key=key) for key in keys]:
        await arrival
    await site.discard(plain)


def unread() -> list[str]:
    """From now on: what asyncio would log of errors that nobody has read."""
    found: list[str] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: found.append(f"{context}"))
    return found


@BOTH
async def test_keys_lie_where_the_clients_own_send_puts_them(site: Site, topics: Topics, transactional: bool) -> None:
    """Of every length that the hash treats by itself, and of bytes that are no ASCII."""
    rng = random.Random(3)
    keys = [b"floor/%d" % n for n in range(200)] + [rng.randbytes(1 + n % 23) for n in range(200)]
    await site.create(topics.state)
    await send_plainly(site, topics.state, keys)
    sink = await opened(site, topics, transactional)
    await sink.write([Record(topics.state, key, b"batched", NOW) for key in keys])
    await sink.close()
    places: dict[bytes, set[int]] = defaultdict(set)
    records = await site.records(topics.state)
    for record in records:
        places[record.key].add(record.partition)
    assert len(records) == 2 * len(keys)
    assert all(len(partitions) == 1 for partitions in places.values())
    assert set().union(*places.values()) == set(range(PARTITIONS))


@BOTH
async def test_megabytes_keep_their_order_in_each_partition(site: Site, topics: Topics, transactional: bool) -> None:
    """Tens of batches for each partition, two topics by turns; and a second write lies behind the first."""
    keys = [b"floor/%d" % n for n in range(100)]
    for topic in (topics.events, topics.state):
        await site.create(topic)
    halves = [numbered(topic, 3000, 1000, keys) for topic in (topics.events, topics.state)]
    mixed = [record for pair in zip(*halves, strict=True) for record in pair]
    sink = await opened(site, topics, transactional)
    await sink.write(mixed[:5000])
    await sink.write(mixed[5000:])
    await sink.close()
    for topic in (topics.events, topics.state):
        read: dict[int, list[int]] = defaultdict(list)
        for record in await site.records(topic):
            read[record.partition].append(number(record))
        assert len(read) == PARTITIONS
        assert sorted(n for numbers in read.values() for n in numbers) == list(range(3000))
        assert all(numbers == sorted(numbers) for numbers in read.values())


@BOTH
async def test_a_record_comes_back_as_it_was_given(site: Site, topics: Topics, transactional: bool) -> None:
    """Headers in their order, the clock's time, a tombstone that is not framed, the schema's number before the rest."""
    await site.create(topics.events)
    await site.create(topics.state)

    async def framings() -> Mapping[str, Framing]:
        return {topics.events: Framing(b"\0\0\0\0\7", (("schema", b"7"),))}

    sink = Sink(site, f"{topics.state}-slot-1" if transactional else None, framings)
    await sink.open()
    headers = (("ce_id", b"1"), ("ce_id", b"2"), ("name", "Zoë".encode()), ("empty", b""))
    await sink.write(
        [
            Record(topics.events, b"a", b"{}", NOW, headers),
            Record(topics.events, b"a", b"", NOW - 5000, headers),
            Record(topics.events, b"a", None, NOW + 1, headers),
            Record(topics.state, b"a", b"{}", NOW + 2),
            Record(topics.state, b"a", None, NOW + 3),
        ]
    )
    await sink.close()
    found = {topic: await site.records(topic) for topic in (topics.events, topics.state)}
    assert [(r.key, r.value, r.timestamp, r.headers) for r in found[topics.events]] == [
        (b"a", b"\0\0\0\0\7{}", NOW, (*headers, ("schema", b"7"))),
        (b"a", b"", NOW - 5000, (*headers, ("schema", b"7"))),
        (b"a", None, NOW + 1, headers),
    ]
    assert [(r.key, r.value, r.timestamp, r.headers) for r in found[topics.state]] == [
        (b"a", b"{}", NOW + 2, ()),
        (b"a", None, NOW + 3, ()),
    ]


@BOTH
async def test_the_largest_record_is_that_of_the_clients_own_send(
    uncompressed: Site, topics: Topics, transactional: bool
) -> None:
    """To the byte; one that is larger is refused on our side."""
    await uncompressed.create(topics.state)
    headers = [("ce_id", b"1")]
    around = DefaultRecordBatchBuilder.estimate_size_in_bytes(b"a", b"x" * 10**6, [*headers]) - 10**6
    largest = b"x" * (MOST_RECORD_BYTES - around)
    small = Record(topics.state, b"a", b"small", NOW)
    sink = await opened(uncompressed, topics, transactional)
    await sink.write([small, Record(topics.state, b"a", largest, NOW, tuple(headers)), small])
    with pytest.raises(KafkaUnavailable, match=f"{MOST_RECORD_BYTES}") as raised:
        await sink.write([Record(topics.state, b"a", largest + b"x", NOW, tuple(headers)), small])
    assert isinstance(raised.value.__cause__, MessageSizeTooLargeError)
    await sink.open()
    await sink.write([small])
    await sink.close()
    sizes = [len(record.value) for record in await uncompressed.records(topics.state)]
    assert sizes == [5, len(largest), 5, 5]
    plain = uncompressed.producer(None, 0)
    await uncompressed.start(plain)
    await (await plain.send(topics.state, largest, key=b"a", headers=headers))
    with pytest.raises(MessageSizeTooLargeError):
        await plain.send(topics.state, largest + b"x", key=b"a", headers=headers)
    await uncompressed.discard(plain)


async def test_batches_are_compressed(site: Site, uncompressed: Site, topics: Topics) -> None:
    """A topic that takes no batch above 2000 bytes takes 16 KB of blanks from one client and not from the other."""
    await site.create(topics.state, max_message_bytes="2000")
    blanks = [Record(topics.state, b"a", b" " * 1000, NOW)] * 100
    sink = await opened(site, topics)
    await sink.write(blanks)
    await sink.close()
    sink = await opened(uncompressed, topics)
    with pytest.raises(KafkaUnavailable):
        await sink.write(blanks)
    await sink.close()
    assert len(await site.records(topics.state)) == 100


async def test_new_partitions_are_used_once_the_client_knows_them(site: Site, topics: Topics) -> None:
    """Without being opened anew, as with the client's own `send`."""
    await site.create(topics.state, 2)
    sink = await opened(site, topics)
    await sink.write([Record(topics.state, b"early/%d" % n, b"1", NOW) for n in range(100)])
    await site.enlarge(topics.state, 9)
    while len(await site.latest.partitions_for(topics.state)) != 9:
        await site.latest.client.force_metadata_update()
    late = [b"late/%d" % n for n in range(100)]
    await sink.write([Record(topics.state, key, b"2", NOW) for key in late])
    await sink.close()
    await send_plainly(site, topics.state, late)
    places: dict[bytes, dict[int, set[bytes]]] = defaultdict(lambda: defaultdict(set))
    for record in await site.records(topics.state):
        places[record.value][record.partition].add(record.key)
    assert set(places[b"1"]) == {0, 1}
    assert set(places[b"2"]) == set(range(9))
    assert places[b"2"] == places[b"plain"]


async def test_a_topic_that_is_not_there_yet_is_waited_for(site: Site, topics: Topics) -> None:
    """As long as a request may take."""
    sink = await opened(site, topics)
    writing = asyncio.create_task(sink.write([Record(topics.state, b"a", b"1", NOW)]))
    done, _ = await asyncio.wait([writing], timeout=1)
    assert not done
    await site.create(topics.state)
    await writing
    await sink.close()
    assert len(await site.records(topics.state)) == 1


@BOTH
async def test_nothing_is_a_write_too(site: Site, topics: Topics, transactional: bool) -> None:
    """Of no records."""
    sink = await opened(site, topics, transactional)
    await sink.write([])
    await sink.close()


@BOTH
async def test_what_a_broker_refuses_is_raised_and_leaves_no_warning(
    uncompressed: Site, topics: Topics, transactional: bool
) -> None:
    """Although every one of many batches fails."""
    found = unread()
    await uncompressed.create(topics.state, max_message_bytes="2000")
    sink = await opened(uncompressed, topics, transactional)
    with pytest.raises(KafkaUnavailable) as raised:
        await sink.write(numbered(topics.state, 400, 1000, [b"floor/%d" % n for n in range(50)]))
    assert isinstance(raised.value.__cause__, MessageSizeTooLargeError)
    await sink.close()
    del sink, raised
    uncompressed.latest = None
    gc.collect()
    assert found == []
    assert await uncompressed.records(topics.state) == []


async def test_being_fenced_leaves_no_warning(site: Site, topics: Topics) -> None:
    """Although every one of many batches fails."""
    found = unread()
    await site.create(topics.state)
    old, new = await opened(site, topics), await opened(site, topics)
    with pytest.raises(Fenced):
        await old.write(numbered(topics.state, 400, 1000, [b"floor/%d" % n for n in range(50)]))
    for sink in (old, new):
        await sink.close()
    del old, new, sink
    site.latest = None
    gc.collect()
    assert found == []


async def test_a_write_that_is_given_up_leaves_no_warning(uncompressed: Site, topics: Topics) -> None:
    """Its batches fail when nobody waits for them any longer."""
    found = unread()
    await uncompressed.create(topics.state, max_message_bytes="2000")
    sink = await opened(uncompressed, topics, transactional=False)
    await sink.write([Record(topics.state, b"a", b"small", NOW)])  # the client knows the topic from now on
    writing = asyncio.create_task(sink.write(numbered(topics.state, 20, 1000, [b"a"])))
    await asyncio.sleep(0)
    writing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await writing
    await sink.close()
    del sink, writing
    uncompressed.latest = None
    gc.collect()
    assert found == []
    assert [record.value for record in await uncompressed.records(topics.state)] == [b"small"]


async def test_at_least_once_the_cursor_is_not_sent_after_an_earlier_round_failed(
    uncompressed: Site, topics: Topics
) -> None:
    """It is the last record of a write, and would say that all before it are there."""
    await uncompressed.create(topics.events, max_message_bytes="2000")
    await uncompressed.create(topics.feed)
    sink = await opened(uncompressed, topics, transactional=False)
    events = numbered(topics.events, 2 * BATCH_BYTES // 1000, 1000, [b"floor/1"])
    with pytest.raises(KafkaUnavailable):
        await sink.write([*events, Record(topics.feed, b"floor", b"{}", NOW)])
    await sink.close()
    assert await uncompressed.records(topics.feed) == []
    assert await uncompressed.records(topics.events) == []


def test_lz4_is_the_quick_one() -> None:
    """The client would compress at a level for archives; it is told ours where it looks for its function."""
    text = bytes(random.Random(5).choices(b"abcdefgh", k=20_000))
    batch = DefaultRecordBatchBuilder(2, 3, 1, -1, -1, -1, 2**20)
    batch.append(0, NOW, None, text, [])
    bare = DefaultRecordBatchBuilder(2, 0, 1, -1, -1, -1, 2**20)
    bare.append(0, NOW, None, text, [])
    assert bytes(batch.build())[BATCH_HEAD:] == lz4_encode(bytes(bare.build())[BATCH_HEAD:], LZ4_LEVEL)
