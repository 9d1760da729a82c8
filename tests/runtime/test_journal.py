"""The outbox on disk: what was kept is there after a crash, in order, and nobody waits for the disk."""

from __future__ import annotations

import asyncio
import os
import resource
import sqlite3
import subprocess
import sys
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from streamer.core.feed import Cursor
from streamer.errors import ConfigError
from streamer.kafka.serde import Record
from streamer.runtime.journal import DiskJournal, inspect
from streamer.runtime.outbox import Kept, Load, Room, unpack
from tests.web.floor import agent, event

LOAD = Load(
    (Record("t", b"floor/1", b"{}", 1, (("ce_id", b"x"),)), Record("t", b"floor/1", None, 2)), (event(agent()),)
)


def kept(number: int, source: str = "floor", size: int = 10) -> Kept:
    return Kept(source, Cursor("w", number), Cursor("w", number - 1), 1000 + number, None, b"x" * size)


@asynccontextmanager
async def opened(path: Path, tell: Callable[[str], None] = print) -> AsyncGenerator[DiskJournal]:
    journal = DiskJournal(path, tell)
    try:
        yield journal
    finally:
        await journal.close()


async def write(journal: DiskJournal, *batches: Kept) -> list[str]:
    """Keep batches; what each was told."""
    told: list[asyncio.Future[str]] = [asyncio.get_running_loop().create_future() for _ in batches]
    for batch, future in zip(batches, told, strict=True):
        journal.keep(batch, future.set_result)
    async with asyncio.timeout(20):
        return await asyncio.gather(*told)


async def test_what_was_kept_is_there_after_a_crash_in_order(tmp_path: Path) -> None:
    """A process that dies without closing the file loses nothing that was reported as written."""
    program = f"""
import asyncio, os
from pathlib import Path
from streamer.runtime.journal import DiskJournal
from tests.runtime.test_journal import kept, write
async def main():
    journal = DiskJournal(Path({str(tmp_path / "outbox")!r}), print)
    assert await write(journal, *map(kept, range(1, 21))) == [""] * 20
    journal.drop(kept(1))
    await write(journal, kept(21))
    os._exit(9)
asyncio.run(main())
"""
    process = await asyncio.to_thread(subprocess.run, [sys.executable, "-c", program], timeout=60)
    assert process.returncode == 9
    async with opened(tmp_path / "outbox") as journal:
        assert await journal.load("floor") == ([kept(number) for number in range(2, 22)], 0)
        assert await journal.load("other") == ([], 0)


async def test_a_batch_dropped_before_it_was_written_never_is(tmp_path: Path) -> None:
    """What was published from memory does not come back."""
    async with opened(tmp_path / "outbox") as journal:
        journal.keep(kept(1), lambda _: None)
        journal.drop(kept(1))
        await write(journal, kept(2))
        assert await journal.load("floor") == ([kept(2)], 0)


async def test_a_batch_dropped_while_it_is_written_is_removed_again(tmp_path: Path) -> None:
    """The publisher may be faster than the disk."""
    async with opened(tmp_path / "outbox") as journal:
        journal.keep(kept(1), lambda _: None)
        await asyncio.sleep(0)  # the writer has begun
        await asyncio.sleep(0)
        journal.drop(kept(1))
        await write(journal, kept(2))
        await write(journal, kept(3))
        assert await journal.load("floor") == ([kept(2), kept(3)], 0)


