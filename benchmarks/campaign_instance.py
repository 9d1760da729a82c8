"""The lives of one `streamer run` in a campaign, with a wall clock that can be made to jump."""

from __future__ import annotations

import mmap
import os
import shutil
import signal
import struct
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path

from tests.e2e.deployment import ACCESSKEY

STOPPING = 30.0
"""Seconds that a process has after SIGTERM."""

SHIM = r"""
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>
static volatile long long *ahead;
__attribute__((constructor)) static void begin(void) {
    const char *path = getenv("CAMPAIGN_CLOCK");
    int file = path ? open(path, O_RDONLY) : -1;
    if (file < 0) return;
    void *page = mmap(0, 8, PROT_READ, MAP_SHARED, file, 0);
    if (page != MAP_FAILED) ahead = page;
    close(file);
}
int clock_gettime(clockid_t id, struct timespec *t) {
    int failed = syscall(SYS_clock_gettime, id, t);
    if (!failed && id == CLOCK_REALTIME && ahead) t->tv_sec += *ahead;
    return failed;
}
int gettimeofday(struct timeval *restrict t, void *restrict zone) {
    struct timespec now;
    (void)zone;
    clock_gettime(CLOCK_REALTIME, &now);
    t->tv_sec = now.tv_sec;
    t->tv_usec = now.tv_nsec / 1000;
    return 0;
}
time_t time(time_t *t) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (t) *t = now.tv_sec;
    return now.tv_sec;
}
"""
"""A library that is loaded before the C library and adds so many whole seconds to the wall clock; monotonic stays."""


def compile_shim(folder: Path) -> Path | None:
    """The compiled SHIM; None where there is no C compiler."""
    compiler = shutil.which("cc")
    if compiler is None:
        return None
    source, library = folder / "clock.c", folder / "clock.so"
    source.write_text(SHIM)
    done = subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", str(library), str(source)], check=False)
    return library if done.returncode == 0 else None


def bound(command: Sequence[str]) -> list[str]:
    """The command, so that its process ends when we do, however that is."""
    setpriv = shutil.which("setpriv")
    return [*((setpriv, "--pdeathsig", "KILL") if setpriv else ()), *command]


class Instance:
    """Any number of lives of one `streamer run`. `exits` says which codes an end of its own may have now."""

    def __init__(self, name: str, folder: Path, config: str, port: int, shim: Path | None) -> None:
        self.name = name
        self.folder = folder
        self.outbox = folder / f"{name}.outbox"
        self.exits: tuple[int, ...] = ()
        self.lives = 0
        self._port = port
        self._shim = shim
        self._process: subprocess.Popen[bytes] | None = None
        self._config = folder / f"{name}.toml"
        self._config.write_text(config)
        self._clock = folder / f"{name}.clock"
        self._clock.write_bytes(bytes(8))

    def start(self, most_bytes: int | None = None) -> None:
        """Begin a life. With `most_bytes` no file may grow beyond so many bytes."""
        self.lives += 1
        self.exits = ()
        command = [sys.executable, "-m", "streamer", "run", f"--config={self._config}"]
        if most_bytes is not None:
            command = ["prlimit", f"--fsize={most_bytes}:{most_bytes}", *command]
        clock = {"LD_PRELOAD": str(self._shim), "CAMPAIGN_CLOCK": str(self._clock)} if self._shim else {}
        # A file of its own for each life: the bound on files holds for it too.
        with (self.folder / f"{self.name}-{self.lives}.log").open("wb") as log:
            self._process = subprocess.Popen(
                bound(command),
                env={**os.environ, "CAMPAIGN_ACCESSKEY": ACCESSKEY, **clock},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    @property
    def code(self) -> int | None:
        """The exit code; None while it runs."""
        return None if self._process is None else self._process.poll()

    def signal(self, number: signal.Signals) -> None:
        """Send a signal, unless it has ended."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(number)

    def kill(self) -> None:
        """SIGKILL; return when it is dead."""
        self.signal(signal.SIGKILL)
        if self._process is not None:
            self._process.wait()

    def wait(self) -> int | None:
        """The exit code after SIGTERM; None, and SIGKILL, if it does not end."""
        assert self._process is not None
        try:
            return self._process.wait(STOPPING)
        except subprocess.TimeoutExpired:
            self.kill()
            return None

    def set_clock(self, ahead: int) -> None:
        """Let its wall clock be so many seconds ahead."""
        with self._clock.open("r+b") as file, mmap.mmap(file.fileno(), 8) as page:
            page[:] = struct.pack("q", ahead)

    def ready(self) -> bool:
        """Does /readyz say that it and all its sources are live?"""
        return answers(f"http://127.0.0.1:{self._port}/readyz")

    def says(self, words: str) -> bool:
        """Does /readyz give these words as a reason for not being live?"""
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{self._port}/readyz", timeout=2).close()
        except urllib.error.HTTPError as error:
            with error:
                return words in error.read().decode()
        except OSError:
            pass
        return False

    def complaint(self) -> str:
        """The last line of its present life's log."""
        lines = (self.folder / f"{self.name}-{self.lives}.log").read_text(errors="replace").splitlines()
        return lines[-1].replace(str(self.folder), "DIR") if lines else "it wrote nothing"


def answers(url: str) -> bool:
    """Does a server of ours answer there with 200?"""
    try:
        urllib.request.urlopen(url, timeout=2).close()  # noqa: S310 - our own address on loopback
    except OSError:
        return False
    return True
