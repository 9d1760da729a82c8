"""Verification: both verdicts, each finding named; whatever is done to the store, it is found and never raises."""

from __future__ import annotations

import random
import sqlite3
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from shutil import copytree

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from streamer.consumers.audit.entries import link
from streamer.consumers.audit.index import INDEX
from streamer.consumers.audit.verify import verify
from tests.consumers.audit import tampering
from tests.consumers.audit.trails import DAY, EPOCH, Trail, batch, item, made, record

NOW = int(DAY.timestamp() * 1000)
WAYS = sorted(tampering.ways([]))


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> tuple[Trail, list[Path]]:
    """A trail, and how it was at earlier checkpoints."""
    snapshots: list[Path] = []
    return made(tmp_path_factory.mktemp("audit") / "trail", snapshots=snapshots), snapshots


@pytest.fixture
def trail(pristine: tuple[Trail, list[Path]], tmp_path: Path) -> Trail:
    """A copy to be damaged."""
    copytree(pristine[0].folder, tmp_path / "trail")
    return Trail(tmp_path / "trail", pristine[0].key, list(pristine[0].anchors))


@pytest.mark.parametrize("way", WAYS)
def test_whatever_is_changed_is_found(way: str, pristine: tuple[Trail, list[Path]], tmp_path: Path) -> None:
    """Twenty random places for each way; benchmarks.audit_tamper tries more."""
    rng = random.Random(way)
    tamper = tampering.ways(pristine[1])[way]
    trail = Trail(tmp_path / "trail", pristine[0].key, pristine[0].anchors)
    changed = 0
    for _ in range(20):
        if tampering.trial(pristine[0].folder, trail.folder, tamper, rng):
            changed += 1
            assert not trail.verify().integrity.ok
    assert changed > 3


def test_an_untouched_trail_is_in_order(trail: Trail) -> None:
    """With what it covers, until when, and what the topic says."""
    report = trail.verify()
    assert report.ok
    assert (report.entries, report.events, report.covered, report.uncovered) == (240, 240, 240, 0)
    assert (report.checkpoint, report.anchor, report.files, report.notes) == (6, 6, 1, [])
    assert report.complete_until == {"floor": "2026-11-24T12:00:00+00:00"}


def test_what_is_not_signed_yet_is_counted(trail: Trail) -> None:
    """Integrity reaches to the last checkpoint."""
    store = trail.open()
    store.append(batch([item(record("1001", 41, DAY + timedelta(days=2)), 0, 1000)]), NOW)
    store.close()
    report = trail.verify()
    assert (report.ok, report.covered, report.uncovered) == (True, 240, 1)


def test_a_finding_names_file_partition_and_entry(trail: Trail) -> None:
    """Also what a lost file held."""
    with closing(sqlite3.connect(trail.folder / INDEX)) as db, db:
        partition, number = db.execute("SELECT max(partition), max(number) FROM entries").fetchone()
        db.execute(
            "UPDATE entries SET content = 'x' WHERE partition = ? AND number = ?", (partition, number)
        ) if 0 else 0
        db.execute("UPDATE entries SET content = X'7B7D' WHERE partition = ? AND number = ?", (partition, number))
    found = trail.verify().integrity.troubles[0]
    assert (found.file, found.partition, found.entry) == (INDEX, partition, number)
    sealed = next(trail.folder.glob("*.parquet"))
    sealed.unlink()
    texts = [trouble.text for trouble in trail.verify().integrity.troubles]
    assert any(sealed.name in text and "No such file" in text and "partition 0 entries 1 to" in text for text in texts)


def test_an_older_store_is_found_by_the_topic_alone(pristine: tuple[Trail, list[Path]]) -> None:
    """In itself it is in order."""
    old = Trail(pristine[1][2], pristine[0].key, pristine[0].anchors)
    assert old.verify(offline=True).ok
    (trouble,) = old.verify().integrity.troubles
    assert trouble.text == "the audit topic has checkpoint 6, the store ends with 3: it was put back or cut"


def test_a_topic_without_the_trails_checkpoints_proves_nothing(trail: Trail) -> None:
    """Records of others do not count; checkpoints that were not published yet are told of."""
    assert not verify(trail.folder, trail.key.public_key(), [b"{}", b"\xff", b""]).integrity.ok
    report = verify(trail.folder, trail.key.public_key(), [*trail.anchors[:4], b"junk"])
    assert report.ok
    assert report.notes == [
        "1 records on the audit topic are not signed with this key",
        "checkpoints 5 to 6 are not published yet",
    ]


def test_a_new_trail_in_place_of_a_lost_one_is_found(pristine: tuple[Trail, list[Path]], tmp_path: Path) -> None:
    """By the checkpoints that the same key signed for the other."""
    new = Trail(tmp_path / "new", pristine[0].key, list(pristine[0].anchors))
    store = new.open()
    store.append(batch([item(record("1001", 1, DAY), 0, 0)]), NOW)
    store.checkpoint(new.key, DAY)
    new.publish(store)
    store.close()
    (trouble,) = new.verify().integrity.troubles
    assert "signed another trail" in trouble.text


def test_another_key_proves_nothing(trail: Trail) -> None:
    """No checkpoint counts."""
    assert not verify(trail.folder, Ed25519PrivateKey.generate().public_key(), None).integrity.ok


