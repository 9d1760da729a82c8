"""The rules of the house: who may import whom, who may touch the world, how long a module may be."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent / "streamer"
MODULES = {
    ".".join(("streamer", *path.relative_to(ROOT).with_suffix("").parts)): path for path in sorted(ROOT.rglob("*.py"))
}

MAY_IMPORT = {
    "errors": set[str](),
    "core": {"errors"},
    "units": set[str](),
    "tasks": set[str](),
    "config": {"errors", "core", "units"},
    "configure": {"errors", "core", "config"},
    "compatibility": {"errors"},
    "schemas": {"errors", "compatibility"},
    "vendor": {"errors", "core", "config", "units"},
    "kafka": {"errors", "core", "config", "units", "compatibility", "schemas"},
    "observe": {"errors", "core", "config"},
    "runtime": {"errors", "tasks", "core", "config", "vendor", "kafka", "observe"},
    "web": {"errors", "core", "config", "units", "vendor", "kafka", "observe", "runtime"},
    "client": {"errors", "core", "config", "kafka"},
    "consumers": {"errors", "tasks", "config", "units", "kafka", "client"},
    "simulator": {"errors"},
}
"""Part → the other parts that it may import. `cli`, `commands` and `__main__` stand above all of them."""

ABOVE = {"cli", "commands", "__main__", "__init__"}

LONGEST = 300
"""Lines of a module."""


def imports(path: Path) -> Iterator[str]:
    """Every module that a file imports, also inside functions; of `from a import b` both `a` and `a.b`."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative imports hide where they lead"
            assert node.module
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def roots(path: Path) -> set[str]:
    return {name.partition(".")[0] for name in imports(path)}


def part(module: str) -> str:
    return module.split(".")[1] if "." in module else "__init__"


def parts_imported(path: Path) -> set[str]:
    return {part(name) for name in imports(path) if name.startswith("streamer.")}


@pytest.mark.parametrize("module", MODULES)
def test_imports_go_one_way(module: str) -> None:
    """errors → core → {vendor, kafka, observe} → runtime → {web, consumers} → commands → cli."""
    own, found = part(module), parts_imported(MODULES[module])
    if own == "cli" or own == "__main__":
        return
    assert "cli" not in found
    if own not in ABOVE:
        assert found <= MAY_IMPORT[own] | {own}


def test_every_part_has_its_place() -> None:
    """A new part is put into the order above before it is used."""
    assert {part(module) for module in MODULES} <= MAY_IMPORT.keys() | ABOVE


def importers(*names: str) -> set[str]:
    return {module for module, path in MODULES.items() if roots(path) & set(names)}


def test_http_is_spoken_in_four_places() -> None:
    """The vendor's client with its errors, our own pages, the simulator, what tells workforce management."""
    simulator = {"streamer.simulator.server", "streamer.simulator.callbacks"}
    allowed = {"streamer.vendor.client", "streamer.vendor.trouble", "streamer.consumers.wfm.outputs.http", *simulator}
    found = importers("aiohttp", "aiohttp_sse")
    assert {module for module in found if part(module) != "web"} <= allowed


def test_kafka_clients_are_used_in_two_places() -> None:
    """kafka/ and client/."""
    assert {part(module) for module in importers("aiokafka", "confluent_kafka")} <= {"kafka", "client"}


def test_opentelemetry_is_known_in_one_place() -> None:
    """Who has not configured it need not have it."""
    assert importers("opentelemetry") == {"streamer.observe.otel"}


def test_only_the_command_line_reads_the_environment() -> None:
    """Everybody else is handed what they need."""
    readers = {
        module
        for module, path in MODULES.items()
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if (isinstance(node, ast.Attribute) and node.attr in ("environ", "environb", "getenv", "getenvb"))
        or (isinstance(node, ast.ImportFrom) and node.module == "os")
    }
    assert {part(module) for module in readers} <= {"cli"}


@pytest.mark.parametrize("module", [module for module in MODULES if part(module) == "core"])
def test_the_core_is_pure(module: str) -> None:
    """No I/O, no clock, no randomness, no logging."""
    impure = {"asyncio", "logging", "random", "secrets", "time", "os", "socket", "io", "pathlib", "structlog", "sys"}
    assert not roots(MODULES[module]) & impure
    calls = {
        node.func.attr
        for node in ast.walk(ast.parse(MODULES[module].read_text("utf-8")))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in ("now", "utcnow", "today")
    }
    assert not calls


@pytest.mark.parametrize("module", MODULES)
def test_no_module_is_long(module: str) -> None:
    """What does not fit into one's head at once is two things."""
    assert len(MODULES[module].read_text("utf-8").splitlines()) < LONGEST
