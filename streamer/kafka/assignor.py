"""Which member of the group runs which slots: evenly, and with as few moves as that allows.

Kafka elects one member, which spreads the slots over all of them. What it needs to know of the others comes with their
join: each says which slots it runs now. So nobody has to remember anything, and a member that joins anew under another
id, or a leader that has only just started, finds the slots where they are.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

import msgspec
import orjson
from aiokafka.coordinator.assignors.abstract import AbstractPartitionAssignor
from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment, ConsumerProtocolMemberMetadata

NAME = "streamer-slots"
"""By which members of a group know that they all follow these rules."""


class _Told(msgspec.Struct):
    """What a member tells the leader about itself."""

    claims: list[int] = []


def assign(slots: int, busy: Collection[int], claims: Mapping[str, Collection[int]]) -> dict[str, frozenset[int]]:
    """Member → the slots that it shall run, out of 0 … `slots` - 1; each goes to exactly one member.

    `claims` names all members and what each runs now. Among the `busy` slots, among the others, and in sum the counts
    of any two members differ by at most 1; as many slots as that allows stay where they are. Of several members that
    claim a slot, the one with the fewest of its kind keeps it. No members: {}.
    """
    if not claims:
        return {}
    members = sorted(claims)
    working = frozenset(busy)
    kinds = [frozenset(slot for slot in range(slots) if (slot in working) is kind) for kind in (True, False)]
    kept = [_undisputed(kind, members, claims) for kind in kinds]
    more = _favoured(members, kinds, kept)
    given = [_spread(*each) for each in zip(kinds, kept, more, strict=True)]
    return {member: given[0][member] | given[1][member] for member in members}


def _undisputed(kind: frozenset[int], members: list[str], claims: Mapping[str, Collection[int]]) -> dict[str, set[int]]:
    """Who claims what, each slot of the kind once at most."""
    kept: dict[str, set[int]] = {member: set() for member in members}
    claimants: dict[int, list[str]] = {}
    for member in members:
        for slot in kind.intersection(claims[member]):
            claimants.setdefault(slot, []).append(member)
    # Undisputed ones first: only then is known who has the fewest.
    for slot in sorted(claimants, key=lambda slot: (len(claimants[slot]), slot)):
        kept[min(claimants[slot], key=lambda member: (len(kept[member]), member))].add(slot)
    return kept


def _favoured(members: list[str], kinds: list[frozenset[int]], kept: list[dict[str, set[int]]]) -> list[set[str]]:
    """For each kind the members that get one slot more than the rest.

    Those get more of the second kind that have less of the first, for the sums; within that, those that would
    otherwise have to give a slot away.
    """
    count = len(members)
    one, two = (len(kind) % count for kind in kinds)
    short, spare = (
        {member for member in members if len(have[member]) > len(kind) // count}
        for kind, have in zip(kinds, kept, strict=True)
    )
    ranked = sorted(members, key=lambda member: (member not in short, member in spare, member))
    first, rest = ranked[:one], ranked[one:]
    rest.sort(key=lambda member: (member not in spare, member))
    first_again = sorted(first, key=lambda member: (member not in spare, member))
    return [set(first), set((rest + first_again)[:two])]


def _spread(kind: frozenset[int], kept: dict[str, set[int]], more: set[str]) -> dict[str, frozenset[int]]:
    """Cut what members have to their shares, and fill up with the slots that are left."""
    share = len(kind) // len(kept)
    have = {member: sorted(slots)[: share + (member in more)] for member, slots in kept.items()}
    free = iter(sorted(kind.difference(*have.values())))
    for member, slots in have.items():
        slots += [next(free) for _ in range(share + (member in more) - len(slots))]
    return {member: frozenset(slots) for member, slots in have.items()}


def claims_in(user_data: bytes | None) -> frozenset[int]:
    """What a member claims, from the bytes of its join; nothing if they cannot be read."""
    try:
        return frozenset(msgspec.json.decode(user_data or b"", type=_Told).claims)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return frozenset()


def assignor(
    topic: str, slots: int, claims: Callable[[], Collection[int]], busy: Callable[[], Collection[int]]
) -> type[AbstractPartitionAssignor]:
    """A class for aiokafka's `partition_assignment_strategy` that spreads the `slots` partitions of `topic`.

    aiokafka uses the class itself and never makes an instance: each membership gets a class of its own, so that several
    in one process do not share their claims. `claims` is called for every join, `busy` where this member is the leader.
    """

    class SlotAssignor(AbstractPartitionAssignor):
        name = NAME  # pyright: ignore # a property there, but read from the class

        @classmethod
        def metadata(cls, topics: Iterable[str]) -> ConsumerProtocolMemberMetadata:
            return _metadata(topics, orjson.dumps({"claims": sorted(claims())}))

        @classmethod
        def assign(
            cls,
            cluster: Any,  # noqa: ARG003 - it may not yet have heard of a new topic; we know its partitions
            members: Mapping[str, ConsumerProtocolMemberMetadata],
        ) -> dict[str, ConsumerProtocolMemberAssignment]:
            told = {member: claims_in(metadata.user_data) for member, metadata in members.items()}
            spread = assign(slots, busy(), told)
            return {member: _assignment(topic, sorted(mine)) for member, mine in spread.items()}

        @classmethod
        def on_assignment(cls, assignment: ConsumerProtocolMemberAssignment) -> None:
            pass

    return SlotAssignor


def _metadata(topics: Iterable[str], user_data: bytes) -> ConsumerProtocolMemberMetadata:
    make: Any = ConsumerProtocolMemberMetadata  # declares its fields, but not its constructor
    return make(0, list(topics), user_data)


def _assignment(topic: str, slots: list[int]) -> ConsumerProtocolMemberAssignment:
    make: Any = ConsumerProtocolMemberAssignment
    return make(0, [(topic, slots)], b"")
