"""A poll and a log-in as conversations without I/O: generators that yield what to do next.

They yield NeedToken and are sent a token, or yield Call and are sent its Answer; a test plays the vendor with
`send()`. The rules, once an HTTP answer has arrived (vendor-api.md, "Envelope"):

answer                  status call                              log-in
HTTP not 200            VendorUnavailable                        VendorUnavailable
token (600)             new token, once; then VendorUnavailable  VendorUnavailable
login_again (1003,1010) new token, once; then VendorUnavailable  1003 VendorRefused, 1010 VendorUnavailable
refused (400, 601-604)  VendorRefused                            VendorRefused
failed                  VendorUnavailable                        VendorUnavailable
malformed               Unusable                                 VendorUnavailable: its body may hold a token

A configured token cannot be renewed: on 600 it is VendorRefused, on 1003 and 1010 VendorUnavailable.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import quote, quote_plus

from streamer.core.envelope import Failure, Opened, open_envelope
from streamer.errors import VendorError, VendorRefused, VendorUnavailable
from streamer.vendor.protocol import login_form, parse_login, status_form

REMEDIES: Final = {
    "400": "check the source's queuename and extnumber, and that its url is the API's",
    "601": "check appid and accesskey, and ask the vendor to authorise the appid",
    "602": "ask the vendor to renew the appid's authorisation",
    "603": "ask the vendor to license the module for this appid",
    "604": "ask the vendor to put this machine's IP on the appid's list",
}
WRONG_LOGIN: Final = {
    "601": "the accesskey or the appid may be wrong: check both, then ask the vendor to authorise the appid",
    "1003": "the accesskey or the appid may be wrong, or the vendor's switch is unreachable: check both",
}
HTTP_REMEDIES: Final = {
    401: "something in front of the vendor asks for a log-in: put the API's own address into url",
    403: "something in front of the vendor forbids this machine: ask for it to be let in",
    404: "the path in url does not exist there: put the API's address into url",
    407: "a proxy asks for a log-in: reach the vendor without it",
    429: "poll less often: raise poll_interval",
}
SHORTEST_TAIL: Final = 4
"""Characters of a secret that may remain where a text was cut; fewer tell nothing."""


@dataclass(frozen=True, slots=True)
class Account:
    """Who asks whom. `where` is host:port for messages; either `token` (configured) or appid and accesskey."""

    where: str
    appid: str = ""
    accesskey: str = field(default="", repr=False)
    token: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class NeedToken:
    """To be sent a token other than `stale`; `words`: what the vendor said about the stale one."""

    stale: str | None = field(default=None, repr=False)
    words: str = ""


@dataclass(frozen=True, slots=True)
class Call:
    """To be sent the Answer to this form."""

    form: dict[str, str] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer. Times are unix ms on our clock: before the request was sent, after the last byte came.

    `location` is the host (with port) of a redirect.
    """

    requested_at: int
    answered_at: int
    status: int
    body: bytes = field(repr=False)
    location: str = ""


@dataclass(frozen=True, slots=True)
class Polled:
    """One usable answer. Times are unix ms on our clock, of the status call that succeeded: before it was sent,
    after the last byte of its answer was read."""

    requested_at: int
    answered_at: int
    status: int
    body: bytes = field(repr=False)
    opened: Opened = field(repr=False)


class Unusable(VendorUnavailable):
    """A status call was answered with HTTP 200 and a body that is not an answer of this API.

    `body` as received (it may echo a token: redact before it goes anywhere); times as in Polled.
    """

    def __init__(self, problem: str, remedy: str, answer: Answer) -> None:
        super().__init__(problem, remedy)
        self.status = answer.status
        self.body = answer.body
        self.requested_at = answer.requested_at
        self.answered_at = answer.answered_at


class Unreached(VendorUnavailable):
    """No connection came about: nothing was sent."""


Opener = Callable[[bytes], Opened | Failure]
"""Reads an answer's envelope: `open_envelope`, or what gives the same outcome."""

Step = NeedToken | Call
Sent = str | Answer


