"""TOML file, environment and flags → one checked `Config`.

Flags win over environment over file. Every key is also `STREAMER_…` with `__` between levels; a source's key goes by
the source's name: `STREAMER_SOURCES__FLOOR__URL` (`-` in a name is `_` there). The environment is handed in: only the
command line reads it.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, cast

from pydantic import BaseModel, ValidationError

from streamer.config import Cluster, Config, Feed, Gate, Http, Kafka, Outbox, Source, StateRetention, Tracing
from streamer.config.audit import Audit
from streamer.config.outputs import Output
from streamer.config.registry import Registry
from streamer.config.secrets import EVERY, SECRETS, Secrets, resolve
from streamer.config.wfm import Wfm
from streamer.errors import ConfigError

PREFIX = "STREAMER_"

SECTIONS: Mapping[str, type[BaseModel]] = {
    "kafka": Kafka,
    "http": Http,
    "cluster": Cluster,
    "outbox": Outbox,
    "gate": Gate,
    "state": StateRetention,
    "feed": Feed,
    "tracing": Tracing,
    "registry": Registry,
    "wfm": Wfm,
    "audit": Audit,
}
SCALARS = tuple(name for name in Config.model_fields if name not in {*SECTIONS, "sources"})

ONE: tuple[Secrets, ...] = ("kafka", "http", "registry")
"""Sections with secrets that are one table each."""

Origins = dict[tuple[str, ...], str]
"""Path of a key → where its value was given, if not in the file."""


def load(
    path: Path,
    env: Mapping[str, str],
    flags: Mapping[str, Any] | None = None,
    *,
    needs: Collection[Secrets] = EVERY,
) -> Config:
    """The configuration in `path`, overridden by `env` and `flags` (dotted keys); ConfigError names key and file.

    `needs` are the sections whose secrets must be there.
    """
    try:
        raw = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}", "give a readable file with --config") from error
    except (ValueError, RecursionError) as error:
        why = " ".join(str(error).split())
        raise ConfigError(f"{path}: not valid TOML: {why}", "correct the file at that place") from error
    return build(raw, env, flags, where=str(path), needs=needs)


def build(
    raw: dict[str, Any],
    env: Mapping[str, str],
    flags: Mapping[str, Any] | None = None,
    where: str = "flags",
    *,
    needs: Collection[Secrets] = EVERY,
) -> Config:
    """As `load`, from an already parsed document, which is changed; `where` names it in errors."""
    origins: Origins = {}
    _overlay(raw, env, where, origins)
    for dotted, value in (flags or {}).items():
        section, _, key = dotted.partition(".")
        _put(raw, section, key, value, f"--{key.replace('_', '-')}", origins)
    for section in ONE:
        for table in _tables([raw.get(section)]):
            resolve(table, section, env, f"{where}: {section}", needs)
    for source in _tables(raw.get("sources")):
        resolve(source, "sources", env, f"{where}: sources.{source.get('name', '?')}", needs)
    for output in _outputs(raw):
        resolve(output, "outputs", env, f"{where}: wfm.outputs.{output.get('name', '?')}", needs)
    try:
        config = Config.model_validate(raw)
    except ValidationError as error:
        raise _explained(error, raw, where, origins) from None
    except RecursionError:
        raise ConfigError(f"{where}: values are nested too deeply", "correct the file") from None
    if "sources" in needs and not config.sources:
        raise ConfigError(f"{where}: sources: missing", "add it; the README has an example")
    if "kafka" in needs:
        for key in ("ssl_cafile", "ssl_certfile", "ssl_keyfile"):
            _readable(getattr(config.kafka, key), f"{where}: kafka.{key}")
    for source in config.sources:
        if "sources" in needs:
            _readable(source.ca_file, f"{where}: sources.{source.name}.ca_file")
        token, accesskey = (s.get_secret_value() if s else "" for s in (source.token, source.accesskey))
        if not token and not (source.appid and accesskey):
            raise ConfigError(
                f"{where}: sources.{source.name}: no way to log in",
                "give appid with accesskey_env, accesskey_file or accesskey; or token, token_env or token_file",
            )
    return config


def _overlay(raw: dict[str, Any], env: Mapping[str, str], where: str, origins: Origins) -> None:
    """Lay `STREAMER_…` variables over the document."""
    known = _variables(raw)
    elsewhere = set(_named_variables(raw))
    for name in sorted(env):
        if not name.startswith(PREFIX) or name in elsewhere:
            continue
        path = known.get(name) or _code(name, known)
        if path is not None:
            section, *_, key = path
            if section == "sources":
                _put_in_source(raw, path, env[name], name, origins)
            elif len(path) == 1:
                raw[key] = env[name]
                origins[path] = name
            else:
                _put(raw, section, key, env[name], name, origins)
        elif "__" in name:
            raise _unknown_variable(name, known, raw, where)
        elif near := [k for k in known if k.replace("__", "_") == name]:
            # Other programs' STREAMER_… are none of our business; a single underscore too few is.
            raise ConfigError(f"environment: {name} is no known key", f"did you mean {near[0]}?")
        elif near := difflib.get_close_matches(name, [PREFIX + key.upper() for key in SCALARS], n=1, cutoff=0.8):
            raise ConfigError(f"environment: {name} is no known key", f"did you mean {near[0]}?")


def _variables(raw: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    """Every variable that is a key → the key's path; a source's path holds its name."""
    paths: list[tuple[str, ...]] = [(key,) for key in SCALARS]
    paths += [(section, key) for section, model in SECTIONS.items() for key in model.model_fields]
    for source in _tables(raw.get("sources")):
        paths += [("sources", str(source.get("name")), key) for key in Source.model_fields]
    return {PREFIX + "__".join(path).upper().replace("-", "_"): path for path in paths}


def _named_variables(raw: Mapping[str, Any]) -> list[str]:
    """The variables that `…_env` keys name: they may be called anything."""
    tables = [*_tables(raw.get("sources")), *_tables([raw.get(name) for name in ONE]), *_outputs(raw)]
    return [str(value) for table in tables for key, value in table.items() if key.endswith("_env")]


def _code(name: str, known: Mapping[str, tuple[str, ...]]) -> tuple[str, ...] | None:
    """The path of a variable like `STREAMER_SOURCES__FLOOR__CODES__1216`."""
    table, _, code = name.rpartition("__")
    path = known.get(table)
    return (*path, code) if path and path[-1] == "codes" else None


def _unknown_variable(
    name: str, known: Mapping[str, tuple[str, ...]], raw: Mapping[str, Any], where: str
) -> ConfigError:
    prefix = f"{PREFIX}SOURCES__"
    names = [str(source.get("name")) for source in _tables(raw.get("sources"))]
    starts = [f"{prefix}{source.upper().replace('-', '_')}__" for source in names]
    if name.startswith(prefix) and not name.startswith(tuple(starts)):
        return ConfigError(
            f"environment: {name} names a source that {where} does not have",
            f"its sources are: {', '.join(names) or 'none'}",
        )
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    return ConfigError(
        f"environment: {name} is no known key",
        f"did you mean {near[0]}?" if near else "see the README's configuration",
    )


def _put(raw: dict[str, Any], section: str, key: str, value: Any, origin: str, origins: Origins) -> None:
    table = raw.setdefault(section, {})
    if isinstance(table, dict):  # else it is validation that says so
        _drop_alternatives(cast(dict[str, Any], table), (section,), key, origins)
        table[key] = value
        origins[section, key] = origin


def _put_in_source(raw: dict[str, Any], path: tuple[str, ...], value: str, origin: str, origins: Origins) -> None:
    _, name, key, *code = path
    for source in _tables(raw.get("sources")):
        if str(source.get("name")) != name:
            continue
        if not code:
            _drop_alternatives(source, path[:2], key, origins)
            source[key] = value
        elif isinstance(codes := source.setdefault(key, {}), dict):
            codes[code[0]] = value
    origins[path] = origin


def _drop_alternatives(table: dict[str, Any], path: tuple[str, ...], key: str, origins: Origins) -> None:
    """A secret from the environment replaces the file's, in whichever of the three ways that was given."""
    stem = key.removesuffix("_env").removesuffix("_file")
    if stem in {name for names in SECRETS.values() for name in names}:
        for other in (stem, f"{stem}_env", f"{stem}_file"):
            if (*path, other) not in origins:
                table.pop(other, None)


