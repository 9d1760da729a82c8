"""What an operator is told of a receiver: on edges only, and never with a key."""

from __future__ import annotations

from collections.abc import Collection, Set

import structlog

from streamer.config.outputs import Output
from streamer.consumers.wfm.outputs.agents import Place

TOLD = 3
"""Requests in a row that fail before it is told."""


class News:
    """Of one output."""

    def __init__(self, output: Output) -> None:
        self._log = structlog.get_logger("streamer").bind(output=output.name)
        self._failed = 0
        self._refused: set[Place] = set()
        self._unmapped = 0
        self._withheld = False
        self._snapshot_refused = False
        if output.plain:
            self._log.warning("states and key go over the network in plain text", remedy="use https, or a tunnel")

    def away(self, reason: str) -> None:
        """A request failed. One that fails now and then is no news: it is tried again."""
        self._failed += 1
        if self._failed == TOLD:
            self._log.warning(
                "the receiver takes nothing", reason=reason, remedy="what waits is kept; see that it is up, and its key"
            )

    def back(self) -> None:
        """It has answered."""
        if self._failed >= TOLD:
            self._log.info("the receiver is back")
        self._failed = 0

    def refused(self, place: Place, reason: str) -> None:
        """It does not take this agent's."""
        if place not in self._refused:
            self._log.warning(
                "the receiver refuses an agent; tried again with each refresh",
                extension="/".join(place),
                reason=reason,
                remedy="compare the agent's id and source_id with the receiver's; if it refuses all, its key",
            )
        self._refused.add(place)

    def taken(self, places: Set[Place]) -> None:
        """These it takes."""
        if found := places & self._refused:
            self._refused -= found
            self._log.info("the receiver takes agents that it had refused", agents=len(found))

    def unmapped(self, places: Collection[Place]) -> None:
        """These have no id."""
        if len(places) > self._unmapped:
            some = ", ".join(sorted("/".join(place) for place in places)[:5])
            self._log.warning("agents without an id are not told of", agents=len(places), some=some, remedy="add them")
        self._unmapped = len(places)

    def dropped(self, count: int) -> None:
        """Too many waited."""
        self._log.error(
            "EVENTS WERE DROPPED for a receiver that was away too long: it is told how many",
            items=count,
            remedy="the ledger has them; raise max_items if it may be away for longer",
        )

    def refreshed(self, whole: bool, missing: Collection[str]) -> None:
        """All agents were told of; whole: of all sources."""
        if not whole and not self._withheld:
            self._log.warning("the snapshot is not closed: sources are not believed", sources=", ".join(missing))
        elif whole and self._withheld:
            self._log.info("snapshots are closed again")
        self._withheld = not whole

    def snapshot_refused(self, reason: str) -> None:
        """Once a process."""
        if not self._snapshot_refused:
            self._log.warning("the receiver refuses the snapshot; agents are sent by themselves", reason=reason)
        self._snapshot_refused = True
