"""The ledger's file: exactly where it was after any death, one writer, errors that say what to do."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from streamer.client import AgentStateChanged, Last
from streamer.consumers.wfm.ledger import Interval
from streamer.consumers.wfm.store import Store, read
from streamer.errors import ConfigError
from tests.consumers.wfm.histories import Memory, Telephone, at, batch, histories, ms

FOREVER = 2**60


def intervals(path: Path) -> Sequence[Interval]:
    return read(path, 0, FOREVER)[0]


def work() -> list[AgentStateChanged]:
    phone = Telephone()
    return [phone.first("available", 0)] + [phone.to("talking" if n % 2 else "paused", n) for n in range(1, 9)]


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(told=histories(), data=st.data())
def test_batches_and_restarts_make_no_difference(
    told: list[AgentStateChanged], data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """The file holds what the events make in memory, however they are cut, also where a batch comes twice."""
    path = tmp_path_factory.mktemp("ledger") / "ledger.db"
    memory = Memory()
    memory.take(*told)
    place = 0
    while place < len(told):
        size, times = data.draw(st.integers(1, 5)), data.draw(st.integers(1, 2))
        store = Store(path, "events")
        positions, numbers = store.resume()
        assert positions == ({0: place} if place else {})
        if place:
            last = told[place - 1]
            assert numbers == {"floor/100001": Last(last.epoch, last.sequence, last.current.state)}
        for _ in range(times):
            store.keep(batch(told[place : place + size], place))
        store.close()
        place += size
    assert intervals(path) == memory.line


KILLED = """
import os, signal, sys
from pathlib import Path
from streamer.consumers.wfm.store import Store
from tests.consumers.wfm.histories import batch
from tests.consumers.wfm.test_wfm_store import work

store, told = Store(Path(sys.argv[1]), "events"), work()
place = store.resume()[0].get(0, 0)

def die(db, _):
    db.execute("insert into position values (99, 1)")
    os.kill(os.getpid(), signal.SIGKILL)

store.keep(batch(told[place:place + 3], place))
store.keep(batch(told[place + 3:place + 6], place + 3), die)
"""


def test_killed_within_a_batch(tmp_path: Path) -> None:
    """Nothing of the batch is there, all of the one before is, and going on gives what an undisturbed run gives."""
    path, told = tmp_path / "ledger.db", work()
    for kept in (3, 6):
        done = subprocess.run([sys.executable, "-c", KILLED, str(path)], check=False, timeout=60)
        assert done.returncode == -signal.SIGKILL
        memory = Memory()
        memory.take(*told[:kept])
        assert intervals(path) == memory.line
    store = Store(path, "events")
    assert store.resume()[0] == {0: 6}
    store.close()


def test_complete_until_never_goes_back(tmp_path: Path) -> None:
    """It is a promise: what was complete remains so."""
    path = tmp_path / "ledger.db"
    store = Store(path, "events")
    for moment in (at(10), at(5)):
        store.keep(batch([], complete={"floor": moment}))
    store.close()
    assert read(path, 0, FOREVER)[1] == {"floor": ms(10)}


def test_which_intervals_are_of_a_day(tmp_path: Path) -> None:
    """Those that share a moment with it or begin in it; what ends as it begins is the day before's."""
    path, phone = tmp_path / "ledger.db", Telephone()
    store = Store(path, "events")
    told = [phone.first("available", 0), phone.to("ringing", 10), phone.to("talking", 10), phone.to("paused", 20)]
    store.keep(batch(told))
    store.close()
    assert [one.opened for one in read(path, ms(10), ms(20))[0]] == [2, 3]
    assert [one.opened for one in read(path, ms(20), ms(30))[0]] == [4]
    assert [one.opened for one in read(path, ms(5), ms(6))[0]] == [1]


def test_what_cannot_be_used_is_named(tmp_path: Path) -> None:
    """Another's file, another topic, a second writer, no file, a folder that is not there: one sentence each."""
    other = tmp_path / "other.db"
    with sqlite3.connect(other) as db:
        db.execute("create table theirs (x)")
    db.close()
    with pytest.raises(ConfigError, match="no ledger of this version"):
        Store(other, "events")
    (tmp_path / "text.db").write_text("this is no database, but a text that is long enough to be read as one" * 20)
    with pytest.raises(ConfigError, match="cannot use"):
        Store(tmp_path / "text.db", "events")
    with pytest.raises(ConfigError, match="cannot use"):
        read(tmp_path / "text.db", 0, 1)
    path = tmp_path / "ledger.db"
    store = Store(path, "events")
    with pytest.raises(ConfigError, match="another `streamer wfm run`"):
        Store(path, "events")
    store.close()
    with pytest.raises(ConfigError, match="ledger of topic events, not of others"):
        Store(path, "others")
    with pytest.raises(ConfigError, match="no ledger yet"):
        read(tmp_path / "none.db", 0, 1)
    with pytest.raises(ConfigError, match="cannot write"):
        Store(tmp_path / "nowhere" / "ledger.db", "events")


def test_what_an_output_takes_is_in_the_same_transaction(tmp_path: Path) -> None:
    """If it fails, nothing of the batch is kept."""
    store = Store(tmp_path / "ledger.db", "events")

    def fail(db: sqlite3.Connection, _: object) -> None:
        db.execute("create table waiting (x)")
        raise RuntimeError

    with pytest.raises(RuntimeError):
        store.keep(batch(work()), fail)
    assert store.resume() == ({}, {})
    assert not store.db.execute("select 1 from sqlite_schema where name = 'waiting'").fetchall()
    store.close()
    assert os.path.exists(tmp_path / "ledger.db")
