"""The dialler: offers, answers, misses and calls, step by step as mod_callcenter takes them.

An offer is planned for an agent with `ready`; from there each step plans the next one and carries the agent's
`turn`: a step whose turn has passed (a break cancelled the ring, say) does nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from math import log
from random import Random

from streamer.simulator import states
from streamer.simulator.agenda import Agenda
from streamer.simulator.books import Agent, Person, State, Status
from streamer.simulator.floor import Floor

STEP_SECONDS = (0.002, 0.05)
"""Between two updates of one answer, when they can be told apart: a database write or two."""
BUSY_SECONDS = (0.05, 0.4)
"""What an engaged phone takes to say so."""
SHORTEST_CALL_SECONDS = 0.3
REACTION_SECONDS = (4.0, 30.0)
"""What an idle agent, or one put on break, takes to notice."""


class Calls:
    """Everything that happens with calls on one floor. `changed` is told of each person whose books moved."""

    def __init__(self, floor: Floor, random: Random, agenda: Agenda, changed: Callable[[Person], None]) -> None:
        self._floor = floor
        self._random = random
        self._agenda = agenda
        self._changed = changed
        self.put_on_break: Callable[[Agent], None] = lambda _agent: None
        """Called after the module itself changed an agent's status."""

    def ready(self, agent: Agent) -> None:
        """Plan the next offer, if the agent can be offered calls now; a plan made before is void."""
        if not self._offerable(agent):
            return
        agent.turn += 1
        # The first second in which the module's test, now > last_bridge_end + wrap_up_time, holds.
        rested = agent.last_bridge_end + self._floor.wrapuptime + 1 - self._agenda.skew
        earliest = max(self._agenda.now, agent.ready_at, rested)
        self._agenda.at(earliest + self._random.expovariate(1 / self._floor.pause), self._offer, agent, agent.turn)

    def cancel(self, agent: Agent) -> None:
        """The module hangs up an offer that still rings: nothing is counted."""
        if agent.state is State.RECEIVING and not agent.answered:
            agent.release()

    def _offerable(self, agent: Agent) -> bool:
        return (
            agent.state is State.WAITING
            and agent.status in (Status.AVAILABLE, Status.ON_DEMAND)
            and agent.signed_in
            and not agent.person.phone
        )

    def _offer(self, agent: Agent, turn: int) -> None:
        if turn != agent.turn or not self._offerable(agent):
            return
        engaged = agent.person.engaged
        rested = self._agenda.stamp > agent.last_bridge_end + self._floor.wrapuptime
        if not rested or (engaged and self._random.random() >= self._floor.busy_offers):
            self.ready(agent)
            return
        agent.offer(self._agenda.stamp)
        self._changed(agent.person)
        self._plan_outcome(agent, engaged)

    def _plan_outcome(self, agent: Agent, engaged: bool) -> None:
        floor, draw = self._floor, self._random.random()
        rings = self._random.uniform(*floor.ring)
        if engaged:
            self._soon(self._random.uniform(*BUSY_SECONDS), self._lost, agent, floor.busy_delay, 0)
        elif draw < floor.missed:
            self._soon(floor.ring_timeout, self._missed, agent)
        elif draw < floor.missed + floor.rejected:
            self._soon(rings, self._lost, agent, floor.reject_delay, states.REJECTED)
        elif draw < floor.missed + floor.rejected + floor.abandoned:
            self._soon(rings, self._lost, agent, 0.0, 0)
        else:
            self._soon(rings, self._answered, agent)

    def _soon(self, seconds: float, act: Callable[..., None], agent: Agent, *args: float | int) -> None:
        self._agenda.at(self._agenda.now + seconds, act, agent, agent.turn, *args)

    def _answered(self, agent: Agent, turn: int) -> None:
        if turn != agent.turn:
            return
        agent.bridge(self._agenda.stamp)
        if self._random.random() < self._floor.several_steps:
            self._soon(self._random.uniform(*STEP_SECONDS), self._shown, agent)
        else:
            agent.show_call()
        self._changed(agent.person)
        talk = self._random.lognormvariate(log(self._floor.talk), self._floor.talk_spread)
        self._soon(max(SHORTEST_CALL_SECONDS, talk), self._hang_up, agent)

    def _shown(self, agent: Agent, turn: int) -> None:
        if turn == agent.turn:
            agent.show_call()
            self._changed(agent.person)

    def _hang_up(self, agent: Agent, turn: int) -> None:
        if turn != agent.turn:
            return
        agent.hang_up(self._agenda.stamp)
        if self._floor.wrapuptime:
            agent.wrap_ends = self._agenda.now + self._floor.wrapuptime
            self._agenda.at(agent.wrap_ends, self._changed, agent.person)
        self._changed(agent.person)
        if agent.state is State.IDLE:
            self._soon(self._random.uniform(*REACTION_SECONDS), self._asked, agent)
        self.ready(agent)

    def _asked(self, agent: Agent, turn: int) -> None:
        if turn == agent.turn:
            agent.ask()
            self._changed(agent.person)
            self.ready(agent)

    def _missed(self, agent: Agent, turn: int) -> None:
        if turn != agent.turn:
            return
        agent.miss()
        if self._random.random() < self._floor.several_steps:
            self._soon(self._random.uniform(*STEP_SECONDS), self._given_up, agent)
            self._changed(agent.person)
        else:
            self._given_up(agent, turn)

    def _given_up(self, agent: Agent, turn: int) -> None:
        """The rest of a miss: after too many the module sets On Break; then the state says Waiting."""
        if turn != agent.turn:
            return
        too_many = 0 < self._floor.max_no_answer <= agent.no_answer_count
        if too_many and agent.status is not Status.LOGGED_OUT:
            agent.set_status(Status.ON_BREAK, self._agenda.stamp)
            self.put_on_break(agent)
        self._fail(agent, self._floor.no_answer_delay, states.NOT_ANSWERED)

    def _lost(self, agent: Agent, turn: int, rest: float, shown: int) -> None:
        """Busy, rejected, or the caller gone: the offer time is all that has moved."""
        if turn == agent.turn:
            self._fail(agent, rest, shown)

    def _fail(self, agent: Agent, rest: float, shown: int) -> None:
        agent.release(shown if shown and self._random.random() < self._floor.shows_failure else 0)
        agent.ready_at = self._agenda.now + rest
        self._changed(agent.person)
        self.ready(agent)
