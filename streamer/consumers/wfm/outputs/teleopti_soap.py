"""Teleopti's SOAP batches: SaveBatchExternalUserState, SOAP 1.1. The contract is ordered: so are the elements."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from xml.etree import ElementTree as Xml

from streamer.config.outputs import Output
from streamer.consumers.wfm.outputs.http import Answer, Away
from streamer.consumers.wfm.outputs.receivers import Refused, Request, Told

ENVELOPE = "{http://schemas.xmlsoap.org/soap/envelope/}"
SERVICE = "{http://tempuri.org/}"
STATES = "{http://schemas.datacontract.org/2004/07/Teleopti.Ccc.Rta.WebService}"
ACTION = '"http://tempuri.org/ITeleoptiRtaService/SaveBatchExternalUserState"'
NO_PLATFORM = "00000000-0000-0000-0000-000000000000"
"""Any other would be appended to the state code."""

TAKEN, INVALID_SOURCE = 1, -300
UNKNOWN_USER = -100


class TeleoptiSoap:
    """Older servers reject batches of 200 states, the closing element included."""

    most = 199
    most_closing: int | None = 198

    def __init__(self, output: Output) -> None:
        self._key = output.key.get_secret_value() if output.key else ""
        self._source = output.source_id

    def request(
        self, states: Sequence[Told], now: float, snapshot: float | None = None, *, close: bool = False
    ) -> Request:
        """A batch. All batches of a snapshot have one BatchId; its last element has no UserCode."""
        envelope = Xml.Element(f"{ENVELOPE}Envelope")
        save = Xml.SubElement(Xml.SubElement(envelope, f"{ENVELOPE}Body"), f"{SERVICE}SaveBatchExternalUserState")
        for name, text in (
            ("authenticationKey", self._key),
            ("platformTypeId", NO_PLATFORM),
            ("sourceId", self._source),
        ):
            Xml.SubElement(save, f"{SERVICE}{name}").text = text
        batch = Xml.SubElement(save, f"{SERVICE}externalUserStateBatch")
        closing = [Told(("", ""), "", "", "", False, 0)] if close else []
        for state in (*states, *closing):
            element = Xml.SubElement(batch, f"{STATES}ExternalUserState")
            for name, text in (
                ("BatchId", _stamp(now if snapshot is None else snapshot)),
                ("IsLoggedOn", str(state.logged_on).lower()),
                ("IsSnapshot", str(snapshot is not None).lower()),
                ("SecondsInState", str(state.seconds)),
                ("StateCode", state.code),
                ("StateDescription", state.reason),
                ("Timestamp", _stamp(now)),
                ("UserCode", state.agent),
            ):
                Xml.SubElement(element, f"{STATES}{name}").text = text
        body = Xml.tostring(envelope, "utf-8", xml_declaration=True)
        return Request("", body, {"Content-Type": "text/xml; charset=utf-8", "SOAPAction": ACTION})

    def judge(self, answer: Answer) -> None:
        """1 is good. A fault is about the key, most likely; −300 is about the source; the rest is about the states."""
        result = _result(answer)
        if result == INVALID_SOURCE:
            raise Away("it does not know source_id (-300)", answer.retry_after)
        if result == UNKNOWN_USER:
            raise Refused("unknown user code (-100)")
        if result != TAKEN:
            raise Refused(f"result {result}")


def _stamp(now: float) -> str:
    return datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _result(answer: Answer) -> int:
    """Of an answer without a document type: entities have no place in it, and could grow without bound."""
    if b"<!" in answer.body or b"\x00" in answer.body:
        raise Away("the answer is no SOAP: it declares a type")
    try:
        found = Xml.fromstring(answer.body)  # noqa: S314 - without a document type there are no entities
        text = found.findtext(f".//{SERVICE}SaveBatchExternalUserStateResult")
        if text is not None:
            return int(text)
        fault = found.find(f".//{ENVELOPE}Fault") is not None
    except (Xml.ParseError, ValueError, LookupError):
        raise Away(f"the answer is no SOAP (HTTP {answer.status})", answer.retry_after) from None
    why = "a fault: its key is another one, most likely" if fault else f"no result (HTTP {answer.status})"
    raise Away(f"it answers with {why}", answer.retry_after)
