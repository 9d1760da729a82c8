"""A seeded floor: the same seed and start give the same rows and truth, however time is cut.

Pure: no I/O and no clock of its own. Times are unix seconds; "true clock" is the caller's, "vendor clock" is
that plus `skew`.
"""

from __future__ import annotations

from datetime import datetime
from functools import lru_cache
from math import floor as round_down
from random import Random
from zoneinfo import ZoneInfo

import msgspec

from streamer.simulator import states
from streamer.simulator.agenda import Agenda
from streamer.simulator.books import Agent, Person, Row, Seat
from streamer.simulator.calls import Calls
from streamer.simulator.floor import PRESETS, Floor, named_floor
from streamer.simulator.shifts import Shifts

__all__ = ["PRESETS", "Floor", "Row", "Truth", "World", "named_floor"]

FIRST_EXTENSION = 100001
COMPANY = "9026"
_NEVER = {"": "", "null": None, "zeros": "0000-00-00 00:00:00"}


class Truth(msgspec.Struct, frozen=True):
    """One change that truly happened: of a seat, or (group null) of an extension.

    `at` is the vendor's clock, unix seconds rounded down to the millisecond; `previous` is null in the first
    entry of each, whose `at` is when that state began, be it before the floor was first looked at. The agent
    of an extension is that of its first seat with a row, or of its first seat when there is none.
    """

    at: float
    extension: str
    agent: str
    group: str | None
    state: str
    previous: str | None


class World:
    """The floor at one moment, `now`, which only `advance` moves."""

    def __init__(self, floor: Floor, seed: int, start: float, skew: float = 0.0) -> None:
        self.floor = floor
        self.truth: list[Truth] = []
        self._random = Random(seed)
        self._agenda = Agenda(start - floor.warm_up, skew)
        zone = ZoneInfo(floor.zone)

        @lru_cache(maxsize=65_536)
        def stamp_text(stamp: int) -> str | None:
            if stamp == 0 and floor.never != "epoch":
                return _NEVER[floor.never]
            return datetime.fromtimestamp(stamp, zone).strftime("%Y-%m-%d %H:%M:%S")

        self._stamp_text = stamp_text
        self.groups = tuple(f"queue-{number}" for number in range(1, floor.groups + 1))
        self._people = [self._hire(str(FIRST_EXTENSION + number)) for number in range(floor.agents)]
        calls = Calls(floor, self._random, self._agenda, self._changed)
        shifts = Shifts(floor, self._random, self._agenda, calls, self._changed)
        for person in self._people:
            shifts.begin(person)
        self.advance(start)
        self._open_books()

    @property
    def now(self) -> float:
        """The true clock, as far as the floor has come."""
        return self._agenda.now

    @property
    def skew(self) -> float:
        """Seconds that the vendor's clock is ahead; setting it moves that clock and no stamp."""
        return self._agenda.skew

    @skew.setter
    def skew(self, seconds: float) -> None:
        self._agenda.skew = seconds

    def advance(self, to: float) -> None:
        """Let everything happen up to `to` (true clock); an earlier time than `now` changes nothing."""
        self._agenda.advance(to)

    def rows(self) -> list[Row]:
        """The vendor's rows as of `now`, one for each signed-in (extension, group) pair; never change one."""
        return [seat.row or self._build_row(seat) for person in self._people for seat in person.seats if seat.present]

    def take_truth(self) -> list[Truth]:
        """What happened since the last call, in order."""
        taken, self.truth = self.truth, []
        return taken

    def _hire(self, extension: str) -> Person:
        person = Person(extension)
        several = len(self.groups) > 1 and self._random.random() < self.floor.several_groups
        count = min(len(self.groups), self._random.choice((2, 3))) if several else 1
        for group in sorted(self._random.sample(self.groups, count), key=self.groups.index):
            if not person.agents or not self.floor.shared_agents:
                of_group = "autocall" if self.floor.shared_agents else group
                person.agents.append(Agent(f"{extension}_{extension}_{of_group}-{COMPANY}", person))
            agent = person.agents[-1]
            seat = Seat(group, agent)
            agent.seats.append(seat)
            person.seats.append(seat)
        return person

    def _build_row(self, seat: Seat) -> Row:
        agent, stamp_text = seat.agent, self._stamp_text
        seat.row = {
            "queuename": seat.group,
            "seatsname": agent.name,
            "extnumber": agent.person.extension,
            "status": agent.status_code,
            "state": agent.state_code,
            "lastanswertime": stamp_text(agent.last_bridge_start),
            "lastassigntime": stamp_text(agent.last_offered_call),
            "seatschangetime": stamp_text(agent.last_status_change),
            "noanswercount": agent.no_answer_count,
            "callsanswered": agent.calls_answered,
            # As in the module: how many there are at this moment.
            "externalcallscount": int(agent.person.phone == states.IN_A_CALL),
            "wrapuptime": self.floor.wrapuptime,
            "maxnoanswer": self.floor.max_no_answer,
        }
        return seat.row

    def _changed(self, person: Person) -> None:
        """Note what became of a person's seats, then of the extension: once for each step in the books."""
        now = self.now
        present: list[str] = []
        for seat in person.seats:
            seat.row = None
            state = seat.agent.truly(now) if seat.present else states.SIGNED_OUT
            if seat.present:
                present.append(state)
            if state != seat.told and (seat.told or seat.present):
                self._tell(now, person, seat, state, seat.told)
                seat.told, seat.since = state, now
        state = states.busiest(present)
        if state != person.told and (person.told or present):
            self._tell(now, person, None, state, person.told)
            person.told, person.since = state, now

    def _tell(self, now: float, person: Person, seat: Seat | None, state: str, previous: str | None) -> None:
        shown = seat or next((seat for seat in person.seats if seat.present), person.seats[0])
        at = round_down((now + self.skew) * 1000) / 1000
        group = seat.group if seat else None
        self.truth.append(Truth(at, person.extension, shown.agent.name, group, state, previous))

    def _open_books(self) -> None:
        """Forget what the warm-up told: the truth starts with where everybody who is signed in stands."""
        self.truth = []
        for person in self._people:
            for seat in person.seats:
                if seat.present:
                    self._tell(seat.since, person, seat, seat.told or "", None)
                else:
                    seat.told = None
            if person.told not in (None, states.SIGNED_OUT):
                self._tell(person.since, person, None, person.told or "", None)
            else:
                person.told = None
        self.truth.sort(key=lambda entry: entry.at)
