"""The vendor's numbers and what they say about an agent.

Source: the vendor's public code tables and the contract's states. The tables are the rules; the function below only
walks them in the contract's order of precedence.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple

State = Literal[
    "available",
    "ringing",
    "talking",
    "wrap_up",
    "paused",
    "busy",
    "idle",
    "offline",
    "signed_out",
    "unknown",
]

TABLE: Mapping[int, State] = {
    1: "idle",
    2: "available",
    3: "ringing",
    4: "talking",
    1012: "offline",
    1013: "offline",
    1014: "offline",
    1200: "offline",
    1201: "idle",
    1202: "ringing",
    1203: "busy",
    1204: "talking",
    1212: "available",
    1213: "available",
    1214: "ringing",
    1215: "talking",
    1216: "available",
    1217: "paused",
}

SILENT = frozenset({1015, 1016, 1017})
"""Codes about the telephone that say nothing about the agent: the other field decides."""

IN_CALL: frozenset[State] = frozenset({"talking", "ringing"})

BUSIEST: Mapping[State, int] = {
    state: rank
    for rank, state in enumerate(
        (
            "talking",
            "ringing",
            "busy",
            "wrap_up",
            "paused",
            "available",
            "idle",
            "unknown",
            "offline",
            "signed_out",
        )
    )
}
"""Rank of each state when an extension holds several seats; 0 is the busiest."""

MAPPABLE: frozenset[str] = frozenset(BUSIEST) - {"wrap_up", "signed_out"}
"""States that an operator's own `codes` may name: the other two are never read from a code."""


OUTSIDE_QUEUE = frozenset({1202, 1204})
"""What `status` shows of a telephone in a call, from the queue or not."""


class Meaning(NamedTuple):
    """What a row's two codes say: its state, and what it would be without the queue's call (`status`).

    The two differ exactly while the queue's call rings or is talked on. A break or a lost telephone shows in
    `status` all the while; what else there is behind a call cannot be seen and counts as available.
    """

    state: State
    status: State


def read(state_code: int | None, status_code: int | None, own: Mapping[int, State]) -> Meaning:
    """What one row's two codes stand for.

    Precedence (contract): `state` in a call; then offline in either; then `status` in a call; then paused in either;
    then the rest of `state`; then the rest of `status`. `own` overrides the table. A code in no table is `unknown`.
    """
    state = _meaning(state_code, own)
    status = _meaning(status_code, own)
    behind: State = "available"
    if "offline" in (state, status):
        behind = "offline"
    elif "paused" in (state, status):
        behind = "paused"
    if state in IN_CALL:
        return Meaning(state, behind)
    if behind == "offline":
        return Meaning(behind, behind)
    if status in IN_CALL:
        # A telephone that talks while the queue's state knows of no call: a call outside the queue.
        outside = status_code in OUTSIDE_QUEUE and state not in (None, "unknown")
        return Meaning(status, status if outside else behind)
    plain = behind if behind == "paused" else state or status or "unknown"
    return Meaning(plain, plain)


def _meaning(code: int | None, own: Mapping[int, State]) -> State | None:
    if code is None:
        return None
    if code in own:
        return own[code]
    return None if code in SILENT else TABLE.get(code, "unknown")
