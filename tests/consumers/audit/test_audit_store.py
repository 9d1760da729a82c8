"""Writing the trail: once, in order, whole or not at all, and no name where it could not be taken out again."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pyarrow.parquet as pq
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from streamer.client import EpochLost, Gap, Interrupted, Last, Poison, Repeat
from streamer.consumers.audit import store as writing
from streamer.consumers.audit.index import INDEX
from streamer.consumers.audit.store import Store
from streamer.errors import CheckFailed, ConfigError
from tests.consumers.audit.killing import stored
from tests.consumers.audit.trails import DAY, Trail, batch, item, made, record

NOW = int(DAY.timestamp() * 1000)
NAME = "Anna-Lena Müßig"

_pq: Any = pq


@pytest.fixture
def trail(tmp_path: Path) -> Trail:
    """An empty one."""
    return Trail(tmp_path / "trail", Ed25519PrivateKey.generate(), [])


@pytest.fixture
def store(trail: Trail) -> Iterator[Store]:
    """To write it."""
    opened = trail.open()
    yield opened
    opened.close()


def entries(trail: Trail) -> list[dict[str, Any]]:
    """What is not sealed."""
    with closing(sqlite3.connect(trail.folder / INDEX)) as db:
        rows = db.execute("SELECT content FROM entries ORDER BY partition, number").fetchall()
    return [msgspec.json.decode(content) for (content,) in rows]


def test_positions_and_numbers_are_kept_with_the_events(trail: Trail, store: Store) -> None:
    """A new process goes on where the last one was."""
    store.append(batch([item(record("1001", 1, DAY), 2, 7), item(record("1001", 2, DAY), 2, 9)]), NOW)
    store.close()
    again = trail.open()
    assert again.positions == {2: 10}
    assert again.numbers == {"floor/1001": Last("6b03f280", 2, "talking")}
    assert [one["offset"] for one in entries(trail)] == [7, 9]
    again.close()


def test_what_is_interrupted_leaves_nothing(trail: Trail, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch that cannot be written whole is not there at all, and can be written again."""
    one = batch([item(record("1001", 1, DAY), 0, 0)])
    with monkeypatch.context() as broken:
        broken.delattr(writing, "last_of")
        with pytest.raises(NameError):
            store.append(one, NOW)
    assert (entries(trail), store.positions) == ([], {})
    store.append(one, NOW)
    assert len(entries(trail)) == 1


def test_a_crash_while_sealing_loses_and_doubles_nothing(trail: Trail, store: Store) -> None:
    """The file is there and the index does not know it: it is written anew under the same name."""
    store.append(batch([item(record("1001", 1, DAY), 0, 0)]), NOW)
    store.checkpoint(trail.key, DAY)
    (trail.folder / "2026-11-23-000002.parquet").write_bytes(b"half a file")
    assert trail.verify(offline=True).notes
    store.checkpoint(trail.key, DAY, store.due(NOW + 2 * 86_400_000))
    report = trail.verify(offline=True)
    assert (report.ok, report.files, report.covered, report.notes) == (True, 1, 1, [])


def test_a_day_is_sealed_when_it_is_over_and_still(trail: Trail, store: Store) -> None:
    """Not while it goes on, nor within the minute after its last event."""
    evening = DAY.replace(hour=23, minute=59, second=30)
    store.append(batch([item(record("1001", 1, evening), 0, 0)]), int(evening.timestamp() * 1000))
    dues = [store.due(int((evening + timedelta(seconds=n)).timestamp() * 1000)) for n in (20, 50, 70)]
    assert dues == [[], [], ["2026-11-23"]]
    store.checkpoint(trail.key, evening, dues[-1])
    rows = _pq.read_table(next(trail.folder.glob("*.parquet"))).to_pylist()
    assert [(row["kind"], row["key"], row["offset"]) for row in rows] == [("event", "floor/1001", 0)]


def test_findings_are_entries_of_their_own(trail: Trail, store: Store) -> None:
    """Records in their partition, in order with the events; what belongs to none beside them. No bytes of poison."""
    poison = Poison("agent-state-changed", 0, 5, f"it is '{NAME}', not ours", b"k", NAME.encode())
    findings = [
        Gap("floor/1001", "6b03f280", 2, 3),
        EpochLost("floor/1001", Last("6b000000", 1, "talking"), "6b03f280"),
        Interrupted("Kafka was away"),
        poison,
        Repeat("floor/1001/6b03f280/1", 0, 4),
    ]
    events = [item(record("1001", 1, DAY), 0, 3), item(record("1001", 4, DAY), 0, 6)]
    store.append(batch(events, findings), NOW)
    assert [(one["kind"], one["partition"], one.get("offset")) for one in entries(trail)] == [
        ("gap", -1, None),
        ("epoch_lost", -1, None),
        ("interrupted", -1, None),
        ("event", 0, 3),
        ("repeat", 0, 4),
        ("poison", 0, 5),
        ("event", 0, 6),
    ]
    kept = next(one for one in entries(trail) if one["kind"] == "poison")["finding"]
    assert kept["value"]["bytes"] == len(NAME.encode())
    assert found(trail.folder, NAME) == []


