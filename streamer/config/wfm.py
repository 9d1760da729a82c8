"""What `streamer wfm` needs to know."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import BeforeValidator

from streamer.config.section import Section
from streamer.units import place


class Wfm(Section):
    """The interval ledger: `path` is its SQLite file."""

    path: Annotated[Path, BeforeValidator(place)]
