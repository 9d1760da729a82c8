"""Walks the chains: each entry once, each after the one before it, each head as it was signed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import msgspec

from streamer.consumers.audit.checkpoints import Body
from streamer.consumers.audit.entries import Content, Entry, decoded, link
from streamer.consumers.audit.report import Trouble, Verdict


@dataclass
class Partition:
    """One chain as far as it was walked. `waiting` are entries whose predecessors have yet to come, with their place.

    `offsets`: of the first and last record so far.
    """

    hash: bytes
    next: int = 1
    offsets: tuple[int, int] | None = None
    waiting: dict[int, tuple[Entry, str]] = field(default_factory=dict[int, tuple[Entry, str]])


class Walk:
    """Take every entry, from files in the order in which they were sealed; then `finish`."""

    def __init__(
        self,
        genesis: Callable[[int], bytes],
        bodies: list[Body],
        verdict: Verdict,
        told: Callable[[Content], object],
    ) -> None:
        """`bodies` are the checkpoints that can be believed; `told` gets each entry's content, in chain order."""
        self._genesis = genesis
        self._verdict = verdict
        self._told = told
        self.partitions: dict[int, Partition] = {}
        self.count = 0
        self._signed: dict[tuple[int, int], Body] = {}
        for body in reversed(bodies):
            for name, head in body.partitions.items():
                self._signed[int(name), head.count] = body

    def take(self, entry: Entry, file: str) -> None:
        """The next entry that was found; `file` is where."""
        if not _well_formed(entry):
            self._verdict.add(Trouble(f"{file}: an entry is not even an entry", file=file))
            return
        chain = self._chain(entry.partition)
        if entry.number < chain.next or entry.number in chain.waiting:
            self._against("is there twice, or has no place in its chain", entry, file)
            return
        chain.waiting[entry.number] = (entry, file)
        self._follow(chain)

    def finish(self) -> None:
        """No more entries come: what is missing is missing."""
        for number, chain in sorted(self.partitions.items()):
            while chain.waiting:
                first = min(chain.waiting)
                self._missing(number, chain.next, first - 1)
                chain.next = first
                self._follow(chain, torn=True)
        newest: dict[int, tuple[int, Body]] = {}
        for (number, count), body in self._signed.items():
            if count > newest.get(number, (0, body))[0]:
                newest[number] = (count, body)
        for number, (count, body) in sorted(newest.items()):
            reached = self._chain(number).next - 1
            if count > reached:
                self._missing(number, reached + 1, count, body.number)

    def _chain(self, number: int) -> Partition:
        if number not in self.partitions:
            self.partitions[number] = Partition(self._genesis(number))
        return self.partitions[number]

    def _follow(self, chain: Partition, *, torn: bool = False) -> None:
        while chain.next in chain.waiting:
            entry, file = chain.waiting.pop(chain.next)
            if not torn and link(chain.hash, entry.content) != entry.hash:
                self._against("does not hash to what follows from the entry before it", entry, file)
            torn = False
            chain.hash = entry.hash
            chain.next += 1
            self.count += 1
            self._read(chain, entry, file)
            self._compare(chain, entry, file)

    def _read(self, chain: Partition, entry: Entry, file: str) -> None:
        try:
            content = decoded(entry.content)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            self._against(f"cannot be read: {error}", entry, file)
            return
        if (content.partition, content.number) != (entry.partition, entry.number):
            self._against(f"says that it is {content.partition}/{content.number}", entry, file)
        if content.offset is not None:
            if chain.offsets and content.offset <= chain.offsets[1]:
                self._against(f"goes back to offset {content.offset}", entry, file)
            chain.offsets = (chain.offsets[0] if chain.offsets else content.offset, content.offset)
        self._told(content)

    def _compare(self, chain: Partition, entry: Entry, file: str) -> None:
        body = self._signed.get((entry.partition, entry.number))
        if body is None:
            return
        head = body.partitions[str(entry.partition)]
        if head.head != entry.hash.hex() or head.offsets != chain.offsets:
            first = head.new[0] if head.new else 1
            self._verdict.add(
                Trouble(
                    f"partition {entry.partition}, entries {first} to {entry.number}: one of them, or one before, is "
                    f"not what checkpoint {body.number} signed",
                    file=file,
                    partition=entry.partition,
                    entry=entry.number,
                    checkpoint=body.number,
                )
            )

    def _missing(self, number: int, first: int, last: int, checkpoint: int | None = None) -> None:
        signed = f", which checkpoint {checkpoint} signed," if checkpoint else ""
        text = f"partition {number}: entries {first} to {last}{signed} are missing"
        self._verdict.add(Trouble(text, partition=number, entry=first, checkpoint=checkpoint))

    def _against(self, text: str, entry: Entry, file: str) -> None:
        where = f"{file}: partition {entry.partition}, entry {entry.number}: {text}"
        self._verdict.add(Trouble(where, file=file, partition=entry.partition, entry=entry.number))


def _well_formed(entry: Entry) -> bool:
    """SQLite and Parquet hold what they hold: a damaged one may hold anything."""
    kinds: Mapping[str, type] = {"partition": int, "number": int, "content": bytes, "hash": bytes}
    return all(type(getattr(entry, name)) is kind for name, kind in kinds.items()) and entry.number > 0