def test_fields_that_are_not_known_are_named_and_left_out(trail: Trail, store: Store) -> None:
    """They could hold a name."""
    row = record("1001", 1, DAY)["groups"][0] | {"supervisor": NAME}
    store.append(batch([item(record("1001", 1, DAY, nickname=NAME, groups=[row]), 0, 0)]), NOW)
    assert entries(trail)[0]["left_out"] == ["groups.supervisor", "nickname"]
    assert found(trail.folder, NAME) == []


def test_a_topic_that_was_made_anew_is_not_mixed_in(store: Store) -> None:
    """Offsets that go back are refused."""
    store.append(batch([item(record("1001", 1, DAY), 0, 5)]), NOW)
    with pytest.raises(CheckFailed, match=r"goes back to offset 5.*begin a new trail"):
        store.append(batch([item(record("1001", 2, DAY), 0, 5)]), NOW)


def test_one_process_writes(trail: Trail, store: Store) -> None:
    """And it is this topic's trail, in a folder that is ours, under one key."""
    with pytest.raises(ConfigError, match="another process writes"):
        trail.open()
    store.append(batch([item(record("1001", 1, DAY), 0, 0)]), NOW)
    store.checkpoint(trail.key, DAY)
    store.belongs_to(trail.key)
    with pytest.raises(ConfigError, match="another key"):
        store.belongs_to(Ed25519PrivateKey.generate())
    store.close()
    with pytest.raises(ConfigError, match="is the trail of topic agent-state-changed"):
        Store(trail.folder, "cluster-1", "another")


def test_what_is_no_store_of_ours_is_left_alone(tmp_path: Path) -> None:
    """Another program's database, garbage, a file in place of the folder, nothing."""
    with closing(sqlite3.connect(tmp_path / INDEX)) as db:
        db.execute("CREATE TABLE precious (x)")
    with pytest.raises(ConfigError, match="another program's"):
        Store(tmp_path, "c", "t", create=True)
    (tmp_path / INDEX).write_bytes(b"garbage" * 1000)
    with pytest.raises(CheckFailed, match="cannot be used"):
        Store(tmp_path, "c", "t", create=True)
    with pytest.raises(ConfigError, match="cannot be used"):
        Store(tmp_path / INDEX, "c", "t", create=True)
    with pytest.raises(ConfigError, match="there is no trail"):
        Store(tmp_path / "nothing", "c", "t")


def found(folder: Path, name: str) -> list[str]:
    """The files that hold a name, in UTF-8 or UTF-16, also within what is compressed."""
    holding: list[str] = []
    words = [name.encode(code) for code in ("utf-8", "utf-16-le", "utf-16-be", "latin-1")]
    for path in sorted(folder.iterdir()):
        raw = path.read_bytes()
        if path.suffix == ".parquet":
            raw += repr(_pq.read_table(path).to_pylist()).encode()
            raw += b"".join(row["content"] for row in _pq.read_table(path).to_pylist())
        if any(word in raw for word in words):
            holding.append(path.name)
    return holding


def test_an_erased_person_is_nowhere_and_all_is_still_proved(tmp_path: Path) -> None:
    """Name in sealed and open entries, in the log of the database, in free pages: gone; the others stay."""
    trail = made(tmp_path / "trail")
    store = trail.open()
    when = DAY + timedelta(days=3)
    for start in range(41, 441, 20):  # so many that names move between pages
        numbers = range(start, start + 20)
        own = [item(record("1001", n, when, agent=NAME), 0, 9 * n) for n in numbers]
        others = [item(record(str(5000 + n), 1, when, agent=f"{NAME} {n % 8}"), 1, 9 * n) for n in numbers]
        store.append(batch(own + others), NOW)
    store.checkpoint(trail.key, when)
    assert found(trail.folder, NAME) != []
    assert store.erase(NAME, NOW) == 1
    for n in range(8):
        store.erase(f"{NAME} {n}", NOW)
    assert found(trail.folder, NAME) == []
    assert found(trail.folder, "Agent Nr 1002") == [INDEX]
    report = trail.verify(offline=True)
    assert report.ok
    assert report.erased == 9
    store.close()


def test_an_erasure_is_on_the_record_and_a_new_pseudonym_follows(trail: Trail, store: Store) -> None:
    """It is an entry without the name; events that come later do not bring the old pseudonym back to life."""
    store.append(batch([item(record("1001", 1, DAY, agent=NAME), 0, 0)]), NOW)
    store.erase(NAME, NOW)
    store.append(batch([item(record("1001", 2, DAY, agent=NAME), 0, 1)]), NOW)
    store.checkpoint(trail.key, datetime.now(UTC))
    own, first, second = entries(trail)
    assert (own["kind"], own["finding"]["pseudonym"]) == ("erasure", first["event"]["agent"])
    assert second["event"]["agent"] != first["event"]["agent"]
    assert trail.verify(offline=True).ok


def test_pseudonyms_cannot_be_guessed(tmp_path: Path) -> None:
    """The same name in two trails has two of them."""
    tokens: set[str] = set()
    for name in ("a", "b"):
        trail = Trail(tmp_path / name, Ed25519PrivateKey.generate(), [])
        store = trail.open()
        store.append(batch([item(record("1001", 1, DAY, agent=NAME), 0, 0)]), NOW)
        tokens.add(entries(trail)[0]["event"]["agent"])
        store.close()
    assert len(tokens) == 2


def test_all_events_come_back_out(tmp_path: Path) -> None:
    """Sealed or not."""
    trail = made(tmp_path / "trail")
    assert len({event for _, _, event in stored(trail.folder)}) == 240
