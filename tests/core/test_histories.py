"""What holds for every history of polls, however rows come, go, change and cannot be read."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from streamer.core import merge, wire
from streamer.core.model import AgentState, AgentStateChanged, Seat, Settings, Snapshot, SourceState
from tests.core.builders import EXACT, NOON, Poller, ms, round_trip, seat, snapshot

CODES = (1213, 1214, 1215, 1217, 1200, 1201, 1203, 1299)
RULES = Settings("floor", absent_min=1, absent_share=0.3, forget_after_ms=20_000)
"""So that few extensions are already many, and some are forgotten."""

few = settings(max_examples=50, deadline=None)
"""Each example is a dozen polls; what ten properties see in all is some thousands."""

stamp = st.none() | st.integers(-10, 90)


@st.composite
def seats(draw: st.DrawFn, extension: int, group: int) -> Seat:
    """One seat in any state; stamps past, in the window, future and contradictory."""
    return seat(
        str(extension),
        f"queue-{group}",
        draw(st.sampled_from(CODES)),
        draw(st.sampled_from((1213, 1217, 1204))),
        offered=draw(stamp),
        answered=draw(stamp),
        changed=draw(stamp),
        answers=draw(st.sampled_from((None, 0, 1, 2))),
        agent=draw(st.sampled_from((None, f"{extension}_shared"))),
    )


@st.composite
def histories(draw: st.DrawFn) -> list[Snapshot]:
    """Polls of up to five extensions in two groups: most rows stay, some change, vanish or cannot be read."""
    places = [(extension, group) for extension in range(1, 6) for group in (1, 2)]
    floor: dict[tuple[int, int], Seat] = {}
    polls: list[Snapshot] = []
    at = 0.0
    for _ in range(draw(st.integers(1, 12))):
        at += draw(st.sampled_from((1.0, 1.0, 1.0, 0.4, 7.0, 30.0)))
        for place in draw(st.lists(st.sampled_from(places), max_size=4)):
            if place in floor and draw(st.booleans()):
                del floor[place]
            else:
                floor[place] = draw(seats(*place))
        gone = draw(st.sampled_from(("none", "none", "none", "some", "all")))
        shown = [] if gone == "all" else [s for s in floor.values() if gone == "none" or draw(st.booleans())]
        unread = draw(st.lists(st.sampled_from("12345"), max_size=1))
        jump = draw(st.sampled_from((0, 0, 0, 0, 0, 40, -40)))
        polls.append(
            snapshot(
                at,
                *[s for s in shown if s.extension not in unread],
                unread=unread,
                anonymous=draw(st.sampled_from((0, 0, 0, 1))),
                lasts=draw(st.sampled_from((0.05, 0.3, 2.0))),
                reqtime=draw(st.sampled_from((None, int(NOON + at) + jump))),
            )
        )
    return polls


def run(polls: Sequence[Snapshot]) -> Poller:
    """All polls through `step`, every record validated."""
    poller = Poller(RULES)
    for poll in polls:
        poller.see(poll)
    return poller


@few
@given(histories())
def test_sequences_have_no_holes_and_epochs_end_only_after_signed_out(polls: list[Snapshot]) -> None:
    """From 1, by 1; each event's previous state is the last one's; first_seen only begins an epoch."""
    last: dict[str, AgentStateChanged] = {}
    for event in run(polls).events:
        after, before = event.after, last.get(event.after.extension)
        if event.change == "first_seen":
            assert after.sequence == 1
            assert before is None or before.after.state == "signed_out"
            assert before is None or before.after.epoch != after.epoch
        else:
            assert before is not None
            assert event.before is not None
            assert (after.epoch, after.sequence) == (before.after.epoch, before.after.sequence + 1)
            assert (event.before.state, event.before.since) == (before.after.state, before.after.since)
            assert after.occurred_at >= before.after.occurred_at
        last[after.extension] = event


@few
@given(histories())
def test_a_polls_events_are_in_order_and_its_records_are_one_each(polls: list[Snapshot]) -> None:
    """Extension by extension; no record is written and forgotten at once."""
    for batch in run(polls).batches:
        told = [event.after.extension for event in batch.events]
        assert told == sorted(told)
        assert max(Counter(state.extension for state in batch.states).values(), default=1) == 1
        assert not {state.extension for state in batch.states} & set(batch.forgotten)


@few
@given(histories())
def test_a_timeline_starts_and_ends_at_the_observed_states(polls: list[Snapshot]) -> None:
    """A chain without a break: each event begins where the one before ended, and changes something."""
    last: dict[str, str] = {}
    poller = Poller(RULES)
    for poll in polls:
        for event in poller.see(poll):
            name, change = event.after.extension, event.change
            assert change == "first_seen" or event.before is not None
            if event.before is not None:
                assert event.before.state == last[name]
                assert (event.before.state == event.after.state) == (change == "groups")
            last[name] = event.after.state
        for name, agent in poller.state.agents.items():
            assert last[name] == agent.state == merge.state_now(agent.groups, agent.memory)


@few
@given(histories())
def test_bounds_always_contain_the_estimate(polls: list[Snapshot]) -> None:
    """And only first_seen may lack the lower one."""
    for event in run(polls).events:
        when = event.when
        assert when.not_before is not None or event.change == "first_seen"
        assert (when.at if when.not_before is None else when.not_before) <= when.at <= when.not_after


@few
@given(histories())
def test_the_state_topic_is_the_fold_of_the_events(polls: list[Snapshot]) -> None:
    """A table built from states, one built from events and what the core carries all agree, at every poll."""
    table: dict[str, AgentState] = {}
    folded: dict[str, tuple[str, str, int, int]] = {}
    poller = Poller(RULES)
    for poll in polls:
        poller.see(poll)
        batch = poller.batches[-1]
        for event in batch.events:
            record = wire.event(event)
            since = wire.milliseconds(record["current"]["since"])
            folded[event.after.extension] = (record["current"]["state"], record["event_id"], record["sequence"], since)
        for last in {event.after.extension: event.after for event in batch.events}.values():
            assert last in batch.states
        table |= {state.extension: state for state in batch.states}
        for name in batch.forgotten:
            del table[name], folded[name]
        assert table == poller.state.agents
        assert folded == {n: (a.state, a.event_id, a.sequence, a.since) for n, a in table.items()}


@few
@given(histories())
def test_what_is_published_is_what_the_rows_say(polls: list[Snapshot]) -> None:
    """A record's state is that of its rows; of a poll without doubt they are the poll's own rows."""
    poller = Poller(RULES)
    for poll in polls:
        poller.see(poll)
        rows: dict[str, list[Seat]] = defaultdict(list)
        for one in poll.seats:
            rows[one.extension].append(one)
        for name, agent in poller.state.agents.items():
            if agent.read_until is None:
                assert agent.groups == tuple(sorted(rows[name], key=lambda s: s.group))
            else:
                assert set(rows[name]) <= set(agent.groups)


@few
@given(histories())
def test_absences_that_last_are_told_in_the_end(polls: list[Snapshot]) -> None:
    """However doubtful the list was: three more readable polls of nobody sign everybody out."""
    poller = run(polls)
    end = (polls[-1].answered_at - ms(0)) / 1000
    for more in range(1, 5):
        poller.poll(end + more)
    assert all(agent.state == "signed_out" for agent in poller.state.agents.values())
    assert not poller.state.doubted
    assert all(
        (a.absent_since, a.read_until, a.absent_groups) == (None, None, ()) for a in poller.state.agents.values()
    )


@few
@given(histories())
def test_completeness_never_runs_ahead_of_what_waits(polls: list[Snapshot]) -> None:
    """Nothing told by a later poll happened before the watermark of an earlier one, as long as no clock jumps."""
    poller = Poller(RULES)
    for poll in polls:
        until = poller.state.complete_until
        jumps = poller.state.jumps
        for event in poller.see(
            msgspec.structs.replace(poll, reqtime=None, rsptime=None, unread=frozenset(), anonymous=0)
        ):
            if event.change != "first_seen" and until is not None and jumps == 0:
                assert event.when.not_after >= until


@few
@given(histories())
def test_the_same_polls_give_the_same_records(polls: list[Snapshot]) -> None:
    """Also with the rows in another order."""
    turned = [msgspec.structs.replace(poll, seats=poll.seats[::-1]) for poll in polls]
    assert run(polls).batches == run(polls).batches == run(turned).batches


@few
@given(histories())
def test_records_written_and_read_back_change_nothing(polls: list[Snapshot]) -> None:
    """With every state through its JSON between any two polls, the batches are the same."""
    plain, thawed = Poller(RULES), Poller(RULES)
    for poll in polls:
        plain.see(poll)
        thawed.see(poll)
        assert thawed.batches[-1] == plain.batches[-1]
        agents = {name: round_trip(agent) for name, agent in thawed.state.agents.items()}
        assert agents == thawed.state.agents
        thawed.state = msgspec.structs.replace(thawed.state, agents=agents)


@few
@given(histories(), st.sets(st.integers(0, 11)))
def test_a_restart_changes_no_state_and_no_number(polls: list[Snapshot], restarts: set[int]) -> None:
    """A process that knows only the topics goes on gapless, and ends every poll where a steady one does."""
    steady, restarted = Poller(RULES, EXACT), Poller(RULES, EXACT)
    last: dict[str, AgentState] = {}
    for number, poll in enumerate(polls):
        # A vendor whose clock holds: what a process knows of jumps does not survive it.
        calm = msgspec.structs.replace(poll, reqtime=None, rsptime=None, anonymous=0)
        steady.see(calm)
        for event in restarted.see(calm):
            before = last.get(event.after.extension)
            assert event.change == "first_seen" or before is not None
            if before is not None and event.change != "first_seen":
                assert (event.after.epoch, event.after.sequence) == (before.epoch, before.sequence + 1)
            last[event.after.extension] = event.after
        told = {name: row(agent) for name, agent in restarted.state.agents.items()}
        assert told == {name: row(agent) for name, agent in steady.state.agents.items()}
        if number in restarts:
            wary = restarted.state.wary_until
            restarted.restart()
            # Nor does what it has learnt of the source's lists.
            restarted.state = msgspec.structs.replace(restarted.state, wary_until=wary)


def row(agent: AgentState) -> tuple[str, tuple[Seat, ...]]:
    """What a record says of the present; a wrap-up may be told as over by one process before the other."""
    return "available" if agent.state == "wrap_up" else agent.state, agent.groups


def test_an_empty_history_is_an_empty_state() -> None:
    """Nothing seen, nothing known."""
    assert SourceState(agents={}) == Poller(RULES, None).state