def poll(
    account: Account, queuename: str = "", extnumber: str = "", opener: Opener = open_envelope
) -> Generator[Step, Sent, Polled]:
    """One poll: needs a token, asks for the status, and if the token was at fault does both once more.

    Raises VendorUnavailable, its subclass Unusable, or VendorRefused, by the table above.
    """
    token = yield from _token(NeedToken())
    for last in (False, True):
        answer = yield from _call(status_form(token, queuename, extnumber))
        secrets = (token, account.accesskey, account.token)
        _check_http(account, answer, secrets)
        outcome = opener(answer.body)
        if isinstance(outcome, Opened):
            return Polled(answer.requested_at, answer.answered_at, answer.status, answer.body, outcome)
        if outcome.kind == "malformed":
            raise Unusable(
                f"{account.where} gave an unusable answer of {len(answer.body)} bytes: {outcome.message}",
                "check that url is the API's address; the body is on the rejected topic",
                answer,
            )
        if outcome.kind not in ("token", "login_again") or last or account.token:
            break
        token = yield from _token(NeedToken(stale=token, words=_words(account, outcome, secrets)))
    error = _failed_poll(account, outcome, _words(account, outcome, secrets))
    error.status = answer.status
    raise error


def log_in(account: Account) -> Generator[Step, Sent, str]:
    """One log-in: returns the token. Raises VendorUnavailable or VendorRefused, by the table above."""
    answer = yield from _call(login_form(account.appid, account.accesskey))
    _check_http(account, answer, (account.accesskey,))
    outcome = open_envelope(answer.body, "object")
    if isinstance(outcome, Opened):
        token = parse_login(outcome.result)
        if token is None:
            raise VendorUnavailable(f"{account.where} answered the log-in without a usable token")
        return token
    if outcome.kind == "malformed":
        raise VendorUnavailable(
            f"{account.where} gave the log-in an unusable answer of {len(answer.body)} bytes: {outcome.message}",
            "check that url is the API's address",
        )
    problem = f"log-in: {_words(account, outcome, (account.accesskey,))}"
    if outcome.kind == "refused" or outcome.code in WRONG_LOGIN:
        raise VendorRefused(problem, WRONG_LOGIN.get(outcome.code) or REMEDIES[outcome.code])
    raise VendorUnavailable(problem)


def hide(text: str, secrets: Iterable[str]) -> str:
    """The text with every secret masked, also in a form's encoding, also where a cut left only its beginning."""
    for secret in {form for s in secrets if s for form in (s, quote(s), quote(s, safe=""), quote_plus(s))}:
        text = text.replace(secret, "***")
        for length in range(min(len(secret), len(text)), SHORTEST_TAIL - 1, -1):
            if text.endswith(secret[:length]):
                text = text[:-length] + "***"
                break
    return text


def _token(need: NeedToken) -> Generator[Step, Sent, str]:
    token = yield need
    if not isinstance(token, str):
        raise TypeError("NeedToken must be sent a token")
    return token


def _call(form: dict[str, str]) -> Generator[Step, Sent, Answer]:
    answer = yield Call(form)
    if not isinstance(answer, Answer):
        raise TypeError("Call must be sent an Answer")
    return answer


def _failed_poll(account: Account, failure: Failure, words: str) -> VendorError:
    if failure.kind == "refused":
        return VendorRefused(words, REMEDIES[failure.code])
    if failure.kind == "token" and account.token:
        return VendorRefused(
            f"the configured token was refused: {words}",
            "configure a fresh token, or appid and accesskey so that streamer can log in",
        )
    if failure.kind in ("token", "login_again") and not account.token:
        return VendorUnavailable(f"{words}, also after a new log-in", "see that nobody else logs this appid in")
    return VendorUnavailable(words)


def _check_http(account: Account, answer: Answer, secrets: Iterable[str]) -> None:
    status = answer.status
    if status == 200:
        return
    problem = f"{account.where} answered HTTP {status}"
    remedy = HTTP_REMEDIES.get(status, "")
    if 300 <= status < 400:
        problem += f", a redirect to {hide(answer.location, secrets) or 'an unnamed place'}"
        remedy = "put the final address into url"
    error = VendorUnavailable(problem, remedy)
    error.status = status
    raise error


def _words(account: Account, failure: Failure, secrets: Iterable[str]) -> str:
    """What was answered, on one line, without secrets."""
    code = f" {failure.code}" if failure.code else " with a failure"
    said = f": {failure.message}" if failure.message else ""
    return hide(f"{account.where} answered{code}{said}", secrets)
