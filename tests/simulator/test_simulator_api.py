"""The vendor's API: envelopes, tokens, filters and faults, in virtual time and without a network."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from streamer.simulator.api import ELSEWHERE, TOKEN_SECONDS, Reply, VendorApi
from streamer.simulator.faults import Faults
from streamer.simulator.world import World, named_floor

START = 1795399205.75
POLL = "App.Sip_Queue.GetQueueSipStatus"


class Caller:
    """A client in virtual time: logs in once, then calls."""

    def __init__(self, faults: str = "", *, floor: str = "default", one_token: bool = False) -> None:
        world = World(named_floor(floor, agents=10), 1, START)
        self.api = VendorApi(world, {"app-1": "key-1"}, one_token=one_token)
        self.token = self.log_in()
        self.api.set_faults(Faults.parse(faults, 1), START)

    def log_in(self, now: float = START) -> str:
        """A new token."""
        form = {"service": "App.Sip_Auth.Login", "appid": "app-1", "accesskey": "key-1"}
        return orjson.loads(self.api.answer(form, now).body)["data"]["result"]["token"]

    def reply(self, service: str = POLL, now: float = START, **fields: str) -> Reply:
        """The raw answer to one call."""
        return self.api.answer({"service": service, "token": self.token, **fields}, now, "192.0.2.7")

    def call(self, service: str = POLL, now: float = START, **fields: str) -> dict[str, Any]:
        """The envelope of one call."""
        return orjson.loads(self.reply(service, now, **fields).body)

    def rows(self, now: float = START, **fields: str) -> Any:
        """The result of one poll."""
        return self.call(now=now, **fields)["data"]["result"]


def test_a_log_in_answers_as_documented() -> None:
    """The result holds a token of 32 hex digits and who one is."""
    form = {"service": "App.Sip_Auth.Login", "appid": "app-1", "accesskey": "key-1"}
    reply = Caller().api.answer(form, START)
    assert (reply.status, reply.headers["Content-Type"]) == (200, "application/json;charset=utf-8")
    envelope = orjson.loads(reply.body)
    result = envelope["data"].pop("result")
    assert envelope == {
        "ret": 200,
        "data": {
            "status": 0,
            "desc": "Operation succeeded",
            "reqtime": int(START),
            "rsptime": int(START),
        },
        "msg": "",
    }
    assert len(bytes.fromhex(result["token"])) == 16
    assert set(result) == {"token", "companycode", "companyname", "authtime", "authmodel"}
    assert result["authtime"] == "2026-11-23 10:00:05"


def test_a_poll_answers_with_the_floors_rows() -> None:
    """The floor goes on to the moment of the call."""
    caller = Caller()
    rows = caller.rows(START + 30)
    assert rows == caller.api.world.rows()
    assert caller.api.world.now == START + 30


def test_a_wrong_key_fails_and_an_unknown_appid_is_refused() -> None:
    """1003 as a business failure with a code in text, 601 as an envelope with an empty list."""
    caller = Caller()
    login = {"service": "App.Sip_Auth.Login", "appid": "app-1", "accesskey": "wrong"}
    failed = orjson.loads(caller.api.answer(login, START).body)
    assert (failed["ret"], failed["data"]["status"]) == (200, 1)
    assert failed["data"]["errors"] == {"code": "1003", "codemsg": "Operation failed"}
    assert "result" not in failed["data"]
    refused = orjson.loads(caller.api.answer(login | {"appid": "app-9"}, START).body)
    assert (refused["ret"], refused["data"]) == (601, [])


@pytest.mark.parametrize(
    "form",
    [{}, {"service": "App.No.Such"}, {"service": POLL}, {"service": "App.Sip_Auth.Login", "appid": "app-1"}],
)
def test_a_call_without_what_it_needs_is_illegal(form: dict[str, str]) -> None:
    """400, with an empty list for data."""
    envelope = orjson.loads(Caller().api.answer(form, START).body)
    assert (envelope["ret"], envelope["data"]) == (400, [])


def test_a_token_lives_twelve_hours() -> None:
    """After that, 600 until a new log-in."""
    caller = Caller(floor="calm")
    assert caller.call(now=START + TOKEN_SECONDS - 1)["ret"] == 200
    assert caller.call(now=START + TOKEN_SECONDS)["ret"] == 600
    caller.token = caller.log_in(now=START + TOKEN_SECONDS)
    assert caller.call(now=START + TOKEN_SECONDS)["ret"] == 200


def test_a_token_ends_with_log_out_and_with_revocation() -> None:
    """Both ask for a new log-in."""
    caller = Caller()
    assert caller.call("App.Sip_Auth.Logout")["data"]["status"] == 0
    assert caller.call()["ret"] == 600
    caller.token = caller.log_in()
    assert caller.api.revoke() == 1
    assert caller.call()["ret"] == 600


@pytest.mark.parametrize(("one_token", "ret"), [(True, 600), (False, 200)])
def test_a_second_log_in_may_revoke_the_first(one_token: bool, ret: int) -> None:
    """Both vendors exist."""
    caller = Caller(one_token=one_token)
    caller.log_in()
    assert caller.call()["ret"] == ret


def test_the_groups_of_the_account_are_listed() -> None:
    """GetQueueList holds every task group."""
    groups = Caller().call("App.Sip_Queue.GetQueueList")["data"]["result"]
    assert groups == [{"queuename": "queue-1"}, {"queuename": "queue-2"}, {"queuename": "queue-3"}]


def test_filters_choose_rows() -> None:
    """By group, by extension and by state; empty ones choose all."""
    caller = Caller()
    rows = caller.rows()
    assert caller.rows(queuename="", extnumber="", state="0") == rows
    assert caller.rows(queuename="queue-2") == [row for row in rows if row["queuename"] == "queue-2"]
    extension = rows[3]["extnumber"]
    assert caller.rows(extnumber=extension) == [row for row in rows if row["extnumber"] == extension]
    talking = [row for row in rows if row["state"] == 1215]
    assert talking
    assert caller.rows(state="4") == talking
    assert caller.call(state="x")["ret"] == 400


@pytest.mark.parametrize("ret", [400, 500, 601, 602, 603, 604])
def test_refusals_are_envelopes_with_an_empty_list(ret: int) -> None:
    """HTTP says 200, the envelope says no, and the next call is as before."""
    caller = Caller(f"nth=1:ret{ret}")
    reply = caller.reply()
    assert reply.status == 200
    envelope = orjson.loads(reply.body)
    assert (envelope["ret"], envelope["data"]) == (ret, [])
    assert envelope["msg"]
    assert caller.call()["ret"] == 200


def test_a_revoked_token_is_really_forgotten() -> None:
    """ret600 strikes once, and every later call is refused until a new log-in."""
    caller = Caller("nth=1:ret600")
    assert [caller.call()["ret"] for _ in range(3)] == [600, 600, 600]
    caller.token = caller.log_in()
    assert caller.call()["ret"] == 200


def test_a_failed_call_has_errors_and_no_result() -> None:
    """The code is text: the one asked for, or one of the likely ones."""
    data = Caller("always:status1=1001").call()["data"]
    assert data["errors"]["code"] == "1001"
    assert (data["status"], "result" in data) == (1, False)
    caller = Caller("always:status1")
    assert {caller.call()["data"]["errors"]["code"] for _ in range(50)} == {"1001", "1003", "1010"}


def test_results_can_be_empty_null_or_not_there() -> None:
    """An empty list, null, and a list where the object should be."""
    assert Caller("always:empty").rows() == []
    assert Caller("always:null").rows() is None
    assert Caller("always:datalist").call() == {"ret": 200, "data": [], "msg": ""}


@pytest.mark.parametrize("kind", ["partial", "garbage_row", "unknown_code", "strings", "duplicate", "shuffle"])
def test_damaged_rows_last_for_one_answer(kind: str) -> None:
    """The answer struck differs, the next one does not."""
    caller = Caller(f"nth=1:{kind}")
    rows = list(caller.api.world.rows())
    assert caller.rows() != rows
    assert caller.rows() == rows


def test_all_damage_to_rows_can_come_at_once() -> None:
    """Several faults on one answer do not trip over each other."""
    kinds = ("garbage_row", "strings", "duplicate", "shuffle", "unknown_code", "partial")
    caller = Caller(",".join(f"always:{kind}" for kind in kinds))
    assert all(isinstance(caller.rows(), list) for _ in range(30))


def test_bodies_can_be_broken() -> None:
    """Cut JSON, HTML in its place, and JSON after a byte order mark."""
    with pytest.raises(orjson.JSONDecodeError):
        Caller("always:truncated").call()
    html = Caller("always:html").reply()
    assert (html.status, html.headers["Content-Type"]) == (200, "text/html")
    assert html.body.startswith(b"<html>")
    bom = Caller("always:bom").reply().body
    assert bom.startswith(b"\xef\xbb\xbf{")
    assert orjson.loads(bom.removeprefix(b"\xef\xbb\xbf"))["ret"] == 200


def test_transport_faults_are_told_to_whoever_sends() -> None:
    """Status, place, time and ending of the answer."""
    assert Caller("always:http500").reply().status == 500
    redirect = Caller("always:redirect").reply()
    assert (redirect.status, redirect.headers["Location"]) == (302, ELSEWHERE)
    assert Caller("always:slow=1.5").reply().delay == 1.5
    assert Caller("always:hang").reply().ending == "hang"
    assert Caller("always:down").reply().ending == "drop"
    endless = Caller("always:endless=2").reply()
    assert (endless.ending, endless.blanks) == ("endless", 2 * 2**20)


def test_a_skewed_vendor_is_ahead_for_as_long_as_the_rule_says() -> None:
    """reqtime and rsptime show it, and what is stamped meanwhile keeps the wrong time."""
    caller = Caller("at=10+20:skew=3600", floor="brisk")
    ahead = [caller.call(now=START + moment)["data"]["reqtime"] - int(START + moment) for moment in (0, 10, 29, 31)]
    assert ahead == [0, 3600, 3600, 0]
    times = [row["lastassigntime"] for row in caller.rows(START + 31)]
    assert any(time > "2026-11-23 11:00:00" for time in times)
    assert any(entry.at > START + 3600 for entry in caller.api.world.take_truth())


def test_calls_and_faults_are_counted() -> None:
    """Statistics tell polls from log-ins and name the faults."""
    caller = Caller("every=2:empty")
    for _ in range(4):
        caller.call()
    caller.call("App.No.Such")
    assert caller.api.stats == {"requests": 6, "polls": 4, "logins": 1, "refused": 1, "faults.empty": 2}


def test_the_same_seed_gives_the_same_answers() -> None:
    """Rows, tokens and faults: byte for byte."""
    one, other = Caller("rate=0.5:partial,rate=0.3:truncated"), Caller("rate=0.5:partial,rate=0.3:truncated")
    assert one.token == other.token
    for second in range(50):
        assert one.reply(now=START + second) == other.reply(now=START + second)