def _tables(value: object) -> list[dict[str, Any]]:
    """The tables of an array of tables; what is none is left to validation."""
    items = cast(list[object], value) if isinstance(value, list) else []
    return [cast(dict[str, Any], item) for item in items if isinstance(item, dict)]


def _outputs(raw: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [output for wfm in _tables([raw.get("wfm")]) for output in _tables(wfm.get("outputs"))]


def _readable(file: Path | None, place: str) -> None:
    try:
        if file is not None:
            file.open("rb").close()
    except (OSError, ValueError) as error:
        why = (error.strerror if isinstance(error, OSError) else None) or "that is no path"
        raise ConfigError(f"{place}: cannot read {file}: {why}", "correct the path or its permissions") from None


def _explained(error: ValidationError, raw: dict[str, Any], where: str, origins: Origins) -> ConfigError:
    """The first problem in words: key, file (or variable, or flag), and for an unknown key the nearest known one."""
    problem = error.errors(include_url=False, include_input=False, include_context=False)[0]
    steps = [str(step) for step in problem["loc"] if step != "[key]"]
    if steps[:1] == ["sources"] and isinstance(raw.get("sources"), list) and len(steps) > 1:
        item = raw["sources"][int(steps[1])]
        steps[1] = str(cast(dict[str, Any], item).get("name", steps[1])) if isinstance(item, dict) else steps[1]
    if steps[:2] == ["wfm", "outputs"] and len(steps) > 2:
        steps[2] = str(_outputs(raw)[int(steps[2])].get("name", steps[2]))
    text = problem["msg"].removeprefix("Value error, ")
    if named := re.match(r"(\w+): ", text):
        steps, text = [*steps, named[1]], text[named.end() :]
    origin = next((origins[path] for n in range(len(steps), 0, -1) if (path := tuple(steps[:n])) in origins), where)
    key = ".".join(steps)
    if problem["type"] == "extra_forbidden":
        known = sorted(_fields(steps))
        near = difflib.get_close_matches(steps[-1], known, n=1, cutoff=0.4)
        remedy = f"did you mean {near[0]!r}?" if near else f"known here: {', '.join(known)}"
        return ConfigError(f"{origin}: {key}: unknown key", remedy)
    if problem["type"] == "missing":
        return ConfigError(f"{origin}: {key}: missing", "add it; the README has an example")
    if steps == ["sources"] and problem["type"] == "tuple_type":
        return ConfigError(f"{origin}: sources: must be tables of their own", "begin each with [[sources]]")
    return ConfigError(f"{origin}: {key}: {text}" if key else f"{origin}: {text}", "correct the value")


def _fields(steps: list[str]) -> Collection[str]:
    if len(steps) == 1:
        return Config.model_fields
    if steps[:2] == ["wfm", "outputs"]:
        return Output.model_fields
    return (Source if steps[0] == "sources" else SECTIONS.get(steps[0], Config)).model_fields
