"""What the log says of a receiver."""

from __future__ import annotations

from pathlib import Path

import structlog

from streamer.config.outputs import Output
from streamer.consumers.wfm.outputs.news import TOLD, News


def test_now_and_then_is_no_news_and_away_is_told_once() -> None:
    """Three requests in a row that fail are an edge, and so is the answer after them; what lies between is silent."""
    output = Output(name="planner", kind="push", url="https://planner.example.com", agents=Path("agents.csv"))
    with structlog.testing.capture_logs() as told:
        news = News(output)
        for _ in range(5):
            news.away("HTTP 503")
            news.back()
        assert told == []
        for _ in range(TOLD + 5):
            news.away("HTTP 503")
        news.back()
        news.back()
    assert [line["event"] for line in told] == ["the receiver takes nothing", "the receiver is back"]
