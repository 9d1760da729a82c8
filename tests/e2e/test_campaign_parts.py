"""What the campaign is made of, by itself: its proxies on loopback, its draws, and its checks."""

from __future__ import annotations

import socket
import socketserver
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import pytest

from benchmarks.campaign_checks import Order, as_shown, astray, told_at
from benchmarks.campaign_faults import draw, remaining
from benchmarks.campaign_outbox import KeptBatch, kept_batches, outbox_losses
from benchmarks.campaign_report import Leg, page
from benchmarks.proxy import Proxies, Proxy
from streamer.core.feed import Cursor
from streamer.kafka.serde import Record
from streamer.runtime.journal import DiskJournal
from streamer.runtime.outbox import Kept, Load
from tests.truth import Told


class Echo(socketserver.ThreadingTCPServer):
    """Sends back what it is sent."""

    daemon_threads = True
    block_on_close = False

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            try:
                while data := self.request.recv(4096):
                    self.request.sendall(data)
            except ConnectionError:
                pass

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), self.Handler)


@pytest.fixture
def proxies() -> Iterator[Proxies]:
    """An event loop for proxies."""
    with Proxies() as made:
        yield made


@pytest.fixture
def proxy(proxies: Proxies) -> Iterator[Proxy]:
    """A proxy in front of an echo."""
    with Echo() as echo:
        threading.Thread(target=echo.serve_forever, args=(0.01,), daemon=True).start()
        yield proxies.add(echo.server_address[1])
        echo.shutdown()


def connect(proxy: Proxy) -> socket.socket:
    return socket.create_connection(("127.0.0.1", proxy.port), timeout=5)


def asked(connection: socket.socket, data: bytes) -> bytes:
    connection.sendall(data)
    return connection.recv(4096)


def test_a_proxy_carries_both_ways_and_ends_with_either_side(proxy: Proxy) -> None:
    """What is sent comes back, a half that ends ends the other."""
    with connect(proxy) as connection:
        assert asked(connection, b"one") == b"one"
        connection.shutdown(socket.SHUT_WR)
        assert connection.recv(10) == b""


def test_a_proxy_delays_each_piece(proxies: Proxies, proxy: Proxy) -> None:
    """There and back take the delay twice; healed, neither."""
    with connect(proxy) as connection:
        assert asked(connection, b"one") == b"one"
        proxies.do(lambda: proxy.trouble("delay", 0.1))
        begun = time.monotonic()
        assert asked(connection, b"two") == b"two"
        assert time.monotonic() - begun >= 0.2
        proxies.do(proxy.heal)
        assert asked(connection, b"three") == b"three"


def test_a_cut_resets_old_and_new_connections_until_it_is_healed(proxies: Proxies, proxy: Proxy) -> None:
    """Both see a reset, not an end."""
    with connect(proxy) as connection:
        assert asked(connection, b"one") == b"one"
        proxies.do(lambda: proxy.trouble("cut"))
        with pytest.raises(ConnectionResetError):
            connection.recv(10)
    with pytest.raises(ConnectionResetError), connect(proxy) as connection:
        connection.recv(10)
    proxies.do(proxy.heal)
    with connect(proxy) as connection:
        assert asked(connection, b"two") == b"two"


def test_half_open_keeps_connections_and_carries_nothing_until_it_is_healed(proxies: Proxies, proxy: Proxy) -> None:
    """Nothing is lost either: what was sent meanwhile arrives afterwards, also on a new connection."""
    with connect(proxy) as old:
        assert asked(old, b"one") == b"one"
        proxies.do(lambda: proxy.trouble("half-open"))
        with connect(proxy) as new:
            for connection in (old, new):
                connection.settimeout(0.1)
                with pytest.raises(TimeoutError):
                    asked(connection, b"two")
            proxies.do(proxy.heal)
            for connection in (old, new):
                connection.settimeout(5)
                assert connection.recv(10) == b"two"


def test_a_proxy_without_a_target_resets(proxies: Proxies) -> None:
    """As when the broker behind it is dead."""
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        proxy = proxies.add(nobody.getsockname()[1])
        with pytest.raises(ConnectionResetError), connect(proxy) as connection:
            connection.recv(10)


def event(extension: str, sequence: int, epoch: str = "6741a2f0") -> dict[str, Any]:
    number = f"floor/{extension}/{epoch}/{sequence}"
    what = {"current": {"state": "available"}, "occurred_not_before": "2026-11-25T00:01:00Z"}
    return {"source": "floor", "extension": extension, "sequence": sequence, "epoch": epoch, "event_id": number, **what}