async def test_a_full_disk_is_told_and_tried_again(tmp_path: Path) -> None:
    """The batch is reported as not written, and as written once there is space."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    edges: list[str] = []
    async with opened(tmp_path / "outbox", edges.append) as journal:
        assert await write(journal, kept(1)) == [""]
        told: asyncio.Queue[str] = asyncio.Queue()
        resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, limits[1]))
        try:
            journal.keep(kept(2, size=1_000_000), told.put_nowait)
            assert "cannot be written" in await asyncio.wait_for(told.get(), 20)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        async with asyncio.timeout(20):
            while await told.get():
                pass
        assert [batch.cursor.number for batch in (await journal.load("floor"))[0]] == [1, 2]
    assert ["cannot be written" in edge for edge in edges] == [True, False]


async def test_a_file_in_use_or_of_another_kind_is_refused(tmp_path: Path) -> None:
    """Two instances must not mix their batches, and nobody else's database is touched."""
    path = tmp_path / "outbox"
    async with opened(path) as journal:
        await write(journal, kept(1))
        program = f"""
from pathlib import Path
from streamer.runtime import journal
journal.LOCK_TIMEOUT = 0.2
journal.DiskJournal(Path({str(path)!r}), print)
"""
        command = [sys.executable, "-c", program]
        process = await asyncio.to_thread(subprocess.run, command, capture_output=True, timeout=60)
        assert b"another instance has it" in process.stderr
    other = tmp_path / "other"
    with sqlite3.connect(other) as db:
        db.execute("CREATE TABLE precious (x)")
    db.close()
    before = other.read_bytes()
    with pytest.raises(ConfigError, match="another program"):
        DiskJournal(other, print)
    assert other.read_bytes() == before
    (tmp_path / "text").write_text("no database" * 1000)
    with pytest.raises(ConfigError, match="not a database"):
        DiskJournal(tmp_path / "text", print)
    with pytest.raises(ConfigError, match=r"outbox\.path"):
        DiskJournal(Path("/proc/nowhere/outbox"), print)


async def test_what_cannot_be_used_is_found_without_touching_it(tmp_path: Path) -> None:
    """What `check` says is what `run` would do."""
    (tmp_path / "text").write_text("no database" * 1000)
    with sqlite3.connect(tmp_path / "other") as db:
        db.execute("CREATE TABLE precious (x)")
    db.close()
    for bad in (tmp_path, tmp_path / "text", tmp_path / "other", tmp_path / "text" / "under", Path("/dev/null")):
        assert inspect(bad), bad
    for good in (tmp_path / "new", tmp_path / "folder" / "new"):
        assert inspect(good) == ""
    assert sorted(os.listdir(tmp_path)) == ["other", "text"]
    async with opened(tmp_path / "mine") as journal:
        await write(journal, kept(1))
        assert inspect(tmp_path / "mine") == ""
    assert inspect(tmp_path / "mine") == ""


async def test_an_unreadable_batch_is_counted_and_dropped(tmp_path: Path) -> None:
    """One damaged row does not cost the others."""
    path = tmp_path / "outbox"
    async with opened(path) as journal:
        await write(journal, kept(1), kept(2))
    db = sqlite3.connect(path)
    db.execute("UPDATE batches SET batch = x'00' WHERE number = 1")
    db.commit()
    db.close()
    async with opened(path) as journal:
        assert await journal.load("floor") == ([kept(2)], 1)
        assert await journal.load("floor") == ([kept(2)], 0)


def test_a_load_comes_back_as_it_was_packed() -> None:
    """Records, and what observers are told."""
    assert unpack(LOAD.packed()) == LOAD
    with pytest.raises(ValueError, match="incorrect header"):
        unpack(b"nonsense")
    with pytest.raises(ValueError, match="length >= 1"):
        unpack(Load(()).packed())


def test_a_batch_follows_its_parent_or_its_own_tenures_number_before() -> None:
    """Invariant 2: anything else means that another instance went on."""
    batch = Kept("floor", Cursor("w", 1), Cursor("v", 7), None, None, b"")
    assert batch.follows(Cursor("v", 7))
    assert batch.follows(Cursor("w", 0))
    assert not batch.follows(Cursor("v", 8))
    assert not batch.follows(None)
    assert batch.published_by(Cursor("w", 1))
    assert not batch.published_by(Cursor("v", 9))


def test_half_of_the_room_is_common_and_each_source_has_its_share_of_the_rest() -> None:
    """One source's backlog does not stop another's polls, and all of it stays within the bound."""
    room = Room(1000, 5)
    room.change("big", 499)
    assert room.has_room("big")
    room.change("big", 100)
    assert not room.has_room("big")
    assert room.has_room("small")
    room.change("small", 100)
    assert not room.has_room("small")
    assert room.used == 699
    room.change("big", -300)
    assert room.has_room("big")
    assert room.has_room("small")
