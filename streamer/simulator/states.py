"""The vendor's codes and the contract's states: the simulator's own reading of both documents.

Within a row: `state` talking or ringing; then offline in either code; then `status` talking or ringing; then
paused in either; then the rest of `state`; then the rest of `status`. 1015, 1016 and 1017 say nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache

IDLE, WAITING, RECEIVING, TALKING = 1201, 1213, 1214, 1215
NOT_ANSWERED, REJECTED, PAUSED = 1212, 1216, 1217
OFFLINE, NOT_REGISTERED, IN_A_CALL = 1200, 1014, 1204

SIGNED_OUT = "signed_out"
"""The state of a seat without a row, and of an extension without a seat."""

_MEANING = {
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
_SILENT = frozenset({1015, 1016, 1017})
_ON_A_CALL = frozenset({"talking", "ringing"})
_BUSIEST_FIRST = (
    "talking",
    "ringing",
    "busy",
    "wrap_up",
    "paused",
    "available",
    "idle",
    "unknown",
    "offline",
    SIGNED_OUT,
)
_RANK = {state: rank for rank, state in enumerate(_BUSIEST_FIRST)}


@cache
def row_state(status: int, state: int) -> str:
    """The state that one row's two codes tell; never `wrap_up`, which no code shows."""
    by_status = None if status in _SILENT else _MEANING.get(status, "unknown")
    by_state = None if state in _SILENT else _MEANING.get(state, "unknown")
    either = (by_state, by_status)
    if by_state in _ON_A_CALL:
        return by_state or ""
    if "offline" in either:
        return "offline"
    if by_status in _ON_A_CALL:
        return by_status or ""
    if "paused" in either:
        return "paused"
    return by_state or by_status or "unknown"


def seat_state(status: int, state: int, *, wrapping: bool) -> str:
    """The true state of a seat: as `row_state`, but an available agent whose call ended just now wraps up."""
    shown = row_state(status, state)
    return "wrap_up" if wrapping and shown == "available" else shown


def busiest(states: Iterable[str]) -> str:
    """The state of an extension whose seats are in `states`; `signed_out` when it has none."""
    return min(states, key=_RANK.__getitem__, default=SIGNED_OUT)


def matches_filter(state: int, wanted: int) -> bool:
    """Whether a row's `state` passes the request's filter: 0 all, 1 idle, 2 waiting, 3 ringing, 4 talking."""
    names = {1: "idle", 2: "available", 3: "ringing", 4: "talking"}
    return wanted == 0 or _MEANING.get(state) == names.get(wanted)
