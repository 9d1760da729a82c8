"""What all tests of workforce management share."""

from __future__ import annotations

import pytest
import structlog


@pytest.fixture(autouse=True)
def plain_log() -> None:
    """Log lines go to standard output, whatever a command that ran before has configured."""
    structlog.reset_defaults()
