"""Reads the topics: events that are proved to be complete, and the table of current states."""

from streamer.client.batches import Batch, Finding, Interrupted, Item, Poison, Rebalanced
from streamer.client.blocking import blocking
from streamer.client.events import AgentEvents
from streamer.client.records import AgentState, AgentStateChanged, FeedStatus, RejectedRecord
from streamer.client.sequences import EpochLost, Gap, Last, Repeat
from streamer.client.table import AgentTable

__all__ = [
    "AgentEvents",
    "AgentState",
    "AgentStateChanged",
    "AgentTable",
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
    "blocking",
]
