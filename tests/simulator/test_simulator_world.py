"""A floor keeps its books as the vendor's module does, and its truth agrees with its rows."""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import replace
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamer.simulator.states import busiest, row_state
from streamer.simulator.world import PRESETS, Row, Truth, World, named_floor

START = 1795399205.25
ZONE = ZoneInfo("Asia/Shanghai")
FIELDS = [
    "queuename",
    "seatsname",
    "extnumber",
    "status",
    "state",
    "lastanswertime",
    "lastassigntime",
    "seatschangetime",
    "noanswercount",
    "callsanswered",
    "externalcallscount",
    "wrapuptime",
    "maxnoanswer",
]
Pair = tuple[str, str]


def world_of(name: str, agents: int = 6, seed: int = 0) -> World:
    """A small floor of this preset."""
    return World(named_floor(name, agents=agents), seed, START)


def pair(row: Row) -> Pair:
    """The seat that a row is about."""
    return str(row["extnumber"]), str(row["queuename"])


def number(row: Row, field: str) -> int:
    """A field that holds a number."""
    value = row[field]
    assert isinstance(value, int)
    return value


def stamp(row: Row, field: str) -> int:
    """A stamp as unix seconds; 0 where there is none."""
    text = row[field]
    if not text:
        return 0
    return int(datetime.strptime(str(text), "%Y-%m-%d %H:%M:%S").replace(tzinfo=ZONE).timestamp())


def check_books(before: Row, after: Row, now: float) -> None:
    """What may differ between two rows of a seat, by mod_callcenter's rules."""
    offered, answered, changed = (
        (stamp(before, name), stamp(after, name)) for name in ("lastassigntime", "lastanswertime", "seatschangetime")
    )
    for old, new in (offered, answered, changed):
        assert old <= new <= now, "no stamp goes back or lies ahead"
    calls = number(after, "callsanswered") - number(before, "callsanswered")
    misses = number(after, "noanswercount") - number(before, "noanswercount")
    assert calls >= 0 or changed[0] < changed[1], "only a status restarts the counter"
    if calls > 0:
        assert answered[0] < answered[1], "an answered call moves its stamp"
        assert offered[1] <= answered[1] or after["state"] != 1215, "a call is offered before it is answered"
    if misses > 0:
        assert offered[0] < offered[1] or before["state"] == 1214, "a miss was an offer"
    if misses < 0:
        assert answered[0] < answered[1] or changed[0] < changed[1], "an answer or a status clears misses"
    if after["state"] == 1214 and before["state"] != 1214:
        assert offered[0] < offered[1], "what rings was offered"
    if after["state"] == 1215 and before["state"] not in (1214, 1215):
        assert answered[0] < answered[1], "who talks has answered"


@given(
    name=st.sampled_from(sorted(PRESETS)),
    seed=st.integers(0, 1000),
    steps=st.lists(st.floats(0.01, 30.0), min_size=5, max_size=60),
)
@settings(max_examples=40, deadline=None)
def test_stamps_and_counters_keep_the_rules_of_the_books(name: str, seed: int, steps: list[float]) -> None:
    """Between any two polls of any run, rows differ only as mod_callcenter lets them."""
    world = world_of(name, agents=4, seed=seed)
    seen = {pair(row): row for row in world.rows()}
    for step in steps:
        world.advance(world.now + step)
        for row in world.rows():
            if pair(row) in seen:
                check_books(seen[pair(row)], row, world.now)
            seen[pair(row)] = row


@given(name=st.sampled_from(sorted(PRESETS)), seed=st.integers(0, 1000))
@settings(max_examples=20, deadline=None)
def test_the_truth_is_a_chain_without_repeats(name: str, seed: int) -> None:
    """Of each seat and each extension: no state twice in a row, the previous one named, time never back."""
    world = world_of(name, agents=4, seed=seed)
    world.advance(START + 400)
    last: dict[tuple[str, str | None], Truth] = {}
    for entry in world.take_truth():
        key = (entry.extension, entry.group)
        before = last.get(key)
        assert entry.previous == (before.state if before else None)
        assert entry.previous != entry.state
        assert before is None or before.at <= entry.at
        last[key] = entry
    assert world.take_truth() == []


