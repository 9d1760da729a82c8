"""Rows in every shape: what is understood, what is set aside, and that one row never harms another."""

from __future__ import annotations

import zoneinfo
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.core.decode import decode
from streamer.core.envelope import Opened
from streamer.core.model import Seat, Settings, Snapshot
from tests.core.builders import NOON, SETTINGS, check_rejected, decoded, ms, opened, row, text, without_cache

EIGHT_HOURS = 8 * 3600
GOOD = row("100009", "queue-9")


def only(poll: Snapshot) -> Seat:
    (seat,) = poll.seats
    return seat


def aside(bad: object) -> Snapshot:
    """A poll in which `bad` lies between two good rows: these must be there, and nothing else."""
    poll = decoded(row("100008"), bad, GOOD)
    assert [seat.extension for seat in poll.seats] == ["100008", "100009"]
    assert len(poll.rejected) == 1
    return poll


def test_a_row_becomes_a_seat() -> None:
    """Every field under its name; stamps are the vendor's local time."""
    seat = only(
        decoded(
            row(
                state=1215,
                status=1217,
                lastanswertime="2026-11-23 10:00:04",
                lastassigntime="2026-11-23 10:00:01",
                seatschangetime="2026-11-23 09:00:00",
                callsanswered=13,
                noanswercount=2,
            )
        )
    )
    assert seat == Seat(
        "queue-1",
        "100001",
        "100001_100001_queue-1-9026",
        "talking",
        "paused",
        1215,
        1217,
        ms(1),
        ms(4),
        ms(-3600),
        13,
        2,
        10,
    )


def test_numbers_may_be_text_and_text_numbers() -> None:
    """The same row with every number as a string and its extension as a number is the same seat."""
    plain = row(callsanswered=13)
    turned: dict[str, Any] = {k: str(v) if isinstance(v, int) else v for k, v in plain.items()} | {"extnumber": 100001}
    assert only(decoded(turned)) == only(decoded(plain))
    assert only(decoded(plain | {"state": " 1213 ", "callsanswered": 13.0, "noanswercount": "0.0"})) == only(
        decoded(plain)
    )


@pytest.mark.parametrize("never", ["", None, "0000-00-00 00:00:00", "0000-00-00", "1970-01-01 08:00:00", 0, "0", " "])
def test_never_is_written_in_many_ways(never: object) -> None:
    """Empty, null, zeros and the epoch are no stamp."""
    seat = only(decoded(row(lastassigntime=never, lastanswertime=never, seatschangetime=never)))
    assert (seat.offered_at, seat.answered_at, seat.status_changed_at) == (None, None, None)


def test_a_missing_stamp_or_counter_is_none() -> None:
    """A row with nothing but its names and one code is a row."""
    seat = only(decoded({"queuename": "queue-1", "extnumber": "100001", "status": 1213}))
    assert seat == Seat("queue-1", "100001", "", "available", "available", None, 1213, *([None] * 6))


def test_stamps_are_in_the_sources_zone() -> None:
    """The same text is another moment in another zone."""
    stamped = row(lastassigntime="2026-11-23 10:00:01")
    utc = decoded(stamped, settings=Settings("floor", timezone="UTC"))
    assert only(utc).offered_at == ms(1 + EIGHT_HOURS)


def test_no_stamp_in_any_zone_is_too_late_to_be_refused() -> None:
    """The end of the year 9999 exists in no UTC for a zone west of it: one row is set aside, no more."""
    late = row("100002", lastassigntime="9999-12-31 23:59:59")
    for zone in sorted(zoneinfo.available_timezones() & {"America/New_York", "Asia/Shanghai", "UTC"}):
        poll = decoded(late, GOOD, settings=Settings("floor", timezone=zone))
        assert GOOD["extnumber"] in {seat.extension for seat in poll.seats}
        assert poll.unread <= {"100002"}


@pytest.mark.parametrize("empty", [b"[]", b"null"])
def test_nobody_signed_in_is_an_empty_snapshot(empty: bytes) -> None:
    """An empty list and null both hold no row."""
    poll = decode(Opened(empty, 5, 6), ms(0), ms(0.1), SETTINGS, {})
    assert (poll.seats, poll.rejected, poll.reqtime, poll.rsptime) == ((), (), 5, 6)


def test_unknown_codes_and_fields_drop_no_row() -> None:
    """An unknown code keeps its number; an unknown field is ignored, whatever it holds."""
    seat = only(decoded(row(state=1299, status=1299, more={"deep": [1, 2]}, externalcallscount="x")))
    assert (seat.state, seat.state_code) == ("unknown", 1299)


def test_the_operators_own_codes_decide() -> None:
    """A code of the settings comes before the table."""
    assert only(decoded(row(state=1216), settings=Settings("floor", codes={1216: "paused"}))).state == "paused"


