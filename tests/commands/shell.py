"""Commands as an operator runs them: in this process for their words, as processes for signals and pipes."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Protocol, Self

PATIENCE = 30.0
"""Seconds that anything may take before a test gives up on it."""


@dataclass(frozen=True, slots=True)
class Done:
    """How a command ended, and what it wrote."""

    code: int
    out: str
    err: str
    seconds: float = 0.0

    @property
    def text(self) -> str:
        """All that it wrote."""
        return self.out + self.err


class Cli(Protocol):
    """A command in this process."""

    def __call__(self, *arguments: object) -> Done: ...


class StartVendor(Protocol):
    """Starts a simulator with `serve`'s arguments; its address."""

    def __call__(self, **options: Any) -> str: ...


def eventually(condition: Callable[[], Any], what: str, patience: float = PATIENCE) -> Any:
    """The condition's first true value; AssertionError naming `what` if there is none in time."""
    deadline = time.monotonic() + patience
    while True:
        if found := condition():
            return found
        assert time.monotonic() < deadline, f"waited {patience:.0f} s for {what}"
        time.sleep(0.02)


class Process:
    """`streamer …` as a process; what it writes is collected by threads. Killed at the end of the block."""

    def __init__(self, *arguments: object, env: Mapping[str, str] | None = None, stdout: int = subprocess.PIPE) -> None:
        command = [sys.executable, "-W", "error", "-m", "streamer", *map(str, arguments)]
        clean = {k: v for k, v in os.environ.items() if not k.startswith("STREAMER_")}
        self._process = subprocess.Popen(
            command, stdout=stdout, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, env={**clean, **(env or {})}
        )
        self.began = time.monotonic()
        self._kept: dict[str, bytearray] = {"out": bytearray(), "err": bytearray()}
        self._readers = [
            threading.Thread(target=self._read, args=(stream, self._kept[name]), daemon=True)
            for name, stream in (("out", self._process.stdout), ("err", self._process.stderr))
            if stream is not None
        ]
        for reader in self._readers:
            reader.start()

    def _read(self, stream: Any, kept: bytearray) -> None:
        while chunk := stream.read1(65536):
            kept += chunk

    @property
    def pid(self) -> int:
        """The process's number."""
        return self._process.pid

    @property
    def out(self) -> str:
        """Standard output until now."""
        return bytes(self._kept["out"]).decode()

    @property
    def err(self) -> str:
        """Standard error until now."""
        return bytes(self._kept["err"]).decode()

    def until(self, pattern: str, patience: float = PATIENCE) -> re.Match[str]:
        """Wait until what it wrote matches."""

        def seen() -> re.Match[str] | None:
            match = re.search(pattern, f"{self.out}\n{self.err}")
            assert match or self._process.poll() is None, f"ended before {pattern!r}: {self.out}{self.err}"
            return match

        return eventually(seen, f"{pattern!r} in {self.out[-2000:]}{self.err[-2000:]}", patience)

    def signal(self, number: int) -> None:
        """Send it a signal."""
        self._process.send_signal(number)

    def end(self, patience: float = PATIENCE) -> Done:
        """Wait for its end."""
        code = self._process.wait(patience)
        for reader in self._readers:
            reader.join(patience)
        return Done(code, self.out, self.err, time.monotonic() - self.began)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        for reader in self._readers:
            reader.join()
        for stream in (self._process.stdout, self._process.stderr):
            if stream is not None:
                stream.close()
