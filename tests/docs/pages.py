"""The project's pages: their fenced blocks, links, anchors and commands."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

if not (ROOT / "docs").is_dir():
    pytest.skip("the pages are not here", allow_module_level=True)

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """A fenced block of a page."""

    page: Path
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks(*languages: str) -> list[Block]:
    """All blocks in one of these languages; without any, all there are."""
    found = [block for page in PAGES for block in _blocks(page)]
    return [block for block in found if not languages or block.language in languages]


def _blocks(page: Path) -> Iterator[Block]:
    text = page.read_text("utf-8")
    for match in _FENCE.finditer(text):
        yield Block(page, text.count("\n", 0, match.start()) + 1, match[1], match[2])


def prose(page: Path) -> str:
    """A page without its blocks."""
    return _FENCE.sub("", page.read_text("utf-8"))


def commands(block: Block) -> list[str]:
    """The commands of a shell block, one by one: those joined by `&&` apart, comments and prompts taken off."""
    lines = re.sub(r"\\\n\s*", " ", block.text).splitlines()
    whole = [re.sub(r"(^|\s)#.*", "", line).strip().removeprefix("$ ") for line in lines]
    return [command for line in whole for command in line.split(" && ") if command]


def ours(command: str) -> list[str]:
    """The arguments of a command if it is `streamer`'s, else none."""
    words = shlex.split(command)
    return words[1:] if words and words[0].removeprefix(".venv/bin/") == "streamer" else []


def anchors(page: Path) -> set[str]:
    """What a link into the page may name after `#`."""
    headings = re.findall(r"^#+ (.*)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def links(page: Path) -> list[str]:
    """Every target of a link or picture."""
    return re.findall(r"\]\(([^)\s]+)\)", prose(page))


def spans(page: Path) -> list[str]:
    """Every piece of code within the text."""
    return re.findall(r"`([^`\n]+)`", prose(page))
