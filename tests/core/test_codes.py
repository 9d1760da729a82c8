"""The vendor's codes: every row of the table, and the contract's order of precedence."""

from __future__ import annotations

from itertools import product

import pytest

from streamer.core.codes import BUSIEST, MAPPABLE, State, read

CONTRACT: dict[State, tuple[int, ...]] = {
    "available": (1213, 2, 1212, 1216),
    "ringing": (1214, 1202, 3),
    "talking": (1215, 1204, 4),
    "paused": (1217,),
    "busy": (1203,),
    "idle": (1201, 1),
    "offline": (1200, 1012, 1013, 1014),
    "unknown": (1208, 1210, 1211, 0, -1, 5, 1299, 2**53),
}
SILENT = (1015, 1016, 1017)
MEANING: dict[int, State] = {code: state for state, codes in CONTRACT.items() for code in codes}


@pytest.mark.parametrize(("code", "state"), MEANING.items())
def test_each_code_means_what_the_contract_says_in_either_field(code: int, state: State) -> None:
    """A code alone decides, whether the other field is missing or silent."""
    for other in (None, *SILENT):
        assert read(code, other, {}).state == state
        assert read(other, code, {}).state == state


def test_two_silent_fields_say_nothing() -> None:
    """Registered, enabled and not in a call tell nothing of the agent, alone or together."""
    for state, status in product((None, *SILENT), repeat=2):
        assert read(state, status, {}).state == "unknown"


def _meaning(code: int | None) -> State | None:
    return None if code is None else MEANING.get(code)


def _by_the_contract(state: State | None, status: State | None) -> State:
    """The contract's sentence, clause by clause."""
    clauses: list[tuple[bool, State | None]] = [
        (state in ("talking", "ringing"), state),
        ("offline" in (state, status), "offline"),
        (status in ("talking", "ringing"), status),
        ("paused" in (state, status), "paused"),
        (state is not None, state),
        (status is not None, status),
    ]
    meanings: list[State] = [meaning for holds, meaning in clauses if holds and meaning is not None]
    return meanings[0] if meanings else "unknown"


@pytest.mark.parametrize("state", [*MEANING, *SILENT, None])
def test_precedence_holds_for_every_pair_of_codes(state: int | None) -> None:
    """All combinations of the two fields follow the contract's order."""
    for status in (*MEANING, *SILENT, None):
        expected = _by_the_contract(_meaning(state), _meaning(status))
        assert read(state, status, {}).state == expected, (state, status)


@pytest.mark.parametrize(
    ("state", "status", "expected"),
    [
        (1215, 1200, "talking"),
        (1214, 1217, "ringing"),
        (1213, 1200, "offline"),
        (1200, 1215, "offline"),
        (1217, 1204, "talking"),
        (1213, 1217, "paused"),
        (1217, 1213, "paused"),
        (1213, 1203, "available"),
        (1201, 1213, "idle"),
        (1016, 1203, "busy"),
        (1299, 1213, "unknown"),
    ],
)
def test_examples_of_precedence(state: int, status: int, expected: State) -> None:
    """One pair for each clause, spelled out."""
    assert read(state, status, {}).state == expected


def test_the_operators_own_mapping_comes_before_the_table() -> None:
    """Own codes override known, silent and unknown codes alike, and take part in the precedence."""
    own: dict[int, State] = {1216: "paused", 1016: "idle", 1299: "talking"}
    assert read(1216, 1213, own).state == "paused"
    assert read(1213, 1216, own).state == "paused"
    assert read(1016, 1213, own).state == "idle"
    assert read(1299, 1200, own).state == "talking"
    assert read(1212, 1213, own).state == "available"


def test_the_busiest_state_is_ranked_as_the_contract_lists_it() -> None:
    """talking > ringing > busy > wrap_up > paused > available > idle > unknown > offline, and then no seat at all."""
    listed = "talking ringing busy wrap_up paused available idle unknown offline signed_out"
    assert sorted(BUSIEST, key=lambda state: BUSIEST[state]) == listed.split()


def test_no_code_may_stand_for_what_is_never_read_from_one() -> None:
    """wrap_up is derived and signed_out is an absence."""
    assert set(BUSIEST) - MAPPABLE == {"wrap_up", "signed_out"}
