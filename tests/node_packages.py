"""Packages from npm for tests, installed by name into the user's cache, outside the checkout, once."""

from __future__ import annotations

import fcntl
import shutil
import subprocess
import tempfile
from pathlib import Path

from tests.kafka_distribution import cache_home

PACKAGES = ("@asyncapi/specs@6.11.1", "json-schema-to-typescript@16.0.0", "typescript@5.9.3")
FETCH_TIMEOUT = 240  # seconds; about 10 with a near mirror


class NodeUnobtainable(Exception):
    """No Node, or npm cannot fetch; the message says why."""


def obtain() -> Path:
    """The folder `node_modules` with PACKAGES in it; NodeUnobtainable says why there is none."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        raise NodeUnobtainable("node and npm are not installed")
    version = "_".join(package.rpartition("@")[2] for package in PACKAGES)
    home = cache_home() / "streamer-test-node" / version
    home.parent.mkdir(parents=True, exist_ok=True)
    with (home.parent / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not home.is_dir():
            _install(home)
    return home / "node_modules"


def _install(home: Path) -> None:
    with tempfile.TemporaryDirectory(dir=home.parent, prefix="fetching-") as scratch:
        (Path(scratch) / "package.json").write_text("{}")
        command = ["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", "--silent", *PACKAGES]
        try:
            done = subprocess.run(
                command,
                cwd=scratch,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=FETCH_TIMEOUT,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise NodeUnobtainable(f"npm fetched nothing within {FETCH_TIMEOUT} s") from None
        if done.returncode:
            raise NodeUnobtainable(f"npm cannot install {', '.join(PACKAGES)}: {done.stdout[-300:]}")
        Path(scratch).rename(home)
        Path(scratch).mkdir()  # for the block's end
