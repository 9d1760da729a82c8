"""What people do besides calls: they sign in and out, take breaks, pull the plug and dial by hand.

Each habit is a chain of its own for each person: begin, end, and begin again after an exponential wait.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random

from streamer.simulator import states
from streamer.simulator.agenda import Agenda
from streamer.simulator.books import Agent, Person, Seat, State, Status
from streamer.simulator.calls import REACTION_SECONDS, Calls
from streamer.simulator.floor import Floor

ARRIVAL_SECONDS = 60.0
"""A shift's people sign in over so long a time."""


class Shifts:
    """The habits of everybody on one floor. `changed` is told of each person whose books moved."""

    def __init__(
        self, floor: Floor, random: Random, agenda: Agenda, calls: Calls, changed: Callable[[Person], None]
    ) -> None:
        self._floor = floor
        self._random = random
        self._agenda = agenda
        self._calls = calls
        self._changed = changed
        calls.put_on_break = self._noticed_later

    def begin(self, person: Person) -> None:
        """Plan the person's first sign-in and every habit that this floor has."""
        floor = self._floor
        self._after(self._random.uniform(0, ARRIVAL_SECONDS), self._join, person, tuple(person.seats))
        self._sometime(floor.break_every, self._take_break, person)
        self._sometime(floor.on_demand_every, self._go_on_demand, person)
        self._sometime(floor.sign_out_every, self._leave, person)
        self._sometime(floor.offline_every, self._lose_phone, person)
        self._sometime(floor.manual_every, self._dial, person)

    def _after(self, seconds: float, act: Callable[..., None], *args: object) -> None:
        self._agenda.at(self._agenda.now + seconds, act, *args)

    def _sometime(self, mean: float, act: Callable[..., None], *args: object) -> None:
        if mean > 0:
            self._after(self._random.expovariate(1 / mean), act, *args)

    def _length(self, mean: float) -> float:
        """Half the mean to one and a half: what people do is neither exact nor without measure."""
        return mean * self._random.uniform(0.5, 1.5)

    def _set(self, agent: Agent, status: Status) -> None:
        agent.set_status(status, self._agenda.stamp)
        if status is Status.AVAILABLE:
            agent.ask()

    # Signing in and out: a row comes and goes; the agent's status only with its first and last group.

    def _join(self, person: Person, seats: Sequence[Seat]) -> None:
        for seat in seats:
            if seat.agent.status is Status.LOGGED_OUT:
                self._set(seat.agent, Status.AVAILABLE)
            seat.present = True
        self._changed(person)
        for agent in person.agents:
            if agent.state is State.WAITING:
                self._calls.ready(agent)

    def _leave(self, person: Person) -> None:
        seats = [seat for seat in person.seats if seat.present]
        away = self._length(self._floor.sign_out_length)
        self._after(away, self._sometime, self._floor.sign_out_every, self._leave, person)
        if not seats:
            return
        if len(seats) > 1 and self._random.random() < self._floor.sign_out_one:
            seats = [self._random.choice(seats)]
        for seat in seats:
            seat.present = False
            if not seat.agent.signed_in:
                self._set(seat.agent, Status.LOGGED_OUT)
                self._calls.cancel(seat.agent)
        self._changed(person)
        self._after(away, self._join, person, seats)

    # Breaks: they do not end a call, and cancel most offers that ring.

    def _take_break(self, person: Person) -> None:
        length = self._length(self._floor.break_length)
        self._after(length, self._sometime, self._floor.break_every, self._take_break, person)
        agents = [agent for agent in person.agents if agent.status in (Status.AVAILABLE, Status.ON_DEMAND)]
        if not agents:
            return
        if len(agents) > 1 and self._random.random() < self._floor.break_one:
            agents = [self._random.choice(agents)]
        for agent in agents:
            self._set(agent, Status.ON_BREAK)
            if self._random.random() < self._floor.cancels_ring:
                self._calls.cancel(agent)
            self._after(length, self._return, agent, agent.pause)
        self._changed(person)
        if self._random.random() < self._floor.break_again:
            for agent in agents:
                self._after(length * self._random.random(), self._break_again, agent, agent.pause)

    def _break_again(self, agent: Agent, pause: int) -> None:
        if pause == agent.pause:
            self._set(agent, Status.ON_BREAK)
            self._changed(agent.person)

    def _return(self, agent: Agent, pause: int) -> None:
        if pause != agent.pause:
            return
        self._set(agent, Status.AVAILABLE)
        self._changed(agent.person)
        self._calls.ready(agent)

    def _noticed_later(self, agent: Agent) -> None:
        self._after(self._random.uniform(*REACTION_SECONDS), self._return, agent, agent.pause)

    def _go_on_demand(self, person: Person) -> None:
        length = self._length(self._floor.on_demand_length)
        self._after(length, self._sometime, self._floor.on_demand_every, self._go_on_demand, person)
        for agent in person.agents:
            if agent.status is Status.AVAILABLE:
                self._set(agent, Status.ON_DEMAND)
                self._after(length, self._return, agent, agent.pause)
        self._changed(person)

    # The phone: it hides the status of every agent behind it.

    def _lose_phone(self, person: Person) -> None:
        length = self._length(self._floor.offline_length)
        self._after(length, self._sometime, self._floor.offline_every, self._lose_phone, person)
        if person.phone:
            return
        for agent in person.agents:
            self._calls.cancel(agent)
        self._phone(person, self._random.choice((states.OFFLINE, states.NOT_REGISTERED)))
        self._after(length, self._phone, person, 0)

    def _dial(self, person: Person) -> None:
        length = self._length(self._floor.talk)
        self._after(length, self._sometime, self._floor.manual_every, self._dial, person)
        signed_in = any(seat.present for seat in person.seats)
        if signed_in and not person.phone and not person.engaged:
            self._phone(person, states.IN_A_CALL)
            self._after(length, self._phone, person, 0)

    def _phone(self, person: Person, code: int) -> None:
        if self._floor.offline_stamps and states.IN_A_CALL not in (person.phone, code):
            for agent in person.agents:
                agent.last_status_change = self._agenda.stamp
        person.phone = code
        self._changed(person)
        if not code:
            for agent in person.agents:
                self._calls.ready(agent)
