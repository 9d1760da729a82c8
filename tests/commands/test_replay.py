"""`record` and `replay`: what the vendor answered, kept and told again, the same every time."""

from __future__ import annotations

import gzip
import json
import os
import signal
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.commands.shell import Cli, Process, StartVendor, eventually

WriteConfig = Callable[..., Path]
AT = 1_795_399_205


def body(*rows: dict[str, Any], at: int = AT) -> str:
    return json.dumps(
        {"ret": 200, "data": {"status": 0, "desc": "", "result": rows, "reqtime": at, "rsptime": at}, "msg": ""}
    )


def row(extension: str = "100001", state: int = 1213, **more: Any) -> dict[str, Any]:
    return {
        "queuename": "queue-1",
        "seatsname": f"{extension}_坐席",
        "extnumber": extension,
        "status": state,
        "state": state,
        "lastanswertime": "",
        "lastassigntime": "",
        "seatschangetime": "",
        "noanswercount": 0,
        "callsanswered": 0,
        "externalcallscount": 0,
        "wrapuptime": 10,
        "maxnoanswer": 3,
        **more,
    }


def answer(text: str, at: float = AT, status: int = 200, source: str = "floor") -> dict[str, Any]:
    return {"source": source, "requested_at": at, "answered_at": at + 0.1, "status": status, "body": text}


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    """Three polls: an agent comes, is called, and one more answer that is none."""
    answers = [
        answer(body(row())),
        answer(body(row(state=1215), at=AT + 1), AT + 1),
        answer("<html>", AT + 2, 502),
        answer(body(row(state=1213), row("100002"), at=AT + 3), AT + 3),
    ]
    file = tmp_path / "floor.jsonl"
    file.write_text("".join(json.dumps(item) + "\n" for item in answers))
    return file


def test_replay_prints_the_events(cli: Cli, recording: Path) -> None:
    """A line for each, and how many there were; plain where it is no terminal."""
    done = cli("replay", recording)
    assert (done.code, done.err) == (0, "")
    *lines, last = done.out.splitlines()
    assert last == f"{len(lines)} events"
    assert "floor/100001  · → available  first_seen" in lines[0]
    assert "floor/100001  available → talking" in lines[1]
    assert "\x1b" not in done.out


def test_json_is_events_and_nothing_else(cli: Cli, recording: Path) -> None:
    """One a line on standard output, in the contract's form."""
    done = cli("replay", recording, "--json")
    events = [json.loads(line) for line in done.out.splitlines()]
    assert {event["type"] for event in events} == {"AgentStateChanged"}
    assert [event["sequence"] for event in events if event["extension"] == "100001"] == [1, 2, 3]
    assert events[0]["agent"] == "100001_坐席"


def test_the_end_can_be_shown_instead(cli: Cli, recording: Path) -> None:
    """Each extension's state, by extension."""
    done = cli("replay", recording, "--state")
    assert [line.split()[0] for line in done.out.splitlines()] == ["floor/100001", "floor/100002"]
    records = [json.loads(line) for line in cli("replay", recording, "--state", "--json").out.splitlines()]
    assert [(r["type"], r["extension"], r["state"]) for r in records] == [
        ("AgentState", "100001", "wrap_up"),
        ("AgentState", "100002", "available"),
    ]


def test_twice_the_same_bytes_also_compressed_and_in_parts_and_in_any_locale(recording: Path, tmp_path: Path) -> None:
    """The recording alone decides."""
    packed = tmp_path / "floor.jsonl.gz"
    packed.write_bytes(gzip.compress(recording.read_bytes()))
    lines = recording.read_text().splitlines(keepends=True)
    parts = [tmp_path / "one.jsonl", tmp_path / "two.jsonl"]
    parts[0].write_text("".join(lines[:2]))
    parts[1].write_text("".join(lines[2:]))
    outs: set[str] = set()
    for files, locale in (([recording], "C"), ([packed], "POSIX"), (parts, "C.UTF-8")):
        env = {"LC_ALL": locale, "PYTHONIOENCODING": "ascii", "PYTHONHASHSEED": str(len(outs))}
        with Process("replay", *files, "--json", env=env) as process:
            done = process.end()
        assert (done.code, done.err) == (0, "")
        outs.add(done.out)
    assert len(outs) == 1
    assert outs.pop()


def test_the_configuration_gives_zones_and_codes_and_no_secret_is_needed(
    cli: Cli, config: WriteConfig, recording: Path
) -> None:
    """A recording can be looked at where the keys are not."""
    file = config(source={"accesskey": None, "accesskey_env": "NOT_SET_HERE"})
    file.write_text(file.read_text() + 'codes = { 1215 = "busy" }\n')
    done = cli("replay", recording, "--config", file)
    assert done.code == 0
    assert "available → busy" in done.out


@pytest.mark.parametrize(
    ("line", "number"),
    [
        ("{", 3),
        ("[]", 3),
        ('{"source": "floor"}', 3),
        (json.dumps(answer("", at=1e300)), 3),
        (json.dumps(answer("", at=-1)), 3),
        ("\udcff", 3),
    ],
)
def test_a_line_that_is_no_answer_is_named(cli: Cli, tmp_path: Path, line: str, number: int) -> None:
    """With file and line."""
    file = tmp_path / "broken.jsonl"
    good = json.dumps(answer(body(row())))
    file.write_bytes(f"{good}\n\n{line}\n".encode(errors="surrogateescape"))
    done = cli("replay", file)
    assert done.code == 2
    assert done.err.startswith(f"streamer: {file}:{number}: not a recorded answer: ")
    assert len(done.err.splitlines()) == 1


