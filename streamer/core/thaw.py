"""`AgentState` records read back from the state topic, for restarts: also those that older versions wrote."""

from __future__ import annotations

from typing import Any

import msgspec

from streamer.core.codes import read
from streamer.core.model import AgentState, Ended, Memory, Seat
from streamer.core.wire import SCHEMA_VERSION, milliseconds


class _Ended(msgspec.Struct):
    at: str
    not_before: str
    not_after: str


class _Group(msgspec.Struct):
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


class _AgentState(msgspec.Struct, tag_field="type", tag="AgentState"):
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


_agent_state = msgspec.json.Decoder(_AgentState)


def read_agent_state(data: bytes) -> AgentState:
    """The state that a record on the state topic holds; ValueError, with the reason, if it holds none."""
    try:
        return _read_agent_state(data)
    except msgspec.MsgspecError as error:
        raise ValueError(str(error)) from error


def _read_agent_state(data: bytes) -> AgentState:
    record = _agent_state.decode(data)
    if record.schema_version.split(".")[0] != SCHEMA_VERSION.split(".")[0]:
        raise ValueError(f"schema_version {record.schema_version}")
    fields: dict[str, Any] = {name: getattr(record, name) for name in record.__struct_fields__}
    del fields["schema_version"]
    fields["groups"] = tuple(_read_group(item, record.extension, record.agent) for item in record.groups)
    fields["memory"] = tuple(_read_memory(i) for i in record.groups if i.call_ended is not None or i.on_demand)
    for name in (
        "since",
        "occurred_at",
        "occurred_not_before",
        "occurred_not_after",
        "observed_at",
        "wrap_up_due",
        "absent_since",
        "read_until",
    ):
        fields[name] = None if fields[name] is None else milliseconds(fields[name])
    if fields["occurred_at"] is None:
        fields["occurred_at"] = fields["since"]
    return msgspec.convert(fields, AgentState)


def _read_group(item: _Group, extension: str, agent: str) -> Seat:
    stamps = {
        name: None if (text := getattr(item, name)) is None else milliseconds(text)
        for name in ("offered_at", "answered_at", "status_changed_at")
    }
    return msgspec.convert(
        {
            "group": item.name,
            "extension": extension,
            "agent": agent if item.agent is None else item.agent,
            "state": "available" if item.state == "wrap_up" else item.state,
            "status": item.status or read(item.state_code, item.status_code, {}).status,
            "state_code": item.state_code,
            "status_code": item.status_code,
            "calls_answered": item.calls_answered,
            "no_answer_count": item.no_answer_count,
            "wrap_up_s": item.wrap_up_s,
            **stamps,
        },
        Seat,
    )


def _read_memory(item: _Group) -> Memory:
    ended = item.call_ended
    if ended is None:
        return Memory(item.name, None, item.on_demand)
    moments = Ended(milliseconds(ended.at), milliseconds(ended.not_before), milliseconds(ended.not_after))
    return Memory(item.name, moments, item.on_demand)
