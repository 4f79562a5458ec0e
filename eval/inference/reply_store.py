"""Stores replies on disk: one SQLite file per scores folder (`replies.sqlite`), one row per reply, keyed by model and request.

lm-eval's cache (`--use_cache`) does not suffice. Its keys do not identify the model. It unpickles what it reads. A
separate thread commits its writes. lm-eval's vLLM class stores replies under keys that the cache never searches for.
"""

from __future__ import annotations

import json
import logging
import sqlite3
import time
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from gra import databases
from gra.databases import intact, set_aside
from gra.errors import StoreError
from gra.paths import expanded

NAME = "replies.sqlite"
SYNC_S = 1.0  # seconds between two syncs to disk
_SCHEMA = """CREATE TABLE IF NOT EXISTS replies(key TEXT PRIMARY KEY, kind TEXT NOT NULL, task TEXT NOT NULL,
    decoding TEXT NOT NULL, reply TEXT NOT NULL, cut INTEGER NOT NULL, at REAL NOT NULL, crc INTEGER NOT NULL,
    at_limit INTEGER) WITHOUT ROWID"""
_INSERT = "INSERT OR REPLACE INTO replies VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
_COLUMNS = "SELECT name FROM pragma_table_info('replies')"  # files of earlier versions have no `at_limit`
_AT_ONCE = 500  # keys per query: older versions of SQLite allow 999 variables
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Record:
    """A stored reply, which can be written as JSON.

    - `kind`: lm-eval's request type.
    - `decoding`: the generation keywords.
    - `cut`: whether the prompt was shortened at its start.
    - `at_limit`: whether the reply was truncated at its token limit; None if unknown.
    """

    key: str
    kind: str
    task: str
    decoding: str
    reply: Any
    cut: bool
    at_limit: bool | None = None


class ReplyStore:
    """A context manager for the store of replies in the file at `path`.

    `others`: the paths of other runs' stores. If a reply is missing in the file at `path`, it is taken from them.

    If the process is killed, no added record is lost (SQLite's WAL). If the power fails, the records added since the
    last sync can be lost. The method `add` syncs if the last sync is at least SYNC_S seconds old. A damaged file is
    renamed, and the replies that were in it are requested from the model again.

    Raises StoreError if a store cannot be opened, read or written.
    """

    def __init__(self, path: Path, others: Sequence[Path] = ()):
        self.path = path
        self._other_paths = [other for other in others if other.resolve() != path.resolve()]

    def __enter__(self) -> Self:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            _set_aside_if_damaged(self.path)
            self._own = databases.connect_alone(self.path, isolation_level=None)
            self._own.execute("PRAGMA synchronous=NORMAL")
            self._own.execute(_SCHEMA)
            if ("at_limit",) not in self._own.execute(_COLUMNS).fetchall():
                self._own.execute("ALTER TABLE replies ADD COLUMN at_limit INTEGER")
        except (sqlite3.Error, OSError) as error:
            raise self._error(error) from error
        self._others = [other for path in self._other_paths if (other := _read_only(path)) is not None]
        self._synced = time.monotonic()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            for other in self._others:
                other.close()
            databases.leave_wal(self._own)
            self._own.close()
        except sqlite3.Error as error:
            if kind is None:
                raise self._error(error) from error

    def find(self, keys: Iterable[str]) -> dict[str, Record]:
        """Return {key: record} for the elements of `keys` that have a stored record.

        Records found in other runs' files are copied into this file, so that it is complete.
        """
        wanted = set(keys)
        try:
            found = {record.key: record for record in _rows(self._own, wanted)}
            for other in self._others:
                theirs = list(_rows(other, wanted - found.keys()))
                self.add(theirs)
                found |= {record.key: record for record in theirs}
        except sqlite3.Error as error:
            raise self._error(error) from error
        return found

    def add(self, records: Sequence[Record]) -> None:
        """Store `records`, all or none of them."""
        now = time.time()
        lines = []
        for record in records:
            reply = json.dumps(record.reply)  # ASCII: halves of surrogate pairs are escaped
            lines.append(
                (
                    record.key,
                    record.kind,
                    record.task,
                    record.decoding,
                    reply,
                    record.cut,
                    now,
                    zlib.crc32(reply.encode()),
                    record.at_limit,
                )
            )
        due = time.monotonic() - self._synced >= SYNC_S
        try:
            if due:
                self._own.execute("PRAGMA synchronous=FULL")
            self._own.execute("BEGIN")
            try:
                self._own.executemany(_INSERT, lines)
                self._own.execute("COMMIT")
            except BaseException:
                if self._own.in_transaction:
                    self._own.execute("ROLLBACK")
                raise
            if due:
                self._own.execute("PRAGMA synchronous=NORMAL")
                self._synced = time.monotonic()
        except sqlite3.Error as error:
            raise self._error(error) from error

    def _error(self, error: Exception) -> StoreError:
        remedy = databases.remedy(self.path, error, "output=DIR (a chain: store=DIR)")
        return StoreError(f"replies {self.path}: {error}\n    -> {remedy}; stored replies are kept")