@given(name=st.sampled_from(sorted(PRESETS)), seed=st.integers(0, 1000), step=st.floats(0.05, 20.0))
@settings(max_examples=20, deadline=None)
def test_the_truth_agrees_with_the_rows(name: str, seed: int, step: float) -> None:
    """At any moment rows and truth tell the same seats and states, but for what no code can show."""
    world = world_of(name, agents=4, seed=seed)
    seats: dict[str, dict[str, str]] = defaultdict(dict)
    extensions: dict[str, str] = {}
    for _ in range(40):
        world.advance(world.now + step)
        for entry in world.take_truth():
            if entry.group is None:
                extensions[entry.extension] = entry.state
            elif entry.state == "signed_out":
                del seats[entry.extension][entry.group]
            else:
                seats[entry.extension][entry.group] = entry.state
        rows = {pair(row): row for row in world.rows()}
        assert set(rows) == {(extension, group) for extension, held in seats.items() for group in held}
        for (extension, group), row in rows.items():
            shown = row_state(number(row, "status"), number(row, "state"))
            allowed = {"available": {"available", "wrap_up"}, "ringing": {"ringing", "talking"}}
            assert seats[extension][group] in allowed.get(shown, {shown})
        assert {name: busiest(seats[name].values()) for name in extensions} == extensions


@given(seed=st.integers(0, 50), cuts=st.lists(st.floats(0, 120), max_size=20))
@settings(max_examples=20, deadline=None)
def test_the_same_seed_gives_the_same_floor_however_time_is_cut(seed: int, cuts: list[float]) -> None:
    """Rows and truth depend on seed and start alone."""
    whole, cut = world_of("brisk", 3, seed), world_of("brisk", 3, seed)
    whole.advance(START + 120)
    for moment in (*sorted(cuts), 120):
        cut.advance(START + moment)
        cut.rows()
    assert cut.rows() == whole.rows()
    assert cut.take_truth() == whole.take_truth()


def test_another_seed_gives_another_floor() -> None:
    """The seed is used."""
    assert world_of("default", seed=1).rows() != world_of("default", seed=2).rows()


@pytest.mark.parametrize("name", ["brisk", "groups"])
def test_offers_and_answers_leave_their_second_in_the_row(name: str) -> None:
    """Just after the truth says ringing or talking, the row's stamp holds that second."""
    first, again = world_of(name), world_of(name)
    first.take_truth()
    first.advance(START + 120)
    fields = {"ringing": "lastassigntime", "talking": "lastanswertime"}
    checked = 0
    for entry in first.take_truth():
        if entry.group is None or entry.state not in fields or entry.previous == "signed_out":
            continue
        again.advance(entry.at + 0.001)
        row = next(row for row in again.rows() if pair(row) == (entry.extension, entry.group))
        assert stamp(row, fields[entry.state]) == math.floor(entry.at)
        checked += 1
    assert checked > 20


def test_wrap_up_lasts_as_long_as_the_row_says() -> None:
    """From wrap_up to available pass `wrapuptime` seconds since the call's end."""
    world = world_of("default")
    world.advance(START + 900)
    began: dict[Pair, float] = {}
    lengths: list[float] = []
    for entry in world.take_truth():
        key = (entry.extension, entry.group or "")
        if entry.group and entry.state == "wrap_up" and entry.previous == "talking":
            began[key] = entry.at
        elif entry.group and entry.previous == "wrap_up" and entry.state == "available" and key in began:
            lengths.append(entry.at - began.pop(key))
        else:
            began.pop(key, None)
    assert lengths
    assert lengths == pytest.approx([world.floor.wrapuptime] * len(lengths), abs=0.002)


