"""The vendor's envelope: every outcome it can tell, and every body that is none."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.core.envelope import MESSAGE_LIMIT, Failure, Opened, Shape, open_envelope


def body(ret: object = 200, data: object = None, msg: object = "") -> bytes:
    return json.dumps({"ret": ret, "data": data, "msg": msg}).encode()


def handled(**data: object) -> bytes:
    return body(data=data)


def failure(answer: bytes, result: Shape = "list") -> Failure:
    outcome = open_envelope(answer, result)
    assert isinstance(outcome, Failure)
    return outcome


def opened(answer: bytes, result: Shape = "list") -> Opened:
    outcome = open_envelope(answer, result)
    assert isinstance(outcome, Opened)
    return outcome


GOOD = handled(status=0, result=[{"extnumber": "100001"}], reqtime=1795399205, rsptime=1795399206)


def test_a_good_answer_gives_the_rows_as_text_and_the_vendors_times() -> None:
    """The result is the raw JSON of the list, the times are integers."""
    assert open_envelope(GOOD) == Opened(b'[{"extnumber": "100001"}]', 1795399205, 1795399206)


def test_an_empty_list_and_null_are_results() -> None:
    """Nobody signed in is an answer, in both ways the vendor has of saying so."""
    assert opened(handled(status=0, result=[])).result == b"[]"
    assert opened(handled(status=0, result=None)).result == b"null"


def test_numbers_may_be_text() -> None:
    """PHP sends numbers as strings here and there."""
    answer = body("200", {"status": "0", "result": [], "reqtime": "1795399205", "rsptime": " 1795399206 "})
    assert open_envelope(answer) == Opened(b"[]", 1795399205, 1795399206)


@pytest.mark.parametrize("dress", [b"\xef\xbb\xbf%s", b"%s \r\n\t\n", b"\n %s", b"\xef\xbb\xbf \n%s\n"])
def test_a_byte_order_mark_and_white_space_change_nothing(dress: bytes) -> None:
    """A byte-order mark before and blanks around the object are taken off."""
    assert open_envelope(dress % GOOD) == open_envelope(GOOD)


@pytest.mark.parametrize("nonsense", [None, "", "soon", -1, 0, 1795399205000, 1e300, True, [], {}, "\uff11\uff12", 1.5])
def test_a_nonsense_time_is_none(nonsense: object) -> None:
    """A time that is no plausible number of unix seconds costs the time, not the answer."""
    assert opened(handled(status=0, result=[], reqtime=nonsense)).reqtime is None


@pytest.mark.parametrize(
    ("ret", "kind"),
    [
        (600, "token"),
        (400, "refused"),
        (601, "refused"),
        (602, "refused"),
        (603, "refused"),
        (604, "refused"),
        (500, "failed"),
        (605, "failed"),
        (0, "failed"),
        (-1, "failed"),
        (404, "failed"),
    ],
)
@pytest.mark.parametrize("data", [[], {}, None, "", {"status": 0, "result": []}])
@pytest.mark.parametrize("as_text", [False, True])
def test_ret_decides_whatever_data_holds(ret: int, kind: str, data: object, as_text: bool) -> None:
    """Every code has its kind; a list that comes along with a failure is not believed."""
    answer = body(str(ret) if as_text else ret, data, "no")
    assert open_envelope(answer) == Failure(kind, str(ret), "no")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("1003", "login_again"),
        ("1010", "login_again"),
        (1003, "login_again"),
        ("1001", "failed"),
        ("1002", "failed"),
        ("1011", "failed"),
        ("9999", "failed"),
    ],
)
def test_a_business_failure_has_its_code_and_words(code: object, kind: str) -> None:
    """data.status 1 is a failed call: its code decides, its codemsg is the message."""
    answer = handled(status=1, desc="d", errors={"code": code, "codemsg": "said so"})
    assert open_envelope(answer) == Failure(kind, str(code), "said so")  # type: ignore[arg-type]


@pytest.mark.parametrize("errors", [None, [], {}, "x", 7, [1003], {"code": None}, {"code": []}])
def test_a_business_failure_without_a_code_is_failed(errors: object) -> None:
    """No usable code is no reason to log in again, and never an empty list."""
    assert failure(handled(status=1, desc="d", errors=errors, result=[])) == Failure("failed", "", "d")


@pytest.mark.parametrize("status", [2, -1, "3", 1000])
def test_a_status_that_is_neither_0_nor_1_is_failed(status: object) -> None:
    """Only 0 means that the result counts."""
    assert failure(handled(status=status, result=[])).kind == "failed"


def test_a_list_under_data_is_failed_even_with_ret_200() -> None:
    """PHP's empty array instead of an object says that nothing was handled."""
    for data in (b"[]", b'[{"status":0,"result":[]}]'):
        assert failure(b'{"ret":200,"data":' + data + b"}").kind == "failed"


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"  \n",
        b"\xef\xbb\xbf",
        b"<html><body>502 Bad Gateway</body></html>",
        b"oops",
        b"null",
        b"true",
        b"200",
        b'"text"',
        b"[]",
        b"[1",
        b"{",
        b"{}",
        b"{}x",
        GOOD + GOOD,
        GOOD + b"\x00",
        b"\xff\xfe\x00",
        GOOD.decode().encode("utf-16"),
        b'{"ret": 200}',
        b'{"data": {"status": 0, "result": []}}',
        body(None, {}),
        body("ok", {}),
        body(True, {}),
        body([], {}),
        body(200.5, {}),
        b'{"ret":' + b"9" * 5000 + b"}",
        body(200, None),
        body(200, "text"),
        body(200, 7),
        handled(),
        handled(result=[]),
        handled(status=None, result=[]),
        handled(status=False, result=[]),
        handled(status=0),
        handled(status=0, result={}),
        handled(status=0, result="[]"),
        handled(status=0, result=0),
        handled(status=0, result=False),
    ],
)
def test_what_is_not_an_answer_of_this_api_is_malformed(answer: bytes) -> None:
    """Empty, HTML, cut, of another shape, or without what an answer must have."""
    outcome = failure(answer)
    assert (outcome.kind, outcome.code) == ("malformed", "")
    assert outcome.message


