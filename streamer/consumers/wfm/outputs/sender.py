"""One receiver: what waits for it is sent, oldest first, one request at a time, until it is taken."""

from __future__ import annotations

import asyncio
import random
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from pathlib import Path

from streamer.client import AgentStateChanged
from streamer.config.outputs import Output
from streamer.consumers.wfm.outputs import push, tables
from streamer.consumers.wfm.outputs.agents import Place, read
from streamer.consumers.wfm.outputs.http import Away, Http
from streamer.consumers.wfm.outputs.news import News
from streamer.consumers.wfm.outputs.receivers import Receiver, Refused, Told
from streamer.consumers.wfm.outputs.sight import Sight
from streamer.consumers.wfm.outputs.tables import Standing, Waiting
from streamer.consumers.wfm.outputs.teleopti_json import TeleoptiJson
from streamer.consumers.wfm.outputs.teleopti_soap import TeleoptiSoap

KINDS: dict[str, Callable[[Output], Receiver]] = {
    "teleopti_json": TeleoptiJson,
    "teleopti_soap": TeleoptiSoap,
    "push": push.Push,
}

BACKOFF = (1.0, 60.0)
"""First and longest wait in seconds after a request that failed; one that asks for more is given up to LONGEST."""
LONGEST = 900.0

IDLE = 1.0
"""Seconds after which it is looked for work although nobody has said that there is any: a feed grows stale silently."""

GRACE = 60.0
"""Seconds that a refresh waits for all sources to be believed, so that it can close the snapshot."""

GOODBYE = 3.0
"""Seconds that telling of our shutdown may take."""


class _Withheld(Exception):
    """A source ceased to be believed while its snapshot was sent: it is not closed."""


