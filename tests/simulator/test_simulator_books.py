"""Each update of an agent's record moves exactly what mod_callcenter moves."""

from __future__ import annotations

import pytest

from streamer.simulator.books import Agent, Person, Seat, State, Status


@pytest.fixture
def agent() -> Agent:
    """An available agent who has answered three calls and missed one since."""
    agent = Agent("agent", Person("100001"), status=Status.AVAILABLE, state=State.WAITING)
    agent.calls_answered, agent.no_answer_count = 3, 1
    agent.last_offered_call, agent.last_bridge_start, agent.last_bridge_end = 30, 10, 20
    agent.last_status_change = 5
    return agent


def books(agent: Agent) -> tuple[int, ...]:
    """What a row shows of the stamps and counters."""
    return (
        agent.last_offered_call,
        agent.last_bridge_start,
        agent.last_status_change,
        agent.no_answer_count,
        agent.calls_answered,
    )


def test_an_offer_moves_the_state_and_the_offer_time(agent: Agent) -> None:
    """Receiving and last_offered_call move in one step, nothing else does."""
    agent.offer(40)
    assert agent.state is State.RECEIVING
    assert books(agent) == (40, 10, 5, 1, 3)


def test_an_answer_moves_its_fields_before_the_state(agent: Agent) -> None:
    """A row may still say Receiving with a moved answer time; the truth is talking already."""
    agent.offer(40)
    agent.bridge(42)
    assert books(agent) == (40, 42, 5, 0, 4)
    assert (agent.state_code, agent.truly(42.5)) == (1214, "talking")
    agent.show_call()
    assert agent.state_code == 1215


def test_the_end_of_a_call_moves_only_the_state(agent: Agent) -> None:
    """last_bridge_end is in no row."""
    agent.offer(40)
    agent.bridge(42)
    agent.show_call()
    agent.hang_up(50)
    assert (agent.state_code, agent.last_bridge_end) == (1213, 50)
    assert books(agent) == (40, 42, 5, 0, 4)


def test_a_miss_is_counted_before_waiting(agent: Agent) -> None:
    """The raised count shows while the state is still Receiving."""
    agent.offer(40)
    agent.miss()
    assert (agent.state_code, agent.no_answer_count) == (1214, 2)
    agent.release(1212)
    assert agent.state_code == 1212


def test_an_offer_cancelled_is_not_counted(agent: Agent) -> None:
    """Only the offer time has moved."""
    agent.offer(40)
    agent.release()
    assert agent.state_code == 1213
    assert books(agent) == (40, 10, 5, 1, 3)


def test_available_again_does_nothing(agent: Agent) -> None:
    """Setting Available on an available agent moves no field."""
    agent.set_status(Status.AVAILABLE, 60)
    assert books(agent) == (30, 10, 5, 1, 3)


@pytest.mark.parametrize("status", [Status.ON_BREAK, Status.ON_DEMAND, Status.LOGGED_OUT])
def test_any_other_status_stamps_every_time_and_available_restarts_the_counters(agent: Agent, status: Status) -> None:
    """The stamp moves even when the status was set already; counters restart with Available only."""
    agent.set_status(status, 60)
    assert books(agent) == (30, 10, 60, 1, 3)
    planned = agent.pause
    agent.set_status(status, 70)
    assert books(agent) == (30, 10, 70, 1, 3)
    assert agent.pause == planned
    agent.set_status(Status.AVAILABLE, 80)
    assert books(agent) == (30, 10, 80, 0, 0)


def test_a_break_does_not_end_a_call(agent: Agent) -> None:
    """The state stays In a queue call while the status is On Break: talking, then paused."""
    agent.offer(40)
    agent.bridge(42)
    agent.show_call()
    agent.set_status(Status.ON_BREAK, 45)
    assert (agent.status_code, agent.state_code, agent.truly(45.0)) == (1217, 1215, "talking")
    agent.hang_up(50)
    assert agent.truly(50.0) == "paused"


def test_an_agent_on_demand_rests_after_a_call_until_asked(agent: Agent) -> None:
    """The state is Idle after the call, and Waiting when calls are wanted again."""
    agent.set_status(Status.ON_DEMAND, 35)
    agent.offer(40)
    agent.bridge(42)
    agent.show_call()
    agent.hang_up(50)
    assert (agent.status_code, agent.state_code, agent.truly(99.0)) == (1213, 1201, "idle")
    agent.ask()
    assert agent.state_code == 1213


def test_the_phone_hides_the_status(agent: Agent) -> None:
    """A phone that is away shows in `status` in place of what the agent chose, and moves no stamp."""
    agent.person.phone = 1014
    agent.set_status(Status.ON_BREAK, 60)
    assert (agent.status_code, agent.truly(60.0)) == (1014, "offline")


def test_an_agent_is_signed_in_while_one_group_shows_it(agent: Agent) -> None:
    """Leaving one of two groups leaves the agent signed in."""
    agent.seats = [Seat("queue-1", agent, present=True), Seat("queue-2", agent)]
    assert agent.signed_in
    agent.seats[0].present = False
    assert not agent.signed_in
