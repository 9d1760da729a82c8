"""One agent's books, kept as mod_callcenter keeps them, and what she truly did: histories for property tests.

Written from vendor-api.md alone. Times are milliseconds after NOON; any action that the module would not take in the
present state is left out, so that every list of actions is a history that can have happened.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from random import Random

from hypothesis import strategies as st

LEAST_AWAY = 8_500
"""Who signs out or loses the telephone stays away for longer than any two polls are apart: such an absence within one
window looks like a break, or like nothing. So long is also who is back from a break before the next one: of two
within a window the first leaves no trace."""


@dataclass
class Books:
    """The record of one agent in one group."""

    wrap: int = 3
    now: int = 0
    status: str = "available"
    state: str = "waiting"
    present: bool = True
    offline: bool = False
    away_since: int = -LEAST_AWAY
    returned: int = -LEAST_AWAY
    broke: int = -LEAST_AWAY
    offered: int | None = None
    answered: int | None = None
    changed: int = -60
    ended: int = -60_000
    talking: bool = False
    answers: int = 0
    misses: int = 0
    truth: list[tuple[int, str]] = field(default_factory=list[tuple[int, str]])
    wraps_until: int = -60_000

    def shown(self) -> str:
        """The contract's state at `now`."""
        if not self.present:
            return "signed_out"
        if self.talking:
            return "talking"
        if self.state == "receiving":
            return "ringing"
        if self.offline:
            return "offline"
        if self.status != "available":
            return "paused"
        return "wrap_up" if self.now < self.wraps_until else "available"

    def note(self) -> None:
        """Add what shows now to the truth, if it is news."""
        if not self.truth or self.truth[-1][1] != self.shown():
            self.truth.append((self.now, self.shown()))

    def pass_time(self, to: int) -> None:
        """Nothing happens until `to`, but that a wrap-up may end."""
        if self.now < self.wraps_until <= to:
            self.now = self.wraps_until
            self.note()
        self.now = to

    def act(self, choice: int, delay: int) -> None:
        """Do one of what can be done `delay` later."""
        self.pass_time(self.now + delay)
        possible = self.possible()
        if possible:
            possible[choice % len(possible)]()
        self.note()

    def possible(self) -> list[Callable[[], None]]:
        """What the module, the agent and her telephone could do now; what is likelier more than once."""
        if not self.present:
            return [self._sign_in] if self.now - self.away_since >= LEAST_AWAY else []
        rested = self.second > self.ended // 1000 + self.wrap
        return [
            *[self._offer]
            * 6
            * (self.state == "waiting" and self.status == "available" and not self.offline and rested),
            *[self._answer] * 6 * (self.state == "receiving"),
            *[self._miss, self._reject] * (self.state == "receiving"),
            *[self._hang_up] * 6 * (self.state == "in call"),
            *[self._break, self._break_keeping_the_ring] * (self.now - self.returned >= LEAST_AWAY),
            *[self._return] * 4 * (self.status == "break" and self.may_return),
            *self._absences() * (self.state == "waiting" and self.now - self.away_since >= LEAST_AWAY),
        ]

    @property
    def may_return(self) -> bool:
        """Nobody's break is shorter than a second; and behind a call that no poll saw it would leave no trace."""
        return self.now - self.broke >= (1000 if self.state == "waiting" else LEAST_AWAY)

    def _absences(self) -> list[Callable[[], None]]:
        return [self._find_phone] * 3 if self.offline else [self._lose_phone, self._sign_out]

    @property
    def second(self) -> int:
        return self.now // 1000

    def _offer(self) -> None:
        self.state, self.offered = "receiving", self.second

    def _answer(self) -> None:
        self.state, self.talking, self.answered = "in call", True, self.second
        self.answers += 1
        self.misses = 0

    def _hang_up(self) -> None:
        self.state, self.talking, self.ended = "waiting", False, self.now
        self.wraps_until = self.now + self.wrap * 1000

    def _miss(self) -> None:
        self.state, self.misses = "waiting", self.misses + 1

    def _reject(self) -> None:
        self.state = "waiting"

    def _break(self) -> None:
        self._break_keeping_the_ring()
        if self.state == "receiving":
            self.state = "waiting"

    def _break_keeping_the_ring(self) -> None:
        self.broke = self.now
        self.status, self.changed = "break", self.second

    def _return(self) -> None:
        self.returned = self.now
        self.status, self.changed, self.answers, self.misses = "available", self.second, 0, 0

    def _sign_out(self) -> None:
        self.present, self.status, self.away_since = False, "logged out", self.now
        self.wraps_until = min(self.wraps_until, self.now)

    def _sign_in(self) -> None:
        self.present, self.away_since = True, self.now
        self._return()

    def _lose_phone(self) -> None:
        self.offline, self.away_since = True, self.now

    def _find_phone(self) -> None:
        self.offline, self.away_since = False, self.now