def test_every_cut_of_a_good_answer_is_malformed() -> None:
    """A body that ends early is never believed, wherever it ends."""
    for end in range(len(GOOD)):
        assert failure(GOOD[:end]).kind == "malformed", GOOD[:end]


@pytest.mark.parametrize("where", ["%s", '{"ret":200,"data":%s}', '{"ret":200,"data":{"status":0,"result":%s}}'])
@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}")])
@pytest.mark.parametrize("closed", [False, True])
def test_deep_nesting_is_malformed(where: str, opening: str, closing: str, closed: bool) -> None:
    """A hundred thousand brackets are an answer like any other bad one."""
    depth = 100_000
    deep = opening * depth + ("0" + closing * depth if closed else "")
    assert failure((where % deep).encode()).kind == "malformed"


def test_the_log_ins_result_is_an_object() -> None:
    """The caller says which shape the call promises."""
    answer = handled(status=0, result={"token": "t"})
    assert opened(answer, "object").result == b'{"token": "t"}'
    assert failure(answer).kind == "malformed"
    assert failure(GOOD, "object").kind == "malformed"
    assert opened(handled(status=0, result=None), "object").result == b"null"


def test_messages_are_one_short_printable_line() -> None:
    """Control, direction and line-separating characters go, Chinese stays, the length is bounded."""
    said = "bad\r\n\x00\x1b[31mtoken\u202e\u2028非法请求\x7f\x9b"
    assert failure(body(600, [], said)).message == "bad [31mtoken 非法请求"
    assert len(failure(body(500, [], "x" * 100_000)).message) == MESSAGE_LIMIT
    assert failure(handled(status=1, errors={"code": "1" * 99})).code == "1" * 16


@pytest.mark.parametrize("msg", [None, [], {}, True])
def test_a_message_that_is_no_text_is_empty(msg: object) -> None:
    """Words of another type are no words."""
    assert failure(body(500, [], msg)).message == ""


def test_words_that_are_not_utf_8_cost_the_words_only() -> None:
    """GBK in the message does not hide the code."""
    assert failure(b'{"ret":600,"data":[],"msg":"\xb7\xc7\xb7\xa8"}') == Failure("token", "600", "")


def test_rows_are_not_decoded() -> None:
    """A row that no decoder would take is no business of the envelope's."""
    row = b'{"extnumber":"\xff","n":1e999,"twice":1,"twice":2}'
    assert opened(b'{"ret":200,"data":{"status":0,"result":[' + row + b"]}}").result == b"[" + row + b"]"


def test_a_large_body_costs_a_scan() -> None:
    """5,000 rows open in a small part of the time that decoding them takes."""
    rows: list[dict[str, Any]] = [
        {"queuename": "queue", "extnumber": str(n), "seatsname": "9026004_9026004_autocall-9026", "state": 1213}
        | {f"time{i}": "2026-11-23 02:00:01" for i in range(7)}
        for n in range(5000)
    ]
    large = handled(status=0, result=rows)

    def fastest(what: Any) -> float:
        laps: list[float] = []
        for _ in range(5):
            start = time.perf_counter()
            what(large)
            laps.append(time.perf_counter() - start)
        return min(laps)

    assert fastest(open_envelope) < fastest(json.loads) / 2


@given(st.binary(max_size=200))
def test_no_bytes_raise(noise: bytes) -> None:
    """Whatever comes is an outcome."""
    assert isinstance(open_envelope(noise), Opened | Failure)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(
    ret=JSON | st.sampled_from([200, "200", 600]),
    data=st.fixed_dictionaries({}, optional=dict.fromkeys(("status", "result", "errors", "reqtime", "desc"), JSON))
    | JSON,
    msg=JSON,
)
def test_no_json_raises_and_only_status_0_with_a_list_opens(ret: object, data: Any, msg: object) -> None:
    """Of all JSON that is shaped like an envelope, only the good answer opens."""
    outcome = open_envelope(json.dumps({"ret": ret, "data": data, "msg": msg}).encode())
    if isinstance(outcome, Opened):
        assert str(ret).strip() in ("200", "+200", "200.0")
        assert isinstance(data["result"], list | None)
    else:
        assert len(outcome.message) <= MESSAGE_LIMIT
        assert outcome.message.isprintable()
