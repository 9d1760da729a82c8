"""Where the schemas are registered, and how a record tells which is its own."""

from __future__ import annotations

from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from pydantic import SecretStr, field_validator, model_validator

from streamer.config.section import Section


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
        try:
            parts = urlsplit(text)
            found = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        except ValueError:
            found = False
        else:
            if parts.username or parts.password:
                raise ValueError("must hold no password; use user with password_env or password_file")
        if not found:
            raise ValueError("must be http://host:port/path or https://host:port/path")
        return text

    @model_validator(mode="after")
    def _logs_in(self) -> Registry:
        if (self.user is None) != (self.password is None):
            raise ValueError("user: and password (or …_env, or …_file) go together")
        return self
