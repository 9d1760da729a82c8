"""Programs that tests run to the end; and what they fetch by name, once: where it is kept."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path


def cache_home() -> Path:
    """Where what is fetched is kept: the user's cache, outside the checkout."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")


def ran(
    command: Sequence[str | Path], folder: str | Path, timeout: float, environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """A program that has run in a folder, with nothing to read; what it wrote and its errors in one text."""
    return subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, **(environment or {})},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=timeout,
        check=False,
    )


def attempt(
    command: Sequence[str], folder: str | Path, timeout: float, environment: Mapping[str, str] | None = None
) -> str:
    """Run a program in a folder: what went wrong, in its own words; empty if nothing did."""
    try:
        done = ran(command, folder, timeout, environment)
    except subprocess.TimeoutExpired:
        return f"it took longer than {timeout:.0f} s"
    return (done.stdout.strip() or "no output") if done.returncode else ""