def cut(packed: bytes) -> bytes:
    return packed[:-20]


def spoilt(packed: bytes) -> bytes:
    return packed[:30] + b"\x00" * 20 + packed[50:]


def unpacked(packed: bytes) -> bytes:
    return gzip.decompress(packed)


@pytest.mark.parametrize("damage", [cut, spoilt, unpacked])
def test_a_compressed_file_that_is_damaged_is_named(
    cli: Cli, tmp_path: Path, recording: Path, damage: Callable[[bytes], bytes]
) -> None:
    """Cut, spoilt, or not compressed at all."""
    file = tmp_path / "damaged.jsonl.gz"
    file.write_bytes(damage(gzip.compress(recording.read_bytes())))
    done = cli("replay", file)
    assert done.code == 2
    assert str(file) in done.err
    assert "give a file made by `record`" in done.err


def test_a_recording_that_is_not_there_is_named(cli: Cli, tmp_path: Path) -> None:
    """Exit code 2."""
    done = cli("replay", tmp_path / "none.jsonl")
    assert done.code == 2
    assert f"cannot read {tmp_path}/none.jsonl: No such file" in done.err


def test_a_reader_of_a_replay_may_go_away(tmp_path: Path) -> None:
    """`replay | head` ends with 0 and without a word."""
    file = tmp_path / "long.jsonl"
    with file.open("w") as out:
        for second in range(2000):
            out.write(json.dumps(answer(body(row(state=(1213, 1215)[second % 2]), at=AT + second), AT + second)) + "\n")
    for more in ([], ["--json"]):
        read, write = os.pipe()
        with Process("replay", file, *more, stdout=write) as process:
            os.close(write)
            with os.fdopen(read, "rb") as pipe:
                assert pipe.readline()
            done = process.end()
        assert (done.code, done.err) == (0, "")


@pytest.mark.parametrize("name", ["kept.jsonl", "kept.jsonl.gz"])
def test_what_is_recorded_can_be_replayed(
    cli: Cli, config: WriteConfig, vendor: StartVendor, tmp_path: Path, name: str
) -> None:
    """Polls only, until a signal; keys and tokens are left out; the answers that failed are kept too."""
    url = vendor(floor="brisk", accesskey="5e5ame-key", faults="nth=3:http500@poll,nth=5:ret600")
    file = config(source={"url": url, "accesskey": "5e5ame-key", "poll_interval": 0.1})
    kept = tmp_path / name
    with Process("record", "--config", file, "--source", "floor", "--out", kept) as process:
        eventually(lambda: kept.exists() and kept.stat().st_size > 20_000 // (8 if name.endswith("gz") else 1), "rows")
        process.signal(signal.SIGINT)
        done = process.end()
    assert done.code == 0
    count = int(done.out.split()[0])
    raw = gzip.decompress(kept.read_bytes()) if name.endswith("gz") else kept.read_bytes()
    answers = [json.loads(line) for line in raw.splitlines()]
    assert len(answers) == count
    assert set(answers[0]) == {"source", "requested_at", "answered_at", "status", "body"}
    assert {item["status"] for item in answers} == {200, 500}
    assert "5e5ame" not in raw.decode() + done.text
    replayed = cli("replay", kept)
    assert replayed.code == 0
    assert "first_seen" in replayed.out


def test_a_vendor_that_refuses_ends_a_recording_with_3(
    cli: Cli, config: WriteConfig, vendor: StartVendor, tmp_path: Path
) -> None:
    """There is nothing to wait for."""
    file = config(source={"url": vendor(), "accesskey": "wr0ng-key"})
    done = cli("record", "--config", file, "--source", "floor", "--out", tmp_path / "kept.jsonl")
    assert done.code == 3
    assert "the accesskey or the appid may be wrong" in done.err.splitlines()[-1]
    assert "wr0ng-key" not in done.text


def test_a_vendor_that_is_away_is_waited_for(config: WriteConfig, tmp_path: Path) -> None:
    """One warning, no end, until a signal comes."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    file = config(source={"url": f"http://127.0.0.1:{port}", "poll_interval": 0.1})
    with Process("record", "--config", file, "--source", "floor", "--out", tmp_path / "kept.jsonl") as process:
        process.until("poll failed")
        process.signal(signal.SIGTERM)
        done = process.end()
    assert (done.code, done.out.split()[0]) == (0, "0")
    assert done.err.count("poll failed") == 1


def test_a_source_or_file_that_cannot_be_is_refused(cli: Cli, config: WriteConfig, tmp_path: Path) -> None:
    """Exit code 2, with what there is."""
    done = cli("record", "--config", config(), "--source", "flor", "--out", tmp_path / "kept.jsonl")
    assert (done.code, done.err) == (2, "streamer: --source flor: no such source; the file has: floor\n")
    done = cli("record", "--config", config(), "--source", "floor", "--out", tmp_path / "none" / "kept.jsonl")
    assert done.code == 2
    assert "cannot write" in done.err


def test_a_full_disk_ends_a_recording_and_says_so(cli: Cli, config: WriteConfig, vendor: StartVendor) -> None:
    """Exit code 1: work was left undone."""
    done = cli("record", "--config", config(source={"url": vendor()}), "--source", "floor", "--out", "/dev/full")
    assert done.code == 1
    assert "No space left on device" in done.err.splitlines()[-1]
    assert "Traceback" not in done.err
