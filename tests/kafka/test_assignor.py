"""Which member runs which slots: all of them, evenly, with as few moves as that allows."""

from __future__ import annotations

import random
from collections.abc import Collection, Mapping
from itertools import combinations
from typing import Any

import pytest
from aiokafka.cluster import ClusterMetadata
from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment, ConsumerProtocolMemberMetadata
from hypothesis import given
from hypothesis import strategies as st

from streamer.kafka.assignor import assign, assignor, claims_in

Claims = dict[str, frozenset[int]]

CLUSTER = ClusterMetadata()  # one that has not heard of the topic yet

MEMBERS = st.lists(st.sampled_from("abcdefg"), max_size=6, unique=True)


@st.composite
def situations(draw: st.DrawFn, disputes: bool = True) -> tuple[int, frozenset[int], Claims]:
    """Slots, those that are busy, and what each member claims; also slots that there are not, where disputes may be."""
    slots = draw(st.integers(1, 24))
    members = draw(MEMBERS)
    busy = draw(st.frozensets(st.integers(0, slots - 1)))
    if disputes:
        return slots, busy, {member: draw(st.frozensets(st.integers(-1, slots), max_size=12)) for member in members}
    owners = [draw(st.sampled_from([*members, ""])) for _ in range(slots)]
    return slots, busy, {m: frozenset(s for s, owner in enumerate(owners) if owner == m) for m in members}


def kinds(slots: int, busy: Collection[int]) -> tuple[frozenset[int], frozenset[int]]:
    return frozenset(busy), frozenset(range(slots)).difference(busy)


def stay(before: Mapping[str, frozenset[int]], after: Mapping[str, frozenset[int]]) -> int:
    """How many claimed slots stay where they are."""
    return sum(len(before[member] & after[member]) for member in before)


@given(situations())
def test_every_slot_goes_to_one_member_evenly(situation: tuple[int, frozenset[int], Claims]) -> None:
    """Busy ones, the others, and their sums differ by one at most, whatever is claimed."""
    slots, busy, claims = situation
    given_out = assign(slots, busy, claims)
    assert given_out.keys() == claims.keys()
    if not claims:
        return
    assert sorted(slot for mine in given_out.values() for slot in mine) == list(range(slots))
    for kind in (*kinds(slots, busy), frozenset(range(slots))):
        counts = [len(kind & mine) for mine in given_out.values()]
        assert max(counts) - min(counts) <= 1


