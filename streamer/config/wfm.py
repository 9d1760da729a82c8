"""What `streamer wfm` needs to know."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import BeforeValidator, model_validator

from streamer.config.outputs import Output
from streamer.config.section import Section
from streamer.units import place


class Wfm(Section):
    """The interval ledger: `path` is its SQLite file. `outputs` are told of states as they change."""

    path: Annotated[Path, BeforeValidator(place)]
    outputs: tuple[Output, ...] = ()

    @model_validator(mode="after")
    def _named_apart(self) -> Wfm:
        names = [output.name for output in self.outputs]
        if doubled := {name for name in names if names.count(name) > 1}:
            raise ValueError(f"two outputs are called {min(doubled)!r}; what waits for an output is kept by its name")
        return self
