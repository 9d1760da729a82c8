"""Logs: on edges, one line each, without secrets, and nothing that a name could forge."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from streamer.core.model import Findings, Offset, Snapshot
from streamer.errors import KafkaUnavailable, VendorRefused, VendorUnavailable
from streamer.observe import logs
from streamer.observe.logs import LogObserver


@pytest.fixture(autouse=True)
def _put_back() -> Iterator[None]:  # pyright: ignore[reportUnusedFunction]
    handlers, level = logging.root.handlers, logging.root.level
    levels = {name: logging.getLogger(name).level for name in logs.LEAST_LEVELS}
    yield
    logging.root.handlers = handlers
    logging.root.setLevel(level)
    for name, before in levels.items():
        logging.getLogger(name).setLevel(before)
    structlog.reset_defaults()


class Told:
    """What an observer wrote, as JSON."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        logs.configure("info", (), plain=False)
        self._capsys = capsys

    def __call__(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self._capsys.readouterr().err.splitlines()]


def snapshot() -> Snapshot:
    return Snapshot("floor", 0, 1, None, None, (), frozenset(), 0, (), {})


def test_failing_polls_are_told_once_and_their_end_with_how_many(capsys: pytest.CaptureFixture[str]) -> None:
    """Normal operation is silent."""
    told, observer = Told(capsys), LogObserver()
    observer.polled("floor", snapshot(), 0.1)
    for _ in range(5):
        observer.poll_failed("floor", VendorUnavailable("no answer", "wait"))
    observer.poll_failed("other", VendorRefused("601", "ask"))
    for _ in range(3):
        observer.polled("floor", snapshot(), 0.1)
    first, other, recovered = told()
    assert (first["event"], first["level"], first["remedy"]) == ("poll failed", "warning", "wait")
    assert (other["source"], other["level"]) == ("other", "error")
    assert (recovered["event"], recovered["failed_polls"]) == ("polling recovered", 5)


def test_kafkas_absence_is_told_once_and_its_return(capsys: pytest.CaptureFixture[str]) -> None:
    """However many attempts fail in between."""
    told, observer = Told(capsys), LogObserver()
    observer.kafka(None)
    for _ in range(4):
        observer.kafka(KafkaUnavailable("away", "wait"))
    observer.kafka(None)
    observer.kafka(None)
    assert [line["event"] for line in told()] == ["Kafka is away", "Kafka is back"]


def test_a_feeds_start_is_usual_and_its_trouble_is_not(capsys: pytest.CaptureFixture[str]) -> None:
    """`recovering` is where every feed begins."""
    told, observer = Told(capsys), LogObserver()
    for status in ("recovering", "live", "stale", "recovering", "live", "stopped"):
        observer.feed("floor", status, "why")
    assert [line["level"] for line in told()] == ["info", "info", "warning", "warning", "info", "info"]


def test_each_kind_of_contradiction_is_told_once_for_a_source(capsys: pytest.CaptureFixture[str]) -> None:
    """The metrics count them."""
    told, observer = Told(capsys), LogObserver()
    for source in ("floor", "floor", "other"):
        observer.compared(source, Findings({"past": 3}))
    observer.compared("floor", Findings({"order": 1}))
    assert [(line["source"], line["kind"]) for line in told()] == [
        ("floor", "past"),
        ("other", "past"),
        ("floor", "order"),
    ]


def test_a_wrong_time_zone_is_named_once_with_its_remedy_and_so_is_its_end(capsys: pytest.CaptureFixture[str]) -> None:
    """By how much the stamps are off, and where the right zone is."""
    told, observer = Told(capsys), LogObserver()
    for off in (None, -12_600_000, -12_600_000, None, None):
        observer.compared("floor", Findings(zone_off=off))
    wrong, right = told()
    assert (wrong["problem"], wrong["level"]) == ("all fresh timestamps are off by -3.5 h", "warning")
    assert wrong["remedy"] == "the source's timezone should be one that is 3.5 h further west"
    assert right["event"] == "the time zone looks right again"


def test_a_jump_of_a_clock_is_told_with_where_it_is_now(capsys: pytest.CaptureFixture[str]) -> None:
    """The least and the most that the vendor's can be ahead."""
    told, observer = Told(capsys), LogObserver()
    observer.compared("floor", Findings(offset=Offset(0, 90_500)))
    observer.compared("floor", Findings(offset=Offset(0, 90_500), jumped=True))
    assert [line["vendor_minus_ours"] for line in told()] == ["0.0 to 90.5 s"]


@pytest.mark.parametrize("plain", [False, True])
def test_no_value_can_forge_a_line_or_paint_a_terminal(plain: bool, capsys: pytest.CaptureFixture[str]) -> None:
    """Control characters of all kinds are shown as dots."""
    logs.configure("info", (), plain=plain)
    hostile = 'x"\n{"event": "forged"}\r\x1b[2J\x1b]0;t\x07\u2028\u202e'
    LogObserver().problem(hostile, source=hostile, detail={"nested": hostile})
    logging.getLogger("library").error("says %s", hostile)
    err = capsys.readouterr().err
    assert len(err.splitlines()) == 2
    assert not any(bad in err for bad in ("\x1b[2J", "\x1b]", "\x07", "\u202e", "\r"))


@pytest.mark.parametrize("plain", [False, True])
@pytest.mark.filterwarnings("error")
def test_secrets_are_masked_wherever_they_are(plain: bool, capsys: pytest.CaptureFixture[str]) -> None:
    """In words, values, nested values, libraries' messages and tracebacks."""
    logs.configure("debug", ("s3same",), plain=plain)
    observer = LogObserver()
    try:
        raise ValueError("about s3same")
    except ValueError as error:
        observer.problem("internal s3same", exception=error, nested={"k": ["s3same"]}, raw=b"s3same")
        logging.getLogger("library").exception("with %r", {"password": "s3same"})
    err = capsys.readouterr().err
    assert "s3same" not in err
    assert err.count("ValueError: about ***") == 2


def test_the_kafka_clients_requests_are_written_at_no_level(capsys: pytest.CaptureFixture[str]) -> None:
    """One of them holds the password, encoded as its bytes are."""
    for level in ("debug", "info"):
        logs.configure(level, (), plain=False)
        logging.getLogger("aiokafka.conn").debug("Request %s", b"\0alice\0secret")
    assert capsys.readouterr().err == ""
    logging.getLogger("aiokafka").error("Unable to connect")
    assert capsys.readouterr().err == "", "we tell of it ourselves, once"
