"""`tail` and `state`: what is on the topics, for people and for scripts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import aclosing
from typing import Any, Literal

from rich.console import Console
from rich.text import Text

from streamer.commands.lines import Output, clean, event_line, state_line
from streamer.commands.serve import stopping_on_signals
from streamer.config import Config
from streamer.core import wire
from streamer.kafka.connection import Connection
from streamer.kafka.reader import follow, states
from streamer.tasks import unless


async def tail(
    config: Config, out: Output, *, begin: Literal["beginning", "end"], extension: str | None, json: bool
) -> None:
    """Print events as they are committed, until interrupted."""
    connection = Connection(config.kafka, client_id="streamer-tail")

    async def work() -> None:
        async with aclosing(follow(connection, begin)) as records:
            async for record in records:
                if extension is None or record.get("extension") == extension:
                    _print(out, record, json, event_line)
                    out.file.flush()

    with stopping_on_signals() as stop:
        await unless(stop, work())


async def state(config: Config, out: Output, *, json: bool) -> None:
    """Print the current state of every extension, in the order of their keys."""
    found = await states(Connection(config.kafka, client_id="streamer-state"))
    for _, record in sorted(found.items()):
        _print(out, record, json, state_line)
    if not json:
        out.print(f"{len(found)} extensions", style="dim")


def _print(out: Output, record: Mapping[str, Any], json: bool, line: Callable[[Mapping[str, Any]], Text]) -> None:
    if "unreadable" in record:
        _skipped(record["unreadable"])
    elif json:
        out.write(wire.dumps(dict(record)))
    else:
        try:
            text = line(record)
        except (KeyError, TypeError, AttributeError, ValueError):
            _skipped(f"a record of extension {record.get('extension')}")
        else:
            out.print(text)


def _skipped(what: str) -> None:
    Console(stderr=True, markup=False, highlight=False, soft_wrap=True).print(
        f"skipped {clean(what)}: not a record of ours", style="yellow"
    )
