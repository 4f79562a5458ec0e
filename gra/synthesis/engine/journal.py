"""Records every answered call in one SQLite file (WAL mode), so that a later start of the run does not send it again.

Before a sample uses a reply, `record` writes the reply to a file without fsync (tail.py), so a killed process loses no
answered call. At most 0.2 seconds (INTERVAL) later, a thread commits all new replies to the database, with one fsync.
So a power failure loses only the replies of these 0.2 seconds.

A call is found by its key, the hash of the request's canonical bytes (`Request.key`). So a changed request is sent
again. After any other change, for example of a parser or a threshold, the recorded replies are reused.

The first 64 bits of every recorded key are kept in memory, including the keys in the journals of other runs. So one
look-up in memory shows whether a call has a recorded reply, for any number of journals. This takes about 100 bytes per
reply. A run that starts without any recorded replies keeps no keys.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from gra import databases
from gra.databases import connect_alone, intact, leave_wal, set_aside
from gra.errors import StoreError
from gra.models.base import Reply, Request
from gra.models.openai.choices import from_stored, stored_text
from gra.synthesis.committee.calls import Call
from gra.synthesis.engine import tail
from gra.synthesis.engine.elsewhere import Elsewhere, import_calls, keys, short
from gra.synthesis.engine.journal_rows import FIELDS, FIND, INSERT, SCHEMA, crc, whole
from gra.synthesis.engine.salvage import log_damaged, rows

INTERVAL = 0.2  # seconds between group commits

log = logging.getLogger(__name__)


class Journal:
    """The journal of one run, which records every answered call.

    Use the journal in a `with` block, and call `find` and `record` only in the event loop's thread. Another thread
    commits to the database. If the file cannot be read or written (disk full, read-only), the methods raise StoreError.

    - `path`: the file of the journal. If it is damaged when the `with` block begins, it is renamed, and every readable
      call is copied into a new file.
    - `others`: journals of other runs. If one of them has the reply to a request, the reply is copied into this journal
      and the call is not sent.
    - `parts`: journals of the run's own shards and earlier merges. The `with` block begins by copying all their calls.
    """

    def __init__(self, path: Path, others: Sequence[Path] = (), parts: Iterable[Path] = ()):
        self.path = path
        self._other_paths, self._parts = tuple(others), tuple(parts)
        self._pending: list[tail.TailRow] = []
        self._fresh: dict[str, Reply] = {}  # recorded, but perhaps not committed yet
        self._lock = threading.Lock()
        self._database = threading.Lock()  # held while the connection is used
        self._stop = threading.Event()
        self._fault: Exception | None = None
        self._altered = 0  # replies with a wrong checksum

    def __enter__(self) -> Self:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            salvage(self.path)
            self._writer = _connect(self.path)
            self._writer.executescript(SCHEMA)
            self._take_over_tail()
            for part in self._parts:
                import_calls(self._writer, part)
            self._known = set(keys(self._writer))
        except (sqlite3.Error, OSError) as error:
            raise self._error(error) from error
        self._others = Elsewhere(self._other_paths)
        self._new = not self._known and not self._other_paths
        self._thread = threading.Thread(target=self._commit_groups, name="journal", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()
        try:
            self._others.close()
            if self._fault is None:
                leave_wal(self._writer)
            self._writer.close()
            self._tail.close(remove=self._fault is None)
        except (sqlite3.Error, OSError) as error:
            self._fault = self._fault or error
        if self._fault is not None and kind is None:
            raise self._error(self._fault) from self._fault

    def _take_over_tail(self) -> None:
        """Move the calls that a killed run left in its tail files into the database, and open new tail files."""
        if left := tail.read(self.path):
            with self._writer:
                self._writer.executemany(INSERT, left)
        self._tail = tail.Tail(self.path)

    def find(self, call: Call) -> Reply | None:
        """Return the recorded reply to this call's request. None if neither this journal nor those of other runs have
        one."""
        self._raise_fault()
        request, key = call.request, call.request.key
        if (fresh := self._fresh.get(key)) is not None:
            return fresh
        if self._new:  # the journal started empty, and a sample never sends the same request twice
            return None
        try:
            if short(key) in self._known:
                with self._database:
                    row = self._writer.execute(FIND, (key,)).fetchone()
                if (known := self._reply(request, row)) is not None:
                    return known
            if (known := self._reply(request, self._others.find(key))) is not None:
                self.record(call, known, 0.0)
                return known
        except sqlite3.Error as error:
            raise self._error(error) from error
        return None

    def _reply(self, request: Request, row: tuple[Any, ...] | None) -> Reply | None:
        """Return the reply in a row. Return None if there is no row or its checksum is wrong; in that case the call is
        sent again."""
        if row is None:
            return None
        if crc(*row[:-1]) == row[-1]:
            return from_stored(request, row[:-1])
        self._altered += 1
        if self._altered == 1:
            log.warning(
                "journal %s: a reply was altered on disk (wrong checksum); such replies are requested again", self.path
            )
        return None

    def record(self, call: Call, reply: Reply, seconds: float) -> None:
        """Record an answered call. It is written to the tail file (tail.py) at once, and to the database with the next
        commit."""
        request = call.request
        text = stored_text(request, reply)
        row: tail.TailRow = (
            request.key,
            call.sample,
            call.step,
            call.role,
            call.attempt,
            request.model,
            request.canonical.decode(),
            text,
            reply.tokens_in,
            reply.tokens_out,
            reply.finish,
            reply.error,
            seconds,
            time.time(),
            crc(text, reply.tokens_in, reply.tokens_out, reply.finish, reply.error),
        )
        with self._lock:
            try:
                self._tail.append(row, request.canonical)
            except (OSError, ValueError) as error:
                self._fault = self._fault or error
            else:
                self._fresh[request.key] = reply
                self._pending.append(row)
        self._raise_fault()  # raised last, so that after a database fault the tail still stores the replies that arrive

    def _commit_groups(self) -> None:
        while True:
            stopping = self._stop.wait(INTERVAL)
            with self._lock:
                group, self._pending = self._pending, []
                if group:
                    self._tail.turn()
            if group:
                try:
                    with self._database, self._writer:
                        self._writer.executemany(INSERT, group)
                    self._tail.forget()
                except Exception as error:  # noqa: BLE001 raised by the next call of `find` or `record`
                    self._fault = error
                    return
                if not self._new:
                    self._known.update(short(row[0]) for row in group)
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
            remedy = "run the same command again: the file is damaged, and the next start renames it and saves every readable call"
        else:
            remedy = (
                f"{databases.remedy(self.path, error, 'output=DIR (a chain: store=DIR)')}; committed calls are kept"
            )
        return StoreError(f"journal {self.path}: {error}\n    -> {remedy}")


def salvage(path: Path) -> int | None:
    """Check the journal at `path`. If it is damaged, rename it and copy every call that can still be read into a new
    journal.

    Return the number of copied calls. None if the journal is not damaged or does not exist. Raises sqlite3.Error or
    OSError if the new file cannot be written.
    """
    if not path.is_file():
        return None
    log_file = path.with_name(f"{path.name}-wal")
    # The write-ahead log is checked first, because SQLite drops everything after the damage when it opens the file. If
    # there is still a log, the process was killed, so the indices are checked too.
    if not log_damaged(log_file) and intact(path, indices=log_file.exists()):
        return None
    aside = set_aside(path)
    with closing(_connect(path)) as connection, connection:
        connection.executescript(SCHEMA)
        connection.executemany(INSERT, _readable(aside))
        count = int(connection.execute("SELECT count(*) FROM calls").fetchone()[0])
    log.warning(
        "journal %s was damaged and is kept as %s; %d calls were saved, the others are sent again", path, aside, count
    )
    return count


def _readable(damaged: Path) -> Iterator[tuple[Any, ...]]:
    """Yield the undamaged calls of a damaged journal."""
    for _, *row in rows(damaged, len(FIELDS) + 1):
        if whole(row):
            yield tuple(row)


def _connect(path: Path) -> sqlite3.Connection:
    connection = connect_alone(path)
    connection.execute("PRAGMA synchronous=FULL")
    return connection
