"""May an absence be believed? A row that is missing from one answer is not yet a sign-out.

Rules (contract, [gate]; `max_delay` bounds how late a real mass sign-out may be told):

| what is missing                                                     | believed                                       |
| --- | --- |
| an extension one of whose rows could not be read                    | never by this poll                             |
| extensions that vanished when rows without an extension turned up   | once that count has fallen again; or after     |
|                                                                     | max_delay, if they are more than such rows     |
| at most max(absent_min, absent_share × known) extensions newly      | at once                                        |
| more than that, or any while the source's lists have proved wrong   | after confirm_polls good polls or max_delay    |
| within the last hour                                                |                                                |

Each absence waits for itself: a partial list right when another one is due would else be believed along with it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence, Set

import msgspec

from streamer.core.model import SECOND, AgentState, Seat, Settings

WARY = 3_600 * SECOND
"""For so long after a list that lacked what was there, no absence is believed at once: whoever sends partial lists
sends more of them, and some lack only a few."""


class Verdict(msgspec.Struct, frozen=True):
    """What becomes of the missing extensions.

    `believed`: told now. `waiting`: too many at once, until later polls agree. `suspects`: perhaps behind a row
    that did not tell its extension.
    `held`: all that are not believed, those with an unreadable row of their own among them.
    """

    believed: frozenset[str]
    waiting: frozenset[str]
    suspects: frozenset[str]
    held: frozenset[str]


def missing(agents: Mapping[str, AgentState], rows: Mapping[str, tuple[Seat, ...]]) -> dict[str, AgentState]:
    """Extensions of which at least one known seat is not in this poll. Where one more is missing than polls have missed
    so far, the waiting begins anew: this one has been missed once."""
    found: dict[str, AgentState] = {}
    for name, agent in agents.items():
        if agent.groups == (seats := rows.get(name, ())) or not agent.groups:
            continue
        absent = {seat.group for seat in agent.groups} - {seat.group for seat in seats}
        if absent and (agent.absent_polls == 0 or absent <= set(agent.absent_groups)):
            found[name] = agent
        elif absent:
            found[name] = msgspec.structs.replace(agent, absent_since=None, absent_polls=0, absent_groups=())
    return found


def without_wrong_absences(
    agents: Mapping[str, AgentState], rows: Mapping[str, tuple[Seat, ...]]
) -> tuple[Mapping[str, AgentState], bool]:
    """The extensions, and whether the last list lacked some that were there: they are back, and no status was set.

    Then an absence that only that list told of says nothing.
    """
    absent = {name: agent for name, agent in agents.items() if agent.absent_polls > 0}
    if not any(_was_there(agent.groups, rows.get(name, ())) for name, agent in absent.items()):
        return agents, False
    doubted = {
        name: msgspec.structs.replace(agent, absent_since=None, absent_polls=0, absent_groups=())
        for name, agent in absent.items()
        if agent.absent_polls == 1
    }
    return {**agents, **doubted}, True


def _was_there(before: Sequence[Seat], seats: Sequence[Seat]) -> bool:
    stamps = {seat.group: seat.status_changed_at for seat in before}
    return {seat.group: seat.status_changed_at for seat in seats} == stamps


def judge(
    missing: Mapping[str, AgentState],
    known: int,
    now: int,
    unread: Set[str],
    anonymous: tuple[int, int],
    suspects: Collection[str],
    settings: Settings,
    *,
    wary: bool,
) -> Verdict:
    """What to believe of the `missing` extensions (those with seats that this poll does not show at all or in part).

    `known` counts the extensions with seats before this poll; `now` is the end of its window; `anonymous` is the count
    of rows without an extension in the poll before and in this one; `suspects` are those held for that reason so far.
    `wary`: a list of this source has lacked extensions that were there after all, not long ago.
    """
    before, present = anonymous
    # Not yet counted as absent: newly gone, or suspected so far (which a restart has forgotten).
    fresh = {name for name, agent in missing.items() if agent.absent_polls == 0}
    if present > before:
        suspected = frozenset(suspects) | fresh
    elif present < before:
        suspected = frozenset[str]()
    else:
        suspected = frozenset(suspects)
    suspected &= frozenset(missing)
    if len(suspected) > present:
        suspected = frozenset(name for name in suspected if not _waited(missing[name], now, settings))
    candidates = {n: a for n, a in missing.items() if n not in unread and n not in suspected}
    few = max(settings.absent_min, int(settings.absent_share * known + 1e-9))  # 0.29 × 100 is 28.999…
    plausible = len(candidates) <= few and not wary
    believed = frozenset(name for name, agent in candidates.items() if plausible or _due(agent, now, settings))
    return Verdict(
        believed=believed,
        waiting=frozenset(candidates) - believed,
        suspects=suspected,
        held=frozenset(missing) - believed,
    )


def _due(agent: AgentState, now: int, settings: Settings) -> bool:
    """Has this absence, seen once more now, been confirmed or waited for long enough?"""
    if agent.absent_polls + 1 >= settings.confirm_polls:
        return True
    return _waited(agent, now, settings)


def _waited(agent: AgentState, now: int, settings: Settings) -> bool:
    return agent.absent_since is not None and now - agent.absent_since >= settings.max_delay_ms
