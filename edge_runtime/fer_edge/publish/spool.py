"""Messages that wait on disk until the broker has acknowledged them: SQLite with a write-ahead log."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import re
import sqlite3
from collections.abc import Collection, Sequence
from pathlib import Path

from fer_edge.contract.errors import PublishError

_log = logging.getLogger(__name__)

_PAGE_BYTES = 1024
"""A commit rewrites whole pages: the smaller they are, the less a card is worn (a message has about 500 bytes)."""

_CHECKPOINT_PAGES = 512
"""Half a megabyte of log before it is merged: the only moment at which the disk is asked to sync."""

_TABLE = "CREATE TABLE IF NOT EXISTS messages (id INTEGER PRIMARY KEY, payload BLOB NOT NULL)"


def spool_file(folder: Path, name: str) -> Path:
    """Where the messages of the destination `name` wait: readable, and different for each name."""
    readable = re.sub(r"[^A-Za-z0-9]+", "-", name).strip("-")[:60]
    return folder / f"spool-{readable}-{hashlib.sha256(name.encode()).hexdigest()[:8]}.sqlite3"


class Spool:
    """A queue on disk, bounded in bytes, oldest messages first; used from one thread at a time.

    A message that `add` has taken survives the end of the process at any moment (`kill -9`), and of the
    machine as well once the kernel has written it, which it does within half a minute: commits are not
    synced one by one (PRAGMA synchronous=NORMAL, sqlite.org/pragma.html), which spares SD cards.

    Where the disk cannot be written (full, read-only, broken), the messages are kept in memory from then
    on, with one line in the log. A damaged file is set aside as `*.damaged` and a new one begun.

    Args:
        path: the file, made where it does not exist, with its folder; None keeps everything in memory.
        max_bytes: of the file; the oldest messages over it are dropped. Its log comes on top, a megabyte at most.

    Attributes:
        dropped: messages that had to make room.
        size_bytes: what the messages that wait take up in the file.
        newest: number of the message taken last; numbers grow.
        on_disk: whether they outlive the process.

    Raises:
        PublishError: another process uses the file.
    """

    def __init__(self, path: Path | None, *, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self.dropped = 0
        self.on_disk = path is not None
        self._path = path
        self._database = self._open()
        self._count: int
        self._count, self.newest = self._database.execute(
            "SELECT count(*), ifnull(max(id), 0) FROM messages"
        ).fetchone()
        self.size_bytes = self._used_bytes()

    def __len__(self) -> int:
        """Messages that wait."""
        return self._count

    def store(self, payloads: Sequence[bytes], delivered: Collection[int] = ()) -> None:
        """Take new messages and forget delivered ones, in one transaction: both or none."""
        if not payloads and not delivered:
            return
        try:
            self._store(payloads, delivered)
        except sqlite3.Error as error:
            if not self.on_disk:
                raise
            self._move_to_memory(error)
            self._store(payloads, delivered)

    def after(self, id: int, limit: int) -> list[tuple[int, bytes]]:
        """The oldest messages whose number is over `id`: number and payload, at most `limit`."""
        query = "SELECT id, payload FROM messages WHERE id > ? ORDER BY id LIMIT ?"
        try:
            return self._database.execute(query, (id, limit)).fetchall()
        except sqlite3.Error as error:
            if not self.on_disk:
                raise
            self._move_to_memory(error)
            return self._database.execute(query, (id, limit)).fetchall()

    def close(self) -> None:
        """Let the file go; what waits is sent by the next one who opens it. May be called twice."""
        with contextlib.suppress(sqlite3.Error):
            self._database.close()

    def _store(self, payloads: Sequence[bytes], delivered: Collection[int]) -> None:
        count, newest, dropped = self._count, self.newest, 0
        with self._database as database:  # commits, or rolls back on an error
            for id in delivered:
                count -= database.execute("DELETE FROM messages WHERE id = ?", (id,)).rowcount
            for payload in payloads:
                newest += 1
                database.execute("INSERT INTO messages VALUES (?, ?)", (newest, payload))
                count += 1
            while count and self._used_bytes() > self._max_bytes:
                database.execute("DELETE FROM messages WHERE id = (SELECT min(id) FROM messages)")
                count -= 1
                dropped += 1
        self._count, self.newest = count, newest
        self.dropped += dropped
        self.size_bytes = self._used_bytes()

    def _used_bytes(self) -> int:
        (pages,) = self._database.execute("PRAGMA page_count").fetchone()
        (free,) = self._database.execute("PRAGMA freelist_count").fetchone()
        return int(pages - free) * _PAGE_BYTES

    def _open(self) -> sqlite3.Connection:
        if self._path is None:
            return _connected(":memory:")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            # What people showed is nobody else's to read; the log takes over the mode.
            self._path.touch(mode=0o600)
            return _connected(str(self._path))
        except (OSError, sqlite3.Error) as error:
            if isinstance(error, sqlite3.OperationalError) and "locked" in str(error):
                raise PublishError(
                    f"{self._path} is in use by another fer-edge; give each a topic of its own"
                ) from error
            if isinstance(error, sqlite3.DatabaseError) and not isinstance(error, sqlite3.OperationalError):
                return self._begin_anew(error)
            self._say_in_memory(error)
            return _connected(":memory:")

    def _begin_anew(self, damage: sqlite3.Error) -> sqlite3.Connection:
        assert self._path is not None
        aside = self._path.with_name(f"{self._path.name}.damaged")
        try:
            self._path.replace(aside)
            # A log of the old file would be merged into the new one.
            self._path.with_name(f"{self._path.name}-wal").unlink(missing_ok=True)
            self._path.touch(mode=0o600)
            database = _connected(str(self._path))
        except (OSError, sqlite3.Error) as error:
            self._say_in_memory(error)
            return _connected(":memory:")
        _log.warning("%s is damaged (%s); it is set aside as %s and a new one begun", self._path, damage, aside.name)
        return database

    def _move_to_memory(self, error: sqlite3.Error) -> None:
        self._say_in_memory(error)
        memory = _connected(":memory:")
        self._count = 0
        # What was on disk stays there too and is sent again by the next start: run and seq tell.
        with contextlib.suppress(sqlite3.Error):
            for id, payload in self._database.execute("SELECT id, payload FROM messages ORDER BY id"):
                memory.execute("INSERT INTO messages VALUES (?, ?)", (id, payload))
                self._count += 1
        memory.commit()
        self.close()
        self._database = memory
        self.size_bytes = self._used_bytes()

    def _say_in_memory(self, error: Exception) -> None:
        self.on_disk = False
        reason = error.strerror if isinstance(error, OSError) else error
        _log.warning(
            "%s cannot be written (%s); events that wait for the broker are kept in memory and end with the process",
            self._path, reason,
        )  # fmt: skip


def _connected(where: str) -> sqlite3.Connection:
    # Opened by the loop's thread, used by the sink's.
    database = sqlite3.connect(where, timeout=0.0, check_same_thread=False)
    try:
        # Exclusive before the first look at the log: no file of shared memory, and a second process is told.
        database.execute("PRAGMA locking_mode = EXCLUSIVE")
        database.execute(f"PRAGMA page_size = {_PAGE_BYTES}")
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = NORMAL")
        database.execute(f"PRAGMA wal_autocheckpoint = {_CHECKPOINT_PAGES}")
        database.execute("PRAGMA journal_size_limit = 1048576")
        database.execute(_TABLE)
        database.commit()
        (state,) = database.execute("PRAGMA quick_check(1)").fetchone()
        if state != "ok":
            raise sqlite3.DatabaseError(state)
    except BaseException:
        database.close()
        raise
    return database
