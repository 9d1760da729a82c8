"""The fast path gives what the plain one gives, whatever the vendor writes and in whatever order."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

import msgspec
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamer.core.envelope import Opened, open_envelope
from streamer.core.model import Settings, Snapshot, SourceState
from streamer.core.quick.door import Quick
from streamer.simulator.api import VendorApi
from streamer.simulator.faults import Faults
from streamer.simulator.floor import PRESETS
from streamer.simulator.world import World
from tests.core.answers import DEEDS, Vendor
from tests.core.builders import round_trip
from tests.core.plain import Plain

START = 1_795_399_200.0
LOGIN = {"service": "App.Sip_Auth.Login", "appid": "app", "accesskey": "key"}
SETTINGS = Settings("floor", timezone="UTC", forget_after_ms=3_600_000, poll_interval_ms=1000)


class Both:
    """Two lives of one source, the one plain, the other quick: they must not be told apart."""

    def __init__(self, of: Settings = SETTINGS) -> None:
        self._of = of
        self._state = SourceState(agents={})
        self._plain, self._quick = Plain(of), Quick(of)
        self._quick_state = SourceState(agents={})
        self.events = 0

    def see(self, body: bytes, requested_at: int, answered_at: int, *, ahead: bool = True) -> None:
        """One answer for both. `ahead`: the fast path gets the whole body, else a list that was opened already."""
        plainly = self._plain.open(body)
        quickly = self._quick.open(body) if ahead else open_envelope(body)
        if not isinstance(plainly, Opened) or not isinstance(quickly, Opened):
            assert plainly == quickly
            return
        assert (plainly.reqtime, plainly.rsptime) == (quickly.reqtime, quickly.rsptime)
        self._state, batch, snapshot = self._plain.advance(self._state, plainly, requested_at, answered_at)
        self._quick_state, fast, seen = self._quick.advance(self._quick_state, quickly, requested_at, answered_at)
        assert list(seen.seats) == list(snapshot.seats)
        assert len(seen.seats) == len(snapshot.seats)
        assert _bare(seen) == _bare(snapshot)
        assert fast == batch
        assert self._quick_state == self._state
        assert self._quick.seated(self._quick_state) == sum(1 for a in self._state.agents.values() if a.groups)
        self.events += len(batch.events)

    def restart(self) -> None:
        """Both go on from what their records hold."""
        agents = {name: round_trip(agent) for name, agent in self._state.agents.items()}
        self._state = SourceState(agents, self._state.complete_until, self._state.offset)
        self._quick_state = SourceState(dict(agents), self._state.complete_until, self._state.offset)
        self._plain, self._quick = Plain(self._of), Quick(self._of)


def _bare(snapshot: Snapshot) -> Snapshot:
    return msgspec.structs.replace(snapshot, seats=(), by_bytes={})


often = (*["change"] * 8, *["rush"] * 5, *["same"] * 2, *["poll"] * 12, "restart")
deeds = st.lists(st.sampled_from((*DEEDS, *often)), max_size=60)


@settings(max_examples=300)
@given(st.integers(0, 40), st.integers(0, 2**32), deeds, st.booleans())
def test_both_paths_tell_the_same(rows: int, seed: int, deeds: Sequence[str], ahead: bool) -> None:
    """Rows change, come, go, move, repeat, break and are written otherwise; clocks go on, and lives end."""
    vendor, both, random = Vendor(rows, seed), Both(), Random(seed)
    for deed in (*deeds, "poll"):
        if deed == "restart":
            both.restart()
        elif deed != "poll":
            getattr(vendor, deed)()
        else:
            vendor.now += random.choice((0, 1, 1, 2))
            asked = vendor.now * 1000 + random.randrange(900)
            both.see(vendor.body(), asked, asked + random.randrange(1, 300), ahead=ahead)


JUMPS = "at=60+30:skew=-20,at=200+30:skew=90"
FAULTS = f"every=7:partial,every=11:garbage_row,every=5:duplicate,every=13:strings,every=17:truncated,{JUMPS}"


@pytest.mark.parametrize("faults", ["", JUMPS, "always:shuffle", FAULTS, f"always:shuffle,{FAULTS}"])
@pytest.mark.parametrize("floor", ["default", "brisk"])
def test_both_paths_tell_the_same_of_a_floor(floor: str, faults: str) -> None:
    """Five minutes of an invented floor, in order or not, with answers spoilt now and then and a clock that jumps."""
    random, both = Random(1), Both(Settings("floor", timezone=PRESETS[floor].zone, poll_interval_ms=1000))
    api = VendorApi(World(PRESETS[floor], 1, START), {"app": "key"})
    token = str(orjson.loads(api.answer(LOGIN, START).body)["data"]["result"]["token"])
    api.set_faults(Faults.parse(faults, 1), START)
    for second in range(300):
        read = START + second + random.uniform(0.02, 0.1)
        body = api.answer({"service": "App.Sip_Queue.GetQueueSipStatus", "token": token}, read).body
        both.see(body, round((START + second) * 1000), round((read + random.uniform(0.02, 0.1)) * 1000) + 1)
    assert both.events > 100
