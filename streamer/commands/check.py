"""`check`: is everything in order for `run`? One line a fact. Publishes and creates nothing."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec
from rich.text import Text

from streamer.commands.lines import Output, clean
from streamer.commands.sources import vendors
from streamer.config import Config, Source
from streamer.core import clock
from streamer.core.decode import decode
from streamer.core.model import SECOND, Snapshot
from streamer.errors import CheckFailed, KafkaError, KafkaRefused, StreamerError
from streamer.kafka import rights, topics
from streamer.kafka.connection import Connection
from streamer.kafka.registry import Registrar
from streamer.observe.logs import wrong_zone
from streamer.runtime.clock import SystemClock
from streamer.runtime.journal import REMEDY, inspect
from streamer.vendor.client import VendorClient

SKEWED = 5 * SECOND
"""A vendor's clock that is further from ours is worth a word; events allow for it."""


class Line(msgspec.Struct, frozen=True):
    """One fact: `ok`, `warning` or `failed`."""

    verdict: str
    what: str
    text: str
    remedy: str = ""


async def check(config: Config, out: Output, where: str) -> None:
    """Print every line; CheckFailed counts the failures."""
    lines = [Line("ok", "configuration", f"{where}: {len(config.sources)} sources")]
    if config.kafka.delivery == "at_least_once":
        lines.append(
            Line(
                "warning",
                "delivery",
                "at_least_once: a consumer may see an event twice",
                'kafka.delivery = "exactly_once" where the broker has transactions',
            )
        )
    if config.outbox.path is not None:
        lines.append(_outbox(config.outbox.path))
    vendor, kafka, registry = await asyncio.gather(_vendor(config), _kafka(config), _registry(config))
    lines += [*vendor, *kafka, *registry]
    with out.to_the_end():
        for line in lines:
            _print(out, line)
    failed = sum(line.verdict == "failed" for line in lines)
    if failed:
        raise CheckFailed(f"{failed} of {len(lines)} checks failed")


def _print(out: Output, line: Line) -> None:
    colour = {"ok": "green", "warning": "yellow", "failed": "red"}[line.verdict]
    remedy = f" → {clean(line.remedy)}" if line.remedy else ""
    out.print(
        Text.assemble((f"{line.verdict:<7}", colour), f" {clean(line.what)}: {clean(line.text)}", (remedy, "dim"))
    )


def _failure(what: str, error: StreamerError) -> Line:
    return Line("failed", what, error.problem, error.remedy or "see the README")


def _outbox(path: Path) -> Line:
    if problem := inspect(path):
        return Line("failed", "outbox", f"{path}: {problem}", REMEDY)
    return Line("ok", "outbox", f"{path} can be used")


async def _vendor(config: Config) -> list[Line]:
    warnings: list[str] = []
    async with vendors(config, SystemClock(), warnings.append) as made:
        lines = await asyncio.gather(*(_source(config, source, made.source(source)) for source in config.sources))
    return [*(Line("warning", "vendor", text) for text in warnings), *(line for some in lines for line in some)]


async def _source(config: Config, source: Source, client: VendorClient) -> list[Line]:
    what = f"source {source.name}"
    try:
        polled = await client.poll()
    except StreamerError as error:
        return [_failure(what, error)]
    snapshot = decode(polled.opened, polled.requested_at, polled.answered_at, config.settings(source), {})
    extensions = {seat.extension for seat in snapshot.seats}
    calls = sum(seat.state == "talking" for seat in snapshot.seats)
    text = (
        f"logged in and polled in {polled.answered_at - polled.requested_at} ms: "
        f"{len(snapshot.seats)} rows, {len(extensions)} extensions, {calls} talking"
    )
    if not snapshot.rejected:
        return [Line("ok", what, text), *_clock(what, source, snapshot)]
    first = snapshot.rejected[0]
    rejected = Line(
        "warning",
        what,
        f"{text}; {len(snapshot.rejected)} rows not understood, the first: {first.path}: {first.reason}",
        f"`run` puts them on {config.kafka.rejected_topic}",
    )
    return [rejected, *_clock(what, source, snapshot)]


def _clock(what: str, source: Source, snapshot: Snapshot) -> list[Line]:
    """What the vendor's clock and its stamps' time zone look like, where they do not look right."""
    offset = clock.measure(snapshot.requested_at, snapshot.answered_at, snapshot.reqtime, snapshot.rsptime)
    if offset is None:
        text = "the answer does not tell the vendor's time: it is taken to be ours, give or take a second"
        return [Line("warning", what, text, "keep this machine's clock synchronised")]
    lines: list[Line] = []
    if max(offset.low, -offset.high) > SKEWED:
        text = f"the vendor's clock is {offset.low / SECOND:+.0f} to {offset.high / SECOND:+.0f} s off ours"
        lines.append(Line("warning", what, text, "events bear the vendor's time; synchronise whichever is wrong"))
    off = clock.looks_off(snapshot.seats, snapshot.answered_at + offset.high)
    if off is not None:
        problem, remedy = wrong_zone(off)
        lines.append(Line("warning", what, f"timezone {source.timezone} looks wrong: {problem}", remedy))
    return lines


async def _kafka(config: Config) -> list[Line]:
    try:
        connection = Connection(config.kafka, client_id="streamer-check")
        await connection.probe()
    except StreamerError as error:
        return [_failure("Kafka", error)]
    lines = [Line("ok", "Kafka", f"{connection.where} answers{_logged_in(config)}")]
    try:
        lines += await _topics(config, connection)
        found = await rights.inspect(connection, config.cluster, callbacks=config.called_back)
        lines += [Line(*line) for line in found]
    except KafkaError as error:
        lines.append(_failure("Kafka topics", error))
    return lines


async def _registry(config: Config) -> list[Line]:
    if config.registry is None:
        return []
    try:
        missing = await Registrar(config.registry, config.kafka).inspect()
    except StreamerError as error:
        return [_failure("schema registry", error)]
    if not missing:
        return [Line("ok", "schema registry", f"{config.registry.url} has our schemas")]
    return [
        Line("warning", "schema registry", f"{config.registry.url} lacks {', '.join(missing)}", "`run` registers them")
    ]


async def _topics(config: Config, connection: Connection) -> list[Line]:
    try:
        found = await topics.inspect(connection)
        slots = await topics.inspect_slots(connection, config.kafka.slots_topic, config.slots)
    except KafkaRefused as error:
        return [_failure("Kafka topics", error)]  # the lines about our rights tell which are missing
    if config.cluster is not None or slots.verdict == "wrong":
        found.append(slots)
    return [_topic(finding) for finding in found]


def _logged_in(config: Config) -> str:
    return ", log-in accepted" if config.kafka.security_protocol.startswith("SASL") else ""


def _topic(finding: topics.Finding) -> Line:
    verdict = {"ok": "ok", "missing": "warning", "warning": "warning", "wrong": "failed"}[finding.verdict]
    return Line(verdict, f"topic {finding.topic}", finding.text, finding.remedy)
