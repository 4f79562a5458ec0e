"""Replies on disk: one SQLite file a scores folder (`replies.sqlite`), a row a reply, under the hash of what was asked of whom.

lm-eval has a cache of its own (`--use_cache`), which is not enough here: its keys do not say which model answered, it unpickles
what it finds, its commits are another thread's, and what its vLLM class files on the way is under keys that nobody looks up.
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

from gra.databases import intact, set_aside
from gra.errors import StoreError
from gra.paths import expanded

NAME = "replies.sqlite"
SYNC_S = 1.0  # seconds between two syncs to the disk
_SCHEMA = """CREATE TABLE IF NOT EXISTS replies(key TEXT PRIMARY KEY, kind TEXT NOT NULL, task TEXT NOT NULL,
    decoding TEXT NOT NULL, reply TEXT NOT NULL, cut INTEGER NOT NULL, at REAL NOT NULL, crc INTEGER NOT NULL,
    at_limit INTEGER) WITHOUT ROWID"""
_INSERT = "INSERT OR REPLACE INTO replies VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
_COLUMNS = "SELECT name FROM pragma_table_info('replies')"  # a file that an earlier version wrote has no `at_limit`
_AT_ONCE = 500  # keys in one query: SQLite's older limit is 999 variables
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Record:
    """A reply, JSON-able. `kind`: lm-eval's request type; `decoding`: how it was asked; `cut`: the prompt's head was left out;
    `at_limit`: the reply ended because it had as many tokens as it might have (None: not known)."""

    key: str
    kind: str
    task: str
    decoding: str
    reply: Any
    cut: bool
    at_limit: bool | None = None


class Store:
    """A context manager over the file at `path`; `others`: files of other runs, which are read where this one knows nothing.

    What `add` was given outlives a kill -9 of this process from then on (SQLite's WAL: the operating system has it), and a
    loss of power a second later. A damaged file is set aside, and what it held is asked for again. Raises StoreError.
    """

    def __init__(self, path: Path, others: Sequence[Path] = ()):
        self.path = path
        self._other_paths = [other for other in others if other.resolve() != path.resolve()]

    def __enter__(self) -> Self:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            _set_aside_if_damaged(self.path)
            self._own = sqlite3.connect(self.path, timeout=30, isolation_level=None)
            self._own.execute("PRAGMA journal_mode=WAL")
            self._own.execute("PRAGMA synchronous=NORMAL")
            self._own.execute(_SCHEMA)
            if ("at_limit",) not in self._own.execute(_COLUMNS).fetchall():
                self._own.execute("ALTER TABLE replies ADD COLUMN at_limit INTEGER")
        except (sqlite3.Error, OSError) as error:
            raise self._error(error) from error
        self._others = [other for path in self._other_paths if (other := _read_only(path)) is not None]
        self._synced = time.monotonic()
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        try:
            for other in self._others:
                other.close()
            try:  # one file without companions, which can be moved, and read where nothing can be written
                self._own.execute("PRAGMA journal_mode=DELETE")
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode != sqlite3.SQLITE_BUSY:  # another run reads it just now: it stays as it is
                    raise
            self._own.close()
        except sqlite3.Error as error:
            if kind is None:
                raise self._error(error) from error

    def find(self, keys: Iterable[str]) -> dict[str, Record]:
        """What is known of `keys`. Records of other runs are taken over, so that the file is whole by itself."""
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
        """Keep `records`, all or none of them."""
        now = time.time()
        lines = []
        for record in records:
            reply = json.dumps(record.reply)  # ASCII: halves of surrogate pairs are escaped
            lines.append(
                (record.key, record.kind, record.task, record.decoding, reply, record.cut, now, zlib.crc32(reply.encode()),
                 record.at_limit)
            )  # fmt: skip
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
        remedy = "make room, or make the folder writable; what was kept before stays. Then run the same command again"
        return StoreError(f"replies {self.path}: {error}\n    -> {remedy}")


def stores_under(folders: Iterable[str | Path]) -> list[Path]:
    """The stores in these folders (`~` is the home), at any depth, in a fixed order. Folders that are not there hold none."""
    return sorted({path for folder in folders for path in expanded(folder).rglob(NAME)})


def kept(folder: Path) -> str:
    """How many replies the stores in a folder hold, in words; empty where there are none."""
    found = 0
    for path in stores_under([folder]):
        try:
            with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, timeout=30)) as connection:
                found += int(connection.execute("SELECT count(*) FROM replies").fetchone()[0])
        except sqlite3.Error as error:
            if "no such table" not in str(error):
                return "replies that cannot be read"
    return f"{found:,} repl{'ies' if found != 1 else 'y'}" if found else ""


def readable(path: Path) -> bool:
    """Whether the file is a whole store, which may answer for another run."""
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, timeout=30)) as connection:
            connection.execute("SELECT 1 FROM replies LIMIT 1")
            return bool(connection.execute("PRAGMA quick_check(1)").fetchone()[0] == "ok")
    except sqlite3.Error:
        return False


def _rows(connection: sqlite3.Connection, keys: set[str]) -> Iterator[Record]:
    """The whole records among `keys`; one whose check sum is wrong counts as unknown."""
    wanted = sorted(keys)
    at_limit = "at_limit" if ("at_limit",) in connection.execute(_COLUMNS).fetchall() else "NULL"
    for start in range(0, len(wanted), _AT_ONCE):
        part = wanted[start : start + _AT_ONCE]
        marks = ", ".join("?" * len(part))
        query = f"SELECT key, kind, task, decoding, reply, cut, crc, {at_limit} FROM replies WHERE key IN ({marks})"
        for key, kind, task, decoding, reply, cut, crc, ended in connection.execute(query, part).fetchall():
            if isinstance(reply, str) and zlib.crc32(reply.encode("utf-8", "replace")) == crc:
                yield Record(key, kind, task, decoding, json.loads(reply), bool(cut), None if ended is None else bool(ended))
            else:
                log.warning("a kept reply was altered on disk (its check sum is wrong): it is asked for again")


def _read_only(path: Path) -> sqlite3.Connection | None:
    """Another run's store, or None for one that has not got as far as its table."""
    try:
        connection = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, timeout=30)
        if connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'replies'").fetchone() is not None:
            return connection
    except sqlite3.Error as error:
        raise StoreError(f"replies {path}: {error}\n    -> name folders of whole evaluations in runtime.reuse") from error
    connection.close()
    return None


def _set_aside_if_damaged(path: Path) -> None:
    if path.is_file() and not intact(path):
        log.warning("%s was damaged and is kept as %s; its replies are asked for again", path, set_aside(path))
