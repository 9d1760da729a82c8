"""A short shift of a small floor in virtual time: the ledger's time in state is the truth's, or nearly."""

from __future__ import annotations

from dataclasses import replace

from benchmarks.shift import shift
from streamer.simulator.floor import named_floor


def test_time_in_state_is_nearly_the_truth() -> None:
    """Far nearer than what a comparison of states makes of the same polls."""
    ours, alone = shift(replace(named_floor("calm"), agents=20), seed=1, seconds=3600, interval=5)
    assert ours.percent < 0.5
    assert ours.worst_s < 30
    assert alone.percent > 10 * ours.percent
