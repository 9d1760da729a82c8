"""The vendor's API over a floor, without a network: a form goes in, an answer comes out, at any time given.

The HTTP status is 200 even for errors; the outcome is in the envelope (vendor-api.md, "Envelope").
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from random import Random
from typing import Any, Literal
from zoneinfo import ZoneInfo

import orjson

from streamer.simulator import damage
from streamer.simulator.faults import Faults, Strike
from streamer.simulator.states import matches_filter
from streamer.simulator.world import World

TOKEN_SECONDS = 12 * 3600
"""The life of a token, as the vendor states it."""
JSON = {"Content-Type": "application/json;charset=utf-8"}
ELSEWHERE = "http://portal.invalid/login"
"""Where a redirect points: nobody may send a token there."""

_SERVICES = {
    "App.Sip_Auth.Login": "login",
    "App.Sip_Auth.Logout": "logout",
    "App.Sip_Queue.GetQueueSipStatus": "poll",
    "App.Sip_Queue.GetQueueList": "groups",
}
_REFUSALS = {
    400: "Illegal request: {}",
    500: "Server error",
    600: "Token invalid",
    601: "appid not authorised",
    602: "appid authorisation expired",
    603: "Module not licensed",
    604: "IP {} not authorised",
}
_FAILURES = {
    1001: "Connection to the switch failed",
    1002: "Abnormal operation",
    1003: "Operation failed",
    1010: "Extension abnormal",
    1011: "Extension not owned by this company",
}
_LIKELY_FAILURES = (1001, 1003, 1010)


@dataclass(frozen=True, slots=True)
class Reply:
    """One HTTP answer. `delay` is seconds before it starts; `ending` says how it ends.

    `whole`: status, headers and body. `endless`: the body, then `blanks` bytes of white space. `hang`:
    nothing while the caller waits. `drop`: the connection is closed.
    """

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=lambda: JSON)
    body: bytes = b""
    delay: float = 0.0
    ending: Literal["whole", "endless", "hang", "drop"] = "whole"
    blanks: int = 0


class _Refused(Exception):
    """An envelope with another ret than 200."""

    def __init__(self, ret: int, detail: str = "") -> None:
        super().__init__(ret)
        self.ret = ret
        self.msg = _REFUSALS[ret].format(detail)


class _Failed(Exception):
    """A call that was handled and failed: data.status 1."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


def _envelope_of(ret: int, data: dict[str, Any] | list[Any], msg: str) -> dict[str, Any]:
    return {"ret": ret, "data": data, "msg": msg}