def stores_under(folders: Iterable[str | Path]) -> list[Path]:
    """Return the sorted paths of all reply stores in these folders, at any depth.

    `~` means the home folder. A missing folder holds no stores.
    """
    return sorted({path for folder in folders for path in expanded(folder).rglob(NAME)})


def kept(folder: Path) -> str:
    """Return the number of replies in a folder's stores as text, such as "12 replies"; "" if there are none."""
    found = 0
    for path in stores_under([folder]):
        try:
            with closing(databases.connect_readonly(path)) as connection:
                found += int(connection.execute("SELECT count(*) FROM replies").fetchone()[0])
        except (sqlite3.Error, OSError) as error:
            if "no such table" not in str(error):
                return "replies that cannot be read"
    return f"{found:,} repl{'ies' if found != 1 else 'y'}" if found else ""


def readable(path: Path) -> bool:
    """Return whether the file is an undamaged store, which another run can reuse."""
    try:
        with closing(databases.connect_readonly(path)) as connection:
            connection.execute("SELECT 1 FROM replies LIMIT 1")
            return bool(connection.execute("PRAGMA quick_check(1)").fetchone()[0] == "ok")
    except (sqlite3.Error, OSError):
        return False


def _rows(connection: sqlite3.Connection, keys: set[str]) -> Iterator[Record]:
    """Yield the records stored under `keys`. A record with a wrong checksum counts as missing."""
    wanted = sorted(keys)
    at_limit = "at_limit" if ("at_limit",) in connection.execute(_COLUMNS).fetchall() else "NULL"
    for start in range(0, len(wanted), _AT_ONCE):
        part = wanted[start : start + _AT_ONCE]
        marks = ", ".join("?" * len(part))
        query = f"SELECT key, kind, task, decoding, reply, cut, crc, {at_limit} FROM replies WHERE key IN ({marks})"
        for key, kind, task, decoding, reply, cut, crc, ended in connection.execute(query, part).fetchall():
            if isinstance(reply, str) and zlib.crc32(reply.encode("utf-8", "replace")) == crc:
                yield Record(
                    key, kind, task, decoding, json.loads(reply), bool(cut), None if ended is None else bool(ended)
                )
            else:
                log.warning("a stored reply was altered on disk (wrong checksum); its request is sent again")


def _read_only(path: Path) -> sqlite3.Connection | None:
    """Return a read-only connection to another run's store; None if it has no table yet."""
    try:
        connection = databases.connect_readonly(path)
        if connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'replies'").fetchone() is not None:
            return connection
    except (sqlite3.Error, OSError) as error:
        raise StoreError(
            f"replies {path}: {error}\n    -> list folders of complete evaluations in runtime.reuse"
        ) from error
    connection.close()
    return None


def _set_aside_if_damaged(path: Path) -> None:
    if path.is_file() and not intact(path):
        log.warning("%s was damaged and is kept as %s; its requests are sent again", path, set_aside(path))
