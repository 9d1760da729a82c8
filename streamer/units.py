"""How values are written in the configuration: sizes, spans of time, addresses, places."""

from __future__ import annotations

import re
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import BeforeValidator, Field, IPvAnyNetwork

_SIZES = {"B": 1, "KIB": 2**10, "MIB": 2**20, "GIB": 2**30, "KB": 10**3, "MB": 10**6, "GB": 10**9}
_SPANS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86_400}


def _size(value: object) -> object:
    if not isinstance(value, str):
        return value
    if (match := re.fullmatch(r"\s*(\d+)\s*(B|[KMG]i?B)?\s*", value, re.IGNORECASE)) is None:
        raise ValueError('not a size: give bytes, or like "256 MiB"')
    return int(match[1]) * _SIZES[(match[2] or "B").upper()]


def _span(value: object) -> object:
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)?\s*", value) if isinstance(value, str) else None
    return float(match[1]) * _SPANS[match[2] or "s"] if match else value


def split_address(text: str) -> tuple[str, int]:
    """`HOST:PORT` (or `[v6]:PORT`) as host and port; ValueError otherwise."""
    host, _, port = text.rpartition(":")
    if not host or not (port.isascii() and port.isdigit()) or int(port) > 65_535:
        raise ValueError(f"{text!r} is not HOST:PORT")
    return host.strip("[]"), int(port)


def check_url(text: str, instead: str, form: str = "host:port") -> str:
    """A URL of HTTP, as it is; ValueError if it is none, or holds a password: `instead` says where that belongs."""
    try:
        parts = urlsplit(text)
        found = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        found = False
    else:
        if parts.username or parts.password:
            raise ValueError(f"must hold no password; {instead}")
    if not found:
        raise ValueError(f"must be http://{form} or https://{form}")
    return text


def is_local(host: str) -> bool:
    """Is that a name or an address of this machine's loopback?"""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


Seconds = Annotated[float, BeforeValidator(_span), Field(gt=0, le=10 * 365 * 86_400)]
Bytes = Annotated[int, BeforeValidator(_size), Field(gt=0)]
Code = Annotated[int, Field(ge=0)]


def place(value: object) -> object:
    """A path, with `~` for the home directory; an empty one is none."""
    return (Path(value).expanduser() if value else None) if isinstance(value, str) else value


def _listed(value: object) -> object:
    return tuple(filter(None, re.split(r"[,\s]+", value))) if isinstance(value, str) else value


Addresses = Annotated[tuple[IPvAnyNetwork, ...], BeforeValidator(_listed)]
"""Networks, or single addresses; from the environment with commas between them."""
