"""The command line: usage, help, schemas, and what people see of names that were made to deceive."""

from __future__ import annotations

import gc
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import orjson
import pytest
from rich.console import Console

from streamer import schemas
from streamer.cli import main, parser
from streamer.cli.common import finish
from streamer.commands.lines import clean, event_line, state_line
from tests.sample_records import example, examples

COMMANDS = ("demo", "run", "check", "tail", "state", "simulate", "record", "replay", "schemas", "wfm", "audit")


def code(*arguments: str) -> int:
    try:
        return main(arguments)
    except SystemExit as error:
        return int(error.code or 0)


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["fly"],
        ["run"],
        ["check", "--confg", "x"],
        ["tail", "--config", "x", "--from", "middle"],
        ["record", "--config", "x", "--out", "y"],
        ["replay"],
        ["simulate", "--agents", "0"],
        ["simulate", "--agents", "many"],
        ["simulate", "--port", "65536"],
        ["demo", "--duration", "nan"],
        ["demo", "--duration", "-1"],
        ["demo", "--duration", "soon"],
        ["run", "--config", "x", "--log-level", "loud"],
    ],
)
def test_wrong_usage_is_exit_code_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """With a word about what is wrong, and no internal name."""
    assert code(*arguments) == 2
    err = capsys.readouterr().err
    assert "usage: streamer" in err
    assert "_within" not in err
    assert "_seconds" not in err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["simulate", "--port", "0", "--faults", "every=2:bogus"], "bogus"),
        (["simulate", "--port", "0", "--floor", "nowhere"], "nowhere"),
        (["simulate", "--port", "0", "--truth", "/nowhere/truth.jsonl"], "/nowhere/truth.jsonl"),
        (["demo", "--listen", "nowhere"], "http.listen: 'nowhere' is not HOST:PORT"),
        (["demo", "--listen", "0.0.0.0:0"], "is open to other machines: give a token"),
        (["demo", "--bootstrap-servers", "nowhere"], "kafka.bootstrap_servers: 'nowhere' is not HOST:PORT"),
        (["schemas", "--check", "/nowhere"], "cannot read the directory /nowhere"),
    ],
)
def test_wrong_values_are_one_line_and_exit_code_2(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The option or key is named."""
    assert code(*arguments) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("streamer: ")
    assert words in line


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """`--help` is exit code 0."""
    assert code(command, "--help") == 0
    assert f"usage: streamer {command}" in capsys.readouterr().out


def test_the_commands_are_the_contracts() -> None:
    """None is missing."""
    assert all(command in parser().format_help() for command in COMMANDS)


def test_schemas_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    """Every published one, as JSON documents."""
    assert code("schemas") == 0
    text = capsys.readouterr().out
    found: list[object] = []
    decoder = json.JSONDecoder()
    while text.strip():
        document, end = decoder.raw_decode(text.lstrip())
        found.append(document)
        text = text.lstrip()[end:]
    assert len(found) == len(schemas.names())


def test_older_schemas_are_checked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """0 if all are compatible, 1 with a line for each finding otherwise."""
    for name in schemas.names():
        (tmp_path / f"{name}.json").write_text(schemas.text(name))
    assert code("schemas", "--check", str(tmp_path)) == 0
    older = schemas.load("agent-state")
    older["properties"]["gone"] = {"type": "string"}
    older["required"] = [*older["required"], "gone"]
    (tmp_path / "agent-state-1.0.json").write_text(json.dumps(older))
    capsys.readouterr()
    assert code("schemas", "--check", str(tmp_path)) == 1
    shown = capsys.readouterr()
    assert "gone" in shown.out
    assert shown.err.startswith("streamer: ")
    assert "incompatible changes" in shown.err


HOSTILE = [
    "[bold]",
    "[/]",
    "[link=http://x]y[/link]",
    "a\\",
    "a\\\\\\",
    "\x1b[2J",
    "\x1b]0;title\x07",
    "a\nb\r",
    "\u202eabc",
    ":smile:",
    "\ud800",
]


@pytest.mark.parametrize("name", HOSTILE)
def test_names_cannot_paint_the_terminal(name: str) -> None:
    """No markup, no escape sequence, no second line comes out of a vendor's name."""
    file = io.StringIO()
    console = Console(file=file, force_terminal=True, color_system="truecolor", soft_wrap=True, width=40)
    event, state = example("state"), examples("AgentState")[0]
    group = {**example("state")["groups"][0], "name": name}
    console.print(event_line({**event, "extension": name, "source": name, "joined": [name], "left": [name]}))
    console.print(state_line({**state, "agent": name, "extension": name, "groups": [group]}))
    lines = file.getvalue().splitlines()
    assert len(lines) == 2
    for line in lines:
        assert clean(name) in line
        assert "\x1b[2J" not in line
        assert "\x1b]" not in line
        assert "\u202e" not in line


def test_a_verdict_is_the_exit_code_also_where_nobody_reads_it(tmp_path: Path) -> None:
    """A reader that has gone, as `head` does, turns no failed check into a good one."""
    schema = schemas.load("agent-state")
    schema["properties"]["agent"] = {"type": "integer"}
    (tmp_path / "agent-state-1.0.json").write_bytes(orjson.dumps(schema))
    config = tmp_path / "streamer.toml"
    source = 'name = "floor"\nurl = "http://127.0.0.1:1"\ntoken = "t"'
    config.write_text(f'[kafka]\nbootstrap_servers = "127.0.0.1:1"\n[[sources]]\n{source}\n')
    for command in (["schemas", "--check", str(tmp_path)], ["check", "--config", str(config)]):
        reading, writing = os.pipe()
        os.close(reading)
        with os.fdopen(writing, "wb") as out:
            done = subprocess.run(
                [sys.executable, "-m", "streamer", *command], stdout=out, stderr=subprocess.PIPE, text=True, check=False
            )
        assert (done.returncode, "Traceback" in done.stderr, "BrokenPipe" in done.stderr) == (1, False, False)


def test_what_is_imported_is_left_alone_by_the_garbage_collector() -> None:
    """Going through all of it takes tens of milliseconds, in which nobody is polled."""

    async def work() -> None:
        assert gc.get_freeze_count() > 10_000

    try:
        assert finish(work()) == 0
    finally:
        gc.unfreeze()
