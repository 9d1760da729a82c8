"""The client against a vendor on loopback: tokens, budgets, hooks and secrets."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Generator

import aiohttp
import pytest

from streamer.errors import ConfigError, StreamerError, VendorError, VendorRefused, VendorUnavailable
from streamer.vendor.client import Reply, Session, Unusable, VendorClient, http_session
from streamer.vendor.session import Unreached
from streamer.vendor.tokens import RENEW_AFTER, RENEW_RETRY
from tests.vendor.lying import KEY, LOGIN, STATUS, FakeClock, Form, Vendor, business, envelope, good, served


@pytest.fixture
async def http() -> AsyncGenerator[aiohttp.ClientSession]:
    async with http_session() as session:
        yield session


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def vendor() -> Vendor:
    return Vendor()


@pytest.fixture
async def session(vendor: Vendor, http: aiohttp.ClientSession, clock: FakeClock) -> AsyncGenerator[Session]:
    async with served(vendor) as port:
        yield Session(url=f"http://127.0.0.1:{port}", appid="app-1", accesskey=KEY, token="", http=http, clock=clock)


@pytest.fixture
def client(session: Session) -> VendorClient:
    return VendorClient(session, name="floor", poll_interval=1.0)


@pytest.fixture(autouse=True)
def _no_secret_is_logged(caplog: pytest.LogCaptureFixture) -> Generator[None]:  # pyright: ignore[reportUnusedFunction]
    """Whatever a test does, nothing at debug level names the key or a token."""
    caplog.set_level(logging.DEBUG)
    yield
    for record in caplog.records:
        assert KEY not in record.getMessage()
        assert "token-number-" not in record.getMessage()


def reveals(error: BaseException) -> str:
    """All that an exception and those behind it would show."""
    shown = f"{error} {error!r} {error.args!r}"
    behind = [e for e in (error.__cause__, error.__context__) if e]
    return shown + "".join(map(reveals, behind))


async def failing(client: VendorClient, kind: type[VendorError] = VendorUnavailable) -> StreamerError:
    with pytest.raises(VendorError) as raised:
        await client.poll()
    assert type(raised.value) is kind, raised.value
    assert KEY not in reveals(raised.value)
    assert "token-number-" not in reveals(raised.value)
    return raised.value


async def test_a_first_poll_logs_in_and_asks(client: VendorClient, vendor: Vendor, clock: FakeClock) -> None:
    """One log-in, one status call; the answer carries bytes, times and outcome."""
    polled = await client.poll()
    assert [form["service"] for form in vendor.forms] == [LOGIN, STATUS]
    assert (polled.status, polled.body, polled.opened.result) == (200, good(), b"[]")
    assert polled.requested_at == polled.answered_at == clock.now_ms()
    await client.poll()
    assert vendor.count(LOGIN) == 1


async def test_times_are_those_of_the_call_that_succeeded(
    client: VendorClient, vendor: Vendor, clock: FakeClock
) -> None:
    """After a log-in in between, the request counts from the repeat; the answer from its last byte."""

    def slowly(form: Form) -> bytes:
        clock.seconds += 3
        return vendor.honest_status(form)

    vendor.status = slowly
    await client.poll()
    vendor.tokens.clear()
    before = clock.now_ms()
    polled = await client.poll()
    assert (polled.requested_at, polled.answered_at) == (before + 3000, before + 6000)


async def test_twenty_polls_at_once_log_in_once(session: Session, vendor: Vendor) -> None:
    """All wait for the one log-in, and use its token."""
    vendor.gate = asyncio.Event()
    clients = [VendorClient(session, name=f"s{n}", poll_interval=1.0) for n in range(20)]
    polls = asyncio.gather(*(client.poll() for client in clients))
    await vendor.asked_to_log_in.wait()
    vendor.gate.set()
    await polls
    assert (vendor.count(LOGIN), vendor.count(STATUS)) == (1, 20)


async def test_twenty_polls_share_a_failed_log_in(session: Session, vendor: Vendor) -> None:
    """Who waited for a log-in that failed does not try again."""
    vendor.gate = asyncio.Event()
    vendor.login = lambda _: envelope(500, [], "down")
    clients = [VendorClient(session, name=f"s{n}", poll_interval=1.0) for n in range(20)]
    polls = asyncio.gather(*(client.poll() for client in clients), return_exceptions=True)
    await vendor.asked_to_log_in.wait()
    vendor.gate.set()
    outcomes = await polls
    assert all(isinstance(outcome, VendorUnavailable) for outcome in outcomes)
    assert len({id(outcome) for outcome in outcomes}) == 20, "an exception raised twice mixes its tracebacks"
    assert (vendor.count(LOGIN), vendor.count(STATUS)) == (1, 0)


async def test_a_revoked_token_is_replaced_and_the_poll_succeeds(client: VendorClient, vendor: Vendor) -> None:
    """An operator's revocation costs one log-in and no poll."""
    await client.poll()
    vendor.tokens.clear()
    await client.poll()
    assert (vendor.count(LOGIN), vendor.count(STATUS)) == (2, 3)


