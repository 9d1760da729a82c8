"""Teleopti's and Calabrio's JSON batches: POST {base}/Rta/State/Batch."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from streamer.config.outputs import Output
from streamer.consumers.wfm.outputs.http import Answer, Away
from streamer.consumers.wfm.outputs.receivers import Request, Told, refusal


class TeleoptiJson:
    """The receiver stamps the time itself; a snapshot is the whole floor in one batch."""

    most = 500
    most_closing: int | None = None

    def __init__(self, output: Output) -> None:
        self._key = output.key.get_secret_value() if output.key else ""
        self._source = output.source_id

    def request(
        self, states: Sequence[Told], now: float, snapshot: float | None = None, *, close: bool = False
    ) -> Request:
        """A batch; a snapshot's is closed by itself."""
        body = {
            "AuthenticationKey": self._key,
            "SourceId": self._source,
            "IsSnapshot": close,
            "States": [{"UserCode": state.agent, "StateCode": state.code} for state in states],
        }
        return Request("/Rta/State/Batch", msgspec.json.encode(body), {"Content-Type": "application/json"})

    def judge(self, answer: Answer) -> None:
        """2xx is good, whatever it says."""
        if answer.status == 500:
            raise Away("HTTP 500", answer.retry_after)
        if answer.status >= 300:
            raise refusal(answer, self._key)