@pytest.mark.parametrize(
    ("fields", "field", "fault"),
    [
        ({"state": "waiting"}, "state", "number"),
        ({"state": 1213.5}, "state", "number"),
        ({"state": True}, "state", "number"),
        ({"state": None, "status": ""}, "state", "no_code"),
        ({"status": [1213]}, "status", "number"),
        ({"status": 10**20}, "status", "number"),
        ({"callsanswered": -1}, "callsanswered", "number"),
        ({"callsanswered": "１２"}, "callsanswered", "number"),
        ({"noanswercount": 2**60}, "noanswercount", "number"),
        ({"wrapuptime": {}}, "wrapuptime", "number"),
        ({"lastassigntime": "yesterday"}, "lastassigntime", "time"),
        ({"lastassigntime": "2026-02-30 00:00:00"}, "lastassigntime", "time"),
        ({"lastanswertime": 1795399204}, "lastanswertime", "time"),
        ({"seatschangetime": ["2026-11-23 10:00:00"]}, "seatschangetime", "time"),
        ({"queuename": None}, "queuename", "name"),
        ({"queuename": True}, "queuename", "name"),
        ({"queuename": "q" * 1025}, "queuename", "name"),
        ({"seatsname": {"name": "x"}}, "seatsname", "name"),
    ],
)
def test_a_bad_field_sets_its_row_aside_and_names_it(fields: dict[str, object], field: str, fault: str) -> None:
    """The extension is unread, neither present nor absent; the reason and the path name the field."""
    poll = aside(row("100002") | fields)
    assert poll.unread == {"100002"}
    assert poll.anonymous == 0
    assert poll.rejected[0].path == f"result[1].{field}"
    assert poll.rejected[0].reason.startswith(f"{field}: ")
    assert poll.rejected[0].fault == fault
    assert poll.rejected[0].extension == "100002"


@pytest.mark.parametrize("number", [None, "", " ", True, 1.5, [], {}, "1/2", "1 2", "x" * 65, 10**30, "１", "\n"])
def test_a_row_without_a_readable_extension_is_anonymous(number: object) -> None:
    """It could be anybody's: nobody is unread, one is counted."""
    poll = aside(row() | {"extnumber": number})
    assert (poll.unread, poll.anonymous, poll.rejected[0].extension) == (frozenset(), 1, None)
    assert poll.rejected[0].fault == "no_extension"


@pytest.mark.parametrize("thing", [None, 1, 1.5, True, "100002", [], ["100002"], {}])
def test_what_is_no_object_is_set_aside(thing: object) -> None:
    """Any JSON value may lie among the rows."""
    poll = aside(thing)
    assert (poll.anonymous, poll.rejected[0].fault) == (1, "no_code" if thing == {} else "not_json")


@pytest.mark.parametrize(
    ("raw", "extension"),
    [
        (
            b'{"queuename":"q","extnumber":"100002","state":1213,"more":' + b"[" * 20_000 + b"]" * 20_000 + b"}",
            "100002",
        ),
        (b"[" * 20_000 + b"]" * 20_000, None),
        (b'{"a":' * 20_000 + b"1" + b"}" * 20_000, None),
        (b'{"extnumber":"100002","queuename":"\xff\xfe","state":1213}', "100002"),
        (b'{"extnumber":"100002","state":1e400,"queuename":"q"}', "100002"),
        (b'{"extnumber":"100002","state":NaN,"queuename":"q"}', "100002"),
        (b'{"extnumber":100002,"state":01213,"queuename":"q"}', "100002"),
        (b'{"extnumber":"100002","queuename":"a\x01b","state":01}', "100002"),
        (b'{"extnumber":"100002","x":{"extnumber":"100003"},"state":01}', None),
    ],
)
def test_a_row_that_no_parser_takes_harms_only_itself(raw: bytes, extension: str | None) -> None:
    """Too deep, not UTF-8, not JSON: the other rows are read, and its extension too if its text names just one."""
    poll = aside(raw)
    assert poll.unread == ({extension} if extension else set())
    assert poll.anonymous == (extension is None)


def test_what_cannot_be_decoded_in_a_field_of_no_interest_does_not_matter() -> None:
    """A number beyond all floats in a field that nobody reads costs nothing."""
    plain = text(row())[:-1] + b',"externalload":1e999}'
    assert decoded(plain).seats == decoded(row()).seats


@pytest.mark.parametrize("half", [rb"\ud800", rb"\udc00", rb"\ud800\ud800", rb"\uD83Dx"])
def test_half_a_surrogate_pair_becomes_a_replacement_character(half: bytes) -> None:
    """JSON's grammar allows it; whole pairs and escaped backslashes beside it stay."""
    plain = text(row(seatsname="NAME")).replace(b"NAME", rb"\ud83d\ude00\\ud800" + half)
    poll = decoded(plain, GOOD)
    assert [seat.extension for seat in poll.seats] == ["100001", "100009"]
    assert poll.seats[0].agent.startswith("\U0001f600\\ud800\ufffd")


