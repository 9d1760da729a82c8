"""A poll's and a log-in's conversation, with the vendor played by `send()`."""

from __future__ import annotations

import json
from collections.abc import Generator
from typing import TypeVar

import pytest

from streamer.core.envelope import KIND_OF_RET, Opened
from streamer.errors import VendorError, VendorRefused, VendorUnavailable
from streamer.vendor.session import (
    HTTP_REMEDIES,
    REMEDIES,
    Account,
    Answer,
    Call,
    NeedToken,
    Polled,
    Sent,
    Step,
    Unusable,
    hide,
    log_in,
    poll,
)

KEY = "sesame-open-0123"
ACCOUNT = Account("vendor:8080", "app-1", KEY)
STATIC = Account("vendor:8080", token="configured-token")


def answer(ret: object = 200, data: object = None, msg: str = "", status: int = 200) -> Answer:
    text = json.dumps({"ret": ret, "data": data, "msg": msg})
    return Answer(1000, 1200, status, text.encode())


def business(code: str, words: str = "said so") -> Answer:
    return answer(data={"status": 1, "errors": {"code": code, "codemsg": words}})


GOOD = answer(data={"status": 0, "result": [], "reqtime": 5, "rsptime": 6})
EXPIRED = answer(600, [], "token invalid")


def form(step: Step) -> dict[str, str]:
    assert isinstance(step, Call)
    return step.form


def started(account: Account = ACCOUNT) -> Generator[Step, Sent, Polled]:
    """A poll that has its token, `t1`, and asks for the status."""
    conversation = poll(account)
    assert next(conversation) == NeedToken(stale=None)
    assert form(conversation.send("t1"))["token"] == "t1"
    return conversation


T = TypeVar("T")


def returned(conversation: Generator[Step, Sent, T], last: Sent) -> T:
    with pytest.raises(StopIteration) as stopped:
        conversation.send(last)
    return stopped.value.value


def refused(conversation: Generator[Step, Sent, object], last: Sent, kind: type[VendorError]) -> VendorError:
    """What the last answer makes of the conversation; exactly this class, and without a secret."""
    with pytest.raises(VendorError) as raised:
        conversation.send(last)
    assert type(raised.value) is kind
    for secret in (KEY, "t1", "configured-token"):
        assert secret not in f"{raised.value} {raised.value!r} {raised.value.args}"
    assert "vendor:8080" in str(raised.value)
    return raised.value


def test_a_good_poll_is_a_token_and_a_call() -> None:
    """The answer carries its own times, bytes and outcome."""
    polled = returned(started(), GOOD)
    assert polled == Polled(1000, 1200, 200, GOOD.body, Opened(b"[]", 5, 6))


def test_the_status_form_is_the_vendors() -> None:
    """All states are asked for, the filters are the source's own."""
    conversation = poll(ACCOUNT, "queue-1", "100001")
    next(conversation)
    assert form(conversation.send("t1")) == {
        "service": "App.Sip_Queue.GetQueueSipStatus",
        "token": "t1",
        "queuename": "queue-1",
        "extnumber": "100001",
        "state": "0",
    }


@pytest.mark.parametrize("failure", [EXPIRED, business("1003"), business("1010")])
def test_a_token_at_fault_is_replaced_and_the_call_repeated_once(failure: Answer) -> None:
    """The stale token is named, so that nobody logs in for a token that was replaced meanwhile."""
    conversation = started()
    need = conversation.send(failure)
    assert isinstance(need, NeedToken)
    assert need.stale == "t1"
    assert form(conversation.send("t2"))["token"] == "t2"
    assert returned(conversation, GOOD).opened.result == b"[]"


@pytest.mark.parametrize("first", [EXPIRED, business("1003")])
@pytest.mark.parametrize("second", [EXPIRED, business("1010")])
def test_a_second_failure_of_the_token_is_unavailable(first: Answer, second: Answer) -> None:
    """One repeat, whatever the mixture; the words are the last ones."""
    conversation = started()
    conversation.send(first)
    conversation.send("t2")
    assert "also after a new log-in" in str(refused(conversation, second, VendorUnavailable))


