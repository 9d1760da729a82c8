"""Time from poll to poll: whose clock, which bounds, what a jump or a restart does to them."""

from __future__ import annotations

from typing import Any

import pytest

from streamer.core import wire
from streamer.core.model import Offset
from tests.core.builders import NOON, OFFLINE, PAUSED, RINGING, TALKING, Poller, kinds, ms, seat, since_noon, times
from tests.validation import validate


def test_occurred_at_never_goes_back() -> None:
    """An estimate before the last event's is moved up to it; the bounds still hold the truth."""
    poller = Poller()
    poller.poll(0, seat())
    poller.poll(2, seat(state=RINGING, offered=2))
    event = poller.one(2.05, seat(), lasts=0.02)
    assert times(event) == (2.0, 2.035, 2.07)
    event = poller.one(2.06, seat(state=RINGING, offered=1.5), lasts=0.02)
    assert times(event) == (1.5, 2.035, 2.5)


def test_bounds_are_on_the_vendors_clock_and_as_wide_as_its_uncertainty() -> None:
    """Ours is 7.2 to 7.8 s behind: the lower bound takes the least, the upper the most."""
    poller = Poller(offset=Offset(7200, 7800))
    poller.poll(0, seat(state=TALKING))
    assert since_noon(poller.agent().since) == 7.5
    assert times(poller.one(1, seat())) == (7.2, 8.05, 8.9)
    assert poller.state.complete_until == ms(8.2)


def test_a_vendor_that_tells_no_time_is_taken_to_be_within_a_second() -> None:
    """The bounds are that much wider."""
    poller = Poller(offset=None)
    poller.poll(0, seat(state=TALKING))
    assert times(poller.one(1, seat())) == (-1.0, 0.55, 2.1)


@pytest.mark.parametrize("jump", [90, -90])
def test_a_clock_that_jumps_widens_the_bounds(jump: int) -> None:
    """What happened in that gap may be stamped by either reading; the poll after it is exact again."""
    poller = Poller()
    for second in range(3):
        poller.poll(second, seat(state=TALKING, wrap=0), reqtime=NOON + second)
    event = poller.one(3, seat(wrap=0), reqtime=NOON + 3 + jump)
    low, at, high = times(event)
    assert low is not None
    assert low <= min(2, 2 + jump)
    assert high >= max(3.1, 3.1 + jump)
    assert at >= since_noon(poller.events[0].when.at)
    assert poller.state.jumps == 1
    poller.poll(4, seat(wrap=0), reqtime=NOON + 4 + jump)
    event = poller.one(5, seat(state=RINGING, offered=5 + jump, wrap=0), reqtime=NOON + 5 + jump)
    assert poller.state.jumps == 1
    assert times(event)[0] == 5 + jump


def test_a_restart_without_a_feed_starts_from_the_records_last_poll() -> None:
    """No confirmed_until: the last poll that wrote the record is the lower bound."""
    poller = Poller()
    poller.poll(0, seat(changed=-50))
    poller.restart()
    poller.state = type(poller.state)(poller.state.agents, offset=Offset(0, 0))
    assert times(poller.one(100, seat(state=OFFLINE, changed=-50))) == (0.0, 50.05, 100.1)


def test_a_restart_starts_from_what_the_feed_confirmed() -> None:
    """The bounds span the time in which nobody looked; the sequence goes on."""
    poller = Poller()
    poller.poll(0, seat(), seat("100002"))
    poller.poll(1, seat(), seat("100002"))
    poller.restart()
    events = poller.poll(3600, seat(state=TALKING, answered=1800), seat("100003"))
    assert kinds(events) == [
        ("100001", "state", "talking"),
        ("100002", "signed_out", "signed_out"),
        ("100003", "first_seen", "available"),
    ]
    assert times(events[0]) == (1800, 1800, 1801)
    assert times(events[1]) == (1.0, 1800.55, 3600.1)
    assert [event.after.sequence for event in events] == [2, 2, 1]


def test_our_own_clock_may_go_back() -> None:
    """Without any time from the vendor nothing tells; the records stay in order all the same."""
    poller = Poller(offset=None)
    poller.poll(1000, seat())
    event = poller.one(10, seat(state=PAUSED))
    assert event.when.at == poller.events[0].when.at
    validate(wire.event(event))


def test_what_was_not_read_while_a_clock_jumped_back_is_bounded_on_either_reading() -> None:
    """Last read at 0; 40 seconds less on the vendor's clock since."""
    poller = Poller()
    poller.poll(0, seat(), reqtime=NOON)
    poller.poll(1, unread=["100001"], reqtime=NOON + 1)
    poller.poll(2, unread=["100001"], reqtime=NOON + 2 - 40)
    when = poller.one(3, seat(state=PAUSED, status=PAUSED), reqtime=NOON + 3 - 40).when
    assert when.not_before is not None
    assert when.not_before <= ms(-39)
    assert when.not_after >= ms(2)


@pytest.mark.parametrize("jump", [90, -90])
@pytest.mark.parametrize("ours", [False, True])
@pytest.mark.parametrize("pauses", [False, True])
def test_a_wrap_up_over_which_a_clock_jumps_is_over_only_when_it_must_be(
    jump: int, *, ours: bool, pauses: bool
) -> None:
    """Whichever clock jumped: by both readings. Told before, it would be invented if a break ended it."""
    poller = Poller()
    poller.poll(0, seat(state=TALKING, answered=-5, wrap=10))
    assert kinds(poller.poll(2, seat(answered=-5, changed=1, wrap=10)))[-1][2] == "wrap_up"

    def later(seconds: int, **fields: Any) -> list[tuple[str, float]]:
        """The states told by a poll after the jump, and how many seconds before it they ended at the latest."""
        at, vendors = (seconds + jump, seconds) if ours else (seconds, seconds + jump)
        told = poller.poll(at, seat(answered=-5, changed=1, wrap=10, **fields), reqtime=NOON + vendors)
        return [(event.after.state, vendors - since_noon(event.when.not_after)) for event in told]

    assert later(3) == later(4) == []
    if pauses:
        assert [state for state, _ in later(5, state=PAUSED)] == ["paused"]
    else:
        ((state, ago),) = [told for seconds in range(5, 120) for told in later(seconds)]
        assert state == "available"
        assert ago > -2.5
