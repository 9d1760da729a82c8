"""Valid records of every kind, from the schemas' own examples, and ways to edit a copy of one."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, cast

from tests.validation import Record, faults_of, published

KINDS = ("AgentStateChanged", "AgentState", "FeedStatus", "RejectedRecord")
Edit = Callable[[Record], object]


def examples(kind: str) -> list[Record]:
    """The examples of one type of record; not to be changed."""
    return cast(list[Record], published()[kind]["examples"])


def example(change: str) -> Record:
    """A fresh copy of the first example of one change."""
    return copy.deepcopy(next(e for e in examples("AgentStateChanged") if e["change"] == change))


def put(name: str, value: Any) -> Edit:
    """An edit that sets one field, given by its path."""
    *parents, last = name.split(".")

    def edit(record: Record) -> None:
        part: Any = record
        for step in parents:
            part = part[int(step)] if step.isdigit() else part[step]
        part[last] = value

    return edit


def drop(name: str) -> Edit:
    """An edit that takes one field away."""
    return lambda record: record.pop(name)


def faults(record: Record, *edits: Edit) -> list[str]:
    """The paths at which an edited copy of a record is at fault."""
    broken = copy.deepcopy(record)
    for edit in edits:
        edit(broken)
    return [where for where, _ in faults_of(broken)]
