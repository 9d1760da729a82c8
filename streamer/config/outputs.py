"""One receiver of real-time states: what `[[wfm.outputs]]` says."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, get_args
from urllib.parse import urlsplit

from pydantic import BeforeValidator, Field, SecretStr, field_validator, model_validator

from streamer.config.section import Section
from streamer.core.codes import State
from streamer.units import Seconds, check_url, is_local, place

CODE = 24
"""Characters of a state code or reason at most: older receivers reject codes of more than 25, others cut reasons."""

LOGGED_OFF = "LOGGED-OFF"
"""The code of who is signed out, unless `states` has another one."""

Text = Annotated[str, Field(min_length=1, max_length=CODE)]
Signal = Literal["normal", "unavailable", "graceful_shutdown"]


class Output(Section):
    """A receiver. `agents` is a CSV file (source,extension,id); `states` maps our states to the receiver's codes,
    `default` is the code of all others; `key` is its authentication key, for `push` a bearer token.

    `refresh` and `timeout` in seconds. `max_items`: what waits for a `push` receiver that is away, at most.
    """

    name: str = Field(pattern=r"^[a-z0-9-]{1,64}$")
    kind: Literal["teleopti_json", "teleopti_soap", "push"]
    url: str
    key: SecretStr | None = None
    key_env: str | None = None
    key_file: Path | None = None
    source_id: str = "1"
    agents: Annotated[Path, BeforeValidator(place)]
    states: dict[str, Text] = Field(default={})
    default: Text = "UNKNOWN"
    reasons: dict[str, Text] = Field(default={})
    feeds: dict[Signal, str] = Field(default={})
    refresh: Seconds = 900.0
    timeout: Seconds = 10.0
    ca_file: Path | None = None
    max_items: Annotated[int, Field(ge=1000)] = 200_000

    @field_validator("url")
    @classmethod
    def _leads_somewhere(cls, text: str) -> str:
        return check_url(text, "use key_env or key_file")

    @property
    def plain(self) -> bool:
        """Do key and states go over the network in plain text?"""
        parts = urlsplit(self.url)
        return parts.scheme == "http" and not is_local(parts.hostname or "")

    def code(self, state: str) -> str:
        """The receiver's code for a state of ours, also for one that we do not know yet."""
        return self.states.get(state, LOGGED_OFF if state == "signed_out" else self.default)

    @model_validator(mode="after")
    def _sensible(self) -> Output:
        if self.kind == "push" and self.plain:
            raise ValueError("url: must be https, or this machine: states and key would go in plain text")
        secret = self.key.get_secret_value() if self.key else "given"
        if not secret.strip() or not secret.isprintable():
            raise ValueError("key: must be one line of printable characters")
        if self.kind != "push" and self.key is None:
            raise ValueError("key: missing, and the receiver needs it (or key_env, or key_file)")
        for name, table in (("states", self.states), ("reasons", self.reasons)):
            if wrong := sorted(table.keys() - set(get_args(State))):
                raise ValueError(f"{name}: {wrong[0]!r} is none of our states: {', '.join(get_args(State))}")
        return self
