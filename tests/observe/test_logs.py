"""Logs: on edges, one line each, without secrets, and nothing that a name could forge."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from streamer.core.feed import Status
from streamer.core.model import Findings, Offset, RejectedRow, Snapshot
from streamer.errors import KafkaUnavailable, VendorError, VendorRefused, VendorUnavailable
from streamer.observe import lines
from streamer.observe.logs import LogObserver
from tests.web.floor import agent, event


@pytest.fixture(autouse=True)
def _put_back() -> Iterator[None]:  # pyright: ignore[reportUnusedFunction]
    handlers, level = logging.root.handlers, logging.root.level
    levels = {name: logging.getLogger(name).level for name in lines.LEAST_LEVELS}
    yield
    logging.root.handlers = handlers
    logging.root.setLevel(level)
    for name, before in levels.items():
        logging.getLogger(name).setLevel(before)
    structlog.reset_defaults()


class Told:
    """What an observer wrote, as JSON."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        lines.configure("info", (), plain=False)
        self._capsys = capsys

    def __call__(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self._capsys.readouterr().err.splitlines()]


def snapshot(at: float = 0) -> Snapshot:
    """Answered `at` seconds after the epoch."""
    return Snapshot("floor", 0, round(at * 1000), None, None, (), frozenset(), 0, (), {})


class Clocked(LogObserver):
    """With a clock that the test sets, in seconds."""

    def __init__(self) -> None:
        self.at = 0.0
        super().__init__(lambda: self.at)

    def poll(self, seconds: float = 1, error: VendorError | None = None) -> None:
        """One more poll of `floor`, after so many seconds."""
        self.at += seconds
        if error is None:
            self.polled("floor", snapshot(self.at), 0.1)
        else:
            self.poll_failed("floor", error)


DOWN, REFUSED = VendorUnavailable("no answer", "wait"), VendorRefused("601", "ask")


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


def test_a_recovery_tells_how_long_it_lasted_and_what_was_missed(capsys: pytest.CaptureFixture[str]) -> None:
    """Since the first failure; the gap, in which nobody looked, since the last good answer."""
    told, observer = Told(capsys), Clocked()
    for error in (None, DOWN, DOWN, DOWN):
        observer.poll(2, error)
    observer.poll(3.5)
    recovered = told()[-1]
    assert (recovered["failed_polls"], recovered["lasted_s"], recovered["gap_s"]) == (3, 7.5, 9.5)
    observer.released("floor")
    observer.poll(1, DOWN)
    observer.poll(100, DOWN)
    observer.poll(1, DOWN)
    observer.poll(300)
    observer.poll(300, DOWN)
    observer.poll(1)
    lines = [line for line in told() if line["event"] == "polling recovered"]
    assert [line.get("gap_s") for line in lines] == [None, 301.0]


def test_polls_that_fail_now_and_then_are_told_of_now_and_then(capsys: pytest.CaptureFixture[str]) -> None:
    """Every other one, for a quarter of an hour: a line and its end every five minutes, with how many failed."""
    told, observer = Told(capsys), Clocked()
    for number in range(900):
        observer.poll(1, DOWN if number % 2 else None)
    failed = [line for line in told() if line["event"] == "poll failed"]
    assert [line.get("failed_meanwhile") for line in failed] == [None, 149, 149]


def test_what_goes_on_is_told_at_once_also_after_a_recovery(capsys: pytest.CaptureFixture[str]) -> None:
    """At the third failure in a row; and a refusal, which needs an operator, even where failures were told."""
    told, observer = Told(capsys), Clocked()
    for error in (DOWN, None, DOWN, DOWN, DOWN, DOWN, REFUSED, REFUSED, DOWN, None):
        observer.poll(1, error)
    lines = [(line["event"], line["level"]) for line in told()]
    failed, recovered = ("poll failed", "warning"), ("polling recovered", "info")
    assert lines == [failed, recovered, failed, ("poll failed", "error"), recovered]


