"""How log lines are written: readable on a terminal, JSON elsewhere; without secrets, one event a line."""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from typing import Any

import structlog

from streamer.core.rejected import redact


def configure(level: str, secrets: Sequence[str], *, plain: bool) -> None:
    """Log to standard error: readable lines on a terminal, JSON elsewhere; never one of `secrets`.

    Control characters, which names from the vendor may hold, are shown as `·`: one event is one line.
    """

    def fit(_: object, __: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
        return {name: _fit(value, secrets, many_lines=name == "exception") for name, value in event.items()}

    shared: list[structlog.typing.Processor] = [
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    render = structlog.dev.ConsoleRenderer() if plain else structlog.processors.JSONRenderer()
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(level),  # what is not logged costs next to nothing
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                fit,
                _rendered(render),
            ],
        )
    )
    handler.addFilter(_worth_telling)
    logging.root.handlers = [handler]
    logging.root.setLevel(level.upper())
    detailed = level.lower() == "debug"
    for name, least in LEAST_LEVELS.items():
        # Libraries tell of every attempt to reach what is away (Kafka, a collector); we tell once that it is, and why.
        logging.getLogger(name).setLevel(least if detailed or name == "asyncio" else logging.CRITICAL)


def _worth_telling(record: logging.LogRecord) -> bool:
    """Not the errors of records whose producer was thrown away: what failed was told, and settled, already. And not
    what is wrong with a request: its sender is told, and whoever may connect could fill the log with it.
    """
    error = record.exc_info[1] if record.exc_info else None
    module = type(error).__module__
    dropped = module.startswith("aiokafka.") and "never retrieved" in record.getMessage()
    return not (dropped or module in ("aiohttp.http_exceptions", "aiohttp.web_protocol"))


LEAST_LEVELS = {
    "aiokafka": logging.DEBUG,
    "aiokafka.conn": logging.INFO,  # below that it writes out every request, and one of them holds the password
    "aiohttp.access": logging.DEBUG,
    "asyncio": logging.WARNING,
    **dict.fromkeys(("httpcore", "httpcore2", "httpx", "httpx2"), logging.INFO),  # a registry's; below that, headers
    "opentelemetry": logging.DEBUG,
    "urllib3": logging.DEBUG,
}
"""Of libraries' loggers, at --log-level debug."""


def _fit(value: object, secrets: Sequence[str], *, many_lines: bool) -> object:
    """A value as it may be written: numbers as they are, the rest as text without secrets and control characters."""
    if value is None or isinstance(value, bool | int | float):
        return value
    text = redact(str(value), secrets)
    return "".join(c if c.isprintable() or (many_lines and c == "\n") else "·" for c in text)


def _rendered(render: structlog.typing.Processor) -> structlog.typing.Processor:
    """`render`, but an exception's traceback is written as it is: it is text already."""

    def rendered(logger: Any, method: str, event: structlog.typing.EventDict) -> str:
        if not isinstance(render, structlog.dev.ConsoleRenderer):
            return str(render(logger, method, event))
        traceback = event.pop("exception", "")
        line = str(render(logger, method, event))
        return f"{line}\n{traceback}" if traceback else line

    return rendered
