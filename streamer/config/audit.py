"""What `streamer audit` needs to know."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import BeforeValidator, Field

from streamer.config.section import Section
from streamer.units import Seconds, place

Place = Annotated[Path | None, BeforeValidator(place)]


class Audit(Section):
    """The audit trail: `path` is the folder of its store.

    `signing_key` is needed to write, `public_key` to verify. Checkpoints are signed at least each
    `checkpoint_interval` in which something was written, and published to `topic`.
    """

    path: Annotated[Path, BeforeValidator(place)]
    signing_key: Place = None
    public_key: Place = None
    topic: str = Field(default="agent-state-audit", pattern=r"^[A-Za-z0-9_-][A-Za-z0-9._-]{0,248}$")
    checkpoint_interval: Seconds = 900.0
