"""The published schemas: they stand alone, admit what the contract describes, and are found by name."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import jsonschema_rs
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer import schemas
from streamer.errors import ConfigError
from tests.sample_records import KINDS, drop, example, examples, faults, put
from tests.validation import Record, published, validate

CHANGES = ("first_seen", "signed_in", "state", "groups", "signed_out")
OPTIONAL = {"joined", "left", "gap_s"}


def objects(value: Any) -> Iterator[Any]:
    """All objects within a JSON value, itself included."""
    if isinstance(value, dict):
        yield value
    parts: Any = cast(Any, value).values() if isinstance(value, dict) else value
    for part in parts if isinstance(value, dict | list) else ():
        yield from objects(part)


ALL_EXAMPLES = [pytest.param(e, id=f"{kind}-{n}") for kind in KINDS for n, e in enumerate(examples(kind))]
REQUIRED = [(kind, name) for kind in KINDS for name in published()[kind]["required"]]


def test_each_record_of_the_contract_has_a_schema():
    """The four records of the contract, and no other, have a schema; the title is the record's type."""
    assert sorted(published()) == sorted(KINDS)
    assert schemas.names() == [
        "agent-state-1.0",
        "agent-state-changed-1.0",
        "feed-status-1.0",
        "rejected-record-1.0",
    ]


@pytest.mark.parametrize("name", schemas.names())
def test_schema_is_valid_json_schema_2020_12(name: str):
    """A schema obeys the meta-schema, and its id tells its name and version."""
    schema = schemas.load(name)
    family, _, version = name.rpartition("-")
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema["$id"] == f"urn:streamer:schema:{family}:{version}"
    jsonschema_rs.meta.validate(schema)


@pytest.mark.parametrize("name", schemas.names())
def test_every_part_is_described_and_open_to_additions(name: str):
    """Each field and definition says what it means, and each object takes fields that are added later."""
    schema = schemas.load(name)
    named = [schema, *schema["$defs"].values()]
    for part in named:
        assert part["description"]
        assert part.get("additionalProperties", part.get("type") != "object") is True
        for field in part.get("properties", {}).values():
            target = schema["$defs"][field["$ref"].rpartition("/")[2]] if "$ref" in field else field
            assert field.get("description") or target["description"]


@pytest.mark.parametrize("name", schemas.names())
def test_definitions_are_used_and_found(name: str):
    """A schema stands alone: every reference has its definition in the file, and no definition is idle."""
    schema = schemas.load(name)
    used = {part["$ref"] for part in objects(schema) if "$ref" in part}
    assert used == {f"#/$defs/{definition}" for definition in schema["$defs"]}


def test_shared_definitions_are_the_same_in_each_file():
    """A definition that several files repeat says the same in all of them."""
    seen: dict[str, Any] = {}
    for schema in published().values():
        for name, definition in schema["$defs"].items():
            assert seen.setdefault(name, definition) == definition, name


@pytest.mark.parametrize("record", ALL_EXAMPLES)
def test_example_is_valid(record: Record):
    """Every example in a schema is a valid record, as a dict and as bytes."""
    validate(record)
    validate(orjson.dumps(record))


def test_each_change_basis_and_status_kind_has_an_example():
    """The examples show every change and basis of an event, and both kinds of rejection."""
    events = examples("AgentStateChanged")
    assert {e["change"] for e in events} == set(CHANGES)
    assert {e["basis"] for e in events} == {"observed", "inferred", "derived"}
    assert {e["kind"] for e in examples("RejectedRecord")} == {"row", "body"}


@pytest.mark.parametrize(("kind", "name"), REQUIRED)
def test_dropping_a_required_field_fails(kind: str, name: str):
    """No example stays valid without one of the required fields."""
    assert all(faults(record, drop(name)) for record in examples(kind))


@pytest.mark.parametrize("name", list(published()["AgentStateChanged"]["$defs"]["group"]["required"]))
def test_dropping_a_field_of_a_group_fails(name: str):
    """No item of `groups` is valid without one of its fields."""
    assert faults(example("state"), lambda record: record["groups"][0].pop(name)) == ["groups[0]"]


def test_only_what_few_events_have_is_optional():
    """Every field of the contract is required, but for the groups that only some events name, and the gap."""
    optional = {kind: set(schema["properties"]) - set(schema["required"]) for kind, schema in published().items()}
    assert optional == {kind: OPTIONAL if kind == "AgentStateChanged" else set() for kind in KINDS}


@given(
    record=st.sampled_from([e for kind in KINDS for e in examples(kind)]),
    name=st.text(min_size=1).filter(lambda name: not any(name in s["properties"] for s in published().values())),
    value=st.none() | st.booleans() | st.integers() | st.text() | st.lists(st.integers()),
)
def test_unknown_fields_are_admitted(record: Record, name: str, value: Any):
    """A record with a field that was added later is still valid."""
    validate({**record, name: value})


@given(record=st.sampled_from([e for kind in KINDS for e in examples(kind)]), data=st.data())
def test_field_of_another_type_fails(record: Record, data: st.DataObject):
    """No field takes a value of a type that no field has at that place."""
    name = data.draw(st.sampled_from(sorted(record)))
    wrong: Any = True if not isinstance(record[name], bool) else "text"
    assert faults(record, put(name, wrong))


