"""Records as lines for people. Names come from the vendor: they are escaped, so that they cannot paint the terminal."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.text import Text

COLOURS = {
    "talking": "green",
    "ringing": "yellow",
    "busy": "magenta",
    "wrap_up": "blue",
    "paused": "dark_orange",
    "available": "bright_green",
    "idle": "bright_black",
    "offline": "red",
    "signed_out": "bright_black",
    "unknown": "bright_red",
}


def clean(text: object) -> str:
    """`text` without control characters."""
    return "".join(c if c.isprintable() else "·" for c in str(text))


def paint(state: str) -> Text:
    """The state in its colour."""
    return Text(clean(state), COLOURS.get(state, "white"))


def event_line(event: Mapping[str, Any]) -> Text:
    """One event: when, who, what, how long it was before, and how we know."""
    previous, current = event["previous"], event["current"]
    took = event["previous_duration_s"]
    parts = [
        Text(clean(event["occurred_at"]), "dim"),
        _who(event),
        Text.assemble(paint(previous["state"]) if previous else "·", " → ", paint(current["state"])),
    ]
    if took is not None:
        parts.append(Text(f"after {took:.1f} s", "dim"))
    if event["change"] != "state":
        parts.append(Text(clean(event["change"]), "cyan"))
    parts += [Text(f"{word} {clean(', '.join(event[word]))}") for word in ("joined", "left") if event.get(word)]
    if event["basis"] != "observed":
        parts.append(Text(clean(event["basis"]), "magenta"))
    return Text("  ").join(parts)


def state_line(state: Mapping[str, Any]) -> Text:
    """One extension's current state."""
    groups = ", ".join(group["name"] for group in state["groups"])
    return Text("  ").join(
        (
            _who(state),
            paint(state["state"]),
            Text(f"since {clean(state['since'])}", "dim"),
            Text(clean(groups)),
            Text(clean(state["agent"])),
        )
    )


def _who(record: Mapping[str, Any]) -> Text:
    return Text.assemble(f"{clean(record['source'])}/", (clean(record["extension"]), "bold"))


class Output(Console):
    """Standard output for people: a reader that went away, as `head` does, is the command line's business."""

    def __init__(self) -> None:
        super().__init__(highlight=False, emoji=False, markup=False, soft_wrap=True)

    def on_broken_pipe(self) -> None:
        """Raise, where the base class would end the process from within."""
        raise BrokenPipeError

    def silence(self) -> None:
        """Nobody reads any more: what is still buffered or written goes nowhere, also at the interpreter's end."""
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())

    @contextmanager
    def to_the_end(self) -> Generator[None]:
        """For what an exit code follows from: who reads no further, as `head` does, still gets that."""
        try:
            yield
            self.file.flush()
        except BrokenPipeError:
            self.silence()

    def write(self, line: bytes) -> None:
        """A line of JSON, as it is; on a terminal with what could paint it as JSON's escapes, which mean the same."""
        text = line.decode()
        if self.is_terminal:
            text = "".join(c if c.isprintable() else json.dumps(c)[1:-1] for c in text)
        self.file.write(text + "\n")
