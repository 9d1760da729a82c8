"""The settings of a floor, and the presets."""

from __future__ import annotations

from dataclasses import replace

import pytest

from streamer.errors import ConfigError
from streamer.simulator.world import PRESETS, World, named_floor

START = 1795399205.25


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_every_preset_has_as_many_agents_as_asked_for(name: str) -> None:
    """The number of agents is the only thing that changes."""
    assert named_floor(name, agents=7) == replace(PRESETS[name], agents=7)
    assert named_floor(name) == PRESETS[name]


@pytest.mark.parametrize(
    ("never", "shown"),
    [("", ""), ("null", None), ("zeros", "0000-00-00 00:00:00"), ("epoch", "1970-01-01 08:00:00")],
)
def test_a_stamp_that_never_moved_shows_as_the_floor_says(never: str, shown: str | None) -> None:
    """All four ways of the vendor to say never."""
    quiet = replace(named_floor("calm"), pause=1e9, never=never)  # pyright: ignore[reportArgumentType]
    row = World(quiet, 0, START).rows()[0]
    assert row["lastanswertime"] == row["lastassigntime"] == shown
    assert row["seatschangetime"] not in ("", None)


def test_an_unknown_floor_is_refused_with_the_known_ones() -> None:
    """The remedy lists the presets."""
    with pytest.raises(ConfigError, match=r"no floor 'busy'.*default, brisk, calm, breaks, groups"):
        named_floor("busy")


def test_a_floor_without_agents_is_refused() -> None:
    """Nobody at work is a mistake, not a floor."""
    with pytest.raises(ConfigError, match="at least one agent"):
        named_floor("default", agents=0)
