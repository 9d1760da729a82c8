"""From poll to poll: every kind of change, numbers, epochs, and what time may and may not do."""

from __future__ import annotations

import orjson

from streamer.core import wire
from streamer.core.model import Settings
from tests.core.builders import (
    NOON,
    PAUSED,
    RINGING,
    SETTINGS,
    TALKING,
    Poller,
    many,
    ms,
    seat,
    times,
)
from tests.validation import Record

DAY = 86_400


def written(poller: Poller) -> list[Record]:
    """Every event so far as the consumer reads it."""
    return [orjson.loads(wire.dumps(wire.event(event))) for event in poller.events]


def test_the_contracts_worked_example() -> None:
    """Ringing since 02:00:01Z, talking at 02:00:04Z: durations 3, at least 2, at most 4 seconds."""
    poller = Poller()
    poller.poll(-1)
    poller.poll(0.12, seat(answers=12))
    poller.poll(1.12, seat(state=RINGING, offered=1, answers=12))
    poller.poll(4.12, seat(state=RINGING, offered=1, answers=12))
    poller.poll(5.12, seat(state=TALKING, offered=1, answered=4, answers=13))
    assert written(poller)[-1] == {
        "type": "AgentStateChanged",
        "schema_version": "1.0",
        "event_id": f"floor/100001/{NOON:08x}/3",
        "source": "floor",
        "extension": "100001",
        "agent": "100001_100001_queue-1-9026",
        "epoch": f"{NOON:08x}",
        "sequence": 3,
        "change": "state",
        "previous": {"state": "ringing", "since": "2026-11-23T02:00:01Z"},
        "current": {"state": "talking", "since": "2026-11-23T02:00:04Z"},
        "previous_duration_s": 3.0,
        "previous_duration_min_s": 2.0,
        "previous_duration_max_s": 4.0,
        "occurred_at": "2026-11-23T02:00:04Z",
        "occurred_not_before": "2026-11-23T02:00:04Z",
        "occurred_not_after": "2026-11-23T02:00:05Z",
        "basis": "observed",
        "evidence": ["state", "lastanswertime"],
        "observed_at": "2026-11-23T02:00:05.120Z",
        "poll_id": "floor/1795399205120",
        "groups": [
            {
                "name": "queue-1",
                "state": "talking",
                "state_code": 1215,
                "status_code": 1213,
                "offered_at": "2026-11-23T02:00:01Z",
                "answered_at": "2026-11-23T02:00:04Z",
                "status_changed_at": None,
                "calls_answered": 13,
                "no_answer_count": 0,
                "wrap_up_s": 10,
            }
        ],
    }


def test_a_day_in_the_life_of_an_extension() -> None:
    """Every kind of change once, numbered from 1 without a hole, in one epoch."""
    poller = Poller()
    poller.poll(0.5, seat())
    poller.poll(1.5, seat(state=PAUSED, status=PAUSED))
    poller.poll(2.5, seat(state=PAUSED, status=PAUSED), seat(group="queue-2", state=PAUSED))
    poller.poll(3.5)
    poller.poll(4.5)
    poller.poll(5.5, seat())
    assert [(e.change, e.after.state, e.after.sequence) for e in poller.events] == [
        ("first_seen", "available", 1),
        ("state", "paused", 2),
        ("groups", "paused", 3),
        ("signed_out", "signed_out", 4),
        ("signed_in", "available", 5),
    ]
    assert {event.after.epoch for event in poller.events} == {f"{NOON:08x}"}
    assert [e.after.event_id for e in poller.events] == [f"floor/100001/{NOON:08x}/{n}" for n in range(1, 6)]


def test_first_seen_has_nothing_before_it() -> None:
    """previous is null, durations are null, and so is not_before without any stamp."""
    poller = Poller()
    poller.poll(0, seat())
    (record,) = written(poller)
    assert record["previous"] is None
    assert [record[f"previous_duration_{part}s"] for part in ("", "min_", "max_")] == [None, None, None]
    assert record["occurred_not_before"] is None
    assert record["occurred_at"] == record["current"]["since"] == "2026-11-23T02:00:00Z"
    assert "joined" not in record


def test_groups_are_joined_and_left_without_durations() -> None:
    """previous equals current, joined and left name the groups, since stays."""
    poller = Poller()
    poller.poll(0, seat(), seat(group="queue-2"))
    poller.poll(1, seat(), seat(group="queue-3"))
    record = written(poller)[-1]
    assert (record["change"], record["joined"], record["left"]) == ("groups", ["queue-3"], ["queue-2"])
    assert record["previous"] == record["current"] == {"state": "available", "since": "2026-11-23T02:00:00Z"}
    assert [record[f"previous_duration_{part}s"] for part in ("", "min_", "max_")] == [None, None, None]
    assert times(poller.events[-1]) == (0.0, 0.55, 1.1)


def test_a_state_event_after_a_change_of_groups_lasts_from_the_states_beginning() -> None:
    """The change of groups ended no state."""
    poller = Poller()
    poller.poll(0, seat(changed=-5))
    poller.poll(10, seat(changed=-5), seat(group="queue-2", changed=-5))
    poller.poll(20, seat(state=PAUSED, changed=19), seat(group="queue-2", state=PAUSED, changed=19))
    record = written(poller)[-1]
    assert (record["change"], record["previous_duration_s"]) == ("state", 24.0)


