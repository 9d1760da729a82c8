"""`audit`: write the trail, prove it, ask it, take a person out of it."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Generator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import structlog

from streamer.client import AgentEvents
from streamer.commands.lines import Output, clean
from streamer.commands.serve import stopping_on_signals
from streamer.config import Config
from streamer.config.audit import Audit
from streamer.errors import CheckFailed, ConfigError, KafkaUnavailable
from streamer.kafka import anchor
from streamer.kafka.connection import Connection
from streamer.tasks import ended, unless

if TYPE_CHECKING:
    from streamer.consumers.audit.report import Report, Verdict
    from streamer.consumers.audit.show import Answer, Found
    from streamer.consumers.audit.writer import Writer

Warn = Callable[..., object]

MISSING = 1.0
"""Seconds between attempts to reach Kafka at the start."""


@contextmanager
def installed() -> Generator[None]:
    """ConfigError where the extra is not installed."""
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] not in ("cryptography", "pyarrow"):
            raise
        remedy = "pip install 'streamer[consumers]'"
        raise ConfigError(f"`audit` needs {error.name.partition('.')[0]}, which is not installed", remedy) from None


def section(config: Config) -> Audit:
    """`[audit]`; ConfigError without it."""
    if config.audit is None:
        raise ConfigError("audit: missing", 'add [audit] with path = "FOLDER", see docs/audit.md')
    kafka = config.kafka
    if config.audit.topic in (kafka.events_topic, kafka.state_topic, kafka.feed_topic, kafka.rejected_topic):
        raise ConfigError(f"audit.topic: {config.audit.topic} is another topic of ours", "give it a name of its own")
    return config.audit


def keygen(out: Output, path: Path) -> None:
    """Make a pair of keys."""
    with installed():
        from streamer.consumers.audit.checkpoints import make_keys
    public = make_keys(path)
    out.print(f"{path}: the signing key, for `run` only\n{public}: the public key, for whoever verifies")


async def run(config: Config) -> None:
    """Write until told to stop."""
    with installed():
        from streamer.consumers.audit.checkpoints import private_key
        from streamer.consumers.audit.folder import REMEDY
        from streamer.consumers.audit.store import Store
        from streamer.consumers.audit.writer import Writer
    audit, log = section(config), structlog.get_logger("streamer")
    key = private_key(audit.signing_key)
    connection = Connection(config.kafka, client_id="streamer-audit")
    with stopping_on_signals() as stop:
        cluster = await unless(stop, _cluster(connection, audit.topic, log.warning))
        if cluster is None:
            return
        store = Store(audit.path, cluster.result(), config.kafka.events_topic, create=True)
        try:
            store.belongs_to(key)
            writer = Writer(store, key, audit.checkpoint_interval, connection, audit.topic, lambda: datetime.now(UTC))
            await writer.compare()
            start = store.positions or "beginning"
            async with AgentEvents(config.kafka, start=start, numbers=store.numbers) as events:
                log.info("writing the audit trail", path=str(audit.path), entries=store.count)
                await unless(stop, _work(writer, events, log.warning))
            await _finish(writer, config.shutdown_timeout)
        except sqlite3.Error as error:
            raise CheckFailed(f"audit.path: the trail in {audit.path} cannot be used: {error}", REMEDY) from None
        finally:
            store.close()


async def _cluster(connection: Connection, topic: str, warn: Warn) -> str:
    told = False
    while True:
        try:
            return await anchor.ensure(connection, topic)
        except KafkaUnavailable as error:
            if not told:
                warn("waiting for Kafka", problem=error.problem, remedy=error.remedy)
            told = True
            await asyncio.sleep(MISSING)


async def _work(writer: Writer, events: AgentEvents, warn: Warn) -> None:
    def tell(problem: str) -> None:
        warn("checkpoints are not published: " + problem if problem else "checkpoints are published again")

    work = [asyncio.create_task(writer.write(events.batches())), asyncio.create_task(writer.publish(tell))]
    try:
        await asyncio.gather(*work)
    finally:
        await ended(work)


async def _finish(writer: Writer, patience: float) -> None:
    try:
        async with asyncio.timeout(patience):
            await writer.finish()
    except (TimeoutError, KafkaUnavailable) as error:
        raise CheckFailed(
            f"the last checkpoint is signed, but not published: {error or 'no answer in time'}",
            "the next start publishes it",
        ) from None


async def verify(config: Config, out: Output, public_key: Path | None, *, offline: bool, json: bool) -> None:
    """Print both verdicts; CheckFailed unless both are good."""
    with installed():
        from streamer.consumers.audit import checkpoints, verify
    audit = section(config)
    key = checkpoints.public_key(public_key or audit.public_key)
    if not audit.path.is_dir():
        raise ConfigError(f"audit.path: there is no trail in {audit.path}", "correct audit.path")
    anchors = None
    if not offline:
        anchors = await anchor.published(Connection(config.kafka, client_id="streamer-audit"), audit.topic)
    report = verify.verify(audit.path, key, anchors)
    with out.to_the_end():
        if json:
            out.write(msgspec.json.encode(report))
        else:
            _print(out, report)
    if not report.ok:
        count = report.integrity.count + report.completeness.count
        raise CheckFailed(f"the audit trail is not in order: {count} findings", "see docs/audit.md for what each means")


def _print(out: Output, report: Report) -> None:
    _verdict(out, "integrity", report.integrity)
    signed = f"checkpoint {report.checkpoint} of {report.at}" if report.at else "no checkpoint"
    out.print(f"  {report.covered} entries in {report.files} files and the index are signed, up to {signed}")
    out.print(f"  {report.uncovered} entries were written after it and are not signed yet")
    compared = f"the audit topic's newest is {report.anchor}" if report.anchored else "the audit topic was not asked"
    out.print(f"  {compared}; {report.erased} names are erased")
    for text in report.notes:
        out.print(f"  note: {clean(text)}")
    _verdict(out, "completeness", report.completeness)
    out.print(f"  {report.events} events; {report.began_within} extensions begin within an epoch older than the trail")
    for source, until in report.complete_until.items():
        out.print(f"  {clean(source)}: complete until {clean(until)}")


def _verdict(out: Output, name: str, verdict: Verdict) -> None:
    out.print(f"{name}: {'good' if verdict.ok else f'NOT GOOD, {verdict.count} findings'}")
    for trouble in verdict.troubles:
        out.print(f"  {clean(trouble.text)}")
    if verdict.count > len(verdict.troubles):
        out.print(f"  … and {verdict.count - len(verdict.troubles)} more")


def show(
    config: Config, out: Output, public_key: Path | None, *, extension: str, source: str | None, at: datetime
) -> None:
    """Print what is known of a moment."""
    with installed():
        from streamer.consumers.audit import checkpoints
        from streamer.consumers.audit.show import show as asked
    audit = section(config)
    key = checkpoints.public_key(public_key or audit.public_key)
    if not audit.path.is_dir():
        raise ConfigError(f"audit.path: there is no trail in {audit.path}", "correct audit.path")
    for line in _answered(asked(audit.path, key, extension, source, at.astimezone(UTC))):
        out.print(clean(line))


def _answered(answer: Answer) -> Generator[str]:
    last, following = answer.last, answer.next
    yield f"{answer.key} at {answer.at.isoformat()}"
    yield f"agent: {answer.agent or 'erased'}"
    if last is not None:
        yield f"state: {last.event.current.state} since {last.event.current.since.isoformat()}"
        yield from _told(last, "told by")
    elif following is not None and (before := following.event.previous) and before.since <= answer.at:
        yield f"state: {before.state} since {before.since.isoformat()}, as the first event of the trail tells"
    else:
        yield "state: not known, the trail has nothing of it before that moment"
    for found in answer.unsure:
        event = found.event
        previous = event.previous.state if event.previous else "unknown"
        low = event.occurred_not_before
        yield (
            f"NOT SURE: {previous} or {event.current.state}: that change happened between "
            f"{low.isoformat() if low else 'an unknown moment'} and {event.occurred_not_after.isoformat()}"
        )
        if found is not last:
            yield from _told(found, "that change is told by")
    if answer.broken:
        yield "NOT SURE: events between this one and the next are missing"
    if following is not None:
        event = following.event
        yield f"until: {event.occurred_at.isoformat()}, then {event.current.state} ({event.event_id})"
        if isinstance(event.gap_s, float) and (event.observed_at - answer.at).total_seconds() <= event.gap_s:
            yield f"nobody had looked for {event.gap_s:.0f} s then: what came and went in between may be unknown"
    until = answer.complete_until
    if until is not None and answer.at <= until:
        yield f"complete: all that was seen up to {until.isoformat()} is in the trail"
    elif following is None:
        known = until.isoformat() if until else "no moment yet"
        yield f"NOT SURE: the trail is signed to be complete up to {known} only; a later event may tell more"


def _told(found: Found, how: str) -> Generator[str]:
    event = found.event
    low = event.occurred_not_before
    yield f"  {how} {event.event_id}: {event.change}, {event.basis} by {', '.join(event.evidence) or 'no field'}"
    yield (
        f"  happened at {event.occurred_at.isoformat()}, not before {low.isoformat() if low else 'an unknown moment'}, "
        f"not after {event.occurred_not_after.isoformat()}"
    )
    yield f"  seen at {event.observed_at.isoformat()} by poll {event.poll_id}"
    yield f"  entry {found.number} of partition {found.partition}, {_proof(found)}"


def _proof(found: Found) -> str:
    return f"signed by {found.proof}" if found.proof else "NOT PROVED: no signed checkpoint leads to it"


def erase(config: Config, out: Output, agent: str) -> None:
    """Take a name out of the store."""
    with installed():
        from streamer.consumers.audit.store import Store
    try:
        agent.encode()
    except UnicodeEncodeError:
        raise ConfigError("--agent: that is no text", "give the name in UTF-8") from None
    store = Store(section(config).path)
    try:
        count = store.erase(agent, int(datetime.now(UTC).timestamp() * 1000))
    finally:
        store.close()
    if not count:
        raise CheckFailed("that name is not in the trail", "give it as the events wrote it; it may be erased already")
    structlog.get_logger("streamer").info("a person was erased from the audit trail", pseudonyms=count)
    out.print(f"erased: {count} pseudonyms have no name any more; the next checkpoint signs that it happened")
