"""Answers made to harm: bombs, floods and lures. Each costs one poll of one source, bounded, and tells nothing false.

More in tests/vendor/test_client_lies.py, tests/core/test_envelope.py and tests/core/test_decode.py.
"""

from __future__ import annotations

import asyncio
import gzip
import tracemalloc
import zlib
from collections.abc import AsyncGenerator, Callable

import aiohttp
import cramjam
import pytest

from streamer.core.decode import LONG_LIST, SHORTEST_ROW
from streamer.core.envelope import Opened, open_envelope
from streamer.core.model import RejectedRow
from streamer.core.rejected import AT_ONCE, Told
from streamer.errors import VendorUnavailable
from streamer.vendor.client import Session, VendorClient, http_session
from tests.core.builders import SETTINGS, decode, decoded, ms, row
from tests.vendor.lying import Behaviour, FakeClock, Form, good, http, saying, served

LIMIT = 100_000
"""max_body of these tests, in bytes."""


@pytest.fixture
async def connections() -> AsyncGenerator[aiohttp.ClientSession]:
    async with http_session() as session:
        yield session


def client(connections: aiohttp.ClientSession, port: int, total: float = 5.0) -> VendorClient:
    session = Session(
        url=f"http://127.0.0.1:{port}",
        appid="",
        accesskey="",
        token="t0ken",
        http=connections,
        clock=FakeClock(),
        total_timeout=total,
        max_body=LIMIT,
    )
    return VendorClient(session, name="floor", poll_interval=1.0)


PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "gzip, gzip": lambda bomb: gzip.compress(gzip.compress(bomb)),
    "zstd": lambda bomb: bytes(cramjam.zstd.compress(bomb)),
    "br": lambda bomb: bytes(cramjam.brotli.compress(bomb)),
    "nonsense": lambda _: b"[" * 100,
}


@pytest.mark.parametrize("coding", PACKERS)
async def test_a_packed_bomb_is_not_unpacked(connections: aiohttp.ClientSession, coding: str) -> None:
    """Tens of megabytes packed into kilobytes, in every coding: only a few megabytes of them are ever held."""
    packed = PACKERS[coding](b"[" * 40_000_000)
    async with served(saying(http(packed, "200 OK", f"Content-Encoding: {coding}"))) as port:
        tracemalloc.start()
        try:
            with pytest.raises(VendorUnavailable):
                await client(connections, port).poll()
            assert tracemalloc.get_traced_memory()[1] < 8 * 2**20
        finally:
            tracemalloc.stop()


async def test_a_body_that_drips_is_left_in_time(connections: aiohttp.ClientSession) -> None:
    """Each byte in time does not make the whole in time."""

    async def drip(_form: Form, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n")
        while not writer.is_closing():
            writer.write(b" ")
            await writer.drain()
            await asyncio.sleep(0.01)

    async with served(drip) as port:
        with pytest.raises(VendorUnavailable, match="no answer in time"):
            await client(connections, port, total=0.2).poll()


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "303 See Other", "307 Temporary", "308 Permanent"])
async def test_a_redirect_leads_nowhere(connections: aiohttp.ClientSession, status: str) -> None:
    """Neither to a machine's metadata nor to another port: whoever is named is not asked, and the form stays here."""
    asked: list[Form] = []

    async def elsewhere(form: Form, writer: asyncio.StreamWriter) -> None:
        asked.append(form)
        writer.write(http(good()))
        await writer.drain()

    async with served(elsewhere) as other:
        for target in (f"http://127.0.0.1:{other}/", "http://169.254.169.254/latest/meta-data/", "file:///etc/passwd"):
            behaviour: Behaviour = saying(http(b"", status, f"Location: {target}"))
            async with served(behaviour) as port:
                with pytest.raises(VendorUnavailable, match="redirect"):
                    await client(connections, port).poll()
    assert asked == []


def opened(result: bytes) -> Opened:
    outcome = open_envelope(b'{"ret":200,"data":{"status":0,"result":' + result + b"}}")
    assert isinstance(outcome, Opened)
    return outcome


@pytest.mark.parametrize("nonsense", [b"{}", b"1", b"[]", b'""', b"null"])
def test_a_list_of_nothing_is_read_in_part_only(nonsense: bytes) -> None:
    """Millions of rows fit into a body: as many are read as real rows could be; the rest may hide anybody."""
    result = b"[" + b",".join([nonsense] * 200_000) + b"]"
    most = len(result) // SHORTEST_ROW
    assert LONG_LIST < most < 200_000
    snapshot = decode(opened(result), ms(0), ms(1), SETTINGS, {})
    assert len(snapshot.rejected) == most + 1
    assert snapshot.anonymous == 200_000
    assert "the rest is not read" in snapshot.rejected[-1].reason


def test_a_long_list_of_real_rows_is_read_to_its_end() -> None:
    """A row takes more than the bound counts for it."""
    snapshot = decoded(*(row(str(100_000 + n)) for n in range(5 * LONG_LIST)))
    assert (len(snapshot.seats), snapshot.rejected) == (5 * LONG_LIST, ())


def test_a_flood_of_rejections_is_told_bit_by_bit() -> None:
    """So many of a poll; those that are still there are told of the next one."""
    rows = [RejectedRow("row", "nonsense", f"result[{n}]", None, b"%d" % n) for n in range(AT_ONCE + 500)]
    told = Told()
    assert [len(told.only_new(rows)) for _ in range(3)] == [AT_ONCE, 500, 0]


@pytest.mark.parametrize("half", ["\\ud800", "\\udfff", "\\ud800\\ud800", "\\udc00\\ud800"])
def test_half_a_character_in_a_name_costs_nobody_the_list(half: str) -> None:
    """From the envelope on: whoever may choose a display name must not be able to silence the floor."""
    mine = f'{{"queuename":"q","extnumber":"1","seatsname":"x{half}\\\\ud800","state":1213}}'
    result = f'[{mine},{{"queuename":"q","extnumber":"2","seatsname":"b","state":1213}}]'.encode()
    snapshot = decode(opened(result), ms(0), ms(1), SETTINGS, {})
    assert {seat.extension for seat in snapshot.seats} == {"1", "2"}
    assert snapshot.rejected == ()
    (name,) = (seat.agent for seat in snapshot.seats if seat.extension == "1")
    assert name == "x" + "\ufffd" * half.count("u") + r"\ud800"


def test_a_row_with_a_million_keys_is_a_row() -> None:
    """What is not ours in it is not kept."""
    keys = ",".join(f'"k{n}":1' for n in range(300_000))
    result = f'[{{{keys},"queuename":"q","extnumber":"1","state":1213}}]'.encode()
    snapshot = decode(opened(result), ms(0), ms(1), SETTINGS, {})
    assert [seat.extension for seat in snapshot.seats] == ["1"]
