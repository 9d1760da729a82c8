"""Which agent of a receiver's is at which extension: a CSV file."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from pathlib import Path

from streamer.errors import ConfigError

Place = tuple[str, str]
"""Source and extension."""

COLUMNS = ["source", "extension", "id"]
REMEDY = "correct that line: each is source,extension,id, and each extension and each id is there once"


def read(path: Path) -> Mapping[Place, str]:
    """Extension → the receiver's id. ConfigError names file and line: a wrong id would tell of another agent."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            return _agents(path, file)
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}", "name a readable file in `agents`") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise ConfigError(f"{path}: it is no CSV file in UTF-8: {error}", REMEDY) from None


def _agents(path: Path, lines: Iterable[str]) -> Mapping[Place, str]:
    rows = csv.reader(lines, strict=True)
    if next(rows, None) != COLUMNS:
        raise ConfigError(f"{path}, line 1: it must be {','.join(COLUMNS)}", "add it above the agents")
    agents: dict[Place, str] = {}
    taken: dict[str, int] = {}
    for row in filter(None, rows):
        where = f"{path}, line {rows.line_num}"
        values = [value.strip() for value in row]
        if len(values) != len(COLUMNS) or not all(values):
            raise ConfigError(f"{where}: it has not three values", REMEDY)
        source, extension, agent = values
        if not all(character.isprintable() for character in agent):
            raise ConfigError(f"{where}: the id has a character that cannot be printed", REMEDY)
        if (source, extension) in agents:
            raise ConfigError(f"{where}: extension {extension} of {source} has an id already", REMEDY)
        if agent in taken:
            raise ConfigError(f"{where}: the id is that of line {taken[agent]} already", REMEDY)
        agents[source, extension] = agent
        taken[agent] = rows.line_num
    if not agents:
        raise ConfigError(f"{path}: there is no agent in it", "add a line for each: source,extension,id")
    return agents
