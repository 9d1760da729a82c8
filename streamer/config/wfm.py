"""What `streamer wfm` needs to know."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated
from zoneinfo import ZoneInfo

from pydantic import BeforeValidator, Field, field_validator, model_validator

from streamer.config.outputs import Output
from streamer.config.section import Section
from streamer.core.codes import State
from streamer.units import place

PHONE: tuple[State, ...] = ("available", "ringing", "talking", "wrap_up")
BREAK: tuple[State, ...] = ("paused", "idle", "offline", "signed_out")


class Wfm(Section):
    """The interval ledger: `path` is its SQLite file.

    A day is one of `timezone`. `activities` are those of schedules, each with the states that adhere to it; `grace`
    is how many seconds around each beginning and end of an activity are forgiven. `outputs` are told of states as they
    change.
    """

    path: Annotated[Path, BeforeValidator(place)]
    timezone: str = "UTC"
    activities: Mapping[str, tuple[State, ...]] = {"phone": PHONE, "break": BREAK}
    grace: Annotated[float, Field(ge=0, le=3600)] = 60.0
    outputs: tuple[Output, ...] = ()

    @field_validator("timezone")
    @classmethod
    def _known(cls, text: str) -> str:
        try:
            ZoneInfo(text)
        except (ValueError, KeyError, OSError) as error:
            raise ValueError(f"{text!r} is not a known time zone") from error
        return text

    @model_validator(mode="after")
    def _named_apart(self) -> Wfm:
        names = [output.name for output in self.outputs]
        if doubled := {name for name in names if names.count(name) > 1}:
            raise ValueError(f"two outputs are called {min(doubled)!r}; what waits for an output is kept by its name")
        return self

    @property
    def zone(self) -> ZoneInfo:
        """Where a day begins at midnight."""
        return ZoneInfo(self.timezone)