def test_completeness_is_a_verdict_of_its_own(tmp_path: Path) -> None:
    """Gaps and lost epochs, by extension and entry; an epoch older than the trail may begin anywhere."""
    trail = Trail(tmp_path / "trail", Ed25519PrivateKey.generate(), [])
    store = trail.open()
    later = f"{int(EPOCH, 16) + 60:08x}"
    events = [
        record("1000", 5, DAY, epoch="60000000"),
        record("1001", 1, DAY),
        record("1001", 4, DAY),
        record("1002", 3, DAY, epoch=later),
        record("1001", 2, DAY, epoch=later),
    ]
    store.append(batch([item(event, 0, offset) for offset, event in enumerate(events)]), NOW)
    store.checkpoint(trail.key, DAY)
    store.close()
    report = trail.verify(offline=True)
    assert report.integrity.ok
    assert [(trouble.key, trouble.entry, trouble.text) for trouble in report.completeness.troubles] == [
        ("floor/1001", 3, f"floor/1001: numbers 2 to 3 are missing in epoch {EPOCH}"),
        ("floor/1002", 4, f"floor/1002: numbers 1 to 2 are missing in epoch {later}"),
        (
            "floor/1001",
            5,
            f"floor/1001: epoch {later} follows {EPOCH}, which ended paused with number 4: what happened in between is "
            "not known",
        ),
    ]
    assert report.began_within == 1


@pytest.mark.parametrize("content", [b"", b"garbage" * 999, b"SQLite format 3\0" + b"\xff" * 9000])
def test_a_store_that_is_garbage_is_a_finding(trail: Trail, content: bytes) -> None:
    """Not a traceback."""
    (trail.folder / INDEX).write_bytes(content)
    assert not trail.verify().integrity.ok


def test_reading_does_not_disturb_the_writer(trail: Trail) -> None:
    """A trail can be verified while it is written."""
    store = trail.open()
    for n in range(3):
        store.append(batch([item(record("1001", 41 + n, DAY + timedelta(days=2)), 0, 1000 + n)]), NOW)
        assert trail.verify().uncovered == n + 1
    store.close()


def edited(trail: Trail, *statements: str) -> list[str]:
    """What verification says after these statements, without asking the topic."""
    with closing(sqlite3.connect(trail.folder / INDEX)) as db, db:
        for statement in statements:
            db.execute(statement)
    return [trouble.text for trouble in trail.verify(offline=True).integrity.troubles]


def test_a_cut_with_all_tables_made_to_fit_is_found(trail: Trail) -> None:
    """By the count that was signed."""
    texts = edited(
        trail,
        "DELETE FROM entries WHERE partition = 0 AND number = 80",
        "DELETE FROM moments WHERE partition = 0 AND number = 80",
        "UPDATE numbers SET sequence = 39, state = 'paused' WHERE key = 'floor/1004'",
        "UPDATE heads SET count = 79, last = 156, head = "
        "(SELECT hash FROM entries WHERE partition = 0 AND number = 79) WHERE partition = 0",
    )
    assert texts == ["partition 0: entries 80 to 80, which checkpoint 6 signed, are missing"]


def test_checkpoints_are_one_row(trail: Trail) -> None:
    """Each with its own number, none missing."""
    assert edited(trail, "DELETE FROM checkpoints WHERE number = 3")[0] == "checkpoints 3 to 3 are missing"
    put = "REPLACE INTO checkpoints SELECT 3, body, signature, 1 FROM checkpoints WHERE number = 2"
    assert edited(trail, put)[0] == "checkpoint 3 was signed as 2"


def test_what_the_holder_of_the_key_signs_anew_is_found(pristine: tuple[Trail, list[Path]], tmp_path: Path) -> None:
    """By what was published, and by the checkpoint that follows."""
    copytree(pristine[1][3], tmp_path / "other")
    other = Trail(tmp_path / "other", pristine[0].key, pristine[0].anchors[:5])
    store = other.open()
    store.append(batch([item(record("1001", 28, DAY + timedelta(days=2)), 0, 1000)]), NOW)
    store.checkpoint(other.key, DAY)
    store.close()
    assert [trouble.text for trouble in other.verify().integrity.troubles] == [
        "checkpoint 5 is not the one that was published"
    ]
    copytree(pristine[0].folder, tmp_path / "trail")
    trail = Trail(tmp_path / "trail", pristine[0].key, [])
    texts = edited(
        trail,
        f"ATTACH '{other.folder / INDEX}' AS other",
        "REPLACE INTO checkpoints SELECT * FROM other.checkpoints WHERE number = 5",
    )
    assert "checkpoint 6 does not follow the one before it" in texts


def test_names_go_by_erasure_only(trail: Trail) -> None:
    """One that is gone without it was taken by somebody else."""
    gone = edited(trail, "UPDATE names SET agent = NULL, salt = NULL WHERE agent = 'Agent Nr 1003'")
    assert len(gone) == 1
    assert "is gone, and no erasure is written" in gone[0]
    texts = edited(trail, "DELETE FROM names WHERE agent = 'Agent Nr 1004'")
    assert any("is not in the table of names" in text for text in texts)


def test_an_entry_has_one_place(trail: Trail) -> None:
    """Not one in a file and one in the index, nor another number than it says, nor an offset from before."""
    (sealed,) = trail.folder.glob("*.parquet")
    rows = tampering.entries_of(sealed)
    with closing(sqlite3.connect(trail.folder / INDEX)) as db, db:
        first = next(row for row in rows if (row.partition, row.number) == (0, 1))
        db.execute("INSERT INTO entries VALUES (0, 1, '2026-11-23', ?, ?)", (first.content, first.hash))
        (head,) = db.execute("SELECT head FROM heads WHERE partition = 0").fetchone()
        content = first.content
        db.execute("INSERT INTO entries VALUES (0, 81, '2026-11-23', ?, ?)", (content, link(head, content)))
    texts = [trouble.text for trouble in trail.verify().integrity.troubles]
    assert texts == [
        f"{INDEX}: partition 0, entry 1: is there twice, or has no place in its chain",
        f"{INDEX}: partition 0, entry 81: says that it is 0/1",
        f"{INDEX}: partition 0, entry 81: goes back to offset 0",
    ]
