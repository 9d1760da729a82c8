"""`simulate`: the vendor's API over an invented floor."""

from __future__ import annotations

import os
from pathlib import Path

from streamer.commands.lines import Output
from streamer.commands.serve import stopping_on_signals
from streamer.simulator.server import serve

APPID, ACCESSKEY = "app-1", "key-1"


async def simulate(
    out: Output,
    *,
    host: str,
    port: int,
    agents: int,
    seed: int,
    floor: str,
    truth: Path | None,
    faults: str,
    callback: str | None,
) -> None:
    """Serve until interrupted; one line says where, and how to log in."""
    with stopping_on_signals() as stop:
        # Truth that nobody asked for must not pile up in memory.
        file = truth or Path(os.devnull)
        simulator = await serve(
            host=host,
            port=port,
            agents=agents,
            seed=seed,
            floor=floor,
            truth=file,
            faults=faults,
            callback=callback,
            appid=APPID,
            accesskey=ACCESSKEY,
        )
        out.print(f"simulating {agents} agents at {simulator.url} appid={APPID} accesskey={ACCESSKEY}")
        out.file.flush()
        try:
            await stop.wait()
        finally:
            await simulator.close()
