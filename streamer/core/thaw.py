"""`AgentState` records read back from the state topic, for restarts: also those that older versions wrote.

A start reads all of them before its first poll, and keeps them. So the values are made directly, each text is looked
at once while it repeats, and records share the texts and moments that are the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

import msgspec

from streamer.core.codes import BUSIEST, State, read
from streamer.core.model import AgentState, Ended, Memory, Seat
from streamer.core.wire import SCHEMA_VERSION, milliseconds

_STATES: Mapping[str, State] = {state: state for state in BUSIEST}

_MAJOR = SCHEMA_VERSION.split(".")[0]

_KEPT = 4096
"""Of the moments and of the names read last: records that lie together are of a few polls and groups."""


class _Ended(msgspec.Struct, gc=False):
    at: str
    not_before: str
    not_after: str


class _Group(msgspec.Struct, gc=False):
    name: str
    state: str
    state_code: int | None
    status_code: int | None
    offered_at: str | None
    answered_at: str | None
    status_changed_at: str | None
    calls_answered: int | None
    no_answer_count: int | None
    wrap_up_s: int | None
    agent: str | None = None
    status: str | None = None
    call_ended: _Ended | None = None
    on_demand: bool = False


class _AgentState(msgspec.Struct, gc=False, tag_field="type", tag="AgentState"):
    schema_version: str
    source: str
    extension: str
    agent: str
    epoch: str
    sequence: int
    event_id: str
    state: str
    since: str
    occurred_not_before: str | None
    occurred_not_after: str
    groups: list[_Group]
    observed_at: str
    poll_id: str
    occurred_at: str | None = None
    wrap_up_due: str | None = None
    absent_since: str | None = None
    absent_polls: int = 0
    read_until: str | None = None
    absent_groups: tuple[str, ...] = ()


_CODES = 4096
"""Codes of which one object each is kept."""

_decoder = msgspec.json.Decoder(_AgentState)


def read_agent_state(data: bytes) -> AgentState:
    """The state that a record on the state topic holds; ValueError, with the reason, if it holds none."""
    try:
        record = _decoder.decode(data)
    except msgspec.MsgspecError as error:
        raise ValueError(str(error)) from error
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    if record.schema_version != SCHEMA_VERSION and record.schema_version.split(".")[0] != _MAJOR:
        raise ValueError(f"schema_version {record.schema_version}")
    return _agent_state(record)


# By position: named arguments take five times as long. The tests read back what was written with all fields different.
def _agent_state(record: _AgentState) -> AgentState:
    groups, extension, agent = record.groups, record.extension, record.agent
    since = _moment(record.since)
    return AgentState(
        _shared(record.source),
        extension,
        agent,
        _shared(record.epoch),
        record.sequence,
        record.event_id,
        since if (text := record.occurred_at) is None else _moment(text),
        _state(record.state),
        since,
        None if (text := record.occurred_not_before) is None else _moment(text),
        _moment(record.occurred_not_after),
        tuple([_seat(item, extension, agent) for item in groups]),
        _moment(record.observed_at),
        _shared(record.poll_id),
        None if (text := record.wrap_up_due) is None else _moment(text),
        None if (text := record.absent_since) is None else _moment(text),
        record.absent_polls,
        None if (text := record.read_until) is None else _moment(text),
        tuple([_shared(name) for name in record.absent_groups]),
        tuple([_memory(item) for item in groups if item.call_ended is not None or item.on_demand]),
    )


def _seat(item: _Group, extension: str, agent: str) -> Seat:
    return Seat(
        _shared(item.name),
        extension,
        agent if item.agent is None or item.agent == agent else item.agent,
        "available" if item.state == "wrap_up" else _state(item.state),
        _state(item.status) if item.status else read(item.state_code, item.status_code, {}).status,
        _code(item.state_code),
        _code(item.status_code),
        None if (text := item.offered_at) is None else _moment(text),
        None if (text := item.answered_at) is None else _moment(text),
        None if (text := item.status_changed_at) is None else _moment(text),
        item.calls_answered,
        item.no_answer_count,
        item.wrap_up_s,
    )


def _memory(item: _Group) -> Memory:
    ended, name = item.call_ended, _shared(item.name)
    if ended is None:
        return Memory(name, None, item.on_demand)
    return Memory(name, Ended(_moment(ended.at), _moment(ended.not_before), _moment(ended.not_after)), item.on_demand)


def _state(text: str) -> State:
    """A state of ours, one object each; ValueError for any other text."""
    try:
        return _STATES[text]
    except KeyError:
        raise ValueError(f"{text!r} is not a state") from None


_moment = lru_cache(maxsize=_KEPT)(milliseconds)


@lru_cache(maxsize=_KEPT)
def _shared(text: str) -> str:
    """The same object for the same text."""
    return text


@lru_cache(maxsize=_CODES)
def _code(code: int | None) -> int | None:
    """The same object for the same code."""
    return code
