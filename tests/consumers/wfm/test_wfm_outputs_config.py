"""What `[[wfm.outputs]]` and the file of agents may say; what is wrong is named with its place, secrets never shown."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from streamer.cli import main
from streamer.config.outputs import Output
from streamer.configure import build
from streamer.consumers.wfm.outputs.agents import read
from streamer.errors import ConfigError

KINDS = ("teleopti_json", "teleopti_soap", "push")


def made(env: dict[str, str] | None = None, *, needed: bool = True, **changes: Any) -> Output:
    output = {"name": "desk", "kind": "push", "url": "https://wfm", "key": "k", "agents": "agents.csv", **changes}
    raw = {"wfm": {"path": "wfm.db", "outputs": [{k: v for k, v in output.items() if v is not None}]}}
    config = build(raw, env or {}, where="streamer.toml", needs=("outputs",) if needed else ())
    assert config.wfm
    return config.wfm.outputs[0]


def refused(**changes: Any) -> str:
    with pytest.raises(ConfigError) as error:
        made(**changes)
    assert "s3cret" not in str(error.value)
    return str(error.value)


def test_the_key_comes_from_a_variable_or_a_file(tmp_path: Path) -> None:
    """A variable of any name, also one that looks like a key of ours; never needed by those who send nothing."""
    assert made({"STREAMER_DESK_KEY": "s3cret"}, key=None, key_env="STREAMER_DESK_KEY").key
    file = tmp_path / "key"
    file.write_text("s3cret\n")
    found = made(key=None, key_file=str(file))
    assert found.key
    assert found.key.get_secret_value() == "s3cret"
    assert "s3cret" not in repr(found)
    made(key=None, key_env="NOT_SET", needed=False)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"key": "s3cret", "key_env": "B_C"}, ["wfm.outputs.desk", "key and key_env exclude each other"]),
        ({"key": None, "key_env": "NOT_SET"}, ["wfm.outputs.desk.key_env", "NOT_SET is not set"]),
        ({"key": None, "kind": "teleopti_json"}, ["streamer.toml", "wfm.outputs.desk.key: missing"]),
        ({"key": None, "kind": "teleopti_soap"}, ["wfm.outputs.desk.key: missing"]),
        ({"key": "s3cret\nX-Evil: 1"}, ["wfm.outputs.desk.key: must be one line of printable characters"]),
        ({"key": " "}, ["wfm.outputs.desk.key: must be one line of printable characters"]),
        ({"url": "http://wfm.example.com"}, ["wfm.outputs.desk.url", "https"]),
        ({"url": "https://me:s3cret@wfm"}, ["wfm.outputs.desk.url", "no password"]),
        ({"url": "wfm.example.com"}, ["wfm.outputs.desk.url", "http://host:port"]),
        ({"kind": "verint"}, ["wfm.outputs.desk.kind"]),
        ({"states": {"taking": "X"}}, ["wfm.outputs.desk.states", "'taking'", "talking"]),
        ({"states": {"talking": "X" * 25}}, ["wfm.outputs.desk.states.talking", "24"]),
        ({"reasons": {"lunch": "X"}}, ["wfm.outputs.desk.reasons", "'lunch'"]),
        ({"default": ""}, ["wfm.outputs.desk.default"]),
        ({"statez": {}}, ["wfm.outputs.desk.statez: unknown key", "did you mean 'states'?"]),
        ({"agents": None}, ["wfm.outputs.desk.agents: missing"]),
    ],
)
def test_what_cannot_be_used_is_named_with_its_place(changes: dict[str, Any], words: list[str]) -> None:
    """By the output's name, not by its number."""
    message = refused(**changes)
    assert all(word in message for word in words), message


def test_two_outputs_of_one_name_are_refused() -> None:
    """What waits for an output is kept by its name."""
    one = {"name": "desk", "kind": "push", "url": "https://wfm", "agents": "a.csv"}
    with pytest.raises(ConfigError, match="two outputs are called 'desk'"):
        build({"wfm": {"path": "w", "outputs": [one, one]}}, {}, needs=())


def test_http_is_for_this_machine_and_for_older_receivers() -> None:
    """The push is refused in plain text; the others are warned of."""
    assert not made(url="http://127.0.0.1:8000/x").plain
    assert made(url="http://wfm.example.com", kind="teleopti_soap").plain


def test_codes_of_states_without_one() -> None:
    """The default, also for states that we do not know yet; who is signed out has a code of its own."""
    output = made(states={"talking": "ON CALL"}, default="OTHER")
    assert [output.code(state) for state in ("talking", "paused", "dancing", "signed_out")] == [
        "ON CALL",
        "OTHER",
        "OTHER",
        "LOGGED-OFF",
    ]


def test_the_file_of_agents_is_read(tmp_path: Path) -> None:
    """As spreadsheets write it: with a byte order mark, quotes, spaces and empty lines."""
    file = tmp_path / "agents.csv"
    file.write_text('\ufeffsource,extension,id\r\nfloor,100001,"A, 1"\r\n\r\nfloor, 100002 ,A2\r\n', "utf-8")
    assert read(file) == {("floor", "100001"): "A, 1", ("floor", "100002"): "A2"}


HEAD = b"source,extension,id\n"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"", "line 1: it must be source,extension,id"),
        (b"extension,id\n1,2\n", "line 1: it must be source,extension,id"),
        (HEAD, "there is no agent in it"),
        (HEAD + b"floor,1,A\nfloor,2\n", "line 3: it has not three values"),
        (HEAD + b"floor,1,A\n\nfloor,2, \n", "line 4: it has not three values"),
        (HEAD + b"floor,1,A\nfloor,1,B\n", "line 3: extension 1 of floor has an id already"),
        (HEAD + b"floor,1,A\nfloor,2,A\n", "line 3: the id is that of line 2 already"),
        (HEAD + b"floor,1,A\x01\n", "line 2: the id has a character that cannot be printed"),
        (HEAD + b"floor,1,\xff\n", "it is no CSV file in UTF-8"),
        (HEAD + b'floor,1,"A\n', "it is no CSV file in UTF-8"),
    ],
)
def test_what_is_wrong_with_the_agents_is_named_with_its_line(tmp_path: Path, text: bytes, words: str) -> None:
    """A wrong id would tell of another agent."""
    file = tmp_path / "agents.csv"
    file.write_bytes(text)
    with pytest.raises(ConfigError) as error:
        read(file)
    assert words in str(error.value)
    assert str(file) in str(error.value)


def test_agents_that_are_not_there_are_named(tmp_path: Path) -> None:
    """By their path."""
    with pytest.raises(ConfigError, match=r"none\.csv: No such file"):
        read(tmp_path / "none.csv")


def test_the_service_needs_the_outputs_keys(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Otherwise receivers would be sent what stands for a key."""
    file = tmp_path / "streamer.toml"
    output = 'name = "desk"\nkind = "push"\nurl = "https://wfm"\nkey_env = "DESK_KEY_NOT_SET"\nagents = "a.csv"\n'
    source = '[[sources]]\nname = "floor"\nurl = "http://vendor"\ntoken = "t"\n'
    file.write_text(f'{source}[wfm]\npath = "{tmp_path}/wfm.db"\n[[wfm.outputs]]\n{output}')
    assert main(["wfm", "run", "--config", str(file)]) == 2
    assert "DESK_KEY_NOT_SET is not set" in capsys.readouterr().err
