"""Where the schemas are registered, and how a record tells which is its own."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import SecretStr, field_validator, model_validator

from streamer.config.section import Section
from streamer.units import check_url


class Registry(Section):
    """A schema registry that speaks Confluent's API.

    `framing` "header" leaves a value plain JSON and names its schema in a header, "prefix" puts five bytes before it;
    without it the schemas are registered and no record says so.
    """

    url: str
    framing: Literal["header", "prefix"] | None = None
    user: str | None = None
    password: SecretStr | None = None
    password_env: str | None = None
    password_file: Path | None = None
    ca_file: Path | None = None

    @field_validator("url")
    @classmethod
    def _leads_somewhere(cls, text: str) -> str:
        return check_url(text, "use user with password_env or password_file", "host:port/path")

    @model_validator(mode="after")
    def _logs_in(self) -> Registry:
        if (self.user is None) != (self.password is None):
            raise ValueError("user: and password (or …_env, or …_file) go together")
        return self
