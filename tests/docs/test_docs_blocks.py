"""Every command and program on the pages is run, against a Kafka and a simulated vendor, as its reader would."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import textwrap
import time
import tomllib
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import IO

import pytest
from confluent_kafka import Producer

from tests.conftest import Topics
from tests.docs.pages import ROOT, Block, blocks, commands, ours
from tests.e2e.audit import read_topic
from tests.e2e.deployment import ACCESSKEY, Deployment
from tests.sample_records import example
from tests.topics import create_ours, settings
from tests.validation import Record

NOT_RUN = {
    r"(python3? -m venv|\S*pip install) ": "installs: whatever runs these tests has done that first (.ci/run)",
    r"\S*pytest( |$)": "is this suite",
    r"docker ": "needs images: tests/test_container.py brings the composed set-up up where there are any",
    r"python -m benchmarks\.": "takes minutes to hours: that module and options exist is asked by test_docs_pages.py",
    r"mutmut ": "takes hours",
}
"""Beginnings of commands that are not run here, and why."""

STAYS = {"run": r'"status": "live"', "tail": r"/\d+  ", "demo": r" → ", "simulate": r"http://"}
"""Our commands that go on until they are told to stop, and what they have written when they work."""

PATIENCE = 60.0


class Shell:
    """A reader's directory: the configuration that the page shows, and our programs where it says that they are."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.folder = folder
        self.environment = environment
        self.exports = ""
        self._running: list[tuple[str, subprocess.Popen[bytes], Path]] = []
        (folder / ".venv").symlink_to(sys.prefix)

    def __enter__(self) -> Shell:
        return self

    def __exit__(self, *_exc: object) -> None:
        for _, process, _ in self._running:
            process.kill()
            process.wait()

    def run(self, command: str) -> None:
        """One command to its end, or to its first sign of life if it stays."""
        if command.startswith("export "):
            self.exports += f"{command.replace('…', ACCESSKEY)}; "
            return
        name = next(iter(ours(command)), "")
        if name == "demo" and "--listen" not in command:
            command += " --listen 127.0.0.1:0"
        log = self.folder / f"log-{len(self._running)}.txt"
        with log.open("wb") as out:
            process = self._start(command, out)
        self._running.append((command, process, log))
        deadline = time.monotonic() + PATIENCE
        while process.poll() is None and time.monotonic() < deadline:
            if name in STAYS and re.search(STAYS[name], log.read_text("utf-8")):
                return
            time.sleep(0.05)
        assert process.poll() == 0, f"{command}: {process.poll()}\n{log.read_text('utf-8')}"

    def _start(self, command: str, out: IO[bytes]) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            ["bash", "-euc", f"{self.exports}exec {command}"],
            cwd=self.folder,
            env={**os.environ, **self.environment},
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
        )

    def stop(self) -> None:
        """What stays is told to stop, the last first, and ends well."""
        for command, process, log in reversed(self._running):
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
                assert process.wait(PATIENCE) == 0, f"{command}\n{log.read_text('utf-8')}"
            assert "Traceback" not in log.read_text("utf-8")