async def test_two_sources_of_a_session_share_a_revocation(session: Session, vendor: Vendor) -> None:
    """Both are told 600 about the same token, one logs in, the other takes what it got."""
    one, two = (VendorClient(session, name=name, poll_interval=1.0) for name in ("one", "two"))
    await one.poll()
    vendor.tokens.clear()
    await asyncio.gather(one.poll(), two.poll())
    assert (vendor.count(LOGIN), vendor.count(STATUS)) == (2, 5)


async def test_a_vendor_who_gives_the_same_token_again_is_not_asked_by_each_source(
    session: Session, vendor: Vendor
) -> None:
    """A log-in that changed nothing is still the outcome for those who waited for it."""
    vendor.login = lambda _: good({"token": "token-number-1"})
    vendor.status = lambda _: envelope(600, [])
    clients = [VendorClient(session, name=f"s{n}", poll_interval=1.0) for n in range(9)]
    outcomes = await asyncio.gather(*(client.poll() for client in clients), return_exceptions=True)
    assert all(isinstance(outcome, VendorUnavailable) for outcome in outcomes)
    assert vendor.count(LOGIN) <= 3


@pytest.mark.parametrize("failure", [envelope(600, [], "no"), business("1003"), business("1010")])
async def test_a_vendor_who_always_blames_the_token_is_asked_within_the_budgets(
    client: VendorClient, vendor: Vendor, clock: FakeClock, failure: bytes
) -> None:
    """However often poll is called: 2 + 2·W/interval status calls, 3 + W/60 log-ins."""
    vendor.status = lambda _: failure
    for _ in range(300):
        await failing(client)
    assert 100 < clock.seconds < 300
    assert vendor.count(STATUS) <= 2 + 2 * clock.seconds
    assert vendor.count(LOGIN) <= 3 + clock.seconds / 60


async def test_a_storm_of_hints_is_slowed_to_the_budget(client: VendorClient, vendor: Vendor, clock: FakeClock) -> None:
    """Polls in a tight loop wait; none fails."""
    for _ in range(200):
        await client.poll()
    assert vendor.count(STATUS) == 200
    assert clock.slept == pytest.approx(99.0, abs=0.01)  # pyright: ignore[reportUnknownMemberType]


async def test_an_exhausted_log_in_budget_says_what_the_vendor_said(client: VendorClient, vendor: Vendor) -> None:
    """The operator reads the vendor's words, and that log-ins are limited."""
    vendor.status = lambda _: business("1003")
    for _ in range(3):
        error = await failing(client)
    error = await failing(client)
    assert "answered 1003: said so" in error.problem
    assert "log-ins are limited" in error.remedy


async def test_the_log_in_budget_is_the_sessions(session: Session, vendor: Vendor) -> None:
    """Ten sources may log in no more often than one."""
    vendor.status = lambda _: envelope(600, [])
    for n in range(10):
        await failing(VendorClient(session, name=f"s{n}", poll_interval=1.0))
    assert vendor.count(LOGIN) == 3


