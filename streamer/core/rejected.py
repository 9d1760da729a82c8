"""What could not be understood, made fit to be kept: secrets out, shortened, and told once."""

from __future__ import annotations

import hashlib
import re
from collections import OrderedDict
from collections.abc import Iterable
from typing import Any

from streamer.core.model import Batch, RejectedRow
from streamer.core.wire import SCHEMA_VERSION, rfc3339

EXCERPT = 8192
"""Bytes of an excerpt (contract)."""

REMEMBERED = 10_000
"""Distinct rejections remembered for one source, some 2 MB; beyond that the oldest may be told once more."""

AT_ONCE = 1000
"""New rejections told of one poll. A list of nothing but nonsense would be more records than Kafka and the other
sources should pay for; the rest is told of the polls after it, if it is still there."""

_SECRET_FIELD = re.compile(
    r"""((?:passw|pwd|secret|token|accesskey|apikey|authorization)[\w-]{0,64}(?:\\{0,8}["'])?\s{0,8}[:=]\s{0,8}"""
    r"""(?:(?:basic|bearer)\s{1,8})?)"""
    r"""(\[[^\]]*\]?|\{[^}]*\}?|\\+".*?(?:\\+"|$)|"(?:[^"\\]|\\.)*"?|'[^']*'?|[^\s,;&}\]<>]+)""",
    re.IGNORECASE | re.DOTALL,
)
"""A field that by its name holds a secret, and its value: also a list or an object of them, or inside a JSON string."""


def redact(text: str, secrets: Iterable[str]) -> str:
    """`text` without the given secrets and without the values of fields that by their name hold one."""
    for secret in sorted(secrets, key=len, reverse=True):
        if secret:
            text = text.replace(secret, "***")
    return _SECRET_FIELD.sub(r'\1"***"', text)


def record(
    row: RejectedRow, source: str, poll_id: str, at: int, secrets: Iterable[str], repeats: int = 0
) -> dict[str, Any]:
    """A rejected record as the contract writes it; `at` in unix ms, `sha256` and `bytes` of what was received."""
    text = redact(row.raw[: 4 * EXCERPT].decode("utf-8", "replace"), secrets)
    excerpt = text.encode()[:EXCERPT].decode("utf-8", "ignore")
    return {
        "type": "RejectedRecord",
        "schema_version": SCHEMA_VERSION,
        "source": source,
        "at": rfc3339(at),
        "poll_id": poll_id,
        "kind": row.kind,
        "reason": row.reason,
        "path": row.path,
        "extension": row.extension,
        "excerpt": excerpt,
        "sha256": hashlib.sha256(row.raw).hexdigest(),
        "bytes": len(row.raw),
        "repeats": repeats,
    }


class Told:
    """Which rejections of one source were told already: each distinct (extension, reason, hash) once."""

    def __init__(self) -> None:
        self._seen: OrderedDict[tuple[str | None, str, bytes], None] = OrderedDict()
        self._repeats: dict[tuple[str | None, str], int] = {}

    def repeats(self, row: RejectedRow) -> int:
        """How often the same (extension, reason) came again since its last record."""
        return self._repeats.pop((row.extension, row.reason), 0)

    def only_new(self, rows: Iterable[RejectedRow]) -> tuple[RejectedRow, ...]:
        """Those of `rows` that were not told before, AT_ONCE at most; the others are counted."""
        fresh: list[RejectedRow] = []
        for row in rows:
            if len(fresh) == AT_ONCE:
                break
            key = (row.extension, row.reason, hashlib.sha256(row.raw).digest())
            if key in self._seen:
                self._seen.move_to_end(key)
                about = (row.extension, row.reason)
                self._repeats[about] = self._repeats.get(about, 0) + 1
                continue
            self._seen[key] = None
            if len(self._seen) > REMEMBERED:
                self._seen.popitem(last=False)
            fresh.append(row)
        return tuple(fresh)


def body_batch(source: str, requested_at: int, reason: str, body: bytes) -> Batch:
    """The batch of a poll whose whole answer could not be understood: it rejects the body and changes nothing."""
    row = RejectedRow("body", reason, "", None, body, "body")
    return Batch(source, f"{source}/{requested_at}", requested_at, (), (), (row,))
