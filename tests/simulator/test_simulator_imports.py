"""The simulator stands on its own."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import streamer.simulator

MODULES = sorted(Path(streamer.simulator.__path__[0]).glob("*.py"))


def imports(module: Path) -> set[str]:
    """The full names of what a module imports."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.Import):
            found.update(name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports would hide what is imported"
            found.update(f"{node.module}.{name.name}" for name in node.names)
    return found


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.stem)
def test_the_simulator_imports_only_itself_and_the_errors(module: Path) -> None:
    """Neither vendor nor core: one misreading of the vendor must not cancel itself out."""
    own = {name for name in imports(module) if name.startswith("streamer")}
    assert all(name.startswith(("streamer.simulator", "streamer.errors")) for name in own)


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.stem)
def test_only_server_and_callbacks_touch_the_world_outside(module: Path) -> None:
    """Everything else is pure: no network, no loop, no clock."""
    outside = {name.split(".")[0] for name in imports(module)} & {
        "aiohttp",
        "asyncio",
        "time",
        "os",
        "signal",
    }
    assert not outside or module.name in ("server.py", "callbacks.py")