async def test_a_vendor_who_was_away_is_logged_in_to_at_once(
    http: aiohttp.ClientSession, clock: FakeClock, vendor: Vendor
) -> None:
    """Attempts that reached nobody do not use up the log-ins."""
    async with served(vendor) as port:
        pass  # and closed again: nobody listens there
    url = f"http://127.0.0.1:{port}"
    client = VendorClient(
        Session(url=url, appid="app-1", accesskey=KEY, token="", http=http, clock=clock),
        name="floor",
        poll_interval=1.0,
    )
    for _ in range(10):
        assert "no connection" in str(await failing(client, Unreached))
    async with served(vendor, port=port):
        await client.poll()


async def test_a_wrong_accesskey_is_refused_without_being_shown(vendor: Vendor, client: VendorClient) -> None:
    """The vendor echoes the key; the message masks it."""
    vendor.login = lambda form: envelope(601, [], f"accesskey {form['accesskey']}")
    error = await failing(client, VendorRefused)
    assert "accesskey ***" in error.problem
    assert "may be wrong" in error.remedy


async def test_a_token_is_renewed_an_hour_before_its_end(
    client: VendorClient, vendor: Vendor, clock: FakeClock
) -> None:
    """The log-in comes before the poll, so no poll meets an expired token."""
    await client.poll()
    clock.seconds += RENEW_AFTER - 1
    await client.poll()
    assert vendor.count(LOGIN) == 1
    clock.seconds += 1
    await client.poll()
    assert [form["service"] for form in vendor.forms] == [LOGIN, STATUS, STATUS, LOGIN, STATUS]


async def test_a_renewal_that_fails_leaves_the_old_token_in_use(
    session: Session, client: VendorClient, vendor: Vendor, clock: FakeClock
) -> None:
    """Polls go on, the failure is told, and it is tried again after a while."""
    told: list[VendorError] = []
    session.tokens.on_renewal_failed = told.append
    await client.poll()
    clock.seconds += RENEW_AFTER
    vendor.login = lambda _: envelope(500, [], "down")
    for _ in range(5):
        clock.seconds += 1
        assert (await client.poll()).opened.result == b"[]"
    assert (vendor.count(LOGIN), len(told)) == (2, 1)
    clock.seconds += RENEW_RETRY
    vendor.login = vendor.honest_login
    await client.poll()
    assert vendor.count(LOGIN) == 3
    assert vendor.forms[-1]["token"] == "token-number-2"


async def test_a_configured_token_never_logs_in(http: aiohttp.ClientSession, vendor: Vendor, clock: FakeClock) -> None:
    """It is used as it is, and refused for good when the vendor does not take it."""
    async with served(vendor) as port:
        session = Session(
            url=f"http://127.0.0.1:{port}", appid="", accesskey="", token="token-number-0", http=http, clock=clock
        )
        client = VendorClient(session, name="floor", poll_interval=1.0)
        vendor.tokens.add("token-number-0")
        await client.poll()
        clock.seconds += 13 * 3600
        await client.poll()
        vendor.tokens.clear()
        await failing(client, VendorRefused)
        assert vendor.count(LOGIN) == 0
        assert session.secrets() == ("token-number-0",)


async def test_the_filters_are_sent(session: Session, vendor: Vendor) -> None:
    """queuename and extnumber are the vendor's own filters; the state is never filtered."""
    await VendorClient(session, name="floor", poll_interval=1.0, queuename="外呼", extnumber="1,2").poll()
    sent = vendor.forms[-1]
    assert (sent["queuename"], sent["extnumber"], sent["state"]) == ("外呼", "1,2", "0")


