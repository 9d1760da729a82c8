"""What could not be understood: without secrets, short, and told once."""

from __future__ import annotations

import hashlib
import time

import pytest

from streamer.core import rejected, wire
from streamer.core.model import RejectedRow
from streamer.core.rejected import EXCERPT, Told, body_batch, record, redact
from tests.core.builders import check, decoded, ms, row
from tests.validation import Record, validate


def refused(raw: bytes = b"{}", extension: str | None = None, reason: str = "not an object") -> RejectedRow:
    return RejectedRow("row", reason, "result[0]", extension, raw)


def recorded(raw: bytes, *secrets: str) -> Record:
    made = record(refused(raw), "floor", f"floor/{ms(0)}", ms(0), secrets)
    validate(wire.dumps(made))
    return made


@pytest.mark.parametrize(
    "text",
    [
        '{"password": "hush", "extnumber": "1"}',
        '{"sip_Passwd":"hush"}',
        '{"extpwd" : "hu\\"hush"}',
        '{"passwords": ["a", "hush"]}',
        '{"secret": {"value": "hush"}}',
        '{"detail": "{\\"password\\":\\"hush\\"}"}',
        "{'token': 'hush'}",
        "service=x&token=hush&state=0",
        "accesskey=hush",
        "Authorization: Bearer hush",
        '{"apikey": "hush',
        '{"secret": hush}',
    ],
)
def test_what_a_field_by_its_name_keeps_secret_is_taken_out(text: str) -> None:
    """In JSON, in JSON within JSON, in forms and headers, also where the text is cut short."""
    assert "hush" not in redact(text, ())


def test_what_is_no_secret_stays() -> None:
    """The excerpt is there to be read."""
    text = '{"queuename": "queue-1", "extnumber": "100007", "passwd": "hush", "state": 1213}'
    assert redact(text, ()) == '{"queuename": "queue-1", "extnumber": "100007", "passwd": "***", "state": 1213}'


def test_known_secrets_are_taken_out_wherever_they_are() -> None:
    """The longer first, so that none is left behind by a shorter part of it; an empty one hides nothing."""
    assert redact("x=abcdef, abc", ("abc", "abcdef", "")) == "x=***, ***"


@pytest.mark.parametrize("piece", ["a", "passw", "token:", "token:{", 'token:\\"', "secret ", "-"])
def test_redaction_takes_no_time_worth_mentioning(piece: str) -> None:
    """Also over text made to be slow: one bad row may not hold up a poll."""
    began = time.perf_counter()
    redact(piece * (4 * EXCERPT // len(piece)), ("abc",))
    assert time.perf_counter() - began < 1


def test_an_excerpt_has_at_most_8_kib_and_the_rest_is_told_by_hash_and_size() -> None:
    """Cut between characters, counted and hashed as received."""
    raw = ("\u00e9" * EXCERPT).encode()
    made = recorded(raw)
    assert len(made["excerpt"].encode()) == EXCERPT
    assert (made["bytes"], made["sha256"]) == (len(raw), hashlib.sha256(raw).hexdigest())


@pytest.mark.parametrize("raw", [b"", b"\xff\xfe", b"\x00", b'"\\ud800"', b"\xf0\x9f" * 9000])
def test_any_bytes_make_a_valid_record(raw: bytes) -> None:
    """What is not UTF-8 is shown as far as it can be."""
    recorded(raw)


def test_each_rejection_is_told_once_and_its_repeats_are_counted() -> None:
    """Distinct are extension, reason and hash; the next record about the same says how often it came meanwhile."""
    told = Told()
    one, other = refused(b"1", "100001"), refused(b"2", "100001")
    assert told.only_new([one, one]) == (one,)
    assert told.only_new([one]) == ()
    assert told.only_new([other, refused(b"1", "100002"), refused(b"1", "100001", "too long")])[0] == other
    assert told.repeats(other) == 2
    assert told.repeats(other) == 0


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The one told longest ago is told once more; nothing grows for ever."""
    monkeypatch.setattr(rejected, "REMEMBERED", 2)
    told = Told()
    rows = [refused(str(n).encode()) for n in range(3)]
    assert told.only_new(rows) == tuple(rows)
    assert told.only_new(rows[1:]) == ()
    assert told.only_new(rows[:1]) == (rows[0],)


def test_a_body_that_could_not_be_understood_is_a_batch_of_its_own() -> None:
    """It changes no state and tells no event."""
    batch = body_batch("floor", ms(0), "the body is not JSON", b"<html>")
    check(batch)
    assert (batch.events, batch.states, batch.forgotten, batch.empty) == ((), (), (), False)
    assert (batch.rejected[0].kind, batch.poll_id) == ("body", f"floor/{ms(0)}")


def test_a_rejected_rows_record_names_its_place_and_its_extension() -> None:
    """Kind, reason, path and extension are the decoder's."""
    poll = decoded(row(), row("100002", state="?"))
    made = record(poll.rejected[0], "floor", f"floor/{ms(0)}", ms(0), (), 3)
    assert (made["kind"], made["path"], made["extension"], made["repeats"]) == ("row", "result[1].state", "100002", 3)