def most_that_can_stay(slots: int, busy: frozenset[int], claims: Claims) -> int:
    """By trying all even ways to give shares out."""
    one, two = kinds(slots, busy)
    members, best = list(claims), 0
    more_of_one, more_of_two = len(one) % len(members), len(two) % len(members)
    for first in combinations(members, more_of_one):
        for second in combinations(members, more_of_two):
            extra = [(m in first) + (m in second) for m in members]
            if max(extra) - min(extra) > 1:
                continue
            kept = sum(
                min(len(kind & claims[m]), len(kind) // len(members) + (m in more))
                for kind, more in ((one, first), (two, second))
                for m in members
            )
            best = max(best, kept)
    return best


@given(situations(disputes=False))
def test_no_even_spread_moves_fewer_slots(situation: tuple[int, frozenset[int], Claims]) -> None:
    """Compared with all even spreads that there are."""
    slots, busy, claims = situation
    if claims:
        assert stay(claims, assign(slots, busy, claims)) == most_that_can_stay(slots, busy, claims)


@given(situations())
def test_who_has_its_share_keeps_it(situation: tuple[int, frozenset[int], Claims]) -> None:
    """Asked again, nothing moves."""
    slots, busy, claims = situation
    spread = assign(slots, busy, claims)
    assert assign(slots, busy, spread) == spread


@given(situations(), st.randoms(use_true_random=False))
def test_the_order_of_what_is_given_does_not_matter(
    situation: tuple[int, frozenset[int], Claims], chance: random.Random
) -> None:
    """So any member may be the leader."""
    slots, busy, claims = situation
    shuffled = list(claims)
    chance.shuffle(shuffled)
    again = {member: chance.sample(sorted(claims[member]), len(claims[member])) for member in shuffled}
    assert assign(slots, sorted(busy, reverse=True), again) == assign(slots, busy, claims)


@given(situations())
def test_when_a_member_leaves_only_its_slots_move(situation: tuple[int, frozenset[int], Claims]) -> None:
    """Those that stay keep all that they have."""
    slots, busy, claims = situation
    before = assign(slots, busy, claims)
    for gone in before:
        rest = {member: mine for member, mine in before.items() if member != gone}
        after = assign(slots, busy, rest)
        assert all(rest[member] <= after[member] for member in rest)


@given(situations())
def test_when_a_member_joins_slots_move_to_it_only(situation: tuple[int, frozenset[int], Claims]) -> None:
    """Nobody who was there before gets anything new."""
    slots, busy, claims = situation
    before = assign(slots, busy, claims)
    after = assign(slots, busy, {**before, "new": frozenset[int]()})
    assert all(after[member] <= before[member] for member in before)


def test_no_members_get_nothing() -> None:
    """An empty answer, not an error."""
    assert assign(3, {1}, {}) == {}


def test_a_slot_that_two_claim_goes_to_the_one_with_fewer() -> None:
    """And of two that have the same, to the first by name."""
    assert assign(4, (), {"b": {0, 1, 2}, "a": {2, 3}}) == {"a": {2, 3}, "b": {0, 1}}
    assert assign(2, (), {"b": {0}, "a": {0}}) == {"a": {0}, "b": {1}}


@pytest.mark.parametrize(
    "unreadable", [None, b"", b"\xff\xfe", b"nonsense", b"[1]", b'{"claims": 7}', b'{"claims": ["1"]}', b'{"other": 1}']
)
def test_what_cannot_be_read_claims_nothing(unreadable: bytes | None) -> None:
    """A member of another version does not stop the group."""
    assert claims_in(unreadable) == frozenset()


def joined(user_data: bytes) -> Any:
    make: Any = ConsumerProtocolMemberMetadata
    return make(0, ["slots"], user_data)


def slots_of(assignment: ConsumerProtocolMemberAssignment) -> set[int]:
    """As the member decodes them."""
    decoded: Any = ConsumerProtocolMemberAssignment.decode(assignment.encode())
    assert {place.topic for place in decoded.partitions()} <= {"slots"}
    return {place.partition for place in decoded.partitions()}


def test_claims_reach_the_leader() -> None:
    """Each join carries what is claimed at that moment, in as few bytes as JSON allows."""
    mine: list[int] = [5, 1]
    kind = assignor("slots", 6, lambda: mine, tuple)
    encoded = kind.metadata(["slots"]).encode()
    assert kind.metadata(["slots"]).user_data == b'{"claims":[1,5]}'
    mine.remove(5)
    assert kind.metadata(["slots"]).user_data == b'{"claims":[1]}'
    told: Any = ConsumerProtocolMemberMetadata.decode(encoded)
    spread = kind.assign(CLUSTER, {"a": joined(b"?"), "b": told})
    assert {member: slots_of(given_out) for member, given_out in spread.items()} == {"a": {0, 2, 3}, "b": {1, 4, 5}}


def test_the_leader_knows_which_slots_are_busy() -> None:
    """It asks when it spreads them."""
    busy: list[int] = [0, 1]
    kind = assignor("slots", 4, tuple, lambda: busy)
    members = {"a": joined(b'{"claims":[0,1]}'), "b": joined(b'{"claims":[2,3]}')}
    assert {slots_of(given_out) & {0, 1} == {0, 1} for given_out in kind.assign(CLUSTER, members).values()} == {False}
    busy.clear()
    assert slots_of(kind.assign(CLUSTER, members)["a"]) == {0, 1}


def test_memberships_of_one_process_share_nothing() -> None:
    """Each has a class of its own."""
    one, two = assignor("slots", 2, lambda: (0,), tuple), assignor("slots", 2, lambda: (1,), tuple)
    assert one is not two
    assert one.metadata(["slots"]).user_data != two.metadata(["slots"]).user_data
    assert one.name == two.name == "streamer-slots"
