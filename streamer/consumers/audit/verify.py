"""Recomputes everything that the store claims. Whatever is damaged is a finding; nothing that is in it can raise."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from streamer.consumers.audit import index, sealed
from streamer.consumers.audit.chain import Walk
from streamer.consumers.audit.checkpoints import FIRST, Body, Checkpoint, opened, unpacked
from streamer.consumers.audit.completeness import Completeness, digest
from streamer.consumers.audit.entries import genesis
from streamer.consumers.audit.report import Report, Trouble, Verdict


def verify(folder: Path, key: Ed25519PublicKey, anchors: Sequence[bytes] | None = None) -> Report:
    """Both verdicts. `anchors` are the records of the audit topic; None: they are not asked."""
    report = Report(Verdict(), Verdict())
    try:
        with closing(index.reading(folder)) as db:
            _verify(folder, db, key, anchors, report)
    except Exception as error:  # a damaged store may make SQLite and Parquet raise anything
        text = f"{index.INDEX} cannot be read: {type(error).__name__}: {error}"
        report.integrity.add(Trouble(text, file=index.INDEX))
    return report


def _verify(
    folder: Path, db: sqlite3.Connection, key: Ed25519PublicKey, anchors: Sequence[bytes] | None, report: Report
) -> None:
    signed = believed(db, key, report.integrity)
    bodies = [body for _, body in signed]
    if not bodies:
        report.integrity.add(Trouble("nothing is signed with this key: there is no checkpoint", file=index.INDEX))
    else:
        report.checkpoint, report.at = bodies[-1].number, bodies[-1].at
        report.complete_until = bodies[-1].complete
    if anchors is not None:
        report.anchored = True
        _anchored(signed, anchors, key, report)
    names = ("store", "cluster", "topic")
    store, cluster, topic = (
        (bodies[0].store, bodies[0].cluster, bodies[0].topic) if bodies else (index.meta(db, name) for name in names)
    )
    for name, value in zip(names, (store, cluster, topic), strict=True):
        if index.meta(db, name) != value:
            report.integrity.add(Trouble(f"{index.INDEX}: its {name} is not the one that was signed", index.INDEX))
    completeness = Completeness(report)
    walk = Walk(lambda number: genesis(store, cluster, topic, number), bodies, report.integrity, completeness.take)
    _read_files(folder, bodies, walk, report)
    for entry in index.unsealed(db):
        walk.take(entry, index.INDEX)
    walk.finish()
    report.entries = walk.count
    heads = {int(name): head.count for name, head in bodies[-1].partitions.items()} if bodies else {}
    report.covered = sum(min(heads.get(number, 0), chain.next - 1) for number, chain in walk.partitions.items())
    report.uncovered = report.entries - report.covered
    # A value lies in a table and, copied, in its index: they could be read differently.
    for (text,) in db.execute("PRAGMA integrity_check(5)"):
        if text != "ok":
            report.integrity.add(Trouble(f"{index.INDEX}: {text}", file=index.INDEX))
    if report.integrity.ok:
        _tables(db, walk, completeness, bodies, report)


def believed(db: sqlite3.Connection, key: Ed25519PublicKey, verdict: Verdict) -> list[tuple[str, Body]]:
    """The store's checkpoints that are signed with the key, with their digests; what is wrong with others goes to the
    verdict."""
    good: list[tuple[str, Body]] = []
    expected, previous = 1, FIRST
    for number, text, signature in db.execute("SELECT number, body, signature FROM checkpoints ORDER BY number"):
        body = None
        if isinstance(text, str) and isinstance(signature, bytes):
            body = opened(Checkpoint(text, signature), key)
        if body is None:
            verdict.add(Trouble(f"checkpoint {number}: its signature is not by this key", checkpoint=number))
        elif body.number != number:
            verdict.add(Trouble(f"checkpoint {number} was signed as {body.number}", checkpoint=number))
        else:
            if number != expected:
                text_ = f"checkpoints {expected} to {number - 1} are missing"
                verdict.add(Trouble(text_, checkpoint=expected))
            elif body.previous != previous:
                verdict.add(Trouble(f"checkpoint {number} does not follow the one before it", checkpoint=number))
            good.append((Checkpoint(text, signature).digest, body))
        expected = number + 1
        previous = good[-1][0] if good else FIRST
    return good


def _anchored(signed: list[tuple[str, Body]], anchors: Sequence[bytes], key: Ed25519PublicKey, report: Report) -> None:
    """Compare with the checkpoints on the topic: those of an older store put back end before the newest of them."""
    ours = {body.number: name for name, body in signed}
    store = signed[-1][1].store if signed else ""
    strange = 0
    found: dict[int, str] = {}
    others: dict[str, int] = {}
    for record in anchors:
        known = unpacked(record, key)
        if known is None:
            strange += 1
            continue
        checkpoint, body = known
        if store and body.store != store:
            others[body.store] = max(body.number, others.get(body.store, 0))
        else:
            found[body.number] = checkpoint.digest
    if strange:
        report.notes.append(f"{strange} records on the audit topic are not signed with this key")
    for name, number in others.items():
        text = f"this key signed another trail ({name}) up to checkpoint {number}: where is it? a trail needs its own"
        report.integrity.add(Trouble(text, checkpoint=number))
    report.anchor = max(found, default=None)
    newest = max(ours, default=0)
    if report.anchor is None:
        report.integrity.add(Trouble("the audit topic holds no checkpoint of this trail: nothing outside proves it"))
    elif report.anchor > newest:
        text = f"the audit topic has checkpoint {report.anchor}, the store ends with {newest}: it was put back or cut"
        report.integrity.add(Trouble(text, checkpoint=report.anchor))
    elif report.anchor < newest:
        report.notes.append(f"checkpoints {report.anchor + 1} to {newest} are not published yet")
    for number in sorted(found.keys() & ours.keys()):
        if found[number] != ours[number]:
            text = f"checkpoint {number} is not the one that was published"
            report.integrity.add(Trouble(text, checkpoint=number))


def _read_files(folder: Path, bodies: list[Body], walk: Walk, report: Report) -> None:
    listed = {file.name: (file, body.number) for body in bodies for file in body.files}
    for name, (file, number) in listed.items():
        report.files += 1
        try:
            for entry in sealed.read(folder, file):
                walk.take(entry, name)
        except (OSError, ValueError) as error:
            spans = ", ".join(f"partition {p} entries {a} to {b}" for p, (a, b) in file.spans.items())
            why = error.strerror if isinstance(error, OSError) else str(error)
            text = f"{name}: {why} (it held {spans})"
            report.integrity.add(Trouble(text, file=name, checkpoint=number))
    for path in sorted(folder.glob("*.parquet")):
        if path.name not in listed:
            report.notes.append(f"{path.name} is in no checkpoint: left by a crash, or put there; it is not read")


def _tables(db: sqlite3.Connection, walk: Walk, completeness: Completeness, bodies: list[Body], report: Report) -> None:
    """What is kept beside the chain, for going on and for looking up, follows from it."""

    def against(what: str) -> None:
        report.integrity.add(Trouble(f"{index.INDEX}: {what}", file=index.INDEX))

    heads = {
        number: (chain.next - 1, chain.hash, *(chain.offsets or (None, None)))
        for number, chain in walk.partitions.items()
    }
    if {row[0]: tuple(row[1:]) for row in db.execute("SELECT partition, count, head, first, last FROM heads")} != heads:
        against("the heads of the chains are not those of the entries")
    moments = 0
    for row in db.execute("SELECT key, epoch, sequence, at, low, high, partition, number FROM moments"):
        moments ^= digest(row)
    if moments != completeness.moments:
        against("the table of moments does not fit the entries: `show` may answer wrongly")
    if index.numbers(db) != completeness.numbers:
        against("the numbers of the extensions are not those of the entries")
    spans = {(file.name, int(p), *span) for body in bodies for file in body.files for p, span in file.spans.items()}
    if set(db.execute("SELECT file, partition, first, last FROM spans")) != spans:
        against("the list of files is not the one that was signed")
    _names(db, completeness, report, against)


def _names(db: sqlite3.Connection, completeness: Completeness, report: Report, against: Callable[[str], None]) -> None:
    """Each pseudonym's name is the one that it was made of, or was erased on the record."""
    missing = set(completeness.tokens)
    rows: Iterable[tuple[str, str, str | None, bytes | None]] = db.execute(
        "SELECT token, source, agent, salt FROM names"
    )
    for token, source, agent, salt in rows:
        missing.discard(token)
        if agent is None or salt is None:
            report.erased += 1
            if token not in completeness.erased:
                against(f"the name that stands for {token} is gone, and no erasure is written")
        elif index.token_of(salt, source, agent) != token:
            against(f"the name that stands for {token} is not the one that was written")
    for token in sorted(missing):
        against(f"the pseudonym {token} is not in the table of names")
