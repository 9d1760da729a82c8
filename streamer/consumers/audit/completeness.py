"""Is every event of every extension there? A chain cannot tell: what was never written is missing from no chain."""

from __future__ import annotations

from streamer.client import Gap, Last
from streamer.client.sequences import check
from streamer.consumers.audit.entries import Content, key_of
from streamer.consumers.audit.index import Moment, moment_of
from streamer.consumers.audit.report import Report, Trouble


class Completeness:
    """Takes every entry's content in chain order; what is missing goes to the report."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._began: dict[int, int] = {}
        self.numbers: dict[str, Last] = {}
        self.tokens: set[str] = set()
        self.erased: set[str] = set()
        self.moments = 0
        """Stands for the rows of the table `moments` as they should be."""

    def take(self, content: Content) -> None:
        """The next entry of its partition."""
        event = content.event
        if event is None:
            if content.kind == "erasure" and content.finding:
                self.erased.add(str(content.finding.get("pseudonym")))
            return
        self.tokens.add(event.agent)
        self._report.events += 1
        began = self._began.setdefault(content.partition, content.timestamp)
        key = key_of(event)
        found = check(self.numbers, key, event, content.partition, content.offset or 0, whole=True)
        self.moments ^= digest(moment_of(event, content.partition, content.number))
        if found is None:
            return
        if isinstance(found, Gap) and found.first == 1 and _older(event.epoch, began):
            self._report.began_within += 1
            return
        self._report.completeness.add(
            Trouble(str(found), partition=content.partition, entry=content.number, key=key),
        )


def digest(moment: Moment) -> int:
    """A number that stands for one row; over many rows, in any order, they are joined by exclusive or."""
    return hash(moment)


def _older(epoch: str, timestamp: int) -> bool:
    """Did the epoch begin before that moment? Then its first events may be older than the trail."""
    try:
        return int(epoch, 16) * 1000 < timestamp - 1000
    except ValueError:
        return False