@pytest.fixture(scope="module")
def deployment(kafka: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """A simulated floor, and a streamer whose topics the programs on the pages read."""
    folder = tmp_path_factory.mktemp("docs")
    with Deployment(folder, kafka, Topics(f"docs-{os.getpid()}-{int(time.time())}")) as running:
        running.simulate(agents=20, seed=1, floor="brisk")
        running.run()
        running.wait_until_live()
        yield running
        assert running.stop() == 0, running.log()


def overrides(deployment: Deployment, topics: Topics, config: Path) -> dict[str, str]:
    """The environment that leads a configuration from a page to the deployment's Kafka and vendor."""
    sources: list[dict[str, str]] = tomllib.loads(config.read_text("utf-8"))["sources"] if config.exists() else []
    variables = [f"STREAMER_SOURCES__{source['name'].upper().replace('-', '_')}__URL" for source in sources]
    return {
        "STREAMER_KAFKA__BOOTSTRAP_SERVERS": deployment.kafka,
        "STREAMER_KAFKA__SECURITY_PROTOCOL": "PLAINTEXT",
        "STREAMER_KAFKA__EVENTS_TOPIC": topics.events,
        "STREAMER_KAFKA__STATE_TOPIC": topics.state,
        "STREAMER_KAFKA__FEED_TOPIC": topics.feed,
        "STREAMER_KAFKA__REJECTED_TOPIC": topics.rejected,
        "STREAMER_HTTP__LISTEN": "127.0.0.1:0",
        **dict.fromkeys(variables, f"http://127.0.0.1:{deployment.vendor_port}"),
    }


@pytest.mark.timeout(240)
@pytest.mark.parametrize("block", blocks("sh"), ids=str)
def test_shell_blocks_do_what_they_say(block: Block, deployment: Deployment, topics: Topics, tmp_path: Path) -> None:
    """Line by line in one shell's order, with the files that the same page shows under their names."""
    for file in blocks("toml", "python"):
        if file.page == block.page and (named := re.match(r"# ([\w.-]+)\n", file.text)):
            (tmp_path / named[1]).write_text(file.text)
    shutil.copytree(ROOT / "schemas", tmp_path / "schemas")
    with Shell(tmp_path, overrides(deployment, topics, tmp_path / "streamer.toml")) as shell:
        for command in commands(block):
            if not any(re.match(beginning, command) for beginning in NOT_RUN):
                shell.run(command)
        shell.stop()


def localised(text: str, kafka: str, topics: Topics) -> str:
    """A program with our address and topics for those on the page."""
    names = {
        "agent-state-changed": topics.events,
        "agent-state": topics.state,
        "agent-state-feed": topics.feed,
        "agent-state-rejected": topics.rejected,
        "localhost:9092": kafka,
        "…": kafka,
    }
    section = (
        f"__import__('streamer.config').config.Kafka(**{settings(kafka, topics).model_dump(exclude_defaults=True)})"
    )
    text = re.sub(r'(Agent\w+)\("localhost:9092"', lambda m: f"{m[1]}({section}", text)
    return re.sub(r'"([^"\n]+)"', lambda m: f'"{names.get(m[1], m[1])}"', text)


FRAGMENT = """
import asyncio
from aiokafka import AIOKafkaConsumer

async def main():
{}
    async with consumer:
        print(await consumer.getone())

asyncio.run(main())
"""


class Program:
    """A program from a page, running in a folder; killed at the end of the block."""

    def __init__(self, text: str, folder: Path) -> None:
        (folder / "program.py").write_text(text)
        self._out, self._err = folder / "out.txt", folder / "err.txt"
        with self._out.open("wb") as out, self._err.open("wb") as err:
            command = [sys.executable, "-u", "program.py"]
            self._process = subprocess.Popen(command, cwd=folder, stdout=out, stderr=err)

    def __enter__(self) -> Program:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()

    def until(self, pattern: str) -> str:
        """All that it wrote, once that matches."""
        deadline = time.monotonic() + PATIENCE
        while not re.search(pattern, out := self._out.read_text()):
            assert self._process.poll() is None, self._err.read_text()
            assert time.monotonic() < deadline, f"{pattern} is not in: {out}{self._err.read_text()}"
            time.sleep(0.02)
        return out

    def end(self, *, interrupt: bool) -> None:
        """Its end is a good one; by Ctrl-C if need be."""
        if interrupt:
            self._process.send_signal(signal.SIGINT)
        assert self._process.wait(PATIENCE) == 0, self._err.read_text()
        assert "Traceback" not in self._err.read_text()


@pytest.mark.parametrize("block", blocks("python"), ids=str)
def test_programs_run(block: Block, deployment: Deployment, tmp_path: Path) -> None:
    """To their first line of output, then Ctrl-C; what only makes a `consumer` is made to read an event."""
    text = localised(block.text, deployment.kafka, deployment.topics)
    whole = "import " in text
    with Program(text if whole else FRAGMENT.format(textwrap.indent(text, "    ")), tmp_path) as program:
        program.until(r"\n")
        program.end(interrupt=whole)


(CONSUMER,) = (block.text for block in blocks("python") if block.page.name == "consume.md")


@pytest.mark.timeout(180)
def test_the_consumer_counts_each_event_once_whatever_kills_it(deployment: Deployment, tmp_path: Path) -> None:
    """Three lives of it, two ended by kill -9, sum up what the topic holds, and find nothing missing."""
    text = localised(CONSUMER, deployment.kafka, deployment.topics)
    for life in range(3):
        with Program(text, tmp_path) as program:
            out = program.until(r"complete until 20\d\d-(.*\n)+floor: complete until 20")
            if life == 2:
                program.end(interrupt=True)
        assert "MISSING" not in out
        assert "UNKNOWN" not in out
    events = [value for _, value in read_topic(deployment.kafka, deployment.topics.events) if value is not None]
    with closing(sqlite3.connect(tmp_path / "talk.db")) as db:
        last = {(key, epoch): number for key, epoch, number in db.execute("select key, epoch, sequence from last")}
        counted = dict(db.execute("select key, seconds from talk"))
    true: dict[str, float] = {}
    for event in events:
        key = f"{event['source']}/{event['extension']}"
        known = event["sequence"] <= last.get((key, event["epoch"]), 0)
        if known and event["previous"] and event["previous"]["state"] == "talking":
            true[key] = true.get(key, 0.0) + event["previous_duration_s"]
    assert counted
    assert counted == pytest.approx(true)


def test_the_consumer_finds_what_is_missing(kafka: str, topics: Topics, tmp_path: Path) -> None:
    """A hole, and an epoch that ended without a sign-out, each by its event; a repeat is not counted."""
    create_ours(settings(kafka, topics))
    numbers = [("6b039010", 1), ("6b039010", 2), ("6b039010", 2), ("6b039010", 4), ("6b03ffff", 1)]
    producer = Producer({"bootstrap.servers": kafka})
    for epoch, number in numbers:
        event: Record = {
            **example("state"),
            "epoch": epoch,
            "sequence": number,
            "event_id": f"floor/1/{epoch}/{number}",
        }
        event["previous"]["state"] = "talking"
        producer.produce(topics.events, json.dumps(event), "floor/1")
    assert producer.flush(30) == 0
    with Program(localised(CONSUMER, kafka, topics), tmp_path) as program:
        out = program.until("UNKNOWN")
        program.end(interrupt=True)
    assert out.splitlines() == [
        "MISSING floor/1: floor/1/6b039010/4 follows number 2",
        "UNKNOWN floor/1: what happened before floor/1/6b03ffff/1, its record was lost",
    ]
    with closing(sqlite3.connect(tmp_path / "talk.db")) as db:
        assert db.execute("select seconds from talk").fetchall() == [(4 * 3.0,)]
