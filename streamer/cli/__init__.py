"""Arguments → configuration → command → exit code. The only package that reads the environment.

Exit codes: 0 done · 1 a check failed or a shutdown left work undone · 2 wrong usage or configuration · 3 Kafka (for
`record`: the source) refused us for good · 4 fenced by another instance.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from streamer.cli.audit import add_audit
from streamer.cli.common import adding, configured, finish, overrides, seconds, url, within
from streamer.cli.wfm import add_wfm
from streamer.commands.lines import Output, clean
from streamer.errors import StreamerError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; its exit code. `sys.exit` is called by the console script."""
    _speak_utf8()
    parsed = parser().parse_args(arguments)
    out = Output()
    try:
        done = parsed.command(parsed, out)
        out.file.flush()
        return done
    except StreamerError as error:
        _complain(error)
        return error.exit_code
    except KeyboardInterrupt:
        return 1  # commands for which an interruption is the usual end handle it themselves
    except BrokenPipeError:
        # Whoever read our output has gone, as `head` does: that is no error, but nothing more can be written.
        out.silence()
        return 0


def _speak_utf8() -> None:
    """Files and pipes get UTF-8 whatever the locale: the same events are the same bytes on every machine."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding=None if stream.isatty() else "utf-8", errors="replace")


def _complain(error: StreamerError) -> None:
    print("streamer: " + clean(" ".join(str(error).split())), file=sys.stderr)


def parser() -> argparse.ArgumentParser:
    """All commands and their options."""
    top = argparse.ArgumentParser(
        prog="streamer", description="Turns a call centre's pollable extension status into events on Kafka."
    )
    commands = top.add_subparsers(required=True, metavar="COMMAND")

    add = adding(commands)
    p = add("demo", _demo, "everything on one machine, nothing to install", config=False)
    p.add_argument("--agents", type=within(1, 100_000), default=40, metavar="N")
    p.add_argument("--duration", type=seconds, metavar="S", help="seconds; until Ctrl-C without it")
    p.add_argument("--listen", default="127.0.0.1:8080", metavar="HOST:PORT", help="the wallboard (port 0: any)")
    p.add_argument("--bootstrap-servers", metavar="HOST:PORT", help="a real Kafka; an embedded one without it")

    p = add("run", _run, "poll, compare, publish")
    p.add_argument("--record", type=Path, metavar="FILE", help="also keep what the vendor answers, for `replay`")

    add("check", _check, "say line by line whether everything is in order")

    p = add("tail", _tail, "print events as they are committed")
    p.add_argument("--from", dest="begin", choices=("beginning", "end"), default="end")
    p.add_argument("--extension", metavar="X")
    p.add_argument("--json", action="store_true")

    p = add("state", _state, "print the current state of every extension")
    p.add_argument("--json", action="store_true")

    p = add("simulate", _simulate, "the vendor's API over an invented call-centre floor", config=False)
    p.formatter_class = argparse.RawDescriptionHelpFormatter
    p.epilog = _faults_help()
    p.add_argument("--host", default="127.0.0.1")
    p.add_argument("--port", type=within(0, 65_535), default=18080, metavar="P")
    p.add_argument("--agents", type=within(1, 100_000), default=300, metavar="N")
    p.add_argument("--seed", type=int, default=0, metavar="S")
    p.add_argument("--floor", default="default", metavar="NAME", help="default, brisk, calm, breaks, groups")
    p.add_argument("--truth", type=Path, metavar="FILE", help="what truly happens, a JSON object a line")
    p.add_argument("--faults", default="", metavar="RULES", help="what goes wrong, see below")
    p.add_argument("--callback", type=url, metavar="URL", help="is told of each call, as the vendor would")

    p = add("record", _record, "poll one source and keep what the vendor answers")
    p.add_argument("--source", required=True, metavar="NAME")
    p.add_argument("--out", type=Path, required=True, metavar="FILE", help="compressed if it ends in .gz")

    p = add("replay", _replay, "print the events that `run` would have published for recorded answers", config=False)
    p.add_argument("recordings", type=Path, nargs="+", metavar="RECORDING")
    p.add_argument("--config", type=Path, metavar="FILE", help="for time zones, codes and the gate's settings")
    p.add_argument("--json", action="store_true", help="one event a line and nothing else")
    p.add_argument("--state", action="store_true", help="what every extension is in at the end, not the events")
    overrides(p)

    p = add("schemas", _schemas, "print the published JSON Schemas", config=False)
    p.add_argument("--check", type=Path, metavar="DIR", help="check a directory of older ones for compatibility")
    add_wfm(commands)
    add_audit(commands)
    return top


def _faults_help() -> str:
    from streamer.simulator.faults import HELP

    return HELP


def _demo(parsed: argparse.Namespace, out: Output) -> int:
    from streamer.commands.demo import demo
    from streamer.observe import lines

    lines.configure("warning", (), plain=sys.stderr.isatty())
    return finish(
        demo(
            out,
            agents=parsed.agents,
            duration=parsed.duration,
            listen=parsed.listen,
            bootstrap_servers=parsed.bootstrap_servers,
            env=os.environ,
        )
    )


def _run(parsed: argparse.Namespace, _: Output) -> int:
    # Until it is listened for: SIGHUP means "read your file", and that is about to be read.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    from streamer.commands.serve import run

    return finish(run(lambda: configured(parsed), parsed.record))


def _check(parsed: argparse.Namespace, out: Output) -> int:
    from streamer.commands.check import check

    return finish(check(configured(parsed), out, str(parsed.config)))


def _tail(parsed: argparse.Namespace, out: Output) -> int:
    from streamer.commands.topics import tail

    return finish(
        tail(configured(parsed, ["kafka"]), out, begin=parsed.begin, extension=parsed.extension, json=parsed.json)
    )


def _state(parsed: argparse.Namespace, out: Output) -> int:
    from streamer.commands.topics import state

    return finish(state(configured(parsed, ["kafka"]), out, json=parsed.json))


def _simulate(parsed: argparse.Namespace, out: Output) -> int:
    from streamer.commands.simulate import simulate

    return finish(
        simulate(
            out,
            host=parsed.host,
            port=parsed.port,
            agents=parsed.agents,
            seed=parsed.seed,
            floor=parsed.floor,
            truth=parsed.truth,
            faults=parsed.faults,
            callback=parsed.callback,
        )
    )


def _record(parsed: argparse.Namespace, out: Output) -> int:
    from streamer.commands.record import record

    count = asyncio.run(record(configured(parsed, ["sources"]), parsed.source, parsed.out))
    out.print(f"{count} answers kept in {parsed.out}")
    return 0


def _replay(parsed: argparse.Namespace, out: Output) -> int:
    from streamer.commands.replay import run

    config = configured(parsed, []) if parsed.config else None
    run(parsed.recordings, config, json=parsed.json, state=parsed.state, out=out)
    return 0


def _schemas(parsed: argparse.Namespace, out: Output) -> int:
    from streamer import schemas
    from streamer.errors import CheckFailed

    if parsed.check is None:
        for name in schemas.names():
            out.file.write(schemas.text(name).rstrip() + "\n")
        return 0
    if findings := schemas.check_directory(parsed.check):
        with out.to_the_end():
            for finding in findings:
                out.print(finding)
        raise CheckFailed(f"{len(findings)} incompatible changes", "make the field optional, or raise schema_version")
    out.print(f"compatible with every schema in {parsed.check}")
    return 0