class Sender:
    """`queue` is called in the ledger's transaction, `run` sends. `rng` spreads retries; `now` is unix seconds."""

    def __init__(self, output: Output, sight: Sight, now: Callable[[], float], rng: random.Random) -> None:
        self.output = output
        self.wake = asyncio.Event()
        self._agents = read(output.agents)
        self._sources = sorted({source for source, _ in self._agents})
        self._receiver = KINDS[output.kind](output)
        self._http = Http(output)
        self._sight = sight
        self._now = now
        self._rng = rng
        self._news = News(output)
        self._parked: dict[Place, float] = {}
        self._signals: dict[str, str] = {}
        self._next_refresh = now()

    def queue(self, db: sqlite3.Connection, event: AgentStateChanged) -> None:
        """A new event. Agents without an id are not told of."""
        place = (event.source, event.extension)
        if place not in self._agents:
            return
        if self.output.kind == "push":
            tables.append(db, self.output.name, place, push.event_item(event))
        else:
            tables.replace(db, self.output.name, place)

    def limit(self, db: sqlite3.Connection) -> None:
        """Drop the oldest tenth if too many wait; the receiver is told how many in their place."""
        most = self.output.max_items
        if self.output.kind == "push" and tables.length(db, self.output.name) > most:
            number, dropped = tables.shortened(db, self.output.name, most // 10)
            tables.put_first(db, self.output.name, number, push.dropped_item(dropped, self._now()))
            self._news.dropped(len(dropped))

    async def run(self, database: Path) -> None:
        """Send until cancelled; then say goodbye."""
        failures = 0
        async with self._http:
            try:
                with closing(tables.opened(database)) as self._db:
                    while True:
                        try:
                            if not await self._turn():
                                await self._idle()
                            failures = 0
                            continue
                        except (Away, sqlite3.OperationalError) as error:
                            self._news.away(str(error))
                            wait = min(BACKOFF[1], BACKOFF[0] * 2**failures) * self._rng.uniform(0.5, 1.0)
                            asked = error.retry_after if isinstance(error, Away) else 0.0
                        failures = min(failures + 1, 10)
                        await asyncio.sleep(max(wait, min(asked, LONGEST)))
            finally:
                await self._goodbye()

    async def _idle(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(IDLE):
                await self.wake.wait()
        self.wake.clear()

    async def _turn(self) -> bool:
        """One batch, or a refresh. False if there was nothing to do."""
        now = self._now()
        self._parked = {place: until for place, until in self._parked.items() if until > now}
        if self.output.kind == "push":
            self._tell_feeds(now)
        elif now >= self._next_refresh and await self._refresh(now):
            return True
        name, most = self.output.name, self._receiver.most
        if waiting := tables.waiting(self._db, name, self._held(), most):
            await self._deliver(self._told(waiting, now))
            return True
        return self.output.kind == "push" and now >= self._next_refresh and await self._refresh(now)

    def _held(self) -> Sequence[Place]:
        """Whose states must wait: those of refused agents, and, where only the newest counts, what is read late."""
        behind = [] if self.output.kind == "push" else [s for s in self._sources if not self._sight.caught_up(s)]
        return [*self._parked, *(place for place in self._agents if place[0] in behind)]

    def _told(self, waiting: Sequence[Waiting], now: float) -> list[Told]:
        """What waits, in the receiver's words. What has no id any more is taken off."""
        gone = [w.id for w in waiting if w.extension and w.place not in self._agents]
        if gone:
            tables.done(self._db, gone)
        newest = {place: tables.standing(self._db, place) for place in {w.place for w in waiting}}
        return [
            self._in_words(newest.get(w.place), w.place, now, w)
            for w in waiting
            if not w.extension or (w.place in self._agents and newest[w.place])
        ]

    def _in_words(self, standing: Standing | None, place: Place, now: float, waits: Waiting | None = None) -> Told:
        item = waits.item if waits else b""
        state = push.state_of(item) if item else standing.state if standing else ""
        return Told(
            place=place,
            agent=self._agents.get(place, ""),
            code=self.output.code(state),
            reason=self.output.reasons.get(state, state)[:24],
            logged_on=state != "signed_out",
            seconds=max(0, int(now - standing.since)) if standing else 0,
            item=item,
            ids=(waits.id,) if waits else (),
        )

    async def _deliver(self, states: Sequence[Told], snapshot: float | None = None, *, close: bool = False) -> None:
        """Send a batch, in halves if it is refused, until it is known who of it is: they wait for a while."""
        states = [state for state in states if state.place not in self._parked]
        if not states and not close:
            return
        try:
            await self._post(states, snapshot, close=close)
        except Refused as refused:
            if not states:
                raise
            if len(states) == 1:
                self._park(states[0], str(refused))
                await self._deliver([], snapshot, close=close)
            else:
                half = len(states) // 2
                await self._deliver(states[:half], snapshot)
                await self._deliver(states[half:], snapshot, close=close)
        else:
            tables.done(self._db, [number for state in states for number in state.ids])
            self._news.taken({state.place for state in states})

    async def _post(self, states: Sequence[Told], snapshot: float | None = None, *, close: bool = False) -> None:
        if close and not all(map(self._sight.believed, self._sources)):
            raise _Withheld
        request = self._receiver.request(states, self._now(), snapshot, close=close)
        self._receiver.judge(await self._http.post(request.path, request.body, request.headers, self._now()))
        self._news.back()

    def _park(self, state: Told, reason: str) -> None:
        if state.place[1]:
            self._parked[state.place] = self._now() + self.output.refresh
        else:  # a message about a feed, which would be too late by then
            tables.done(self._db, state.ids)
        self._news.refused(state.place, reason)

    async def _refresh(self, now: float) -> bool:
        """Tell of all agents, and close the snapshot if all of their sources are believed. False if it is too early."""
        believed = [source for source in self._sources if self._sight.believed(source)]
        whole = len(believed) == len(self._sources)
        if not believed or not (whole or now >= self._next_refresh + GRACE):
            return False
        if self.output.kind == "push":
            self._queue_refresh(believed, now)
        elif whole:
            try:
                await self._snapshot()
            except _Withheld:
                return False
        else:
            await self._deliver_in_parts(self._floor(believed, now), self._receiver.most)
        self._news.refreshed(whole, sorted(set(self._sources) - set(believed)))
        self._next_refresh = now + self.output.refresh
        return True

    def _floor(self, sources: Sequence[str], now: float) -> list[Told]:
        """All agents of these sources that have an id and are not refused."""
        there = tables.standings(self._db, sources)
        places = {(s.source, s.extension) for s in there}
        self._news.unmapped(places - self._agents.keys())
        told = [
            self._in_words(s, (s.source, s.extension), now) for s in there if (s.source, s.extension) in self._agents
        ]
        return [state for state in told if state.place not in self._parked]

    async def _snapshot(self) -> None:
        """The whole floor, closed. Who turns out to be refused is left out of the second attempt."""
        for _ in range(2):
            began = self._now()
            floor = self._floor(self._sources, began)
            if not floor:
                return
            try:
                if self._receiver.most_closing is None:
                    await self._post(floor, began, close=True)
                else:
                    await self._deliver_in_parts(floor, self._receiver.most_closing, began)
                return
            except Refused as refused:
                self._news.snapshot_refused(str(refused))
            await self._deliver_in_parts(floor, self._receiver.most)

    async def _deliver_in_parts(self, floor: Sequence[Told], most: int, snapshot: float | None = None) -> None:
        for start in range(0, len(floor), most):
            last = start + most >= len(floor)
            await self._deliver(floor[start : start + most], snapshot, close=last and snapshot is not None)

    def _queue_refresh(self, sources: Sequence[str], now: float) -> None:
        with self._db:
            self._db.execute("begin immediate")
            for source in sources:
                self._append((source, ""), push.feed_item(self.output, source, "normal", now))
            places = {told.place for told in self._floor(sources, now)}
            for standing in tables.standings(self._db, sources):
                if (place := (standing.source, standing.extension)) in places:
                    self._append(place, push.refresh_item(standing, now))

    def _tell_feeds(self, now: float) -> None:
        """Of each source whose feed has another status than the receiver was told."""
        for source in self._sources:
            signal = self._sight.signal(source)
            if signal and self._signals.get(source) != signal:
                self._append((source, ""), push.feed_item(self.output, source, signal, now))
                self._signals[source] = signal

    def _append(self, place: Place, item: bytes) -> None:
        tables.append(self._db, self.output.name, place, item)

    async def _goodbye(self) -> None:
        """Only `push` receivers know of such a thing."""
        if self.output.kind != "push":
            return
        now = self._now()
        items = [push.feed_item(self.output, source, "graceful_shutdown", now) for source in self._sources]
        with suppress(Away, Refused, TimeoutError):
            async with asyncio.timeout(GOODBYE):
                await self._post([Told(("", ""), "", "", "", True, 0, item) for item in items])
