"""The durable record of every answered call: one SQLite file (WAL), written by one thread, committed in groups.

The end of a process and the loss of power are two things. `record` hands a reply to the kernel before it counts for its sample
(tail.py), so a killed run has lost none that was answered; at most `INTERVAL` seconds later it is in the database, with one
fsync for the whole group, and a power loss costs no more than that. The key is the request's canonical bytes (`Request.key`):
whatever changes a request asks anew, whatever does not (a parser, a threshold) re-uses the reply.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from gra.databases import intact, set_aside
from gra.errors import StoreError
from gra.models.base import Reply, Request
from gra.models.choices import from_stored, stored_text
from gra.synthesis import tail
from gra.synthesis.journal_read import connect_other
from gra.synthesis.journal_rows import FIELDS, FIND, INSERT, SCHEMA, crc, whole
from gra.synthesis.protocol import Ask
from gra.synthesis.salvage import log_damaged, rows

INTERVAL = 0.2  # seconds between group commits

log = logging.getLogger(__name__)


class Journal:
    """A context manager; `find` and `record` are called from the event loop's thread, commits happen in another.

    A damaged file is set aside under a name of its own when the journal is opened, and what can be read of it is taken over.
    `others` are journals of other runs: a reply found there is copied over instead of being asked for again. Raises
    StoreError, from any call, once the file cannot be read or written (disk full, read-only).
    """

    def __init__(self, path: Path, others: Sequence[Path] = ()):
        self.path = path
        self._other_paths = tuple(others)
        self._pending: list[tail.Row] = []
        self._fresh: dict[str, Reply] = {}  # recorded, perhaps not yet committed
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._fault: Exception | None = None
        self._altered = 0  # replies whose check sum is wrong

    def __enter__(self) -> Self:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            salvage(self.path)
            self._reader = _connect(self.path)
            self._reader.executescript(SCHEMA)
            self._writer = _connect(self.path)
            self._take_over_tail()
            self._new = self._reader.execute("SELECT 1 FROM calls LIMIT 1").fetchone() is None and not self._other_paths
        except (sqlite3.Error, OSError) as error:
            raise self._error(error) from error
        self._others = [other for path in self._other_paths if (other := connect_other(path)) is not None]
        self._thread = threading.Thread(target=self._commit_groups, name="journal", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()
        try:
            for connection in (*self._others, self._reader):
                connection.close()
            if self._fault is None:
                _leave_wal(self._writer)
            self._writer.close()
            self._tail.close(remove=self._fault is None)
        except (sqlite3.Error, OSError) as error:
            self._fault = self._fault or error
        if self._fault is not None and kind is None:
            raise self._error(self._fault) from self._fault

    def _take_over_tail(self) -> None:
        """Put what a killed run left beside the database into it."""
        if left := tail.read(self.path):
            with self._writer:
                self._writer.executemany(INSERT, left)
        self._tail = tail.Tail(self.path)

    def find(self, ask: Ask) -> Reply | None:
        """The recorded reply to this very request, or None."""
        self._raise_fault()
        request, key = ask.request, ask.request.key
        if (fresh := self._fresh.get(key)) is not None:
            return fresh
        if self._new:  # what this process asks is in memory with its sample, which asks nothing twice
            return None
        try:
            if (known := self._read(self._reader, request)) is not None:
                return known
            for other in self._others:
                if (known := self._read(other, request)) is not None:
                    self.record(ask, known, 0.0)
                    return known
        except sqlite3.Error as error:
            raise self._error(error) from error
        return None

    def _read(self, connection: sqlite3.Connection, request: Request) -> Reply | None:
        """The reply, unless its text is not what was written: then it is asked for again."""
        row = connection.execute(FIND, (request.key,)).fetchone()
        if row is None:
            return None
        if crc(*row[:-1]) == row[-1]:
            return from_stored(request, row[:-1])
        self._altered += 1
        if self._altered == 1:
            log.warning("journal %s: a reply was altered on disk (its check sum is wrong); such are asked for again", self.path)
        return None

    def record(self, ask: Ask, reply: Reply, seconds: float) -> None:
        """Hand an answered call to the kernel, and take it into the next group."""
        request = ask.request
        text = stored_text(request, reply)
        row: tail.Row = (
            request.key, ask.sample, ask.step, ask.role, ask.attempt, request.model, request.canonical.decode(),
            text, reply.tokens_in, reply.tokens_out, reply.finish, reply.error, seconds, time.time(),
            crc(text, reply.tokens_in, reply.tokens_out, reply.finish, reply.error),
        )  # fmt: skip
        with self._lock:
            try:
                self._tail.append(row, request.canonical)
            except (OSError, ValueError) as error:
                self._fault = self._fault or error
            else:
                self._fresh[request.key] = reply
                self._pending.append(row)
        self._raise_fault()  # only now: where the database has failed, the tail may hold the replies that still come

    def _commit_groups(self) -> None:
        while True:
            stopping = self._stop.wait(INTERVAL)
            with self._lock:
                group, self._pending = self._pending, []
                if group:
                    self._tail.turn()
            if group:
                try:
                    with self._writer:
                        self._writer.executemany(INSERT, group)
                    self._tail.forget()
                except Exception as error:  # noqa: BLE001 raised by the next call from the run's own thread
                    self._fault = error
                    return
                with self._lock:
                    for row in group:
                        self._fresh.pop(row[0], None)
            if stopping and not self._pending:
                return

    def _raise_fault(self) -> None:
        if self._fault is not None:
            raise self._error(self._fault) from self._fault

    def _error(self, error: Exception) -> StoreError:
        damaged = isinstance(error, sqlite3.DatabaseError) and not isinstance(error, sqlite3.OperationalError)
        if damaged:
            remedy = "the file is damaged; the next start sets it aside and saves what can be read"
        else:
            remedy = "what was committed before is kept; make room or make the folder writable"
        return StoreError(f"journal {self.path}: {error}. To go on: {remedy}. Then run the same command again.")


def salvage(path: Path) -> int | None:
    """Check the journal at `path`. If it is damaged, set it aside beside its place and start a new one with every call that
    can still be read. Returns their number, or None if nothing was wrong.

    Raises sqlite3.Error or OSError if the new file cannot be written.
    """
    if not path.is_file():
        return None
    log_file = path.with_name(f"{path.name}-wal")
    # The log first: SQLite drops what follows the damage when it opens the file. A killed run's indices are read, too.
    if not log_damaged(log_file) and intact(path, indices=log_file.exists()):
        return None
    aside = set_aside(path)
    with closing(_connect(path)) as connection, connection:
        connection.executescript(SCHEMA)
        connection.executemany(INSERT, _readable(aside))
        count = int(connection.execute("SELECT count(*) FROM calls").fetchone()[0])
    log.warning("journal %s was damaged and is kept as %s; %d calls were saved, the others are asked again", path, aside, count)
    return count


def _readable(damaged: Path) -> Iterator[tuple[Any, ...]]:
    """The calls that are whole."""
    for _, *row in rows(damaged, len(FIELDS) + 1):
        if whole(row):
            yield tuple(row)


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, check_same_thread=False, timeout=30)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    return connection


def _leave_wal(connection: sqlite3.Connection) -> None:
    """One file without companions, so that it can be moved and read anywhere. Not while another run reads it (its
    `runtime.reuse` names this folder): then the companions stay, and the calls are as safe in them."""
    try:
        connection.execute("PRAGMA journal_mode=DELETE")
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode != sqlite3.SQLITE_BUSY:
            raise
