"""A real schema registry on this machine: Apicurio, from Maven Central, kept in the user's cache."""

from __future__ import annotations

import subprocess
import tarfile
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

from tests.kafka_distribution import KafkaUnobtainable, find_java, run_maven
from tests.kafka_readiness import free_port
from tests.programs import cache_home

VERSION = "3.0.9"
ARTIFACT = f"io.apicurio:apicurio-registry-app:{VERSION}:tar.gz:all"
START_TIMEOUT = 90.0
"""Seconds; 8 on an idle machine."""


class RegistryStartFailed(Exception):
    """It ended, or did not answer in time; the message holds its last words."""


class RegistryServer:
    """A registry of our own, in memory, on loopback. `start` raises KafkaUnobtainable where it is not to be had."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the server

    def start(self) -> str:
        """Its address, once it answers."""
        java = find_java()
        home = cache_home() / "streamer-test-registry" / VERSION
        if not home.is_dir():
            _fetch(home, java)
        (jar,) = home.glob("*-runner.jar")
        port = free_port()
        options = ["-Xmx256m", "-XX:TieredStopAtLevel=1", "-Dquarkus.http.host=127.0.0.1"]
        self._process = subprocess.Popen(
            [java, *options, f"-Dquarkus.http.port={port}", "-jar", jar],
            cwd=home,
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
        )
        address = f"http://127.0.0.1:{port}/apis/ccompat/v7"
        deadline = time.monotonic() + START_TIMEOUT
        while not _answers(f"{address}/subjects"):
            if self._process.poll() is not None or time.monotonic() > deadline:
                self._log.seek(0)
                last = self._log.read()[-2000:].decode("utf-8", "replace")
                self.close()
                raise RegistryStartFailed(f"the registry did not start: {last}")
            time.sleep(0.1)
        return address

    def close(self) -> None:
        """End it; nothing of it stays but the cache."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        self._log.close()


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310 - http, on loopback
            return answer.status == 200
    except (urllib.error.URLError, OSError):
        return False


def _fetch(home: Path, java: Path) -> None:
    """Fetch and unpack beside `home`, then rename: a half-filled cache is never seen."""
    home.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=home.parent, prefix="fetching-") as scratch:
        run_maven(["dependency:copy", f"-Dartifact={ARTIFACT}", "-DoutputDirectory=."], Path(scratch), java)
        (archive,) = Path(scratch).glob("*.tar.gz")
        unpacked = Path(scratch, "unpacked")
        with tarfile.open(archive) as packed:
            packed.extractall(unpacked, filter="data")
        try:
            unpacked.rename(home)
        except OSError as error:  # another process was first
            if not home.is_dir():
                raise KafkaUnobtainable(f"cannot write {home}: {error}") from None
