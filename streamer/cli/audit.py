"""The arguments of `streamer audit …`."""

from __future__ import annotations

import argparse
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from streamer.cli.common import configured, finish, inner
from streamer.commands.lines import Output


def add_audit(commands: Any) -> None:
    """Add `audit` and its commands."""
    add = inner(commands, "audit", "an audit trail of every event: write it, prove it, ask it")
    p = add("keygen", _keygen, "make a pair of keys: FILE to sign with, FILE.pub to verify with", config=False)
    p.add_argument("--out", type=Path, required=True, metavar="FILE", help="never overwritten")
    add("run", _run, "write every event to the store, until interrupted")
    p = add("verify", _verify, "recompute everything: is it unchanged, is it complete? exit code 1 if not")
    _public_key(p)
    p.add_argument("--offline", action="store_true", help="do not compare with the checkpoints on Kafka")
    p.add_argument("--json", action="store_true", help="one object, for programs")
    p = add("show", _show, "what was an extension in at a moment, how do we know, how sure is it")
    _public_key(p)
    p.add_argument("--extension", required=True, metavar="X")
    p.add_argument("--source", metavar="S", help="where several have that extension")
    p.add_argument("--at", type=moment, required=True, metavar="TIME", help="like 2026-11-23T10:00:00+08:00")
    p = add("erase", _erase, "take a person's name out of every byte of the store")
    p.add_argument("--agent", required=True, metavar="NAME", help="as the events wrote it")


def _public_key(made: argparse.ArgumentParser) -> None:
    made.add_argument("--public-key", type=Path, metavar="FILE", help="instead of audit.public_key")


def moment(text: str) -> datetime:
    """A moment with its zone."""
    try:
        found = datetime.fromisoformat(text)
        found.astimezone(UTC)
    except (ValueError, OverflowError):
        raise argparse.ArgumentTypeError(f"{text!r} is no time like 2026-11-23T10:00:00+08:00") from None
    if found.tzinfo is None:
        raise argparse.ArgumentTypeError(f"{text!r} has no zone: add Z for UTC, or an offset like +08:00")
    return found


def _keygen(parsed: argparse.Namespace, out: Output) -> int:
    from streamer.commands.audit import keygen

    keygen(out, parsed.out)
    return 0


def _run(parsed: argparse.Namespace, _: Output) -> int:
    from streamer.commands.audit import run

    return finish(run(configured(parsed, ["kafka"])))


def _verify(parsed: argparse.Namespace, out: Output) -> int:
    from streamer.commands.audit import verify

    config = configured(parsed, [] if parsed.offline else ["kafka"])
    return finish(verify(config, out, parsed.public_key, offline=parsed.offline, json=parsed.json))


def _show(parsed: argparse.Namespace, out: Output) -> int:
    from streamer.commands.audit import show

    show(configured(parsed, []), out, parsed.public_key, extension=parsed.extension, source=parsed.source, at=parsed.at)
    return 0


def _erase(parsed: argparse.Namespace, out: Output) -> int:
    from streamer.commands.audit import erase

    erase(configured(parsed, []), out, parsed.agent)
    return 0
