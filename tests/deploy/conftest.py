"""What the tests of `deploy/` share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import without
from tests.deploy.prometheus_tools import ToolUnobtainable, obtain
from tests.programs import ran


@pytest.fixture(scope="session")
def promtool(request: pytest.FixtureRequest) -> Callable[..., str]:
    """Runs promtool with some arguments; its output, or a failure that shows it."""
    try:
        tool = obtain("promtool")
    except ToolUnobtainable as error:
        without(request.config, "tools", str(error))

    def run(*arguments: str | Path) -> str:
        done = ran([tool, *arguments], ".", 60)
        assert done.returncode == 0, done.stdout
        return done.stdout

    return run
