"""What verification found: two verdicts, each with what stands against it, named to the file and entry."""

from __future__ import annotations

import msgspec

SHOWN = 200
"""Troubles of a verdict that are listed; of more, only the number is told."""


class Trouble(msgspec.Struct, frozen=True, omit_defaults=True):
    """Something that is not as it was signed, or not complete."""

    text: str
    file: str | None = None
    partition: int | None = None
    entry: int | None = None
    checkpoint: int | None = None
    key: str | None = None


class Verdict(msgspec.Struct):
    """`ok` unless there is trouble. `count`: how many troubles there are, which may be more than are listed."""

    ok: bool = True
    count: int = 0
    troubles: list[Trouble] = []

    def add(self, trouble: Trouble) -> None:
        """Something stands against it."""
        self.ok = False
        self.count += 1
        if len(self.troubles) < SHOWN:
            self.troubles.append(trouble)


class Report(msgspec.Struct):
    """`covered` entries are signed, `uncovered` ones were written since the last checkpoint.

    `checkpoint`, `at`: the newest one. `anchor`: the newest on the topic, where that was asked. `complete_until`: by
    source, what the newest checkpoint signed. `began_within`: extensions whose record begins within an epoch that is
    older than the trail. `notes`: what is worth knowing, and no trouble.
    """

    integrity: Verdict
    completeness: Verdict
    entries: int = 0
    events: int = 0
    covered: int = 0
    uncovered: int = 0
    checkpoint: int = 0
    at: str | None = None
    anchor: int | None = None
    anchored: bool = False
    files: int = 0
    erased: int = 0
    began_within: int = 0
    complete_until: dict[str, str] = {}
    notes: list[str] = []

    @property
    def ok(self) -> bool:
        """Is all in order?"""
        return self.integrity.ok and self.completeness.ok