async def test_the_hook_sees_every_status_reply_and_no_log_in(client: VendorClient, vendor: Vendor) -> None:
    """Good, refused and broken answers alike, with their times."""
    seen: list[Reply] = []
    client.on_reply = seen.append
    await client.poll()
    vendor.tokens.clear()
    await client.poll()
    vendor.status = lambda _: b"<html>"
    with pytest.raises(Unusable) as raised:
        await client.poll()
    assert [reply.body[:11] for reply in seen] == [b'{"ret": 200', b'{"ret": 600', b'{"ret": 200', b"<html>"]
    assert raised.value.body == b"<html>"
    assert raised.value.requested_at == seen[-1].requested_at


async def test_secrets_are_all_that_is_held(session: Session, client: VendorClient, vendor: Vendor) -> None:
    """The key, the token in use, and the one before it, about which an answer may still be under way."""
    assert session.secrets() == (KEY,)
    await client.poll()
    assert client.secrets() == (KEY, "token-number-1")
    vendor.tokens.clear()
    await client.poll()
    assert set(client.secrets()) == {KEY, "token-number-1", "token-number-2"}


async def test_a_cancelled_log_in_lets_the_next_one_try(session: Session, vendor: Vendor) -> None:
    """A slot that is lost in the middle of a log-in leaves nothing locked and no failure behind."""
    vendor.gate = asyncio.Event()
    first, second = (asyncio.create_task(VendorClient(session, name=name, poll_interval=1.0).poll()) for name in "ab")
    await vendor.asked_to_log_in.wait()
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    vendor.gate.set()
    await second
    assert vendor.count(LOGIN) == 2


async def test_a_poll_can_be_cancelled(http: aiohttp.ClientSession, clock: FakeClock) -> None:
    """Cancellation is not turned into an error of the vendor's."""
    asked = asyncio.Event()

    async def hang(_form: Form, _writer: asyncio.StreamWriter) -> None:
        asked.set()
        await asyncio.Event().wait()

    async with served(hang) as port:
        session = Session(url=f"http://127.0.0.1:{port}", appid="", accesskey="", token="t", http=http, clock=clock)
        poll = asyncio.create_task(VendorClient(session, name="x", poll_interval=1.0).poll())
        await asked.wait()
        poll.cancel()
        with pytest.raises(asyncio.CancelledError):
            await poll


@pytest.mark.parametrize(
    ("url", "accesskey", "token", "warned"),
    [
        ("http://vendor:8080", KEY, "", True),
        ("http://10.0.0.1", "", "t", True),
        ("http://127.0.0.1:8080", KEY, "", False),
        ("http://127.8.8.8", KEY, "", False),
        ("http://[::1]:80", KEY, "", False),
        ("http://localhost", KEY, "", False),
        ("https://vendor", KEY, "", False),
        ("http://vendor", "", "", False),
    ],
)
async def test_plain_http_to_another_machine_is_warned_of(
    http: aiohttp.ClientSession, clock: FakeClock, url: str, accesskey: str, token: str, warned: bool
) -> None:
    """The caller gets one line to log, or nothing; the line holds no secret."""
    session = Session(url=url, appid="a", accesskey=accesskey, token=token, http=http, clock=clock)
    warning = session.warn_plain_http()
    assert bool(warning) == warned
    assert KEY not in (warning or "")


@pytest.mark.parametrize(
    "url", ["", "vendor:8080", "ftp://vendor", "http://", "http://vendor:99999", "/path", "http://[x"]
)
async def test_a_url_that_is_no_http_address_is_a_config_error(
    http: aiohttp.ClientSession, clock: FakeClock, url: str
) -> None:
    """It is found before the first poll."""
    with pytest.raises(ConfigError, match="url"):
        Session(url=url, appid="a", accesskey=KEY, token="", http=http, clock=clock)


async def test_a_password_in_the_url_is_a_secret(http: aiohttp.ClientSession, clock: FakeClock) -> None:
    """It appears among the secrets and in no message's address."""
    session = Session(url="http://me:hush-hush@vendor", appid="a", accesskey=KEY, token="", http=http, clock=clock)
    assert session.secrets() == (KEY, "hush-hush")
    assert session.account.where == "vendor:80"