def feed(writer: str, number: int, until: str | None = None, superseded: int = 0) -> dict[str, Any]:
    return {
        "source": "floor",
        "cursor": {"writer": writer, "number": number},
        "confirmed_until": until,
        "superseded": superseded,
        "instance": writer[0],
    }


@pytest.mark.parametrize(
    ("sequences", "wrong"), [((1, 2, 3), 0), ((1, 2, 2), 1), ((1, 3), 1), ((2,), 1), ((1, 2, 1), 1)]
)
def test_order_finds_doubled_skipped_and_stale_events(sequences: tuple[int, ...], wrong: int) -> None:
    """Of one extension; another's numbers are its own. A new epoch means that state was lost."""
    order = Order()
    for sequence in sequences:
        order.event(event("1", sequence))
    order.event(event("2", 1))
    assert len(order.violations) == wrong
    order.event(event("2", 2, "6741a2f1"))
    assert len(order.violations) == wrong + 1


def test_order_finds_a_writer_that_goes_on_after_another() -> None:
    """A writer that was succeeded never writes again, and a writer's numbers never fall."""
    order = Order()
    for record in (feed("a1", 0), feed("a1", 4), feed("a1", 4), feed("b1", 0), feed("b1", 2)):
        order.feed(record)
    assert order.violations == []
    order.feed(feed("a1", 5))
    assert len(order.violations) == 1
    order.feed(feed("a1", 4))
    assert len(order.violations) == 3


def test_order_finds_a_watermark_and_an_event_in_the_future() -> None:
    """Nobody can know now what is complete, or happens, in a minute."""
    order = Order()
    order.event(event("1", 1), now=1795564860.0)
    assert order.violations == []
    order.event(event("1", 2), now=1795564800.0)
    assert "60.0 s ahead" in order.violations[0]
    order = Order()
    order.feed(feed("a1", 1, "2026-11-25T00:01:00Z"), now=1795564860.0)
    assert order.violations == []
    order.feed(feed("a1", 2, "2026-11-25T00:02:00Z"), now=1795564860.0)
    assert len(order.violations) == 1


TRUE = [(0.0, "available"), (20.0, "ringing"), (24.0, "talking"), (60.0, "wrap_up")]


def told(*moments: tuple[float, str]) -> list[Told]:
    return [Told(state, at - 0.5, at, at + 0.5) for at, state in moments]


def test_astray_holds_the_told_state_at_each_moment_against_the_true_one() -> None:
    """One that is told late is behind at the moment between; near a change nothing is demanded."""
    assert list(astray({"1": TRUE}, {"1": told(*TRUE)}, [10, 30, 70])) == []
    late = told((0.0, "available"), (20.0, "ringing"), (40.0, "talking"), (60.0, "available"))
    assert len(list(astray({"1": TRUE}, {"1": late}, [10, 30, 70]))) == 1
    assert list(astray({"1": TRUE}, {"1": late}, [10, 21, 25, 45])) == []


def test_within_its_bounds_a_transition_may_have_been_or_not() -> None:
    """So both states are told, until the upper bound."""
    line = [Told("available", 0, 0, 0), Told("ringing", 10, 15, 20), Told("talking", 12, 18, 22)]
    assert told_at(line, 5) == {"available"}
    assert told_at(line, 11) == {"available", "ringing"}
    assert told_at(line, 15) == {"available", "ringing", "talking"}
    assert told_at(line, 21) == {"ringing", "talking"}
    assert told_at(line, 23) == {"talking"}
    assert told_at([], 5) == {"signed_out"}


def test_astray_finds_an_extension_of_which_nothing_is_told_and_one_that_never_was() -> None:
    """Either way round."""
    assert len(list(astray({"1": TRUE}, {}, [10]))) == 1
    assert len(list(astray({}, {"1": told(*TRUE)}, [10]))) == 1


def test_a_wrap_up_that_shows_after_something_else_than_its_call_may_be_told_as_available() -> None:
    """One that follows its call may not."""
    true = [(0.0, "offline"), (10.0, "wrap_up"), (15.0, "available")]
    assert as_shown(true, told((10.2, "available"))) == [true[0], (10.0, "available"), true[2]]
    assert as_shown(true, told((10.2, "wrap_up"), (15.0, "available"))) == true
    after = [(0.0, "talking"), *true[1:]]
    assert as_shown(after, told((10.2, "available"))) == after