def test_kafkas_return_tells_what_was_held_and_when_it_is_all_out(capsys: pytest.CaptureFixture[str]) -> None:
    """Of all sources; where nothing waited there is nothing more to tell."""
    told, observer = Told(capsys), Clocked()
    observer.outbox("floor", 0, 0, None)
    observer.kafka(KafkaUnavailable("away", "wait"))
    observer.outbox("floor", 2, 100, 1)
    observer.outbox("south", 1, 100, 1)
    observer.at = 60.0
    observer.kafka(None)
    for source, events in (("floor", 3), ("floor", 1), ("south", 2)):
        observer.committed(source, [event(agent())] * events, [], [], 0)
        observer.outbox(source, 0 if events < 3 else 1, 0, None)
    for _ in range(2):
        observer.committed("floor", [event(agent())], [], [], 0)
        observer.outbox("floor", 0, 0, None)
    _, back, out = told()
    assert (back["event"], back["lasted_s"], back["batches_held"]) == ("Kafka is back", 60.0, 3)
    assert (out["event"], out["events"]) == ("what waited for Kafka is published", 6)
    observer.kafka(KafkaUnavailable("away", "wait"))
    observer.kafka(None)
    observer.outbox("floor", 0, 0, None)
    assert [line["event"] for line in told()] == ["Kafka is away", "Kafka is back"]


def test_lists_that_are_doubted_again_and_again_are_told_of_now_and_then(capsys: pytest.CaptureFixture[str]) -> None:
    """What else happens to the feed is told all the same."""
    told, observer = Told(capsys), Clocked()
    flapping: list[Status] = ["recovering", "live"]
    trouble: list[Status] = ["recovering", "stale", "live"]
    for status in (*flapping * 101, *trouble):
        observer.at += 1
        observer.feed("floor", status, "why")
    assert [line["status"] for line in told()] == ["recovering", "live", "recovering", "live", "stale", "live"]


def test_each_kind_of_row_that_is_not_understood_is_told_once_for_a_source(capsys: pytest.CaptureFixture[str]) -> None:
    """With the first one's reason and place; the whole body is why the poll failed, which is told as such."""
    told, observer = Told(capsys), LogObserver()
    rows = [RejectedRow("row", f"state: bad {n}", f"result[{n}].state", "100001", b"", "number") for n in range(3)]
    for _ in range(3):
        observer.rejected("floor", [*rows, RejectedRow("body", "HTML", "", None, b"", "body")])
    (line,) = told()
    assert (line["level"], line["reason"], line["path"]) == ("warning", "state: bad 0", "result[0].state")
    assert "100001" not in str(line)
    observer.released("floor")
    observer.rejected("floor", rows)
    assert len(told()) == 2


def test_lost_spans_are_told_of_now_and_then_with_their_end(capsys: pytest.CaptureFixture[str]) -> None:
    """A collector that takes every other batch does not fill the log."""
    told, observer = Told(capsys), Clocked()
    for at in (0, 10, 400):
        observer.at = at
        observer.tracing("the collector does not take spans", 0)
        observer.tracing("", 7)
    assert [(line["event"], line.get("lost")) for line in told()] == [
        ("spans are lost", None),
        ("spans are sent again", 7),
    ] * 2


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
    """The least and the most that the vendor's can be ahead; not at every poll where two clocks answer in turn."""
    told, observer = Told(capsys), LogObserver()
    observer.compared("floor", Findings(offset=Offset(0, 90_500)))
    for _ in range(5):
        observer.compared("floor", Findings(offset=Offset(0, 90_500), jumped=True))
    assert [line["vendor_minus_ours"] for line in told()] == ["0.0 to 90.5 s"]


@pytest.mark.parametrize("plain", [False, True])
def test_no_value_can_forge_a_line_or_paint_a_terminal(plain: bool, capsys: pytest.CaptureFixture[str]) -> None:
    """Control characters of all kinds are shown as dots."""
    lines.configure("info", (), plain=plain)
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
    lines.configure("debug", ("s3same",), plain=plain)
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
        lines.configure(level, (), plain=False)
        logging.getLogger("aiokafka.conn").debug("Request %s", b"\0alice\0secret")
    assert capsys.readouterr().err == ""
    logging.getLogger("aiokafka").error("Unable to connect")
    assert capsys.readouterr().err == "", "we tell of it ourselves, once"
