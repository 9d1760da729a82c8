"""Packages from npm for tests, installed by name into the user's cache, outside the checkout, once."""

from __future__ import annotations

import fcntl
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.programs import attempt, cache_home

FETCH_TIMEOUT = 240  # seconds; about 10 with a near mirror


class NodeUnobtainable(Exception):
    """No Node, or npm cannot fetch; the message says why."""


def obtain(*packages: str) -> Path:
    """The folder `node_modules` with these packages in it; NodeUnobtainable says why there is none."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        raise NodeUnobtainable("node and npm are not installed")
    home = cache_home() / "streamer-test-node" / "_".join(package.rpartition("/")[2] for package in packages)
    home.parent.mkdir(parents=True, exist_ok=True)
    with (home.parent / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not home.is_dir():
            _install(home, packages)
    return home / "node_modules"


def _install(home: Path, packages: Sequence[str]) -> None:
    with tempfile.TemporaryDirectory(dir=home.parent, prefix="fetching-") as scratch:
        (Path(scratch) / "package.json").write_text("{}")
        command = ["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", "--silent", *packages]
        if problem := attempt(command, scratch, FETCH_TIMEOUT):
            raise NodeUnobtainable(f"npm cannot install {', '.join(packages)}: {problem[-300:]}")
        Path(scratch).rename(home)
        Path(scratch).mkdir()  # for the block's end
