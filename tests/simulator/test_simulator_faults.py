"""Which request goes wrong, from the text of the rules."""

from __future__ import annotations

import pytest

from streamer.errors import ConfigError
from streamer.simulator.faults import HELP, KINDS, Faults, Strike, parse_faults


def struck(spec: str, count: int, service: str = "poll") -> list[int]:
    """The numbers, from 1, of the requests that something went wrong with; one request a second."""
    faults = Faults.parse(spec, seed=7)
    return [number for number in range(1, count + 1) if faults.strike(service, float(number))]


def test_every_strikes_each_nth_request() -> None:
    """`every=3` is the third, the sixth and so on."""
    assert struck("every=3:partial", 10) == [3, 6, 9]


def test_nth_strikes_once() -> None:
    """`nth=4` is the fourth request alone."""
    assert struck("nth=4:http500", 20) == [4]


def test_at_with_a_length_strikes_for_that_long() -> None:
    """`at=5+3` is from second 5 until before second 8."""
    assert struck("at=5+3:down", 20) == [5, 6, 7]


def test_at_alone_strikes_the_first_request_after() -> None:
    """`at=2.5` is one request, the first one then."""
    assert struck("at=2.5:truncated", 10) == [3]


def test_always_strikes_every_request() -> None:
    """`always` leaves none out."""
    assert struck("always:shuffle", 3) == [1, 2, 3]


def test_rate_strikes_by_chance_and_the_same_for_the_same_seed() -> None:
    """About so many of them, and the same ones again."""
    assert 60 < len(struck("rate=0.1:ret500", 1000)) < 140
    assert struck("rate=0.1:ret500", 1000) == struck("rate=0.1:ret500", 1000)
    assert struck("rate=0:ret500", 100) == []


def test_damage_to_rows_counts_polls_only() -> None:
    """A log-in in between does not use up the turn of a poll."""
    faults = Faults.parse("every=2:partial")
    services = ("poll", "login", "groups", "poll")
    assert [bool(faults.strike(service, 0.0)) for service in services] == [False, False, False, True]


def test_a_rule_can_be_bound_to_a_service() -> None:
    """`@login` leaves polls alone."""
    assert struck("always:http500@login", 3) == []
    assert struck("always:http500@login", 3, "login") == [1, 2, 3]


def test_numbers_are_given_or_the_kinds_own() -> None:
    """`=2` replaces the number that a kind has by itself."""
    assert Faults.parse("always:slow=2,always:slow").strike("poll", 0.0) == (
        Strike("slow", 2.0),
        Strike("slow", 3),
    )


def test_several_rules_can_strike_one_request() -> None:
    """Rules are independent of each other; blanks between them do not matter."""
    kinds = [strike.kind for strike in Faults.parse("always:bom, every=1:error500").strike("poll", 0.0)]
    assert kinds == ["bom", "http500"]


def test_no_rules_strike_nothing() -> None:
    """An empty specification is a vendor in good health."""
    assert parse_faults("") == ()
    assert struck("", 10) == []


def test_skew_is_a_matter_of_time_not_of_requests() -> None:
    """The clock is off within the span, by the sum of what is in force, and no request is struck."""
    faults = Faults.parse("at=10+5:skew=-30,always:skew")
    assert [faults.skew_at(moment) for moment in (0.0, 10.0, 14.9, 15.0)] == [90, 60, 60, 90]
    assert faults.skew_changes() == [10.0, 15.0]
    assert faults.strike("poll", 12.0) == ()


@pytest.mark.parametrize(
    ("spec", "problem"),
    [
        ("every=2:bogus", "unknown kind 'bogus'"),
        ("bogus", "is not WHEN"),
        ("every:partial", "is not WHEN"),
        ("every=2:partial:3", "is not WHEN"),
        ("always=2:partial", "is not WHEN"),
        ("every=0:partial", "whole number"),
        ("nth=1.5:partial", "whole number"),
        ("rate=1.5:partial", "0 to 1"),
        ("at=-1:partial", "before the beginning"),
        ("every=2+3:partial", "length"),
        ("at=2+0:partial", "length"),
        ("every=2:skew=5", "moves a clock"),
        ("at=5:skew=5", "moves a clock"),
        ("always:slow=-1", "negative"),
        ("always:http500@nowhere", "unknown service"),
        ("always:partial@login", "only strike polls"),
    ],
)
def test_a_wrong_rule_is_named_with_the_known_kinds(spec: str, problem: str) -> None:
    """The error quotes the piece, says what is wrong with it, and lists what there is."""
    with pytest.raises(ConfigError) as caught:
        parse_faults(f"every=10:empty,{spec}")
    assert repr(spec) in str(caught.value)
    assert problem in str(caught.value)
    assert all(kind in str(caught.value) for kind in KINDS)


def test_the_help_lists_every_kind() -> None:
    """What the command line says is complete."""
    assert all(kind in HELP for kind in KINDS)
