"""`replay`: recorded answers through the same core, without Kafka, clock or waiting."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.text import Text

from streamer.commands.lines import Output, event_line, state_line
from streamer.commands.recording import Answer, read
from streamer.config import Config
from streamer.core import wire
from streamer.core.decode import decode
from streamer.core.envelope import Opened, open_envelope
from streamer.core.model import AgentStateChanged, Seat, Settings, SourceState
from streamer.core.step import step


class Replayed:
    """One source's state as its recorded answers go by."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._by_bytes: Mapping[bytes, Seat] = {}
        self.state = SourceState(agents={})

    def feed(self, answer: Answer) -> Sequence[AgentStateChanged]:
        """The events that this answer proves; none if `run` would not have believed it to be one."""
        opened = open_envelope(answer.body.encode()) if answer.status == 200 else None
        if not isinstance(opened, Opened):
            return ()
        requested, answered = round(answer.requested_at * 1000), round(answer.answered_at * 1000)
        snapshot = decode(opened, requested, answered, self._settings, self._by_bytes)
        self._by_bytes = snapshot.by_bytes
        self.state, batch = step(self.state, snapshot, self._settings)
        return batch.events


def settings_for(name: str, config: Config | None) -> Settings:
    """A source's settings from the configuration, the defaults if it is not in there."""
    for source in config.sources if config else ():
        if source.name == name and config:
            return config.settings(source)
    return Settings(source=name)


def replay(paths: Sequence[Path], config: Config | None) -> Iterator[tuple[Replayed, Sequence[AgentStateChanged]]]:
    """Every recorded answer in turn: its source so far, and its events."""
    sources: dict[str, Replayed] = {}
    for path in paths:
        for answer in read(path):
            source = sources.get(answer.source)
            if source is None:
                source = sources[answer.source] = Replayed(settings_for(answer.source, config))
            yield source, source.feed(answer)


def run(paths: Sequence[Path], config: Config | None, *, json: bool, state: bool, out: Output) -> None:
    """Print events as they come, or with `state` what every extension is in at the end."""
    seen: dict[int, Replayed] = {}
    count = 0
    for source, events in replay(paths, config):
        seen[id(source)] = source
        if state:
            continue
        count += len(events)
        for event in events:
            _print(out, wire.event(event), json, event_line)
    if state:
        for source in seen.values():
            for agent in sorted(source.state.agents.values(), key=lambda a: a.extension):
                _print(out, wire.agent_state(agent), json, state_line)
    elif not json:
        out.print(f"{count} events", style="dim")


def _print(out: Output, record: dict[str, Any], json: bool, line: Callable[[Mapping[str, Any]], Text]) -> None:
    if json:
        out.write(wire.dumps(record))
    else:
        out.print(line(record))