class VendorApi:
    """Tokens, services and faults over one floor. Times given are unix seconds on the true clock.

    `accounts` maps appid to accesskey. With `one_token` a log-in revokes the earlier token of its appid.
    """

    def __init__(
        self,
        world: World,
        accounts: Mapping[str, str],
        faults: Faults | None = None,
        *,
        one_token: bool = False,
        seed: int = 0,
    ) -> None:
        self.world = world
        self.stats: Counter[str] = Counter({"requests": 0, "polls": 0, "logins": 0, "refused": 0})
        self._accounts = dict(accounts)
        self._one_token = one_token
        self._random = Random(f"tokens {seed}")
        self._tokens: dict[str, tuple[str, float]] = {}
        self._zone = ZoneInfo(world.floor.zone)
        self._handlers: dict[str, Callable[[Mapping[str, str], float], Any]] = {
            "login": self._login,
            "logout": self._logout,
            "poll": self._poll,
            "groups": self._groups,
        }
        self._faults, self._faults_since = Faults(), world.now
        self.set_faults(faults or Faults(), world.now)

    def set_faults(self, faults: Faults, now: float) -> None:
        """Put other rules in force; their seconds count from `now`."""
        self.advance(now)
        self._faults, self._faults_since = faults, now
        self.world.skew = faults.skew_at(0.0)

    def revoke(self) -> int:
        """Forget every token, as an operator can; returns how many there were."""
        count = len(self._tokens)
        self._tokens.clear()
        return count

    def advance(self, now: float) -> None:
        """Let the floor go on to `now`, with the vendor's clock jumping when a skew begins and ends."""
        for edge in self._faults.skew_changes():
            if self.world.now < self._faults_since + edge <= now:
                self.world.advance(self._faults_since + edge)
                self.world.skew = self._faults.skew_at(edge)
        self.world.advance(now)

    def answer(self, form: Mapping[str, str], now: float, peer: str = "") -> Reply:
        """The answer to one POST of `form` by `peer` (an address) at `now`."""
        self.advance(now)
        service = _SERVICES.get(form.get("service", ""), "")
        strikes = self._faults.strike(service, now - self._faults_since)
        self.stats["requests"] += 1
        self.stats.update(f"faults.{strike.kind}" for strike in strikes)
        if any(strike.kind == "ret600" for strike in strikes):
            self._tokens.pop(form.get("token", ""), None)
        body = orjson.dumps(self._envelope(service, form, now, peer, strikes))
        return self._damaged(body, strikes)

    def _envelope(
        self, service: str, form: Mapping[str, str], now: float, peer: str, strikes: Sequence[Strike]
    ) -> object:
        data: dict[str, Any] = {"status": 0, "desc": "Operation succeeded"}
        try:
            result = self._result(service, form, now)
            self._refuse(strikes, peer)
            data["result"] = self._damaged_result(result, strikes)
        except _Refused as refused:
            self.stats["refused"] += 1
            return _envelope_of(refused.ret, [], refused.msg)
        except _Failed as failed:
            text = _FAILURES.get(failed.code, "Unknown error")
            data |= {"status": 1, "desc": text, "errors": {"code": str(failed.code), "codemsg": text}}
        data["reqtime"] = data["rsptime"] = int(now + self.world.skew)
        if any(strike.kind == "datalist" for strike in strikes):
            return _envelope_of(200, [], "")
        return _envelope_of(200, data, "")

    def _result(self, service: str, form: Mapping[str, str], now: float) -> Any:
        if not service:
            raise _Refused(400, f"service {form.get('service', '')} does not exist")
        if service != "login":
            self._check_token(form, now)
        return self._handlers[service](form, now)

    def _refuse(self, strikes: Sequence[Strike], peer: str) -> None:
        """Refuse or fail the call, where a fault says so."""
        for strike in strikes:
            if strike.kind.startswith("ret"):
                raise _Refused(int(strike.kind.removeprefix("ret")), peer)
            if strike.kind == "status1":
                raise _Failed(int(strike.number or self._faults.random.choice(_LIKELY_FAILURES)))

    def _damaged_result(self, result: Any, strikes: Sequence[Strike]) -> Any:
        """The result with what the faults do to its rows, each kind once, in damage.py's order."""
        struck = {strike.kind: strike.number for strike in strikes}
        if "null" in struck:
            return None
        for kind, harm in damage.ROWS.items():
            if kind in struck:
                result = harm(result, self._faults.random, struck[kind])
        return result

    def _damaged(self, body: bytes, strikes: Sequence[Strike]) -> Reply:
        """The reply with what the remaining faults do to its bytes, its time and its connection."""
        kinds = {strike.kind: strike.number or 0.0 for strike in strikes}
        delay = kinds.get("slow", 0.0)
        if "drop" in kinds:
            return Reply(delay=delay, ending="drop")
        if "hang" in kinds:
            return Reply(ending="hang")
        if "http500" in kinds:
            return Reply(500, {"Content-Type": "text/plain"}, b"Internal Server Error\n", delay)
        if "redirect" in kinds:
            return Reply(302, {"Location": ELSEWHERE}, b"", delay)
        if "html" in kinds:
            return Reply(200, {"Content-Type": "text/html"}, damage.HTML, delay)
        if "truncated" in kinds:
            body = damage.truncate(body, self._faults.random)
        if "bom" in kinds:
            body = damage.BOM + body
        if "endless" in kinds:
            return Reply(200, JSON, body, delay, "endless", int(kinds["endless"] * 2**20))
        return Reply(200, JSON, body, delay)

    def _check_token(self, form: Mapping[str, str], now: float) -> None:
        token = form.get("token")
        if token is None:
            raise _Refused(400, "token is required")
        if self._tokens.get(token, ("", now))[1] <= now:
            raise _Refused(600)

    def _login(self, form: Mapping[str, str], now: float) -> dict[str, str]:
        appid, accesskey = form.get("appid"), form.get("accesskey")
        if appid is None or accesskey is None:
            raise _Refused(400, "appid and accesskey are required")
        if appid not in self._accounts:
            raise _Refused(601)
        if self._accounts[appid] != accesskey:
            raise _Failed(1003)
        if self._one_token:
            self._tokens = {token: entry for token, entry in self._tokens.items() if entry[0] != appid}
        token = f"{self._random.getrandbits(128):032x}"
        self._tokens[token] = (appid, now + TOKEN_SECONDS)
        self.stats["logins"] += 1
        authtime = datetime.fromtimestamp(int(now + self.world.skew), self._zone)
        return {
            "token": token,
            "companycode": "9026",
            "companyname": "Example Call Centre",
            "authtime": authtime.strftime("%Y-%m-%d %H:%M:%S"),
            "authmodel": "1",
        }

    def _logout(self, form: Mapping[str, str], _now: float) -> dict[str, str]:
        del self._tokens[form["token"]]
        return {}

    def _groups(self, _form: Mapping[str, str], _now: float) -> list[dict[str, str]]:
        return [{"queuename": group} for group in self.world.groups]

    def _poll(self, form: Mapping[str, str], _now: float) -> list[Any]:
        """The rows that pass the request's filters; an empty one passes all."""
        group, extension, wanted = (form.get(name, "") for name in ("queuename", "extnumber", "state"))
        if wanted not in ("", "0", "1", "2", "3", "4"):
            raise _Refused(400, "state must be 0 to 4")
        self.stats["polls"] += 1
        rows = self.world.rows()
        if not (group or extension or wanted.strip("0")):
            return rows
        return [
            row
            for row in rows
            if group in ("", row["queuename"])
            and extension in ("", row["extnumber"])
            and matches_filter(int(row["state"] or 0), int(wanted or 0))
        ]