def test_control_characters_in_a_name_survive() -> None:
    """What the vendor calls a group is its own business."""
    assert only(decoded(row(group="a\x00b\n\u2028"))).group == "a\x00b\n\u2028"


def test_identical_rows_count_once_and_nothing_is_rejected() -> None:
    """Also where only the way of writing differs."""
    poll = decoded(row(), row(), row(callsanswered="0"))
    assert (len(poll.seats), poll.rejected) == (1, ())


def test_of_two_rows_for_one_seat_the_newest_stamps_win() -> None:
    """The other is rejected, in whatever order they come; its extension is not unread for it."""
    old = row(state=1214, lastassigntime="2026-11-23 10:00:01")
    new = row(state=1215, lastassigntime="2026-11-23 10:00:01", lastanswertime="2026-11-23 10:00:04")
    for rows in ((old, new), (new, old), (new, old, old)):
        poll = decoded(*rows)
        assert only(poll).state == "talking"
        assert {(r.raw, r.fault) for r in poll.rejected} == {(text(old), "duplicate")}
        assert poll.unread == frozenset()


@given(order=st.permutations(range(4)))
def test_equal_stamps_are_decided_the_same_way_in_any_order(order: list[int]) -> None:
    """The rows' order is not promised, so it must not decide."""
    rows = [row(state=1213), row(state="1213"), row(state=1214), row(state=1217)]
    assert only(decoded(*(rows[i] for i in order))) == only(decoded(*rows))


def test_one_seat_good_and_its_other_group_bad() -> None:
    """The good row is a seat; the extension is unread all the same."""
    poll = decoded(row(), row(group="queue-2", state="?"))
    assert (only(poll).group, poll.unread) == ("queue-1", {"100001"})


def test_rows_whose_bytes_are_the_same_are_not_decoded_again() -> None:
    """The seat is the very same object; only the rows of this answer are kept for the next."""
    first = decoded(row(), row("100002"))
    second = decoded(row("100002"), row("100003"), before=first.by_bytes)
    assert second.seats[0] is first.seats[1]
    assert len(second.by_bytes) == 2


values = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**64), 2**64),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=12),
    st.sampled_from(["1213", 1214, 1215, "2026-11-23 10:00:01", "0000-00-00 00:00:00", "100002"]),
    st.lists(st.integers(), max_size=2),
)
rows = st.fixed_dictionaries({}, optional=dict.fromkeys(row(), values))
things = st.one_of(rows, values, st.recursive(values, lambda inner: st.lists(inner, max_size=3), max_leaves=8))


@given(bad=st.lists(things, max_size=6), at=st.integers(0, 6))
def test_nothing_in_a_list_makes_decode_fail_or_lose_a_good_row(bad: list[Any], at: int) -> None:
    """Any JSON values among the rows: the good one is read, every other is a seat or rejected with a valid record."""
    poll = decoded(*bad[:at], row("good-1", "good"), *bad[at:])
    assert "good-1" in {seat.extension for seat in poll.seats}
    assert len(poll.seats) + len(poll.rejected) <= len(bad) + 1
    again = decode(opened(*bad, row("good-1", "good")), ms(0), ms(0) + 100, SETTINGS, poll.by_bytes)
    fresh = decode(opened(*bad, row("good-1", "good")), ms(0), ms(0) + 100, SETTINGS, {})
    assert without_cache(again) == without_cache(fresh)


@given(raw=st.lists(st.one_of(st.binary(max_size=20), st.sampled_from([b"[", b"]", b"{", b"}", b'"', b",", b"\\"]))))
def test_not_even_bytes_that_are_no_json_make_it_fail(raw: list[bytes]) -> None:
    """The envelope lets no such list through; if it did, rows would be rejected, nothing raised."""
    poll = decode(Opened(b"[" + b"".join(raw) + b"]", None, None), ms(0), ms(0.1), SETTINGS, {})
    check_rejected(poll.rejected, ms(0))


def test_noon_is_what_the_tests_say_it_is() -> None:
    """The contract's hour, so that stamps in these tests can be read."""
    assert only(decoded(row(lastassigntime="2026-11-23 10:00:00"))).offered_at == NOON * 1000


def test_an_extension_in_too_many_groups_is_unread_whatever_the_order_of_its_rows() -> None:
    """Its record would be larger than brokers take and hold up all others; it keeps its state instead."""
    rows = [row(group=f"queue-{number}") for number in range(201)]
    for order in (rows, rows[::-1]):
        poll = decoded(*order, GOOD)
        assert [seat.extension for seat in poll.seats] == ["100009"]
        assert poll.unread == {"100001"}
        assert [(r.reason, r.fault) for r in poll.rejected] == [("more than 200 task groups", "too_many_groups")]