def test_a_state_event_names_the_groups_that_changed_with_it() -> None:
    """One event for one poll: the state counts, the groups are told along."""
    poller = Poller()
    poller.poll(0, seat())
    event = poller.one(1, seat(), seat(group="queue-2", state=RINGING, offered=1))
    assert (event.change, event.joined, times(event)) == ("state", ("queue-2",), (1, 1, 2))


def test_a_joined_group_shows_its_own_stamp_or_the_polls() -> None:
    """An agent of its own was set available then; a shared one shows a stamp that the other row has too."""
    for other, expected in ((7.0, (10.0, 10.0, 11.0)), (10.0, (9.0, 10.05, 11.1))):
        poller = Poller()
        poller.poll(9, seat(changed=other if other < 9 else 8))
        event = poller.one(11, seat(changed=other), seat(group="queue-2", changed=10))
        assert (event.change, times(event)) == ("groups", expected)


def test_new_evidence_alone_is_a_record_and_no_event() -> None:
    """Counters and stamps are kept for inference, and the record says which poll showed them."""
    poller = Poller()
    poller.poll(0, seat())
    assert poller.poll(1, seat(changed=1)) == []
    (record,) = poller.batches[-1].states
    assert (record.sequence, record.poll_id, record.groups[0].status_changed_at) == (1, f"floor/{ms(1)}", ms(1))


def test_the_same_rows_again_are_an_empty_batch() -> None:
    """Nothing new, nothing to publish; only the watermark moves on."""
    poller = Poller()
    poller.poll(0, *many(5))
    agents = poller.state.agents
    poller.poll(1, *many(5))
    assert poller.batches[-1].empty
    assert poller.state.agents is agents
    assert poller.state.complete_until == ms(1)


def test_the_order_of_the_answers_rows_changes_nothing() -> None:
    """Same rows in reverse: same events, same records, the seats ordered by group."""
    rows = [seat("2", "b"), seat("1", "b"), seat("1", "a", RINGING), seat("3", "c")]
    first, second = Poller(), Poller()
    first.poll(0, *rows)
    second.poll(0, *reversed(rows))
    assert first.batches == second.batches
    assert [group.group for group in first.agent("1").groups] == ["a", "b"]
    assert first.batches[0].events[0].after.extension == "1"


def test_a_forgotten_extension_gets_a_tombstone_and_returns_as_first_seen() -> None:
    """After forget_after without a row; then it has a new epoch and begins at 1."""
    poller = Poller(Settings("floor", forget_after_ms=30 * DAY * 1000))
    poller.poll(0, seat())
    poller.poll(1)
    poller.poll(30 * DAY)
    assert poller.batches[-1].forgotten == ()
    poller.poll(30 * DAY + 2)
    assert poller.batches[-1].forgotten == ("100001",)
    assert poller.state.agents == {}
    event = poller.one(31 * DAY, seat())
    assert (event.change, event.after.sequence, event.after.epoch) == ("first_seen", 1, f"{NOON + 31 * DAY:08x}")


def test_who_may_be_behind_an_unreadable_row_is_not_forgotten() -> None:
    """Its row is there, only not readable: neither a tombstone nor a record beside one."""
    poller = Poller(Settings("floor", forget_after_ms=1000))
    poller.poll(0, seat())
    poller.poll(1)
    assert poller.poll(10, unread=["100001"]) == []
    assert poller.batches[-1].forgotten == ()
    assert poller.one(11, seat()).change == "signed_in"


def test_a_sign_in_after_an_unreadable_row_may_be_as_old_as_that_row() -> None:
    """But once a poll shows that nobody is there, the next sign-in is later."""
    for between, expected in (((), (2.0, 3.05, 4.1)), ((3.0,), (3.0, 3.55, 4.1))):
        poller = Poller()
        poller.poll(0, seat())
        poller.poll(1)
        poller.poll(2)
        poller.poll(2.5, unread=["100001"])
        for at in between:
            poller.poll(at)
        assert times(poller.one(4, seat())) == expected


def test_a_seat_that_could_not_be_read_at_first_may_be_as_old_as_its_extension() -> None:
    """It joins no group in our sight: the bound reaches back to what first_seen knew."""
    poller = Poller()
    poller.poll(10, seat(changed=-50), unread=["100001"])
    event = poller.one(11, seat(changed=-50), seat(group="queue-2"))
    assert (event.change, times(event)[::2]) == ("groups", (-50, 11.1))


def test_an_extension_never_seen_and_not_readable_is_no_news() -> None:
    """Nothing is known of it, so nothing is said."""
    poller = Poller()
    assert poller.poll(0, unread=["100001"]) == []
    assert poller.state.agents == {}


def test_the_settings_of_the_tests_are_the_contracts_defaults() -> None:
    """absent_min 3, absent_share 0.1, confirm_polls 3, max_delay 60 s, forget_after 30 d."""
    s = SETTINGS
    assert (s.absent_min, s.absent_share, s.confirm_polls) == (3, 0.1, 3)
    assert (s.max_delay_ms, s.forget_after_ms, s.timezone) == (60_000, 30 * DAY * 1000, "Asia/Shanghai")