@pytest.mark.parametrize("name", schemas.names())
def test_schema_is_found_with_and_without_its_version(name: str):
    """A name without its version means the newest; the text is the file as published."""
    family = name.rpartition("-")[0]
    assert schemas.load(family) == schemas.load(name) == orjson.loads(schemas.text(name))
    assert schemas.text(name) == (Path(__file__).parent.parent / "schemas" / f"{name}.json").read_text()


@pytest.mark.parametrize("name", ["agent-state-9.9", "agent", "", "../pyproject", "agent-state-1.0.json"])
def test_unknown_name_is_an_error_that_lists_the_known_ones(name: str):
    """Who asks for a schema that is not published is told which ones are."""
    with pytest.raises(ConfigError, match=r"there is no schema .*; use one of agent-state-1\.0, "):
        schemas.load(name)


def test_directory_of_published_schemas_is_compatible(tmp_path: Path):
    """Copies of the current schemas, named with or without a version, pass; other files are not looked at."""
    for name in schemas.names():
        (tmp_path / f"{name}.json").write_text(schemas.text(name))
        (tmp_path / f"{name.rpartition('-')[0]}.json").write_text(schemas.text(name))
    (tmp_path / "README.md").write_text("older ones")
    assert schemas.check_directory(tmp_path) == []


def test_directory_findings_name_the_file_and_the_field(tmp_path: Path):
    """A finding in a directory begins with the older file."""
    old = schemas.load("agent-state-changed")
    old["required"].append("joined")
    (tmp_path / "agent-state-changed-0.9.json").write_text(orjson.dumps(old).decode())
    assert schemas.check_directory(tmp_path) == [
        "agent-state-changed-0.9.json: AgentStateChanged: joined: is no longer required; "
        "readers of the older schema do not expect that"
    ]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (
            "agent-state-1.0.json",
            b'{"properties": {"a": 3}}',
            r"is not a JSON Schema: 3 stands where a schema",
        ),
        ("agent-state-1.0.json", b"{", r"is not JSON: .*; restore the file"),
        ("agent-state-1.0.json", b'"\xff"', r"is not JSON: .*; restore the file"),
        ("agent-state-1.0.json", b"[" * 100_000, r"is not JSON: .*; restore the file"),
        ("agent-state-1.0.json", b"[]", r"is not a JSON Schema: it describes no record"),
        ("agent-state-1.0.json", b'{"a": 1}', r"is not a JSON Schema: it describes no record"),
        (
            "call-ended-1.0.json",
            b"{}",
            r"has no current counterpart; name it after .*: agent-state, agent-state-",
        ),
        ("schema.txt", b"{}", r"holds no \*\.json; name the directory"),
    ],
)
def test_unusable_directory_is_a_configuration_error(tmp_path: Path, name: str, content: bytes, message: str):
    """A file that cannot be compared ends the check with the file, the reason and the remedy."""
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ConfigError, match=message):
        schemas.check_directory(tmp_path)


def test_missing_empty_and_false_directories_are_configuration_errors(tmp_path: Path):
    """So does a directory that is not there, holds nothing or is none."""
    with pytest.raises(ConfigError, match=r"holds no \*\.json"):
        schemas.check_directory(tmp_path)
    with pytest.raises(ConfigError, match=r"cannot read the directory .*none: No such file"):
        schemas.check_directory(tmp_path / "none")
    (tmp_path / "agent-state-1.0.json").mkdir()
    with pytest.raises(ConfigError, match=r"cannot read .*agent-state-1\.0\.json: Is a directory"):
        schemas.check_directory(tmp_path)
    with pytest.raises(ConfigError, match=r"cannot read the directory .*: Not a directory"):
        schemas.check_directory(Path(__file__))


def released(tmp_path: Path, name: str, edit: Callable[[Record], object]) -> subprocess.CompletedProcess[str]:
    """`streamer schemas --check` over all versions, in a copy of the project that has one more: a newest, edited."""
    root = Path(__file__).parent.parent
    for part in ("streamer", "schemas"):
        shutil.copytree(root / part, tmp_path / part, ignore=shutil.ignore_patterns("__pycache__"))
    schema = schemas.load(name)
    edit(schema)
    (tmp_path / "schemas" / f"{name}-1.10.json").write_text(orjson.dumps(schema).decode())
    command = [sys.executable, "-m", "streamer", "schemas", "--check", "schemas"]
    return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)


def test_every_published_version_goes_together_with_the_newest_of_its_family():
    """The files are all kept, so that a release is checked against each of them."""
    assert schemas.check_directory(Path(__file__).parent.parent / "schemas") == []


def test_a_release_with_a_new_optional_field_passes_the_check(tmp_path: Path):
    """And the command says so."""
    done = released(tmp_path, "agent-state-changed", put("properties.mood", {"type": "string"}))
    assert (done.returncode, done.stdout, done.stderr) == (0, "compatible with every schema in schemas\n", "")


def without_basis(schema: Record) -> None:
    """A field taken away."""
    del schema["properties"]["basis"]


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (without_basis, "basis: was removed; readers of the older schema do not expect that"),
        (put("properties.groups.maxItems", 9), "groups: maxItems changed from absent to 9; records already written"),
    ],
)
def test_a_release_that_breaks_a_reader_fails_the_check(tmp_path: Path, edit: Callable[[Record], object], words: str):
    """Exit code 1; each finding names the older file, the record and the field."""
    done = released(tmp_path, "agent-state-changed", edit)
    assert done.returncode == 1
    assert f"agent-state-changed-1.0.json: AgentStateChanged: {words}" in done.stdout
    assert "incompatible changes; make the field optional, or raise schema_version" in done.stderr
