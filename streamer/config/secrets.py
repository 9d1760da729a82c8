"""Secrets: given as they are, by the name of a variable, or in a file."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, Literal

from streamer.errors import ConfigError

Secrets = Literal["kafka", "http", "registry", "sources", "outputs"]
SECRETS: Mapping[Secrets, tuple[str, ...]] = {
    "kafka": ("sasl_plain_password",),
    "http": ("token",),
    "registry": ("password",),
    "sources": ("accesskey", "token", "callback_secret"),
    "outputs": ("key",),
}
"""Keys that can also be given as `…_env` and `…_file`."""

EVERY: tuple[Secrets, ...] = ("kafka", "http", "registry", "sources")
"""What `run` needs."""

UNUSED = "unused"
"""Stands for a secret that the command at hand has no use for, so that it need not be there."""


def resolve(
    table: dict[str, Any], section: Secrets, env: Mapping[str, str], place: str, needs: Collection[Secrets]
) -> None:
    """Put the secrets of a section's `table` in place of the variables and files that it names; `place` is for errors.

    Those of a section that is not in `needs` become `UNUSED`. Raises ConfigError.
    """
    for key in SECRETS[section]:
        given = [k for k in (key, f"{key}_env", f"{key}_file") if table.get(k) is not None]
        if len(given) > 1:
            raise ConfigError(f"{place}: {' and '.join(given)} exclude each other", "keep one of them")
        if given in ([f"{key}_env"], [f"{key}_file"]):
            read = _from_env if given == [f"{key}_env"] else _from_file
            table[key] = read(table[given[0]], env, f"{place}.{given[0]}") if section in needs else UNUSED


def _from_env(value: object, env: Mapping[str, str], place: str) -> str:
    variable = str(value)
    if found := env.get(variable):
        return found
    # The secret itself is easily put there by mistake: only what looks like a variable's name is shown.
    shown = variable if re.fullmatch(r"[A-Z][A-Z0-9]*(_[A-Z0-9]+)+", variable) else ""
    raise ConfigError(
        f"{place}: the variable {shown or 'that it names'} is not set",
        f"export {shown}=…" if shown else "put the name of a variable there, and export that variable",
    )


def _from_file(value: object, _: Mapping[str, str], place: str) -> str:
    text = str(value)
    shown = text if text.startswith(("/", ".", "~")) else "that file"
    try:
        secret = Path(text).read_text("utf-8").strip()
    except (OSError, ValueError) as error:
        why = (error.strerror if isinstance(error, OSError) else None) or "it is not text"
        raise ConfigError(f"{place}: cannot read {shown}: {why}", "correct the path or its permissions") from None
    if not secret:
        raise ConfigError(f"{place}: {shown} is empty", "put the secret into it")
    return secret
