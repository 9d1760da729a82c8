"""What was an extension in at a moment: the state, how it is known, and every reason not to be sure."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from streamer.consumers.audit.index import INDEX
from streamer.consumers.audit.show import Answer, show
from streamer.errors import CheckFailed, ConfigError
from tests.consumers.audit.trails import DAY, Trail, batch, item, made, record

NOW = int(DAY.timestamp() * 1000)
MINUTE = timedelta(minutes=1)


@pytest.fixture
def trail(tmp_path: Path) -> Trail:
    """One extension: available at 8:00, ringing at 8:10, talking at 8:20, not signed yet wrap_up at 8:30."""
    trail = Trail(tmp_path / "trail", Ed25519PrivateKey.generate(), [])
    store = trail.open()
    events = [item(record("1001", n, DAY + 10 * n * MINUTE), 0, n) for n in (1, 2, 3)]
    store.append(batch(events, complete={"floor": DAY + 40 * MINUTE}), NOW)
    store.checkpoint(trail.key, DAY)
    store.append(batch([item(record("1001", 4, DAY + 40 * MINUTE), 0, 4)]), NOW)
    store.close()
    return trail


def asked(trail: Trail, minutes: float, extension: str = "1001", source: str | None = None) -> Answer:
    """So many minutes after DAY."""
    return show(trail.folder, trail.key.public_key(), extension, source, DAY + minutes * MINUTE)


def test_the_state_with_its_event_and_proof(trail: Trail) -> None:
    """Between two changes all is sure."""
    answer = asked(trail, 25)
    assert answer.last is not None
    assert answer.next is not None
    assert (answer.last.event.sequence, answer.next.event.sequence, answer.unsure) == (2, 3, [])
    assert (answer.last.proof, answer.agent, answer.broken) == ("checkpoint 1, by the chain", "Agent Nr 1001", False)
    assert answer.complete_until == DAY + 40 * MINUTE


def test_within_the_bounds_of_a_change_it_is_either(trail: Trail) -> None:
    """A second before and after."""
    for seconds in (-1, 0, 1):
        (unsure,) = asked(trail, 20 + seconds / 60).unsure
        assert unsure.event.sequence == 2
    assert asked(trail, 20 + 2 / 60).unsure == []


def test_before_the_first_event_nothing_is_known(trail: Trail) -> None:
    """But the event that follows."""
    answer = asked(trail, 5)
    assert answer.last is None
    assert answer.next is not None
    assert answer.next.event.sequence == 1


def test_what_no_checkpoint_covers_is_not_proved(trail: Trail) -> None:
    """Nor what was changed after it was signed."""
    last = asked(trail, 60).last
    assert last is not None
    assert (last.event.sequence, last.proof) == (4, "")
    with closing(sqlite3.connect(trail.folder / INDEX)) as db, db:
        (content,) = db.execute("SELECT content FROM entries WHERE number = 2").fetchone()
        changed = content.replace(b'"talking"', b'"paused"')
        db.execute("UPDATE entries SET content = ? WHERE number = 2", (changed,))
    changed_one = asked(trail, 25).last
    assert changed_one is not None
    assert (changed_one.event.current.state, changed_one.proof) == ("paused", "")


def test_a_hidden_event_shows_by_its_number(trail: Trail) -> None:
    """Somebody took it out of the index."""
    with closing(sqlite3.connect(trail.folder / INDEX)) as db, db:
        db.execute("DELETE FROM moments WHERE sequence = 2")
    assert asked(trail, 25).broken


def test_a_sealed_event_is_proved_by_its_file(tmp_path: Path) -> None:
    """And a file that was changed is not believed."""
    trail = made(tmp_path / "trail")
    last = asked(trail, 60).last
    assert last is not None
    assert last.proof == "checkpoint 4, by the SHA-256 of 2026-11-23-000004.parquet"
    path = next(trail.folder.glob("*.parquet"))
    path.write_bytes(path.read_bytes() + b"x")
    with pytest.raises(CheckFailed, match="was changed"):
        asked(trail, 60)


def test_an_erased_agent_has_no_name(trail: Trail) -> None:
    """What she did stays."""
    store = trail.open()
    store.erase("Agent Nr 1001", NOW)
    store.close()
    answer = asked(trail, 25)
    assert answer.agent is None
    assert answer.last is not None


def test_the_extension_must_be_there_and_clear(trail: Trail) -> None:
    """Where two sources have it, one must be named."""
    store = trail.open()
    store.append(batch([item(record("1001", 1, DAY, source="attic"), 1, 1)]), NOW)
    store.close()
    with pytest.raises(ConfigError, match="in several sources: attic, floor"):
        asked(trail, 25)
    assert asked(trail, 25, source="attic").key == "attic/1001"
    with pytest.raises(ConfigError, match="no event of it"):
        asked(trail, 25, "2002")
