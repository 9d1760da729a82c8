"""Prometheus and promtool as Debian packages them: found on the path, else unpacked into a cache, nothing installed."""

from __future__ import annotations

import fcntl
import shutil
import tempfile
from pathlib import Path

from tests.programs import attempt, cache_home

CACHE = cache_home() / "streamer-test-prometheus"
FETCH_TIMEOUT = 240  # seconds; 20 MB, and the package lists where they are missing


class ToolUnobtainable(Exception):
    """Neither installed nor to be had here."""


def obtain(name: str) -> Path:
    """The path of `promtool` or `prometheus`; ToolUnobtainable says why there is none."""
    if there := shutil.which(name):
        return Path(there)
    tool = CACHE / "usr" / "bin" / name
    if not tool.exists():
        CACHE.parent.mkdir(parents=True, exist_ok=True)
        with CACHE.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not tool.exists():
                _unpack()
    return tool


def _unpack() -> None:
    if shutil.which("apt-get") is None or shutil.which("dpkg") is None:
        raise ToolUnobtainable("Prometheus is not installed, and there is no apt-get to fetch its package")
    with tempfile.TemporaryDirectory(dir=CACHE.parent) as place:
        fetched = _run(place, "apt-get", "download", "prometheus")
        if fetched and not (fetched := _run(place, "apt-get", "update")):  # a new machine has no package lists
            fetched = _run(place, "apt-get", "download", "prometheus")
        packages = list(Path(place).glob("prometheus_*.deb"))
        if fetched or not packages:
            raise ToolUnobtainable(f"apt-get cannot fetch the package prometheus: {fetched}")
        unpacked = Path(place) / "unpacked"
        if problem := _run(place, "dpkg", "-x", str(packages[0]), str(unpacked)):
            raise ToolUnobtainable(problem)
        shutil.rmtree(CACHE, ignore_errors=True)
        unpacked.rename(CACHE)


def _run(place: str, *command: str) -> str:
    return attempt(command, place, FETCH_TIMEOUT)[-500:]
