"""What all commands share: kinds of arguments, the configuration with logging set up, one event loop."""

from __future__ import annotations

import argparse
import asyncio
import gc
import os
import sys
from collections.abc import Callable, Collection, Coroutine
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

from streamer.commands.lines import Output
from streamer.config import Config
from streamer.configure import EVERY, Secrets, load

Command = Callable[[argparse.Namespace, Output], int]


class Add(Protocol):
    """Adds a command; one with `config` reads a configuration."""

    def __call__(self, name: str, command: Command, text: str, *, config: bool = True) -> argparse.ArgumentParser: ...


def adding(commands: Any) -> Add:
    """How commands are added to what `add_subparsers` makes; argparse has no public name for that."""

    def add(name: str, command: Command, text: str, *, config: bool = True) -> argparse.ArgumentParser:
        made: argparse.ArgumentParser = commands.add_parser(name, help=text, description=text)
        made.set_defaults(command=command)
        if config:
            made.add_argument("--config", type=Path, required=True, metavar="FILE", help="TOML configuration")
            overrides(made)
        return made

    return add


def inner(commands: Any, name: str, text: str) -> Add:
    """A command that has commands of its own."""
    made = commands.add_parser(name, help=text, description=text)
    return adding(made.add_subparsers(required=True, metavar="COMMAND"))


def overrides(made: argparse.ArgumentParser) -> None:
    """What the command line may say instead of the configuration."""
    made.add_argument("--bootstrap-servers", metavar="HOST:PORT", help="instead of kafka.bootstrap_servers")
    made.add_argument("--listen", metavar="HOST:PORT", help="instead of http.listen")
    made.add_argument("--log-level", default="info", choices=("debug", "info", "warning", "error"))


def within(low: int, high: int) -> Callable[[str], int]:
    def whole(text: str) -> int:
        if not (text.isascii() and text.isdigit() and len(text) < 10 and low <= int(text) <= high):
            raise argparse.ArgumentTypeError(f"{text!r} is not a number from {low} to {high}")
        return int(text)

    return whole


def seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < 1e9:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds above 0")
    return value


def url(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise argparse.ArgumentTypeError(f"{text!r} is not an http or https URL")
    return text


def configured(parsed: argparse.Namespace, needs: Collection[Secrets] = EVERY) -> Config:
    """The configuration, with logging set up so that none of its secrets is ever written.

    Only the secrets of the sections in `needs` have to be there.
    """
    from streamer.commands.sources import secrets_of
    from streamer.observe import lines

    flags = {"kafka.bootstrap_servers": parsed.bootstrap_servers, "http.listen": parsed.listen}
    given = {key: value for key, value in flags.items() if value is not None}
    config = load(parsed.config, os.environ, given, needs=needs)
    lines.configure(parsed.log_level, secrets_of(config), plain=sys.stderr.isatty())
    return config


def finish(work: Coroutine[Any, Any, Any]) -> int:
    # What is imported stays. To go through it in search of garbage would hold everything up for tens of milliseconds.
    gc.freeze()
    asyncio.run(work)
    return 0