def test_the_vendors_words_go_along_with_the_need_for_a_token() -> None:
    """If the log-in budget is exhausted, they are what the operator reads."""
    need = started().send(business("1003", "Operation failed"))
    assert isinstance(need, NeedToken)
    assert need.words == "vendor:8080 answered 1003: Operation failed"


@pytest.mark.parametrize("code", [400, 601, 602, 603, 604])
def test_a_refusal_has_the_remedy_of_its_code(code: int) -> None:
    """Each code tells the operator what to do, and is not repeated."""
    error = refused(started(), answer(code, [], "no"), VendorRefused)
    assert error.problem == f"vendor:8080 answered {code}: no"
    assert error.remedy == REMEDIES[str(code)]


def test_every_refused_code_has_a_remedy() -> None:
    """The tables of the envelope and of the remedies name the same codes."""
    assert {str(code) for code, kind in KIND_OF_RET.items() if kind == "refused"} == set(REMEDIES)


@pytest.mark.parametrize("failure", [answer(500, [], "down"), business("1001"), business("1011"), answer(200, [])])
def test_a_failed_call_is_unavailable(failure: Answer) -> None:
    """It may succeed next time."""
    assert refused(started(), failure, VendorUnavailable).status == 200


def test_a_malformed_body_is_unusable_and_kept() -> None:
    """The caller can put the bytes aside with the times at which they were asked for and came."""
    error = refused(started(), Answer(7, 9, 200, b"<html>"), Unusable)
    assert isinstance(error, Unusable)
    assert (error.body, error.requested_at, error.answered_at, error.status) == (b"<html>", 7, 9, 200)
    assert isinstance(error, VendorUnavailable)


@pytest.mark.parametrize("status", [201, 204, 400, 401, 403, 404, 407, 429, 500, 502, 503])
def test_another_http_status_is_unavailable_whatever_the_body_says(status: int) -> None:
    """Only HTTP 200 is the vendor speaking; the status is named, with a remedy where there is one."""
    error = refused(started(), Answer(1, 2, status, GOOD.body), VendorUnavailable)
    assert f"HTTP {status}" in error.problem
    assert error.status == status
    assert error.remedy == HTTP_REMEDIES.get(status, "")


def test_a_redirect_names_its_target() -> None:
    """It is not followed: a POST with a secret goes where the operator said."""
    error = refused(started(), Answer(1, 2, 302, b"", "https://elsewhere:443"), VendorUnavailable)
    assert str(error) == (
        "vendor:8080 answered HTTP 302, a redirect to https://elsewhere:443; put the final address into url"
    )


def configured() -> Generator[Step, Sent, Polled]:
    conversation = poll(STATIC)
    assert next(conversation) == NeedToken(stale=None)
    conversation.send("configured-token")
    return conversation


def test_a_configured_token_that_is_refused_is_not_renewed() -> None:
    """There is nothing to log in with: the operator must act."""
    error = refused(configured(), EXPIRED, VendorRefused)
    assert "the configured token was refused" in error.problem
    assert error.remedy


def test_a_business_failure_with_a_configured_token_is_unavailable() -> None:
    """1003 may be a switch that is unreachable for a moment."""
    refused(configured(), business("1003"), VendorUnavailable)


def logging_in() -> Generator[Step, Sent, str]:
    conversation = log_in(ACCOUNT)
    assert form(next(conversation)) == {"service": "App.Sip_Auth.Login", "appid": "app-1", "accesskey": KEY}
    return conversation


