"""The settings of an invented floor, and the named ones."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from streamer.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class Floor:
    """How a floor is staffed and behaves. Times are seconds, shares 0 … 1; an `…_every` of 0 means never."""

    agents: int = 20
    groups: int = 3
    several_groups: float = 0.2
    """Share of agents signed in to two or three groups."""
    shared_agents: bool = True
    """One mod_callcenter agent shown in each of its groups, or one for each (extension, group) pair."""
    zone: str = "Asia/Shanghai"
    never: Literal["", "null", "zeros", "epoch"] = ""
    """What a stamp shows that never moved."""
    warm_up: float = 300.0
    """How long the floor has been at work when it is first looked at."""

    pause: float = 15.0
    """Mean time from when an agent could be offered a call to the offer."""
    ring: tuple[float, float] = (1.5, 8.0)
    ring_timeout: float = 20.0
    talk: float = 40.0
    """Median of a log-normal."""
    talk_spread: float = 0.7
    """Sigma of the log-normal."""
    wrapuptime: int = 10
    missed: float = 0.06
    rejected: float = 0.03
    abandoned: float = 0.02
    """Share of offers whose caller goes first."""
    busy_offers: float = 0.1
    """Share of offers to an engaged phone that are made all the same and fail as busy (not shared_agents)."""
    shows_failure: float = 0.1
    """Share of failed offers after which the state is 1212 or 1216 in place of 1213."""
    several_steps: float = 0.1
    """Share of answers and misses whose steps can be seen, some milliseconds apart."""
    no_answer_delay: float = 5.0
    reject_delay: float = 8.0
    busy_delay: float = 3.0
    max_no_answer: int = 0
    """So many misses in a row put the agent on break; 0: never."""

    break_every: float = 900.0
    break_length: float = 180.0
    break_one: float = 0.1
    """Share of breaks taken from one group only (not shared_agents)."""
    break_again: float = 0.1
    """Share of breaks during which the break is set once more."""
    cancels_ring: float = 0.9
    """Share of ringing offers that a break cancels."""
    on_demand_every: float = 0.0
    on_demand_length: float = 120.0
    sign_out_every: float = 1800.0
    sign_out_length: float = 240.0
    sign_out_one: float = 0.5
    """Share of sign-outs from one group only, where there are several."""
    offline_every: float = 2400.0
    offline_length: float = 45.0
    offline_stamps: bool = False
    """The phone's coming and going moves seatschangetime too."""
    manual_every: float = 0.0
    """Calls outside the queue: no stamp moves."""

    def __post_init__(self) -> None:
        if self.agents < 1 or self.groups < 1:
            raise ConfigError("a floor needs at least one agent and one task group", "raise --agents to 1 or more")


PRESETS: dict[str, Floor] = {
    # A predictive campaign with everything in it, none of it often.
    "default": Floor(),
    # Calls shorter than a usual poll interval: most begin and end unseen.
    "brisk": Floor(
        pause=1.5,
        ring=(0.2, 2.0),
        ring_timeout=4.0,
        talk=3.0,
        talk_spread=0.8,
        wrapuptime=2,
        missed=0.1,
        no_answer_delay=1.0,
        reject_delay=1.0,
        break_every=240.0,
        break_length=20.0,
        sign_out_every=600.0,
        sign_out_length=20.0,
        warm_up=300.0,
    ),
    # Long calls and long waits: what a poller sees is what there is.
    "calm": Floor(
        pause=120.0,
        ring=(3.0, 10.0),
        talk=180.0,
        talk_spread=0.5,
        wrapuptime=30,
        break_every=3600.0,
        break_length=600.0,
        sign_out_every=7200.0,
        sign_out_length=1200.0,
        offline_every=0.0,
        warm_up=3600.0,
    ),
    # Statuses that never rest: breaks in mid-call and automatic ones, On Demand, lost phones, manual calls.
    "breaks": Floor(
        pause=5.0,
        talk=20.0,
        missed=0.25,
        max_no_answer=2,
        shows_failure=0.4,
        break_every=60.0,
        break_length=20.0,
        break_again=0.4,
        on_demand_every=180.0,
        sign_out_every=240.0,
        sign_out_length=30.0,
        offline_every=240.0,
        offline_length=20.0,
        manual_every=180.0,
    ),
    # Most agents in several groups, one mod_callcenter agent for each, joining and leaving.
    "groups": Floor(
        groups=5,
        several_groups=0.8,
        shared_agents=False,
        pause=8.0,
        talk=20.0,
        busy_offers=0.4,
        break_one=0.4,
        break_every=300.0,
        break_length=60.0,
        sign_out_every=180.0,
        sign_out_length=60.0,
        sign_out_one=0.7,
    ),
}


def named_floor(name: str, *, agents: int | None = None) -> Floor:
    """The preset of this name, with as many agents as asked for. Raises ConfigError for an unknown name."""
    if name not in PRESETS:
        raise ConfigError(f"there is no floor {name!r}", f"choose one of {', '.join(PRESETS)}")
    preset = PRESETS[name]
    return preset if agents is None else replace(preset, agents=agents)
