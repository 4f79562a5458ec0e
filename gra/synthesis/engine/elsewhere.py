"""Finds recorded replies in the journals of other runs, and imports the journals of a run's own shards into the run's
journal.

There can be any number of journals. One table in memory says which journal has the reply to a request, so more journals
do not make the search slower. At most 8 (OPEN) journals are open at the same time.
"""

from __future__ import annotations

import logging
import sqlite3
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from gra.errors import StoreError
from gra.labels import PARTIAL
from gra.synthesis.engine.journal_read import connect_other
from gra.synthesis.engine.journal_rows import FIELDS, FIND, INSERT

OPEN = 8  # journals that are open at the same time, at most
_GROUP = 2000  # rows imported at once: bounds the memory
_IMPORT = INSERT.replace("OR REPLACE", "OR IGNORE", 1)
log = logging.getLogger(__name__)


def short(key: str) -> int:
    """Return the first 64 bits of a key (a hash of a request). The table of recorded keys in memory holds only these
    bits. If two keys have the same first 64 bits, GRA can search a journal (the database of a run's calls) in vain for
    a reply. This costs time, but causes no error."""
    return int(key[:16], 16)


def keys(connection: sqlite3.Connection) -> Iterator[int]:
    """Yield the first 64 bits of the key of every call in a journal (see `short`). Damaged keys are left out.
    `connection`: the open journal."""
    for (key,) in connection.execute("SELECT substr(key, 1, 16) FROM calls"):
        try:
            yield int(key, 16)
        except ValueError:
            continue  # damaged: the call is sent again


class Elsewhere:
    """Finds recorded replies in the journals of other runs. A journal is the database in which a run records its calls.
    `paths`: the files of the journals. If several journals have a reply to the same request, the first journal counts.
    Raises StoreError or sqlite3.Error if a journal cannot be read."""

    def __init__(self, paths: Sequence[Path]):
        self._paths = tuple(paths)
        self._open: OrderedDict[int, sqlite3.Connection] = OrderedDict()
        self._gone: set[Path] = set()
        self._has: dict[int, int] = {}  # short key -> number of the journal
        for number in range(len(self._paths)):
            connection = self._connection(number)
            for key in keys(connection) if connection is not None else ():
                self._has.setdefault(key, number)

    def find(self, key: str) -> tuple[Any, ...] | None:
        """Return the recorded reply to the request with this key, as a row of the query `FIND`. None if no journal has
        a reply to this request."""
        number = self._has.get(short(key))
        connection = None if number is None else self._connection(number)
        found: tuple[Any, ...] | None = None if connection is None else connection.execute(FIND, (key,)).fetchone()
        return found

    def close(self) -> None:
        """Close the open journals."""
        for connection in self._open.values():
            connection.close()
        self._open.clear()

    def _connection(self, number: int) -> sqlite3.Connection | None:
        """Return a connection to journal `number`; None if it has no table yet."""
        if number in self._open:
            self._open.move_to_end(number)
            return self._open[number]
        connection = self._opened(self._paths[number])
        if connection is not None:
            self._open[number] = connection
            if len(self._open) > OPEN:
                self._open.popitem(last=False)[1].close()
        return connection

    def _opened(self, path: Path) -> sqlite3.Connection | None:
        """Return a connection to the journal at `path`. If the step that wrote the journal has ended in the meantime,
        its folder was renamed; then the journal is opened under the folder's final name. Return None if the journal has
        no table yet, or does not exist any more. If it does not exist any more, its calls are sent again."""
        try:
            return connect_other(path)
        except StoreError:
            if path.is_file():
                raise
        final = path.parent.with_name(path.parent.name.removesuffix(PARTIAL)) / path.name
        if final.is_file():
            return connect_other(final)
        if path not in self._gone:
            self._gone.add(path)
            log.warning("the journal of another run, %s, no longer exists; its calls are sent again", path)
        return None


def import_calls(connection: sqlite3.Connection, path: Path) -> None:
    """Copy the calls in the journal at `path` into the run's own journal. Calls that the run's own journal already has
    are not copied. `connection`: the run's own journal, open for writing.

    If the journal at `path` is damaged, a warning is logged and the calls that cannot be read are skipped. The run will
    send them again. Raises sqlite3.Error if the run's own journal cannot be written.
    """
    try:
        other = connect_other(path)
    except StoreError as error:
        log.warning("%s; its calls are not imported", error)
        return
    if other is None:
        return  # no table yet
    with closing(other), connection:
        for group in _groups(other, path):
            connection.executemany(_IMPORT, group)


def _groups(other: sqlite3.Connection, path: Path) -> Iterable[list[tuple[Any, ...]]]:
    try:
        rows = other.execute(f"SELECT {', '.join(FIELDS)} FROM calls")
        while group := rows.fetchmany(_GROUP):
            yield group
    except sqlite3.Error as error:
        log.warning("journal %s: %s; the calls after this place are not imported", path, error)
