"""What the commands' tests share: a vendor in a thread, a configuration file, the command line in this process."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog

from streamer.simulator.server import Simulator, serve
from tests.commands.shell import Cli, Done, StartVendor
from tests.conftest import Topics


@pytest.fixture(scope="session")
def _loop() -> Iterator[asyncio.AbstractEventLoop]:  # pyright: ignore[reportUnusedFunction]
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    yield loop
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


@pytest.fixture
def vendor(_loop: asyncio.AbstractEventLoop) -> Iterator[StartVendor]:
    """Starts simulators in a thread of their own; each call gives one's address."""
    running: list[Simulator] = []

    def start(**options: Any) -> str:
        options = {"agents": 12, **options}
        simulator = asyncio.run_coroutine_threadsafe(serve(**options), _loop).result(10)
        running.append(simulator)
        return simulator.url

    yield start
    for simulator in running:
        asyncio.run_coroutine_threadsafe(simulator.close(), _loop).result(10)


@pytest.fixture
def config(tmp_path: Path, topics: Topics) -> Callable[..., Path]:
    """Writes a configuration file; keyword arguments add to or replace keys of `[kafka]` and of the source."""

    def write(kafka: dict[str, Any] | None = None, source: dict[str, Any] | None = None, more: str = "") -> Path:
        tables = {
            "[kafka]": {
                "bootstrap_servers": "127.0.0.1:1",
                "events_topic": topics.events,
                "state_topic": topics.state,
                "feed_topic": topics.feed,
                "rejected_topic": topics.rejected,
                **(kafka or {}),
            },
            "[http]": {"listen": "127.0.0.1:0"},
            "[[sources]]": {
                "name": "floor",
                "url": "http://127.0.0.1:1",
                "appid": "app-1",
                "accesskey": "key-1",
                **(source or {}),
            },
        }
        lines = [more]
        for head, keys in tables.items():
            lines += [head, *(f"{key} = {_toml(value)}" for key, value in keys.items() if value is not None)]
        file = tmp_path / "streamer.toml"
        file.write_text("\n".join(lines) + "\n")
        return file

    return write


def _toml(value: object) -> str:
    return str(value).lower() if isinstance(value, bool | int | float) else f'"{value}"'


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str]) -> Iterator[Cli]:
    """Runs a command in this process, from arguments to exit code; logging is put back afterwards."""
    from streamer.cli import main

    handlers, level = logging.root.handlers, logging.root.level
    levels = {
        name: logging.getLogger(name).level for name in ("aiokafka", "aiokafka.conn", "aiohttp.access", "asyncio")
    }

    def run(*arguments: object) -> Done:
        capsys.readouterr()
        began = time.monotonic()
        try:
            code = main([str(argument) for argument in arguments])
        except SystemExit as error:
            code = int(error.code or 0)
        seconds = time.monotonic() - began
        out, err = capsys.readouterr()
        return Done(code, out, err, seconds)

    yield run
    logging.root.handlers = handlers
    logging.root.setLevel(level)
    for name, before in levels.items():
        logging.getLogger(name).setLevel(before)
    structlog.reset_defaults()
