"""`tail` and `state`: what is on the topics, for people and for scripts."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Literal

from rich.console import Console

from streamer.commands.lines import clean, event_line, state_line
from streamer.commands.serve import stopping_on_signals
from streamer.config import Config
from streamer.core import wire
from streamer.kafka.connection import Connection
from streamer.kafka.reader import follow, states


async def tail(
    config: Config, out: Console, *, begin: Literal["beginning", "end"], extension: str | None, json: bool
) -> None:
    """Print events as they are committed, until interrupted."""
    connection = Connection(config.kafka, client_id="streamer-tail")

    async def work() -> None:
        async for record in follow(connection, begin):
            if extension is None or record.get("extension") == extension:
                _print(out, record, json, event_line)

    with stopping_on_signals() as stop:
        working = asyncio.create_task(work())
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait([working, stopping], return_when=asyncio.FIRST_COMPLETED)
        for task in (working, stopping):
            task.cancel()
        await asyncio.wait([working, stopping])
        if not working.cancelled():
            working.result()


async def state(config: Config, out: Console, *, json: bool) -> None:
    """Print the current state of every extension, in the order of their keys."""
    found = await states(Connection(config.kafka, client_id="streamer-state"))
    for _, record in sorted(found.items()):
        _print(out, record, json, state_line)
    if not json:
        out.print(f"{len(found)} extensions", style="dim")


def _print(out: Console, record: Mapping[str, Any], json: bool, line: Any) -> None:
    if "unreadable" in record:
        Console(stderr=True).print(f"skipped {clean(record['unreadable'])}: not a record of ours", style="yellow")
    elif json:
        out.file.write(wire.dumps(dict(record)).decode() + "\n")
        out.file.flush()
    else:
        out.print(line(record), highlight=False, soft_wrap=True)
