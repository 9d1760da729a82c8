"""Writes the store: what a batch brings and the positions behind it are one transaction in SQLite, on the disk."""

from __future__ import annotations

import secrets
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from streamer.client import Batch, Last
from streamer.consumers.audit import index, sealed
from streamer.consumers.audit.checkpoints import FIRST, Body, Checkpoint, Head, opened, sign
from streamer.consumers.audit.entries import Content, Entry, contents, encoded, genesis, key_of, last_of, link, note
from streamer.consumers.audit.folder import connected, locked, understood
from streamer.errors import CheckFailed, ConfigError

SEGMENT = 50_000
"""Entries of a day that are sealed although the day goes on."""

IDLE_MS = 60_000
"""Without an entry for a day that is past it is sealed: so reading a month anew makes no thousand files."""


class Store:
    """A folder that one process writes. Close it after use.

    ConfigError: the folder cannot be used, another process writes it, or it is another topic's. CheckFailed: what is
    in it is damaged, or the events do not follow those that are there.
    """

    def __init__(self, folder: Path, cluster: str = "", topic: str = "", *, create: bool = False) -> None:
        """`cluster` and `topic`: those of the events; they are compared with the store's unless they are empty."""
        self.folder = folder
        self._lock = locked(folder, create)
        try:
            with understood(folder):
                self._db = connected(folder, cluster, topic)
                self._load(cluster, topic)
        except BaseException:
            self._lock.close()
            raise

    def _load(self, cluster: str, topic: str) -> None:
        db = self._db
        self.store, self.cluster, self.topic = (index.meta(db, name) for name in ("store", "cluster", "topic"))
        if cluster and (cluster, topic) != (self.cluster, self.topic):
            raise ConfigError(
                f"audit.path: {self.folder} is the trail of topic {self.topic} of cluster {self.cluster}, not of "
                f"{topic} of {cluster}",
                "give each topic a folder of its own",
            )
        self._heads = {row[0]: row[1:] for row in db.execute("SELECT partition, count, head, first, last FROM heads")}
        self._touched: dict[str, int] = {}
        self._tokens = {
            (source, agent): token
            for token, source, agent in db.execute("SELECT token, source, agent FROM names WHERE agent IS NOT NULL")
        }

    def close(self) -> None:
        """Let go of the folder."""
        self._db.close()
        self._lock.close()

    @property
    def positions(self) -> Mapping[int, int]:
        """Where to go on reading."""
        return dict(self._db.execute("SELECT partition, next FROM positions").fetchall())

    @property
    def numbers(self) -> Mapping[str, Last]:
        """The last event of each extension."""
        return index.numbers(self._db)

    @property
    def count(self) -> int:
        """How many entries there are."""
        return sum(head[0] for head in self._heads.values())

    @property
    def uncovered(self) -> bool:
        """Is anything here that no checkpoint covers?"""
        newest = self._newest()
        last = newest[1] if newest else None
        return any(head.new for head in self._signed(last).values()) or self._complete() != (last and last.complete)

    def belongs_to(self, key: Ed25519PrivateKey) -> None:
        """ConfigError if what is here was signed with another key."""
        newest = self._newest()
        if newest is not None and opened(newest[0], key.public_key()) is None:
            raise ConfigError(
                f"audit.signing_key: the trail in {self.folder} is signed with another key", "give the one that it has"
            )

    def append(self, batch: Batch, now: int) -> int:
        """Write a batch, all of it or nothing; `now` in unix ms. How many entries it made."""
        with self._transaction():
            made = contents(batch, self.topic, now, self._token)
            self._write(made)
            self._touched |= dict.fromkeys({_day(content.timestamp) for content in made}, now)
            db = self._db
            db.executemany("REPLACE INTO positions VALUES (?, ?)", list(batch.positions.items()))
            lasts = {key_of(content.event): last_of(content.event) for content in made if content.event}
            rows = [(key, last.epoch, last.sequence, last.state) for key, last in lasts.items()]
            db.executemany("REPLACE INTO numbers VALUES (?, ?, ?, ?)", rows)
            until = [(source, moment.isoformat()) for source, moment in batch.complete.items()]
            db.executemany("REPLACE INTO complete VALUES (?, ?)", until)
        return len(made)

    def due(self, now: int) -> list[str]:
        """Days to be sealed at `now` (unix ms), the oldest first: those with many entries, and those that are over."""
        rows = self._db.execute("SELECT day, count(*) FROM entries GROUP BY day ORDER BY day")
        fresh = {day for day, at in self._touched.items() if now - at < IDLE_MS} | {_day(now)}
        return [day for day, count in rows if day not in fresh or count >= SEGMENT]

    def checkpoint(self, key: Ed25519PrivateKey, now: datetime, days: Sequence[str] = ()) -> None:
        """Seal `days` and sign what there is now, as one: a crash leaves all as it was."""
        newest = self._newest()
        before, last = newest if newest else (None, None)
        number = last.number + 1 if last else 1
        # A file that a crash left behind, not yet entered, is written anew under the same name.
        with understood(self.folder):
            files = [sealed.write(self.folder, f"{day}-{number:06}.parquet", self._of(day)) for day in days]
        with self._transaction():
            for day, file in zip(days, files, strict=True):
                self._db.execute("DELETE FROM entries WHERE day = ?", (day,))
                spans = [(file.name, int(partition), *span) for partition, span in file.spans.items()]
                self._db.executemany("INSERT INTO spans VALUES (?, ?, ?, ?)", spans)
            body = Body(
                store=self.store,
                cluster=self.cluster,
                topic=self.topic,
                number=number,
                at=now.astimezone(UTC).isoformat(),
                previous=before.digest if before else FIRST,
                partitions=self._signed(last),
                files=files,
                complete=self._complete(),
            )
            made = sign(key, body)
            row = (number, made.body, made.signature)
            self._db.execute("INSERT INTO checkpoints VALUES (?, ?, ?, 0)", row)

    def holds(self, number: int, checkpoint: Checkpoint) -> bool:
        """Is this checkpoint one of the store's?"""
        rows = self._db.execute("SELECT body, signature FROM checkpoints WHERE number = ?", (number,)).fetchall()
        return rows == [(checkpoint.body, checkpoint.signature)]

    def unpublished(self) -> list[tuple[int, Checkpoint]]:
        """Checkpoints that the topic does not have yet, in order."""
        rows = self._db.execute("SELECT number, body, signature FROM checkpoints WHERE NOT published ORDER BY number")
        return [(number, Checkpoint(body, signature)) for number, body, signature in rows]

    def published(self, number: int) -> None:
        """The topic has the checkpoints up to this one."""
        self._db.execute("UPDATE checkpoints SET published = 1 WHERE number <= ? AND NOT published", (number,))

    def erase(self, agent: str, now: int) -> int:
        """Take a name out of every byte of the store; how many pseudonyms stood for it."""
        with self._transaction():
            tokens = [token for (token,) in self._db.execute("SELECT token FROM names WHERE agent = ?", (agent,))]
            for token in tokens:
                self._db.execute("UPDATE names SET agent = NULL, salt = NULL WHERE token = ?", (token,))
                self._write([note("erasure", now, {"pseudonym": token})])
        self._tokens = {who: token for who, token in self._tokens.items() if who[1] != agent}
        # Also where there is nothing to erase: an erasure that was cut off may have left the name in free pages.
        with understood(self.folder):
            self._db.execute("VACUUM")
            if self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]:
                raise CheckFailed(
                    "somebody reads the trail, which keeps old pages", "erase again once `verify` is done"
                )
        return len(tokens)

    def _write(self, made: Sequence[Content]) -> None:
        rows: list[tuple[int, int, str, bytes, bytes]] = []
        moments: list[index.Moment] = []
        heads = dict(self._heads)
        for content in made:
            partition, offset = content.partition, content.offset
            start = (0, genesis(self.store, self.cluster, self.topic, partition), None, None)
            count, head, first, last = heads.get(partition, start)
            if offset is not None and last is not None and offset <= last:
                raise CheckFailed(
                    f"{self.topic}[{partition}] goes back to offset {offset}, and {last} is written already",
                    "the topic was made anew: begin a new trail for it, in another folder and with a new key",
                )
            content.number = count + 1
            entry = encoded(content)
            head = link(head, entry)
            rows.append((partition, content.number, _day(content.timestamp), entry, head))
            if content.event is not None:
                moments.append(index.moment_of(content.event, partition, content.number))
            first, last = (first, last) if offset is None else (offset if first is None else first, offset)
            heads[partition] = (content.number, head, first, last)
        self._db.executemany("INSERT INTO entries VALUES (?, ?, ?, ?, ?)", rows)
        self._db.executemany("INSERT INTO moments VALUES (?, ?, ?, ?, ?, ?, ?, ?)", moments)
        changed = [(partition, *heads[partition]) for partition in {row[0] for row in rows}]
        self._db.executemany("REPLACE INTO heads VALUES (?, ?, ?, ?, ?)", changed)
        self._heads = heads

    def _token(self, source: str, agent: str) -> str:
        found = self._tokens.get((source, agent))
        if found is None:
            salt = secrets.token_bytes(16)
            found = self._tokens[source, agent] = index.token_of(salt, source, agent)
            self._db.execute("INSERT INTO names VALUES (?, ?, ?, ?)", (found, source, agent, salt))
        return found

    def _newest(self) -> tuple[Checkpoint, Body] | None:
        row = self._db.execute("SELECT body, signature FROM checkpoints ORDER BY number DESC LIMIT 1").fetchone()
        return None if row is None else (Checkpoint(*row), msgspec.json.decode(row[0], type=Body))

    def _complete(self) -> dict[str, str]:
        return dict(self._db.execute("SELECT source, until FROM complete ORDER BY source").fetchall())

    def _signed(self, last: Body | None) -> dict[str, Head]:
        signed: dict[str, Head] = {}
        for partition, (count, head, first, final) in sorted(self._heads.items()):
            before = last.partitions.get(str(partition)) if last else None
            done = before.count if before else 0
            signed[str(partition)] = Head(
                head=head.hex(),
                count=count,
                new=(done + 1, count) if count > done else None,
                offsets=None if first is None else (first, final),
            )
        return signed

    def _of(self, day: str) -> list[Entry]:
        rows = self._db.execute(
            "SELECT partition, number, content, hash FROM entries WHERE day = ? ORDER BY partition, number", (day,)
        )
        return [Entry(*row) for row in rows]

    @contextmanager
    def _transaction(self) -> Generator[None]:
        heads, tokens = self._heads, dict(self._tokens)
        try:
            with understood(self.folder):
                self._db.execute("BEGIN IMMEDIATE")
                yield
                self._db.execute("COMMIT")
        except BaseException:
            self._db.rollback()
            self._heads, self._tokens = heads, tokens
            raise


def _day(timestamp: int) -> str:
    return datetime.fromtimestamp(timestamp / 1000, UTC).date().isoformat()