@pytest.mark.parametrize("token", ["0123456789abcdef" * 2, " padded\n", "a.b-c_d~=/+", "x" * 256])
def test_a_log_in_gives_its_token(token: str) -> None:
    """Printable ASCII up to 256 characters, blanks around it taken off."""
    assert returned(logging_in(), answer(data={"status": 0, "result": {"token": token}})) == token.strip()


NO_TOKENS: list[object] = ["", " ", "x" * 257, "a b", "a\x00b", "é", None, 7, True]


@pytest.mark.parametrize("result", [None, {}, *({"token": token} for token in NO_TOKENS)])
def test_a_log_in_without_a_usable_token_is_unavailable(result: object) -> None:
    """Nothing else in the answer is tried instead."""
    refused(logging_in(), answer(data={"status": 0, "result": result}), VendorUnavailable)


@pytest.mark.parametrize("failure", [answer(601, []), business("1003")])
def test_a_refused_log_in_says_that_the_key_may_be_wrong(failure: Answer) -> None:
    """A wrong accesskey shows as 601 or as 1003; the latter may also be the switch."""
    error = refused(logging_in(), failure, VendorRefused)
    assert "the accesskey or the appid may be wrong" in error.remedy
    assert ("switch" in error.remedy) == (b"1003" in failure.body)


@pytest.mark.parametrize("code", [400, 602, 603, 604])
def test_other_refusals_of_a_log_in_have_their_own_remedy(code: int) -> None:
    """An expired appid is not blamed on the key."""
    assert refused(logging_in(), answer(code, []), VendorRefused).remedy == REMEDIES[str(code)]


@pytest.mark.parametrize("failure", [EXPIRED, answer(500), business("1001"), business("1010"), answer(200, [])])
def test_a_failed_log_in_is_unavailable(failure: Answer) -> None:
    """It may succeed next time."""
    refused(logging_in(), failure, VendorUnavailable)


def test_a_log_ins_malformed_body_is_not_handed_on() -> None:
    """It may hold a token that nobody knows yet, so nobody could mask it."""
    error = refused(logging_in(), Answer(1, 2, 200, b'{"ret":200,"data":{"token":"fresh"'), VendorUnavailable)
    assert not hasattr(error, "body")


def test_a_log_in_over_a_broken_proxy_is_unavailable() -> None:
    """The HTTP status counts for the log-in, too."""
    refused(logging_in(), Answer(1, 2, 502, b""), VendorUnavailable)


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        (f"bad key {KEY}!", "bad key ***!"),
        ("key=a%26b%20c", "key=***"),
        ("key=a%26b+c", "key=***"),
        ("cut at sesame-op", "cut at ***"),
        ("nothing here", "nothing here"),
        ("", ""),
    ],
)
def test_an_echoed_secret_is_masked(text: str, masked: str) -> None:
    """Whole, form-encoded, or cut off by the length of a message."""
    assert hide(text, (KEY, "a&b c", "")) == masked


@pytest.mark.parametrize("code", [500, 601])
def test_a_vendor_who_echoes_the_form_gives_nothing_away(code: int) -> None:
    """The token and the key are masked in the vendor's own words."""
    refused(started(), answer(code, [], f"token t1 key {KEY}"), VendorRefused if code == 601 else VendorUnavailable)
    refused(logging_in(), answer(500, [], f"key {KEY}"), VendorUnavailable)


@pytest.mark.parametrize("step", [started().send(EXPIRED), Call({"accesskey": KEY}), ACCOUNT, STATIC, EXPIRED])
def test_no_step_shows_a_secret(step: object) -> None:
    """Forms, tokens and keys are left out of every repr."""
    assert not any(secret in repr(step) for secret in (KEY, "t1", "configured-token"))


def test_a_conversation_that_is_sent_the_wrong_thing_says_so() -> None:
    """A token is not an answer and an answer is not a token."""
    conversation = poll(ACCOUNT)
    next(conversation)
    with pytest.raises(TypeError):
        conversation.send(GOOD)
    with pytest.raises(TypeError):
        started().send("t1")
