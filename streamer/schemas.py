"""The published JSON Schemas of our records: what consumers generate code from.

The files are the project's top-level folder `schemas`; the build puts them into the wheel as
`streamer/_schemas`. A name is a file's name without `.json`: `agent-state-changed-1.0`. Without a version it
means the newest one.
"""

from __future__ import annotations

import re
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import cast

import orjson

from streamer.compatibility import NotASchema, Schema, compare
from streamer.errors import ConfigError

VERSION = re.compile(r"-(\d+)\.(\d+)\Z")
"""How a name ends that tells its version: major.minor."""


def names() -> list[str]:
    """Names of all published schemas with their versions, sorted by name and version.

    Raises `ConfigError` where the installation does not hold them.
    """
    found = [entry.name.removesuffix(".json") for entry in _folder().iterdir() if entry.name.endswith(".json")]
    return sorted(found, key=lambda name: (_family(name), _version(name)))


def text(name: str) -> str:
    """The file of one schema as published; `name` with or without its version.

    Raises `ConfigError` for a name that is not published.
    """
    published = names()
    family = [known for known in published if name in (known, _family(known))]
    if not family:
        raise ConfigError(f"there is no schema {name!r}", f"use one of {', '.join(published)}")
    return (_folder() / f"{family[-1]}.json").read_text(encoding="utf-8")


def load(name: str) -> Schema:
    """One schema as a fresh dict; `name` and errors as for `text`."""
    return cast(Schema, orjson.loads(text(name)))


def check_directory(path: Path) -> list[str]:
    """Compares each older schema in a directory (`*.json`, with or without a version) with the current one.

    Returns one message for each finding: the older file, then what `compare` says; none means that all are
    compatible. Of several current versions the newest counts. Raises `ConfigError` where the directory is
    missing or holds no schema, or where a file in it is not a schema or has no counterpart.
    """
    try:
        older = sorted(file for file in path.iterdir() if file.suffix == ".json")
    except OSError as error:
        reason = error.strerror or "it cannot be read"
        raise ConfigError(f"cannot read the directory {path}: {reason}", "name a directory of schemas") from error
    if not older:
        raise ConfigError(f"{path} holds no *.json", "name the directory that holds the older schemas")
    return [f"{file.name}: {finding}" for file in older for finding in _check_file(file)]


def _check_file(file: Path) -> list[str]:
    families = sorted({_family(name) for name in names()})
    family = _family(file.stem)
    if family not in families:
        remedy = f"name it after the current schema that it preceded: {', '.join(families)}"
        raise ConfigError(f"{file} has no current counterpart", remedy)
    try:
        old = orjson.loads(file.read_bytes())
        if not isinstance(old, dict) or not isinstance(cast(Schema, old).get("properties"), dict):
            raise NotASchema("it describes no record with properties")
        return compare(cast(Schema, old), load(family))
    except orjson.JSONDecodeError as error:
        raise ConfigError(f"{file} is not JSON: {error}", "restore the file as it was published") from error
    except NotASchema as error:
        raise ConfigError(f"{file} is not a JSON Schema: {error}", "restore the file as it was published") from error
    except OSError as error:
        raise ConfigError(f"cannot read {file}: {error.strerror}", "make it a readable file") from error


def _family(name: str) -> str:
    return VERSION.sub("", name)


def _version(name: str) -> tuple[int, int]:
    """For order; a name without a version comes first."""
    found = VERSION.search(name)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def _folder() -> Traversable:
    """Where the schemas are: in the wheel inside the package, in an editable checkout beside it."""
    package = files("streamer")
    beside = Path(__file__).parent.parent / "schemas"
    for folder in (package / "_schemas", beside):
        if folder.is_dir():
            return folder
    raise ConfigError("the published schemas are not installed", "install streamer anew from its wheel")