def test_a_floor_starts_in_mid_shift() -> None:
    """At the start agents are signed in, have answered calls, and the truth holds one first entry of each."""
    world = world_of("default", agents=20)
    rows = world.rows()
    assert any(number(row, "callsanswered") for row in rows)
    first = world.take_truth()
    assert {entry.previous for entry in first} == {None}
    assert all(entry.at <= START for entry in first)
    assert {(entry.extension, entry.group) for entry in first if entry.group} == {pair(row) for row in rows}
    extensions = [entry.extension for entry in first if entry.group is None]
    assert sorted(extensions) == sorted({str(row["extnumber"]) for row in rows})


def test_rows_have_the_vendors_fields_and_types() -> None:
    """Every field is there under the vendor's name; numbers are numbers, stamps and names are text."""
    for row in world_of("default").rows():
        assert list(row) == FIELDS
        texts = {"queuename", "seatsname", "extnumber", "lastanswertime", "lastassigntime", "seatschangetime"}
        assert {name for name, value in row.items() if isinstance(value, str)} == texts


def test_one_agent_in_several_groups_shows_identical_evidence() -> None:
    """With shared agents, the rows of an extension differ in the group alone."""
    floor = replace(named_floor("groups", agents=5), shared_agents=True)
    world = World(floor, 3, START)
    for _ in range(50):
        world.advance(world.now + 2)
        rows: dict[str, list[Row]] = defaultdict(list)
        for row in world.rows():
            rows[str(row["extnumber"])].append({**row, "queuename": ""})
        assert all(row == same[0] for same in rows.values() for row in same)


def test_an_agent_for_each_group_has_books_of_its_own() -> None:
    """Without shared agents each row has its own name, and one phone never talks twice."""
    world = world_of("groups", agents=10)
    for _ in range(100):
        world.advance(world.now + 2)
        rows = world.rows()
        assert len({row["seatsname"] for row in rows}) == len(rows)
        talking = [row["extnumber"] for row in rows if row["state"] == 1215]
        assert len(talking) == len(set(talking))


def test_an_offer_to_an_engaged_phone_fails_as_busy() -> None:
    """A seat can ring while another of the same extension talks; the extension stays talking."""
    world = world_of("groups", agents=10)
    talking: dict[str, bool] = {}
    rang = 0
    world.advance(START + 600)
    for entry in world.take_truth():
        if entry.group is None:
            talking[entry.extension] = entry.state == "talking"
        elif entry.state == "ringing" and talking.get(entry.extension):
            rang += 1
    assert rang


def test_the_breaks_floor_shows_every_kind_of_interruption() -> None:
    """Breaks in mid-call and automatic ones, On Demand, lost phones, manual calls, failed offers."""
    world = world_of("breaks", agents=20)
    codes: set[tuple[int, int]] = set()
    put_on_break = False
    for _ in range(600):
        world.advance(world.now + 1)
        for row in world.rows():
            codes.add((number(row, "status"), number(row, "state")))
            put_on_break |= row["status"] == 1217 and row["noanswercount"] == row["maxnoanswer"]
    assert {(1217, 1215), (1217, 1213), (1213, 1201), (1200, 1213), (1014, 1213), (1204, 1213)} <= codes
    assert {(1213, 1212), (1213, 1216)} <= codes
    assert put_on_break


def test_a_skewed_clock_writes_other_stamps_from_then_on() -> None:
    """What is stamped before the skew keeps its stamp; what comes after is ahead, in truth and rows."""
    world = world_of("brisk")
    old = {pair(row): row["lastassigntime"] for row in world.rows()}
    world.take_truth()
    world.skew = 3600.0
    assert {pair(row): row["lastassigntime"] for row in world.rows()} == old
    world.advance(START + 60)
    assert all(entry.at >= START + 3599.99 for entry in world.take_truth())
    assert max(stamp(row, "lastassigntime") for row in world.rows()) > START + 3600


def test_a_clock_that_goes_back_changes_nothing() -> None:
    """Advancing to the past neither undoes nor repeats anything."""
    world = world_of("brisk")
    world.advance(START + 10)
    rows = world.rows()
    world.advance(START - 100)
    assert (world.now, world.rows()) == (START + 10, rows)
