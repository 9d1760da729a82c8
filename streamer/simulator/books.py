"""The records of the floor: people with a phone, their mod_callcenter agents, and the seats that show these.

Each method of `Agent` is one update of the module's `agents` table and moves exactly the fields that the
module moves there; who calls it, and when, is the business of calls.py and shifts.py. Stamps are whole unix
seconds on the vendor's clock, 0 for never.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TypeAlias

from streamer.simulator import states

Row: TypeAlias = dict[str, str | int | None]
"""One row of GetQueueSipStatus under the vendor's names and types."""


class Status(Enum):
    """mod_callcenter's agent status: what the agent chose."""

    AVAILABLE = "Available"
    ON_DEMAND = "Available (On Demand)"
    ON_BREAK = "On Break"
    LOGGED_OUT = "Logged Out"


class State(Enum):
    """mod_callcenter's agent state: what the calls do; the value is the vendor's code."""

    IDLE = states.IDLE
    WAITING = states.WAITING
    RECEIVING = states.RECEIVING
    IN_A_QUEUE_CALL = states.TALKING


@dataclass(slots=True, eq=False)
class Agent:
    """One mod_callcenter agent: of a person, or of a person in one group."""

    name: str
    person: Person
    seats: list[Seat] = field(default_factory=list["Seat"])
    status: Status = Status.LOGGED_OUT
    state: State = State.IDLE
    last_offered_call: int = 0
    last_bridge_start: int = 0
    last_bridge_end: int = 0
    last_status_change: int = 0
    no_answer_count: int = 0
    calls_answered: int = 0
    answered: bool = False
    """A call is bridged, even while the state does not show it yet."""
    failed: int = 0
    """The code shown in place of waiting after an offer that went wrong; 0 shows none."""
    wrap_ends: float = 0.0
    """True clock: the end of after-call work."""
    ready_at: float = 0.0
    """True clock: the module's ready_time, the rest after a failed offer."""
    turn: int = 0
    """Rises with every step of a call, so that what was planned for an earlier step is void."""
    pause: int = 0
    """Rises with every status, so that the end planned for an earlier break is void."""

    @property
    def signed_in(self) -> bool:
        """At least one group shows this agent."""
        return any(seat.present for seat in self.seats)

    def offer(self, stamp: int) -> None:
        """A call starts to ring: Receiving and last_offered_call, in one step."""
        self.state = State.RECEIVING
        self.last_offered_call = stamp
        self.failed = 0
        self.turn += 1

    def bridge(self, stamp: int) -> None:
        """The agent answered: the first step moves everything but the state."""
        self.last_bridge_start = stamp
        self.calls_answered += 1
        self.no_answer_count = 0
        self.answered = True

    def show_call(self) -> None:
        """The last step of an answer."""
        self.state = State.IN_A_QUEUE_CALL

    def miss(self) -> None:
        """The offer went unanswered: counted before the state says Waiting."""
        self.no_answer_count += 1

    def release(self, failed: int = 0) -> None:
        """An offer is over without a call: only the state moves."""
        self.state = State.WAITING
        self.failed = failed
        self.turn += 1

    def hang_up(self, stamp: int) -> None:
        """A call is over: the state, and last_bridge_end, which no row shows. On Demand rests until `ask`."""
        self.last_bridge_end = stamp
        self.answered = False
        self.state = State.IDLE if self.status is Status.ON_DEMAND else State.WAITING
        self.turn += 1

    def ask(self) -> None:
        """An idle agent wants calls again."""
        if self.state is State.IDLE:
            self.state = State.WAITING
            self.turn += 1

    def set_status(self, status: Status, stamp: int) -> None:
        """Available restarts both counters, and set again does nothing; any other status always stamps."""
        if status is Status.AVAILABLE:
            if self.status is status:
                return
            self.calls_answered = self.no_answer_count = 0
        if status is not self.status:
            self.pause += 1
        self.status = status
        self.last_status_change = stamp

    @property
    def status_code(self) -> int:
        """What the row's `status` shows: the phone where it has something to say, else the agent's status."""
        phone = self.person.phone
        return phone or (states.PAUSED if self.status is Status.ON_BREAK else states.WAITING)

    @property
    def state_code(self) -> int:
        """What the row's `state` shows."""
        return self.failed if self.failed and self.state is State.WAITING else self.state.value

    def truly(self, now: float) -> str:
        """The contract's state at `now`: a bridged call is talking, whatever the state still shows."""
        code = states.TALKING if self.answered else self.state_code
        return states.seat_state(self.status_code, code, wrapping=now < self.wrap_ends)


@dataclass(slots=True, eq=False)
class Seat:
    """An (extension, group) pair: a row while `present`."""

    group: str
    agent: Agent
    present: bool = False
    told: str | None = None
    """The last state in the truth; None before the first."""
    since: float = 0.0
    """True clock: when `told` began."""
    row: Row | None = None
    """The row as last built; None when it has to be built again."""


@dataclass(slots=True, eq=False)
class Person:
    """Someone with an extension: one mouth, one phone, one or more agents."""

    extension: str
    agents: list[Agent] = field(default_factory=list["Agent"])
    seats: list[Seat] = field(default_factory=list["Seat"])
    phone: int = 0
    """A status code that hides the agent's: the phone is away, or in a manual call; 0 for neither."""
    told: str | None = None
    since: float = 0.0

    @property
    def engaged(self) -> bool:
        """A queue call rings or is talked on, on any of the agents."""
        return any(agent.state is State.RECEIVING or agent.answered for agent in self.agents)