BATCH = KeptBatch("a", "floor", "a1", 5, (("a1", 4),), ("floor/1/6741a2f0/7", "floor/2/6741a2f0/3"))


def test_a_batch_on_disk_has_arrived_or_was_superseded_by_another_instance() -> None:
    """The feed says so, and counts it."""
    assert outbox_losses([BATCH], [], BATCH.events, {"floor": [feed("a1", 4), feed("a2", 0)]}) == []
    assert outbox_losses([BATCH], [], [], {"floor": [feed("a1", 4), feed("b1", 0, superseded=1)]}) == []
    assert len(outbox_losses([BATCH], [], [], {"floor": [feed("a1", 4), feed("b1", 0)]})) == 1
    assert outbox_losses([BATCH], [BATCH], [], {"floor": [feed("a1", 4), feed("b1", 0)]}) == []


def test_a_batch_on_disk_that_its_own_instance_dropped_is_a_loss() -> None:
    """As is one that arrived in part."""
    after = {"floor": [feed("a1", 4), feed("a2", 0, superseded=1)]}
    assert len(outbox_losses([BATCH], [], [], after)) == 1
    assert len(outbox_losses([BATCH], [], BATCH.events[:1], after)) == 1
    assert len(outbox_losses([BATCH], [], [], {"floor": [feed("a1", 4)]})) == 1


def test_batches_behind_one_that_was_given_up_are_given_up_with_it() -> None:
    """Their numbers never show on the feed; each is counted once, in however many outboxes it is found."""
    later = replace(BATCH, number=6, parents=(("a1", 5),), events=("floor/1/6741a2f0/8",))
    after = {"floor": [feed("a1", 4), feed("b1", 0, superseded=2)]}
    assert outbox_losses([BATCH, later, later], [], [], after) == []
    assert len(outbox_losses([BATCH, later], [], BATCH.events, {"floor": [feed("a1", 5), feed("a2", 0)]})) == 1


async def test_what_a_killed_instance_left_on_disk_is_read(tmp_path: Path) -> None:
    """From a copy of the file while it is still locked, with the batch's event ids."""
    value = b'{"type":"AgentStateChanged","event_id":"floor/1/6741a2f0/7","poll_id":"floor/1"}'
    load = Load((Record("events", b"floor/1", value, 0),))
    kept = Kept("floor", Cursor("a1", 5), Cursor("a1", 4), None, None, load.packed())
    journal = DiskJournal(tmp_path / "outbox", print)
    try:
        written: list[str] = []
        journal.keep(kept, written.append)
        await journal.load("floor")
        while not written:
            await journal.load("floor")
        (found,) = kept_batches("a", tmp_path / "outbox")
    finally:
        await journal.close()
    assert (found.writer, found.number, found.events) == ("a1", 5, ("floor/1/6741a2f0/7 of floor/1",))
    assert ("a1", 4) in found.parents


def test_the_same_seed_draws_the_same_faults_and_only_those_that_are_left() -> None:
    """So a leg can be had again."""
    left = {"kill": 2, "network": 1, "zombie": 0}
    first, second = ([draw(chance, left) for _ in range(50)] for chance in (Random(1), Random(1)))
    assert first == second
    assert {fault.kind for fault in first} == {"kill", "network"}
    assert all(fault.length <= 20 and 0.5 <= fault.calm <= 3.0 for fault in first)
    assert remaining({"kill": 3, "zombie": 1}, Counter(kill=1, zombie=2)) == {"kill": 2, "zombie": 0}


def test_the_page_counts_faults_and_names_violations() -> None:
    """Of all legs, as they are kept."""
    leg = Leg(1, 7, 20, 2, ended="2026-11-25T00:00:00+00:00", names={"kill": 2}, gaps={"kill": [1.0, 3.0]})
    leg.names["stop"], leg.worst["kill"] = 1, [3.0]
    leg.take_overs, leg.notes["zombie"] = [6.5, 9.0], {"took part again": 1}
    kept = msgspec.json.decode(msgspec.json.encode(leg), type=Leg)
    text = page([kept])
    assert "**Violations: 0.**" in text
    assert "| kill | 2 | 2.0 | 3.0 | 3.0 |" in text
    assert "| stop | 1 | | |  |" in text
    assert "1 took longer" in text
    assert "1 took part again" in text
    kept.violations.append("floor/1: a hole")
    assert "- leg 1: floor/1: a hole" in page([kept])
