"""Who is let in, and who is told what."""

from __future__ import annotations

import base64
from collections.abc import Mapping

import aiohttp
import pytest
from pydantic import SecretStr

from streamer.config import Http
from tests.web.test_web_app import Site

TOKEN = "kö-board-token"
GUARDED = ("/", "/board.js", "/events", "/state.json", "/timeline/floor/1", "/metrics", "/nothing", "/healthz/", "//")

WITH_TOKEN = Http(listen="0.0.0.0:8080", token=SecretStr(TOKEN))


def basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


async def asked(address: str, path: str, headers: Mapping[str, str]) -> tuple[int, str]:
    """Status and body of an answer; of a stream, its beginning."""
    async with (
        aiohttp.ClientSession() as session,
        session.get(address + path, headers=headers) as answer,
    ):
        return answer.status, (await answer.content.read(200)).decode()


@pytest.mark.parametrize("path", GUARDED)
@pytest.mark.parametrize(
    "header", ["", "Bearer", "Bearer ", "Bearer wrong", "Basic !!", basic("a", "wrong"), basic(TOKEN, ""), TOKEN]
)
async def test_without_the_token_nothing_is_shown(path: str, header: str) -> None:
    """And a browser is told to ask for it."""
    async with Site(WITH_TOKEN).serve() as site:
        headers = {"Authorization": header} if header else {}
        status, body = await asked(site.address, path, headers)
    assert status == 401
    assert body.startswith("the token is missing or wrong")


@pytest.mark.parametrize("header", [f"Bearer {TOKEN}", f"bearer {TOKEN}", basic("", TOKEN), basic("anyone", TOKEN)])
async def test_with_the_token_everything_is(header: str) -> None:
    """As a bearer's, or as the password of a browser's log-in; under any name of this host."""
    async with Site(WITH_TOKEN).serve() as site:
        for path in ("/", "/events", "/metrics"):
            status, _ = await asked(site.address, path, {"Authorization": header, "Host": "board.example.com"})
            assert status == 200


async def test_probes_need_no_token_and_get_no_details() -> None:
    """The status code is all that they need; whoever has the token learns why."""
    async with Site(WITH_TOKEN).serve() as site:
        site.troubles = {"floor": "stale: it hurts"}
        assert await asked(site.address, "/readyz", {}) == (503, '{"ready":false}')
        assert (await asked(site.address, "/healthz", {}))[0] == 200
        status, body = await asked(site.address, "/readyz", {"Authorization": f"Bearer {TOKEN}"})
        assert status == 503
        assert "it hurts" in body


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.1:8080", "localhost:1", "[::1]:8080", "LOCALHOST"])
async def test_this_machine_is_let_in_under_its_own_names(host: str) -> None:
    """Whichever port it was reached by."""
    async with Site().serve() as site:
        assert (await asked(site.address, "/state.json", {"Host": host}))[0] == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8080", "127.0.0.1.evil.example", "10.0.0.1", "", "[]", ":80"]
)
async def test_another_name_that_leads_here_is_a_trick(host: str) -> None:
    """A page elsewhere whose name was made to point to this machine's loopback (DNS rebinding)."""
    async with Site().serve() as site:
        status, body = await asked(site.address, "/state.json", {"Host": host})
        assert status == 421
        assert "http.behind_proxy" in body
        assert "not_ready" not in (await asked(site.address, "/readyz", {"Host": host}))[1]


async def test_behind_a_proxy_the_name_does_not_matter() -> None:
    """It is the proxy that asks who comes."""
    async with Site(Http(behind_proxy=True)).serve() as site:
        assert (await asked(site.address, "/state.json", {"Host": "board.example.com"}))[0] == 200
