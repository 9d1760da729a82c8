"""TOML file, environment and flags → one checked `Config`.

Flags win over environment over file. Every key is also `STREAMER_…` with `__` between levels; a source's key goes by
the source's name: `STREAMER_SOURCES__FLOOR__URL`. The environment is handed in: only the command line reads it.
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from pydantic import ValidationError

from streamer.config import Cluster, Config, Feed, Gate, Http, Kafka, Outbox, Source, StateRetention
from streamer.errors import ConfigError

PREFIX = "STREAMER_"


def load(path: Path, env: Mapping[str, str], flags: Mapping[str, Any] | None = None) -> Config:
    """The configuration in `path`, overridden by `env` and `flags` (dotted keys); ConfigError names key and file."""
    try:
        raw = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}", "give a readable file with --config") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not valid TOML: {error}", "correct the file at that place") from error
    return build(raw, env, flags, where=str(path))


def build(
    raw: dict[str, Any], env: Mapping[str, str], flags: Mapping[str, Any] | None = None, where: str = "flags"
) -> Config:
    """As `load`, from an already parsed document; `where` names it in errors."""
    _overlay(raw, env, where)
    for dotted, value in (flags or {}).items():
        section, _, key = dotted.partition(".")
        raw.setdefault(section, {})[key] = value
    kafka = raw.get("kafka")
    if isinstance(kafka, dict):
        _secret(cast(dict[str, Any], kafka), "sasl_plain_password", env, f"{where}: kafka")
    for source in _tables(raw.get("sources")):
        place = f"{where}: sources.{source.get('name', '?')}"
        for key in ("accesskey", "token", "callback_secret"):
            _secret(source, key, env, place)
    try:
        config = Config.model_validate(raw)
    except ValidationError as error:
        raise _explained(error, raw, where) from None
    for source in config.sources:
        if source.token is None and not (source.appid and source.accesskey is not None):
            raise ConfigError(
                f"{where}: sources.{source.name}: no way to log in",
                "give appid with accesskey_env, accesskey_file or accesskey; or token, token_env or token_file",
            )
    return config


def _overlay(raw: dict[str, Any], env: Mapping[str, str], where: str) -> None:
    """Lay `STREAMER_…` variables over the document."""
    sections = {"kafka", "http", "cluster", "outbox", "gate", "state", "feed"}
    for name in sorted(env):
        if not name.startswith(PREFIX) or "__" not in name:
            if name == f"{PREFIX}SHUTDOWN_TIMEOUT":
                raw["shutdown_timeout"] = env[name]
            continue
        section, *keys = name.removeprefix(PREFIX).lower().split("__")
        if section in sections and len(keys) == 1:
            raw.setdefault(section, {})[keys[0]] = env[name]
        elif section == "sources" and len(keys) in (2, 3):
            _source(raw, keys[0].replace("_", "-"), name, where)[keys[1]] = (
                env[name] if len(keys) == 2 else {keys[2]: env[name]}
            )
        else:
            raise ConfigError(f"environment: {name} is no known key", "see the README's configuration")


def _source(raw: dict[str, Any], name: str, variable: str, where: str) -> dict[str, Any]:
    sources = [s for s in _tables(raw.get("sources")) if s.get("name") == name]
    if sources:
        return sources[0]
    known = ", ".join(str(source.get("name")) for source in _tables(raw.get("sources")))
    raise ConfigError(
        f"environment: {variable} names the source {name!r}, which {where} does not have",
        f"its sources are: {known or 'none'}",
    )


def _tables(value: object) -> list[dict[str, Any]]:
    """The tables of an array of tables; what is none is left to validation."""
    items = cast(list[object], value) if isinstance(value, list) else []
    return [cast(dict[str, Any], item) for item in items if isinstance(item, dict)]


def _secret(section: dict[str, Any], key: str, env: Mapping[str, str], place: str) -> None:
    """Put the secret that `key_env` or `key_file` points to under `key`."""
    given = [k for k in (key, f"{key}_env", f"{key}_file") if section.get(k) is not None]
    if len(given) > 1:
        raise ConfigError(f"{place}: {' and '.join(given)} exclude each other", "keep one of them")
    if given == [f"{key}_env"]:
        variable = str(section[f"{key}_env"])
        if not env.get(variable):
            raise ConfigError(f"{place}.{key}_env: the variable {variable} is not set", f"export {variable}=…")
        section[key] = env[variable]
    elif given == [f"{key}_file"]:
        file = Path(str(section[f"{key}_file"]))
        try:
            section[key] = file.read_text("utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            why = error.strerror if isinstance(error, OSError) else "not text"
            raise ConfigError(
                f"{place}.{key}_file: cannot read {file}: {why}", "correct the path or its permissions"
            ) from None
        if not section[key]:
            raise ConfigError(f"{place}.{key}_file: {file} is empty", "put the secret into it")


def _explained(error: ValidationError, raw: dict[str, Any], where: str) -> ConfigError:
    """The first problem in words: key, file, and for an unknown key the nearest known one."""
    problem = error.errors(include_url=False, include_input=False)[0]
    steps = list(problem["loc"])
    if steps[:1] == ["sources"] and len(steps) > 1 and isinstance(steps[1], int):
        named = _tables(raw["sources"][steps[1] : steps[1] + 1])
        steps[1] = str(named[0].get("name", steps[1])) if named else steps[1]
    key = ".".join(str(step) for step in steps)
    if problem["type"] == "extra_forbidden":
        near = difflib.get_close_matches(str(steps[-1]), _known_keys(steps), n=1, cutoff=0.4)
        remedy = f"did you mean {near[0]!r}?" if near else f"known here: {', '.join(_known_keys(steps))}"
        return ConfigError(f"{where}: {key}: unknown key", remedy)
    if problem["type"] == "missing":
        return ConfigError(f"{where}: {key}: missing", "add it; the README has an example")
    text = problem["msg"].removeprefix("Value error, ")
    return ConfigError(f"{where}: {key}: {text}" if key else f"{where}: {text}", "correct the value")


def _known_keys(steps: list[int | str]) -> list[str]:
    section = {
        "kafka": Kafka,
        "http": Http,
        "sources": Source,
        "cluster": Cluster,
        "outbox": Outbox,
        "gate": Gate,
        "state": StateRetention,
        "feed": Feed,
    }.get(str(steps[0]) if len(steps) > 1 else "", Config)
    return sorted(section.model_fields)
