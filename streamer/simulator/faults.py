"""What goes wrong, and with which request: rules as text, chosen by count, by chance or by time, from a seed.

A specification is a list of rules with commas between them:

    rule  = when ":" kind ["=" number] ["@" service]
    when  = "every=" N          each N-th request
          | "nth=" N            the N-th request only
          | "rate=" P           with probability P, 0 … 1
          | "at=" S             the first request after S seconds
          | "at=" S "+" D       all requests from second S on, for D seconds
          | "always"
    service = "poll" | "login" | "logout" | "groups"

Each rule counts the requests that it could strike: polls for what damages rows, all calls of the API
otherwise, or those of its service. Seconds count from when the rules came into force. Several rules can
strike one request. Kinds and what their number means are in `KINDS`. Examples: `every=10:partial`,
`rate=0.02:http500`, `at=60+30:down`, `always:skew=90`, `nth=2:status1=1003@login,rate=0.1:slow=2`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from math import inf
from random import Random

from streamer.errors import ConfigError

SERVICES = ("poll", "login", "logout", "groups")


@dataclass(frozen=True, slots=True)
class Kind:
    """One way to go wrong: what it does, if polls alone can show it, its number where none is given."""

    does: str
    polls_only: bool = False
    number: float | None = None


KINDS: dict[str, Kind] = {
    "http500": Kind("HTTP status 500 with a line of text"),
    "ret400": Kind("illegal request; data is an empty list"),
    "ret500": Kind("server error"),
    "ret600": Kind("the token is forgotten: only a new log-in helps", polls_only=True),
    "ret601": Kind("appid not authorised"),
    "ret602": Kind("authorisation expired"),
    "ret603": Kind("module not licensed"),
    "ret604": Kind("caller's IP not authorised"),
    "status1": Kind("data.status 1; number: the code, else one of 1001, 1003 and 1010"),
    "partial": Kind("some rows are missing; number: the share that is kept", polls_only=True),
    "empty": Kind("result is an empty list", polls_only=True),
    "null": Kind("result is null", polls_only=True),
    "datalist": Kind("data is an empty list although ret is 200"),
    "garbage_row": Kind("one row more, or in place of another, that nobody can understand", polls_only=True),
    "unknown_code": Kind("a row's state is a code in no table; number: the code", polls_only=True, number=1299),
    "strings": Kind("numbers as strings, extnumber as a number", polls_only=True),
    "duplicate": Kind("some rows twice, the same or with older evidence", polls_only=True),
    "shuffle": Kind("rows in another order", polls_only=True),
    "truncated": Kind("the JSON stops in the middle"),
    "html": Kind("a proxy's page of HTML with status 200"),
    "bom": Kind("a byte order mark before the JSON"),
    "endless": Kind("after the answer blanks without end; number: MiB after which it ends", number=1024),
    "redirect": Kind("HTTP status 302 to another host"),
    "slow": Kind("the answer comes late; number: seconds", number=3),
    "hang": Kind("no answer while the caller waits"),
    "drop": Kind("the connection is closed without an answer"),
    "skew": Kind("the vendor's clock is off; number: seconds ahead (only with always or at=S+D)", number=90),
}
_ALIASES = {"error500": "http500", "down": "drop"}

HELP = (
    "what goes wrong: rules WHEN:KIND[=NUMBER][@SERVICE] with commas between, where WHEN is every=N, nth=N, "
    "rate=P, at=SECOND, at=SECOND+LENGTH or always; for example every=10:partial,rate=0.02:http500,"
    "at=60+30:down. "
    f"Kinds: {', '.join((*KINDS, *_ALIASES))}"
)
"""For the command line."""

_NUMBER = r"-?\d+(?:\.\d+)?"
_RULE = re.compile(
    rf"(?:(?P<always>always)|(?P<when>every|nth|rate|at)=(?P<value>{_NUMBER})(?:\+(?P<length>{_NUMBER}))?)"
    rf":(?P<kind>\w+)(?:=(?P<number>{_NUMBER}))?(?:@(?P<service>\w+))?"
)


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule: `when` with its `value` (and `length`), the kind with its number, the service if any."""

    when: str
    value: float
    length: float | None
    kind: str
    number: float | None
    service: str | None

    def counts(self, service: str) -> bool:
        """Whether a request of this service is one that the rule could strike."""
        if self.kind == "skew":
            return False
        if self.service:
            return self.service == service
        return service == "poll" or not KINDS[self.kind].polls_only

    def covers(self, elapsed: float) -> bool:
        """Whether the rule's span of time holds `elapsed`."""
        span = inf if self.length is None else self.length
        return self.when == "always" or (self.when == "at" and self.value <= elapsed < self.value + span)


