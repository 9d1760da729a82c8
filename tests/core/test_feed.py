"""What the feed topic says of a source, and that it always says why."""

from __future__ import annotations

from itertools import product

import msgspec
import pytest

from streamer.core import wire
from streamer.core.feed import Cursor, Delivery, FeedStatus, Health, judge
from streamer.core.model import Offset
from tests.core.builders import ms
from tests.validation import validate

SECOND = 1000
GOOD = Health(started_at=ms(0), good_at=ms(10))


def at(health: Health, seconds: float) -> tuple[str, str]:
    """The status and its reason, polled every second."""
    return judge(health, ms(seconds), SECOND)


def but(**changes: object) -> Health:
    return msgspec.structs.replace(GOOD, **changes)


def test_a_good_poll_makes_a_feed_live() -> None:
    """And a failed one since does not change that yet."""
    assert at(GOOD, 10.5) == ("live", "")
    assert at(but(trouble="HTTP 500"), 12) == ("live", "")


def test_three_intervals_without_a_good_poll_make_it_stale() -> None:
    """Not at the third, but after it; the reason holds the trouble and its length."""
    assert at(but(trouble="HTTP 500"), 13)[0] == "live"
    assert at(but(trouble="HTTP 500"), 13.001)[0] == "stale"
    assert at(but(trouble="HTTP 500"), 75) == ("stale", "no good poll for 65 s: HTTP 500")
    assert at(but(blocked="the outbox is full", trouble="HTTP 500"), 75)[1].endswith("the outbox is full")


def test_before_the_first_good_poll_it_recovers_and_then_is_stale() -> None:
    """The patience is counted from the start."""
    new = Health(started_at=ms(0))
    assert at(new, 1)[0] == "recovering"
    assert at(new, 4)[0] == "stale"


def test_a_doubted_list_is_recovering() -> None:
    """Answers are not believed yet."""
    assert at(but(doubted=True), 10.5)[0] == "recovering"


def test_stopped_and_refused_come_before_all_else() -> None:
    """Whatever else is true of the source."""
    assert at(but(refused=True, trouble="601"), 99) == ("refused", "601")
    assert at(but(stopped=True, refused=True), 99)[0] == "stopped"


def test_a_feed_that_is_not_live_always_says_why() -> None:
    """Every combination makes a valid record."""
    for good, trouble, seconds in product((None, ms(10)), ("", "HTTP 500"), (-99, 10.5, 99)):
        for refused, doubted, full, stopped in product((False, True), repeat=4):
            blocked = "the outbox is full" if full else ""
            health = Health(ms(0), good, trouble, refused, doubted, blocked, stopped=stopped)
            status, reason = at(health, seconds)
            assert (status == "live") == (reason == "")


@pytest.mark.parametrize("delivery", ["exactly_once", "at_least_once"])
def test_a_feed_status_is_a_valid_record(delivery: Delivery) -> None:
    """Before anything is known of it, and with everything known."""
    feed = FeedStatus(
        source="floor",
        status="recovering",
        since=ms(0),
        reason="the first poll is under way",
        at=ms(0.3),
        confirmed_until=None,
        poll_interval_s=1.0,
        heartbeat_s=10.0,
        extensions=0,
        delivery=delivery,
        cursor=None,
        outbox_batches=0,
        outbox_bytes=0,
        superseded=0,
        clock_offset=None,
        config_digest="5f0c",
        instance="poller-1",
    )
    validate(wire.dumps(wire.feed_status(feed)))
    known = msgspec.structs.replace(
        feed, confirmed_until=ms(0.2), cursor=Cursor("poller-1/1", 7), clock_offset=Offset(-100, 400)
    )
    record = wire.feed_status(known)
    validate(wire.dumps(record))
    assert record["clock_offset_s"] == {"min": -0.1, "max": 0.4}
    assert record["cursor"] == {"writer": "poller-1/1", "number": 7}
