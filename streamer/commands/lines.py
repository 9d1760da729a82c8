"""Records as lines for people. Names come from the vendor: they are escaped, so that they cannot paint the terminal."""

from __future__ import annotations

from typing import Any

from rich.markup import escape

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


def clean(text: str) -> str:
    """`text` without control characters and without markup."""
    return escape("".join(c if c.isprintable() else "·" for c in text))


def paint(state: str) -> str:
    """The state in its colour."""
    return f"[{COLOURS.get(state, 'white')}]{clean(state)}[/]"


def event_line(event: dict[str, Any]) -> str:
    """One event: when, who, what, how long it was before, and how we know."""
    previous, current = event["previous"], event["current"]
    before = paint(previous["state"]) if previous else "·"
    took = event["previous_duration_s"]
    parts = [
        f"[dim]{clean(event['occurred_at'])}[/]",
        f"{clean(event['source'])}/[bold]{clean(event['extension'])}[/]",
        f"{before} → {paint(current['state'])}",
    ]
    if took is not None:
        parts.append(f"[dim]after {took:.1f} s[/]")
    if event["change"] != "state":
        parts.append(f"[cyan]{clean(event['change'])}[/]")
    parts += [f"{word} {clean(', '.join(event[word]))}" for word in ("joined", "left") if event.get(word)]
    if event["basis"] != "observed":
        parts.append(f"[magenta]{clean(event['basis'])}[/]")
    return "  ".join(parts)


def state_line(state: dict[str, Any]) -> str:
    """One extension's current state."""
    groups = ", ".join(group["name"] for group in state["groups"])
    return "  ".join(
        (
            f"{clean(state['source'])}/[bold]{clean(state['extension'])}[/]",
            paint(state["state"]),
            f"[dim]since {clean(state['since'])}[/]",
            clean(groups),
            clean(state["agent"]),
        )
    )
