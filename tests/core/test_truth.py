"""How much of what truly happened is told, and how much of what is told is true: small runs of benchmarks.truth.

The simulator's truth includes wrap-up here. A told transition is a true one of the same state, in order and in bounds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest

from streamer.core.model import Settings
from streamer.simulator.floor import Floor
from tests.core.differential import Run
from tests.truth import Told

FLOOR = Floor(
    agents=30,
    pause=2.0,
    ring=(1.0, 8.0),
    talk=10.0,
    wrapuptime=5,
    break_every=3600.0,
    sign_out_every=0.0,
    offline_every=0.0,
)
SHARED = replace(FLOOR, groups=4, several_groups=0.8)
MINUTES = 60.0


def unfounded(truth: Mapping[str, Sequence[tuple[float, str]]], told: Mapping[str, Sequence[Told]]) -> list[str]:
    """The told transitions that no true one after the one before explains, within bounds; time may go back."""
    wrong: list[str] = []
    for extension, transitions in told.items():
        rest = list(truth.get(extension, ()))
        for one in transitions:
            fit = next((n for n, (at, s) in enumerate(rest) if s == one.state and one.low <= at <= one.high), None)
            if fit is None:
                wrong.append(f"{extension} {one}")
            else:
                del rest[: fit + 1]
    return wrong


def recall(truth: Mapping[str, Sequence[tuple[float, str]]], told: Mapping[str, Sequence[Told]]) -> float:
    """The share of true transitions that are told, when none is told that is not true."""
    return sum(map(len, told.values())) / sum(map(len, truth.values()))


@pytest.mark.parametrize(("interval", "share"), [(1.0, 0.999), (2.0, 0.998), (5.0, 0.995), (10.0, 0.985), (30.0, 0.95)])
@pytest.mark.parametrize("floor", [FLOOR, SHARED])
def test_what_polls_did_not_see_is_told_all_the_same(floor: Floor, interval: float, share: float) -> None:
    """From the books, and nothing else: twenty minutes of short calls."""
    truth, told = Run(floor, 1, interval=interval, settings=Settings("floor")).transitions(20 * MINUTES)
    assert unfounded(truth, told) == []
    assert recall(truth, told) >= share


@pytest.mark.parametrize("interval", [1.0, 5.0])
@pytest.mark.parametrize(
    ("faults", "skew"),
    [
        ("", 187.3),
        ("", -187.3),
        ("at=200+300:skew=3600", 0.0),
        ("at=200+300:skew=-3600", 0.0),
        ("at=200+300:skew=90", 0.0),
    ],
)
def test_a_clock_that_is_off_or_jumps_leaves_order_and_bounds_right(faults: str, skew: float, interval: float) -> None:
    """By minutes, or by an hour there and back: everything is told once, in order, within honest bounds."""
    run = Run(FLOOR, 2, faults=faults, skew=skew, interval=interval, settings=Settings("floor"))
    truth, told = run.transitions(10 * MINUTES)
    assert unfounded(truth, told) == []
    assert recall(truth, told) > 0.98
    for transitions in told.values():
        assert [one.at for one in transitions] == sorted(one.at for one in transitions)


def test_a_wrong_time_zone_tells_what_the_polls_show_and_is_found_out() -> None:
    """All stamps lie eight hours ahead: they explain nothing, bound nothing, and say by how much they are off."""
    run = Run(FLOOR, 3, settings=Settings("floor", timezone="UTC"))
    kinds: set[str] = set()
    zones: set[int | None] = set()
    for _, batch, _, _ in run.polls(3 * MINUTES):
        kinds |= batch.findings.contradictions.keys()
        zones.add(batch.findings.zone_off)
    assert "future" in kinds
    assert zones == {None, 8 * 3_600_000}
    truth, told = Run(FLOOR, 3, settings=Settings("floor", timezone="UTC")).transitions(10 * MINUTES)
    assert unfounded(truth, told) == []
    assert recall(truth, told) > 0.95


def test_the_right_time_zone_never_looks_wrong() -> None:
    """Not even with the vendor's clock off by half an hour."""
    for skew in (0.0, 1800.0):
        polls = Run(FLOOR, 4, skew=skew, settings=Settings("floor")).polls(3 * MINUTES)
        assert {batch.findings.zone_off for _, batch, _, _ in polls} == {None}
