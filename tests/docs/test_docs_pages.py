"""What the pages say that can be asked without running anything: links, names, defaults, examples."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

import pytest

from streamer.cli import main
from streamer.config import Config
from streamer.configure import SECTIONS, Source, build
from tests.docs import events_page
from tests.docs.pages import PAGES, ROOT, Block, anchors, blocks, commands, links, ours, prose, spans
from tests.validation import validate

LANGUAGES = {"sh", "console", "python", "toml", "json", "typescript", "xml", "java", ""}
"""Of a block; one without a language is a picture."""


def test_every_block_is_of_a_kind_that_is_tested() -> None:
    """Another language would be looked at by no test."""
    assert [str(block) for block in blocks() if block.language not in LANGUAGES] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page: Path) -> None:
    """Files of ours exist, and so do the headings within them; addresses elsewhere are complete."""
    for target in links(page):
        if re.match(r"https?://", target):
            continue
        path, _, anchor = target.partition("#")
        there = (page.parent / path).resolve() if path else page
        assert there.exists(), target
        assert there.is_relative_to(ROOT), target
        if anchor:
            assert anchor in anchors(there), target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_no_page_is_out_of_reach(page: Path) -> None:
    """Each page in docs/ is linked from another one."""
    linked = {(p.parent / t.partition("#")[0]).resolve() for p in PAGES if p != page for t in links(p)}
    assert page in linked | {ROOT / "README.md"}


def test_the_records_page_is_what_the_schemas_say() -> None:
    """`python -m tests.docs.events_page` writes it anew."""
    assert events_page.PAGE.read_text("utf-8") == events_page.page()


@pytest.mark.parametrize("block", blocks("json"), ids=str)
def test_every_record_shown_is_a_valid_one(block: Block) -> None:
    """JSON with a `type` is a record of ours; other JSON is JSON."""
    shown = json.loads(block.text)
    if isinstance(shown, dict) and "type" in shown:
        validate(block.text.encode())


@pytest.mark.parametrize("block", blocks("toml"), ids=str)
def test_every_configuration_shown_can_be_used(block: Block) -> None:
    """Also a part of one: then with a source added."""
    raw = tomllib.loads(block.text)
    raw.setdefault("sources", [{"name": "floor", "url": "http://vendor", "token": "t"}])
    build(raw, {}, needs=())


def shown_commands() -> list[str]:
    """Commands of ours in blocks of every kind and within the text."""
    found = [command for block in blocks("sh", "console") for command in commands(block)]
    found += [span for page in PAGES for span in spans(page) if span.startswith("streamer ")]
    return sorted({command for command in found if ours(command)})


@pytest.mark.parametrize("command", shown_commands())
def test_every_command_shown_exists_with_its_options(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """By the command line's own help."""
    name, *arguments = ours(command)
    if re.fullmatch(r"[A-Z]+|…", name):
        return  # stands for any of them
    inner = [word for word in arguments[:1] if re.fullmatch("[a-z]+", word)]  # `audit verify`
    with pytest.raises(SystemExit) as ended:
        main([name, *inner, "--help"])
    assert ended.value.code == 0
    known = capsys.readouterr().out
    for option in (word for word in arguments if word.startswith("--")):
        assert re.search(rf"{re.escape(option.partition('=')[0])}\b", known), option


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_module_named_to_be_run_is_there(page: Path) -> None:
    """`python -m` and what follows, with options that its source knows."""
    for span in spans(page):
        if named := re.match(r"python -m ((?:benchmarks|tests)[\w.]*)(.*)", span):
            path = ROOT / f"{named[1].replace('.', '/')}.py"
            assert path.is_file(), span
            for option in re.findall(r"--[a-z-]+", named[2]):
                assert option in path.read_text("utf-8"), span


def configuration_table() -> list[tuple[str, str]]:
    """README's rows: section, and its cell."""
    text = prose(ROOT / "README.md")
    table = text[text.index("| section | keys") :].split("\n\n")[0]
    return re.findall(r"^\| ((?:`\[+\w+\]+` ?)+|top level) \| (.*) \|$", table, re.MULTILINE)


def test_the_configuration_table_names_no_key_that_does_not_exist() -> None:
    """`_env` and `_file` are endings; a key with a `*` stands for those that begin so."""
    fields = {name for model in (*SECTIONS.values(), Source, Config) for name in model.model_fields}
    for head, cell in configuration_table():
        sections = re.findall(r"\[(\w+)\]", head)
        assert all(section in SECTIONS or section == "sources" for section in sections)
        for key in re.findall(r"`([a-z_]+\*?)`", cell):
            assert any(re.fullmatch(key.replace("*", ".*"), name) or name.endswith(key) for name in fields), key


def test_every_default_in_the_configuration_table_is_the_real_one() -> None:
    """A value that stands right after a key is its default."""
    checked = 0
    for head, cell in configuration_table():
        sections = re.findall(r"\[(\w+)\]", head)
        models = [Source if name == "sources" else SECTIONS[name] for name in sections] or [Config]
        for key, value in re.findall(r'`([a-z_]+)` (?:of )?("[^"]+"|[\w./:-]+)', cell):
            fields = [model.model_fields[key] for model in models if key in model.model_fields]
            if not fields or value in ("and", "with", "or", "until", "where", "that", "stays"):
                continue
            checked += 1
            assert shown(fields[0].default, value), f"{key}: {value} is not {fields[0].default!r}"
    assert checked >= 20


def shown(default: object, value: str) -> bool:
    """May `value` stand for this default on the page?"""
    sizes = {"MiB": 2**20, "d": 86_400}
    if isinstance(default, bool):
        return value == str(default).lower()
    if isinstance(default, int | float):
        number = re.fullmatch(r"([\d.]+) ?(MiB|d)?", value.strip('".:;'))
        return number is not None and float(number[1]) * sizes.get(number[2] or "", 1) == float(default)
    return value.strip('".;') == str(default)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_test_named_as_proof_exists(page: Path) -> None:
    """In the file that the link leads to."""
    text = prose(page)
    linked = re.findall(r"\[`(test_\w+)`\]\(([^)#]+)\)", text)
    for name, target in linked:
        assert f"def {name}(" in (page.parent / target).read_text("utf-8"), name
    assert set(re.findall(r"`(test_[a-z0-9_]+)`", text)) == {name for name, _ in linked}, "named without its file"
