"""A vendor's names made to deceive, all the way: from the row they come in to every place where they may be shown.

Lines of `tail` and `state`: tests/test_cli.py. Log lines: tests/observe/test_logs.py. Pages: tests/web/test_web_app.py.
"""

from __future__ import annotations

import io
import json
import re

import orjson
import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest

from streamer.commands.lines import Output
from streamer.config import Kafka
from streamer.core import wire
from streamer.core.model import Batch, SourceState
from streamer.core.rejected import Told
from streamer.core.step import step
from streamer.kafka.serde import Record, encode
from streamer.observe.metrics import MetricsObserver
from tests.core.builders import SETTINGS, decoded, row
from tests.validation import validate

NAMES = {
    "lines": "a\r\nX-Forged: yes\r\n\r\n<h1>",
    "escapes": "\x1b[2J\x1b]0;title\x07\x9b2J",
    "direction": "\u202egnp.exe\u2066",
    "NUL": "a\x00b",
    "separators": "a\u2028b\u2029c\x85d",
    "markup": "<script>alert(1)</script>[bold]{{7*7}}${jndi:ldap://x}",
    "quotes": '"},{"extension":"666","state":"talking"},{"x":"',
    "labels": 'x",extension="666"} 1\nstreamer_forged{a="b',
    "pieces": "e\u0301\U0001f468\u200d\U0001f469\ufeff",
}


def batch_of(name: str) -> Batch:
    """What one poll of an agent and a task group of that name gives."""
    snapshot = decoded(row("100001", name, seatsname=name))
    assert snapshot.rejected == ()
    return step(SourceState(agents={}), snapshot, SETTINGS)[1]


def records(name: str) -> tuple[Record, ...]:
    return encode(batch_of(name), Kafka(), Told(), ())


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
def test_records_carry_a_name_as_data(name: str) -> None:
    """In the value, whole; on one line; a valid record."""
    found = records(name)
    assert [record.topic for record in found] == [Kafka().events_topic, Kafka().state_topic]
    for record in found:
        assert record.value is not None
        validate(record.value)
        assert b"\n" not in record.value
        assert b"\x1b" not in record.value
        value = orjson.loads(record.value)
        assert (value["agent"], value["groups"][0]["name"]) == (name, name)


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
def test_keys_and_headers_hold_no_name(name: str) -> None:
    """Only what is checked when it is read: nothing in them could be a line, or another header."""
    for record in records(name):
        texts = [record.key, *(value for _, value in record.headers), *(key.encode() for key, _ in record.headers)]
        assert all(re.fullmatch(rb"[!-~]+", text) for text in texts)


@pytest.mark.parametrize("extension", ["1/2", "1\n2", "1 2", "", "\x001", "é", "../1", "%2f", "1" * 65])
def test_an_extension_that_could_forge_a_key_is_none(extension: str) -> None:
    """It is part of keys, ids and headers."""
    assert decoded(row(extension)).seats == ()


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
def test_metrics_hold_no_name(name: str) -> None:
    """Whatever an agent or a group is called, the same series."""
    registry = CollectorRegistry()
    batch = batch_of(name)
    MetricsObserver(registry).committed("floor", batch.events, batch.states, (), batch.observed_at)
    text = generate_latest(registry).decode()
    assert "100001" not in text
    assert all(re.match(r"# (HELP|TYPE) \w+ |\w+(\{[^{}\"]*(\"[\w.+-]*\",?[^{}\"]*)*\})? [\d.e+-]+$", line)
               for line in text.splitlines())  # fmt: skip


class Screen(io.StringIO):
    """A terminal."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
def test_json_cannot_paint_a_terminal_and_means_the_same(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """`--json` on a terminal escapes what is not printable; into a pipe the bytes are the record's."""
    monkeypatch.setenv("TERM", "xterm")
    (event, _) = (record.value for record in records(name))
    assert event is not None
    for screen in (Screen(), io.StringIO()):
        out = Output()
        out.file = screen
        out.write(event)
        shown = screen.getvalue()
        assert json.loads(shown) == orjson.loads(event)
        assert shown.count("\n") == 1
        if screen.isatty():
            assert shown[:-1].isprintable()
        else:
            assert shown.encode() == event + b"\n"
            assert wire.dumps(orjson.loads(event)) == event
