"""Files that one process writes, and names that survive a crash of the machine."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import IO


def exclusive(path: Path) -> IO[bytes]:
    """A lock, held until it is closed or the process ends. BlockingIOError: another has it; OSError: no such place."""
    lock = path.open("ab")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        lock.close()
        raise
    return lock


def sync(folder: Path) -> None:
    """Make sure that the names in a folder survive a crash of the machine."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
