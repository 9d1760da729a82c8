"""Is an event the next one of its extension? Pure: what was read before is handed in, and what is found is returned."""

from __future__ import annotations

from collections.abc import MutableMapping

import msgspec

from streamer.client.records import AgentStateChanged


class Last(msgspec.Struct, frozen=True, gc=False):
    """The last event that was read of an extension."""

    epoch: str
    sequence: int
    state: str


class Gap(msgspec.Struct, frozen=True):
    """The numbers `first` to `last` of an epoch are missing: deleted with age, or by somebody. The event that shows it
    is given out all the same."""

    key: str
    epoch: str
    first: int
    last: int

    def __str__(self) -> str:
        what = f"number {self.first} is" if self.first == self.last else f"numbers {self.first} to {self.last} are"
        return f"{self.key}: {what} missing in epoch {self.epoch}"


class Repeat(msgspec.Struct, frozen=True):
    """A record with a number that was read before: it is not given out again. Only `at_least_once` feeds repeat."""

    event_id: str
    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.event_id}: told again at [{self.partition}]@{self.offset}"


class EpochLost(msgspec.Struct, frozen=True):
    """An extension began a new epoch although the one before had not ended with signed_out: what happened between the
    two events is not known. Count no duration across it."""

    key: str
    before: Last
    epoch: str

    def __str__(self) -> str:
        return (
            f"{self.key}: epoch {self.epoch} follows {self.before.epoch}, which ended {self.before.state} with number "
            f"{self.before.sequence}: what happened in between is not known"
        )


def check(
    numbers: MutableMapping[str, Last], key: str, event: AgentStateChanged, partition: int, offset: int, *, whole: bool
) -> Gap | Repeat | EpochLost | None:
    """Compare an event with the last one of its extension, and keep it in `numbers` unless it is a repeat.

    `whole`: nothing lies before what was read, or the numbers of all that does were handed in, so that an extension
    that is not in `numbers` must begin with number 1. An epoch older than the last one repeats: its name is the second
    in which it began.
    """
    last = numbers.get(key)
    if last is not None and (event.epoch, event.sequence) <= (last.epoch, last.sequence):
        return Repeat(event.event_id, partition, offset)
    numbers[key] = Last(event.epoch, event.sequence, event.current.state)
    if last is None:
        return Gap(key, event.epoch, 1, event.sequence - 1) if whole and event.sequence > 1 else None
    if last.epoch != event.epoch:
        if last.state != "signed_out":
            return EpochLost(key, last, event.epoch)
        last = Last(event.epoch, 0, "")
    if event.sequence != last.sequence + 1:
        return Gap(key, event.epoch, last.sequence + 1, event.sequence - 1)
    return None
