"""What `streamer audit` needs to know."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import BeforeValidator

from streamer.config.section import Section
from streamer.units import place


class Audit(Section):
    """The audit trail: `path` is the folder of its store."""

    path: Annotated[Path, BeforeValidator(place)]