@dataclass(frozen=True, slots=True)
class Strike:
    """One thing that goes wrong with the request in hand."""

    kind: str
    number: float | None


def parse_faults(spec: str) -> tuple[Rule, ...]:
    """The rules of a specification; an empty one has none. Raises ConfigError that names the wrong piece."""
    return tuple(_parse_rule(piece.strip()) for piece in spec.split(",") if piece.strip())


def _parse_rule(piece: str) -> Rule:
    match = _RULE.fullmatch(piece)
    if match is None:
        raise _wrong(piece, "is not WHEN:KIND[=NUMBER][@SERVICE]")
    kind = _ALIASES.get(match["kind"], match["kind"])
    if kind not in KINDS:
        raise _wrong(piece, f"has the unknown kind {match['kind']!r}")
    when = match["when"] or "always"
    value = float(match["value"] or 0)
    length = None if match["length"] is None else float(match["length"])
    number = KINDS[kind].number if match["number"] is None else float(match["number"])
    rule = Rule(when, value, length, kind, number, match["service"])
    problem = _problem(rule)
    if problem:
        raise _wrong(piece, problem)
    return rule


def _problem(rule: Rule) -> str:
    """What is wrong with a rule that reads well; empty when nothing is."""
    if rule.length is not None and (rule.when != "at" or rule.length <= 0):
        return "has a length: only at= takes one, above 0"
    if rule.when in ("every", "nth") and (rule.value < 1 or rule.value % 1):
        return "needs a whole number of requests, 1 or more"
    if rule.when == "rate" and not 0 <= rule.value <= 1:
        return "needs a rate from 0 to 1"
    if rule.when == "at" and rule.value < 0:
        return "starts before the beginning"
    if rule.service is not None and rule.service not in SERVICES:
        return f"has an unknown service: use one of {', '.join(SERVICES)}"
    if rule.service is not None and rule.service != "poll" and KINDS[rule.kind].polls_only:
        return "can only strike polls"
    if rule.kind == "skew" and not (rule.when == "always" or rule.length):
        return "moves a clock, not a request: use always or at=S+D"
    if rule.number is not None and rule.number < 0 and rule.kind != "skew":
        return "has a negative number"
    return ""


def _wrong(piece: str, problem: str) -> ConfigError:
    kinds = ", ".join((*KINDS, *_ALIASES))
    return ConfigError(f"faults: {piece!r} {problem}", f"write for example every=10:partial; kinds are {kinds}")


class Faults:
    """Rules in force, with counts and dice: for one seed the same requests meet the same faults."""

    def __init__(self, rules: Sequence[Rule] = (), seed: int = 0) -> None:
        self.random = Random(seed)
        self._rules = tuple(rules)
        self._counts = [0] * len(self._rules)
        self._fired = [False] * len(self._rules)

    @classmethod
    def parse(cls, spec: str, seed: int = 0) -> Faults:
        """Faults from their text. Raises ConfigError that names the wrong piece."""
        return cls(parse_faults(spec), seed)

    def strike(self, service: str, elapsed: float) -> tuple[Strike, ...]:
        """What goes wrong with this request, `elapsed` seconds after the rules came into force; counts it."""
        return tuple(
            Strike(rule.kind, rule.number)
            for index, rule in enumerate(self._rules)
            if rule.counts(service) and self._due(index, rule, elapsed)
        )

    def _due(self, index: int, rule: Rule, elapsed: float) -> bool:
        self._counts[index] += 1
        match rule.when:
            case "every":
                return self._counts[index] % int(rule.value) == 0
            case "nth":
                return self._counts[index] == int(rule.value)
            case "rate":
                return self.random.random() < rule.value
            case "at" if rule.length is None:
                first = elapsed >= rule.value and not self._fired[index]
                self._fired[index] |= first
                return first
            case _:
                return rule.covers(elapsed)

    def skew_at(self, elapsed: float) -> float:
        """How many seconds the vendor's clock is ahead then: the sum of the skews in force."""
        return sum(rule.number or 0.0 for rule in self._rules if rule.kind == "skew" and rule.covers(elapsed))

    def skew_changes(self) -> list[float]:
        """The seconds at which `skew_at` changes, in order."""
        spans = [rule for rule in self._rules if rule.kind == "skew" and rule.length is not None]
        return sorted({edge for rule in spans for edge in (rule.value, rule.value + (rule.length or 0.0))})
