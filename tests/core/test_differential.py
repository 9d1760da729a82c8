"""The core beside the simulator's own truth: the states of every poll, and the bounds of every event.

The simulator knows nothing of the core and reads the vendor's documents for itself.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from streamer.simulator.floor import PRESETS, Floor
from tests.core.differential import Run

MINUTES = 60.0
AT_ONCE = {name: replace(floor, several_steps=0.0) for name, floor in PRESETS.items()}
"""The floors with every answer and every miss written in one step: no poll can see half of one."""


def once(floor: Floor) -> Floor:
    """The floor without breaks that are set again: their stamp is no longer the break's beginning."""
    return replace(floor, break_again=0.0, on_demand_every=0.0)


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("name", PRESETS)
def test_every_state_of_every_poll_is_the_truth(name: str, seed: int) -> None:
    """Ten minutes at one poll a second: each extension is in the state that it truly is in."""
    found = Run(AT_ONCE[name], seed).measure(10 * MINUTES)
    assert found.compared > 10_000
    assert found.wrong_states == []


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("name", PRESETS)
def test_the_bounds_of_every_transition_hold_the_true_moment(name: str, seed: int) -> None:
    """With all their steps visible; first_seen of a break set again is older than its stamp, hence left out."""
    found = Run(once(PRESETS[name]), seed).measure(10 * MINUTES)
    assert found.judged > 80
    assert [line for line in found.wrong_bounds if " first_seen " not in line] == []
    assert found.bound_share > 0.99
    assert found.state_share > 0.999


@pytest.mark.parametrize("skew", [7.3, -3600.0])
def test_a_vendors_clock_that_is_off_is_found_out(skew: float) -> None:
    """Slow answers, and a clock that is not ours: the bounds hold on the vendor's clock all the same."""
    run = Run(once(AT_ONCE["breaks"]), 3, skew=skew, latency=(0.1, 0.9))
    found = run.measure(5 * MINUTES)
    assert found.wrong_states == []
    assert [line for line in found.wrong_bounds if " first_seen " not in line] == []
    assert run.state.jumps == 0
    assert run.state.offset is not None
    assert run.state.offset.low <= skew * 1000 <= run.state.offset.high


@pytest.mark.parametrize("jump", [90, -90, 3])
def test_a_vendors_clock_that_jumps_gives_no_wrong_bounds(jump: int) -> None:
    """There and back again: two jumps, and every bound holds the moment on the clock of that moment."""
    run = Run(once(AT_ONCE["brisk"]), 4, faults=f"at=60+60:skew={jump}")
    found = run.measure(4 * MINUTES)
    assert run.state.jumps == 2
    assert found.wrong_states == []
    assert [line for line in found.wrong_bounds if " first_seen " not in line] == []


def test_rows_in_disorder_twice_as_text_or_as_garbage_change_no_state() -> None:
    """A row that is garbage in place of another holds that extension back, and no other."""
    run = Run(once(AT_ONCE["groups"]), 5, faults="rate=0.3:shuffle,rate=0.3:duplicate,rate=0.3:strings,every=7:http500")
    found = run.measure(5 * MINUTES)
    assert found.wrong_states == []
    noisy = Run(once(AT_ONCE["groups"]), 5, faults="rate=0.1:garbage_row").measure(5 * MINUTES)
    assert noisy.state_share > 0.99
    assert [line for line in (*found.wrong_bounds, *noisy.wrong_bounds) if " first_seen " not in line] == []


def test_partial_answers_sign_nobody_out() -> None:
    """Half of all rows missing, or all: held back until they are there again."""
    run = Run(
        replace(AT_ONCE["calm"], sign_out_every=0.0, warm_up=900.0), 6, faults="every=9:partial=0.5,every=31:empty"
    )
    told = [event.change for _, batch, _, _ in run.polls(5 * MINUTES) for event in batch.events]
    assert told.count("signed_out") == 0
    assert told.count("first_seen") == 20
    assert told.count("state") > 20