@dataclass(frozen=True)
class Row:
    """The books at one moment, as a row shows them; None in `codes` where there is no row."""

    codes: tuple[int, int] | None
    offered: int | None
    answered: int | None
    changed: int
    answers: int
    misses: int


def row(books: Books) -> Row:
    """What a poll would be answered now."""
    if not books.present:
        return Row(None, None, None, 0, 0, 0)
    state = {"waiting": 1213, "receiving": 1214, "in call": 1215}[books.state]
    status = 1200 if books.offline else 1217 if books.status == "break" else 1213
    return Row((state, status), books.offered, books.answered, books.changed, books.answers, books.misses)


@dataclass(frozen=True)
class Poll:
    """One look: asked, read and answered (ms after NOON), and the row."""

    asked: int
    read: int
    answered: int
    row: Row


@dataclass(frozen=True)
class History:
    """Polls of one agent, and what she truly did: (ms after NOON, state)."""

    polls: Sequence[Poll]
    truth: Sequence[tuple[int, str]]
    wrap: int


delays = st.one_of(st.integers(1, 900), st.integers(1000, 9000), st.just(1000))
"""Milliseconds between two actions: within a second, or some seconds."""


GAPS = (500, 1000, 2000, 4000, 8000)
"""Milliseconds between two polls."""


def history(books: Books, actions: Iterable[tuple[int, int]], gaps: Iterator[int]) -> History:
    """What a poller sees of these actions, each a choice and a delay, looking again after each gap."""
    books.note()
    polls: list[Poll] = []
    due = 40
    for choice, delay in actions:
        act_at = books.now + delay
        while due < act_at:
            books.pass_time(due)
            polls.append(_look(books, due))
            due += next(gaps, 1000)
        books.act(choice, max(1, act_at - books.now))
    for _ in range(4):
        books.pass_time(due)
        polls.append(_look(books, due))
        due += 4000
    return History(polls, books.truth, books.wrap)


def _look(books: Books, at: int) -> Poll:
    return Poll(at - 40, at, at + 50, row(books))


@st.composite
def histories(draw: st.DrawFn, gaps: Sequence[int] = GAPS) -> History:
    """Some dozen actions, looked at every few seconds."""
    books = Books(wrap=draw(st.sampled_from((0, 2, 5))))
    looks = draw(st.lists(st.sampled_from(gaps), min_size=20, max_size=20))
    actions = draw(st.lists(st.tuples(st.integers(0, 30), delays), min_size=1, max_size=30))
    return history(books, actions, iter(looks))


def long_history(seed: int, gaps: Sequence[int] = GAPS) -> History:
    """As these, with more actions than hypothesis likes to draw."""
    random = Random(seed)
    books = Books(wrap=random.choice((0, 1, 2, 5)))
    spans = ((1, 900), (1000, 9000), (1000, 1000))
    actions = [(random.randrange(60), random.randint(*random.choice(spans))) for _ in range(60)]
    return history(books, actions, iter(lambda: random.choice(gaps), None))
