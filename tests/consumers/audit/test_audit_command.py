"""`streamer audit …` as an operator runs it, on a real Kafka."""

from __future__ import annotations

import json
import random
import sqlite3
import subprocess
import sys
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from streamer.cli import main
from streamer.consumers.audit.index import INDEX
from tests.conftest import Topics
from tests.consumers.audit.killing import configured, killed


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    """A command in this process: exit code, output, errors."""
    try:
        code = main([str(argument) for argument in arguments])
    except SystemExit as ended:
        code = int(str(ended.code))
    said = capsys.readouterr()
    return code, said.out, said.err


@pytest.mark.timeout(180)
def test_a_writer_killed_again_and_again_writes_each_event_once(
    kafka: str, topics: Topics, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Then it is verified, asked, robbed of a name, put back, and damaged, with the exit codes that an alarm needs."""
    outcome = killed(kafka, topics, tmp_path, 4, random.Random(1))
    assert outcome.in_store == outcome.on_topic
    assert outcome.files > 0
    config = tmp_path / "streamer.toml"
    code, out, _ = run(capsys, "audit", "verify", "--config", config)
    assert code == 0
    assert "integrity: good" in out
    assert "completeness: good" in out
    assert "0 entries were written after it" in out

    moment = outcome.start + timedelta(minutes=5)
    question = ("audit", "show", "--config", config, "--extension", "1001", "--at", moment.isoformat())
    code, out, _ = run(capsys, *question)
    assert code == 0
    assert f"agent: Agent Nr 1001\nstate: ringing since {outcome.start.isoformat()}\n" in out
    assert "signed by checkpoint" in out
    code, _, _ = run(capsys, "audit", "erase", "--config", config, "--agent", "Agent Nr 1001")
    assert code == 0
    assert "agent: erased\n" in run(capsys, *question)[1]
    code, _, err = run(capsys, "audit", "erase", "--config", config, "--agent", "Agent Nr 1001")
    assert (code, "that name is not in the trail" in err) == (1, True)

    code, out, _ = run(capsys, "audit", "verify", "--config", config, "--json")
    report = json.loads(out)
    assert (code, report["integrity"]["ok"], report["uncovered"], report["erased"]) == (0, True, 1, 1)
    with closing(sqlite3.connect(tmp_path / "trail" / INDEX)) as db, db:
        db.execute("DELETE FROM checkpoints WHERE number = (SELECT max(number) FROM checkpoints)")
    code, out, err = run(capsys, "audit", "verify", "--config", config)
    assert code == 1
    assert "it was put back or cut" in out
    assert "not in order" in err
    # An alarm reads the exit code, also where it reads only the first line.
    command = f"{sys.executable} -m streamer audit verify --config {config} | head -1; exit ${{PIPESTATUS[0]}}"
    assert subprocess.run(["bash", "-c", command], capture_output=True, check=False).returncode == 1
    code, _, err = run(capsys, "audit", "run", "--config", config)
    assert (code, "that is an older copy, or another copy is written" in err) == (1, True)
    with (tmp_path / "trail" / INDEX).open("r+b") as index:
        index.seek(4096)
        index.write(b"\xff" * 100_000)
    code, _, err = run(capsys, "audit", "run", "--config", config)
    assert code == 1
    assert "cannot be used" in err


def test_wrong_usage_is_told_with_its_remedy(
    tmp_path: Path, topics: Topics, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 2, and never a traceback."""
    config = configured(tmp_path, "127.0.0.1:1", topics)
    verify = ("audit", "verify", "--offline", "--config", config)
    code, _, err = run(capsys, *verify)
    assert (code, "audit.public_key: cannot read" in err) == (2, True)
    assert run(capsys, "audit", "keygen", "--out", tmp_path / "key.pem")[0] == 0
    assert (tmp_path / "key.pem").stat().st_mode & 0o777 == 0o600
    code, _, err = run(capsys, "audit", "keygen", "--out", tmp_path / "key.pem")
    assert (code, "never overwritten" in err) == (2, True)
    code, _, err = run(capsys, *verify, "--public-key", tmp_path / "key.pem")
    assert (code, "is no key in PEM" in err) == (2, True)
    code, _, err = run(capsys, *verify)
    assert (code, "there is no trail" in err) == (2, True)
    code, _, err = run(capsys, "audit", "erase", "--config", config, "--agent", "x")
    assert (code, "there is no trail" in err) == (2, True)
    show = ("audit", "show", "--config", config, "--extension", "1", "--at")
    code, _, err = run(capsys, *show, "2026-11-23T10:00:00")
    assert (code, "has no zone: add Z" in err) == (2, True)
    code, _, err = run(capsys, *show, "yesterday")
    assert (code, "is no time like" in err) == (2, True)
    config.write_text('[audit]\npath = "x"\ntopic = "agent-state"\n')
    code, _, err = run(capsys, "audit", "run", "--config", config)
    assert (code, "audit.topic: agent-state is another topic of ours" in err) == (2, True)
    config.write_text("")
    code, _, err = run(capsys, "audit", "run", "--config", config)
    assert (code, "audit: missing" in err) == (2, True)
    (tmp_path / "trail").mkdir()
    config = configured(tmp_path, "127.0.0.1:1", topics)
    code, out, _ = run(capsys, *verify)
    assert (code, "index.sqlite cannot be read" in out) == (1, True)


@pytest.mark.parametrize("missing", ["pyarrow", "cryptography"])
def test_what_is_not_installed_is_named(missing: str, tmp_path: Path) -> None:
    """With what to install."""
    config = tmp_path / "streamer.toml"
    config.write_text('[audit]\npath = "x"\n')
    program = f"""
import sys
sys.modules[{missing!r}] = None
from streamer.cli import main
sys.exit(main(["audit", "run", "--config", {str(config)!r}]))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert f"needs {missing}, which is not installed; pip install 'streamer[consumers]'" in done.stderr
