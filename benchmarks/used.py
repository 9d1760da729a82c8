"""What a process has used, by the system's account."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

TICK = os.sysconf("SC_CLK_TCK")


def cpu_seconds(pid: int) -> float:
    """CPU time so far: its own, and the system's for it."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def memory(pid: int, what: Literal["VmRSS", "VmHWM"] = "VmRSS") -> float:
    """MiB that it holds (VmRSS), or the most that it has held (VmHWM)."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{what}:")) / 1024
