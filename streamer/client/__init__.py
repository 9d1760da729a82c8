"""Reads the topics: events that are proved to be complete, and the table of current states."""

from streamer.client.batches import Batch, Finding, Interrupted, Item, Poison, Rebalanced
from streamer.client.records import AgentState, AgentStateChanged, FeedStatus, RejectedRecord
from streamer.client.sequences import EpochLost, Gap, Last, Repeat

__all__ = [
    "AgentState",
    "AgentStateChanged",
    "Batch",
    "EpochLost",
    "FeedStatus",
    "Finding",
    "Gap",
    "Interrupted",
    "Item",
    "Last",
    "Poison",
    "Rebalanced",
    "RejectedRecord",
    "Repeat",
]
