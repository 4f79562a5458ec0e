"""Reads a journal without writing to it: its replies, the calls of one sample, and the time and tokens of all calls.

A journal can be read while a run writes to it: the reader sees its state at one moment (gra/databases.py). The newest
calls are not yet in the database but in the tail files next to it (tail.py); they are read too.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from gra import databases
from gra.errors import StoreError
from gra.synthesis.engine import tail
from gra.synthesis.engine.journal_rows import COLUMNS, INSERT

# A row of the tail replaces the row of the same request in the database; the view shadows the table of the same name.
_WITH_TAIL = f"""
CREATE TEMP TABLE tail({COLUMNS});
CREATE TEMP VIEW calls AS
    SELECT * FROM temp.tail UNION ALL SELECT * FROM main.calls WHERE key NOT IN (SELECT key FROM temp.tail);
"""


def connect_other(path: Path) -> sqlite3.Connection | None:
    """Open the journal of another run for reading. If that run has just begun and its journal has no table of calls
    yet, return None. Raises StoreError if the journal cannot be read."""
    connection = connect_readonly(path)
    if connection.execute("SELECT 1 FROM main.sqlite_master WHERE name = 'calls'").fetchone() is not None:
        return connection
    connection.close()
    return None


def connect_readonly(path: Path) -> sqlite3.Connection:
    """Open a journal for reading. In the returned connection, the table `calls` also has the newest calls. They
    are not yet in the database, but in two files beside it (the tail files). Raises StoreError if the journal cannot be
    read."""
    try:
        beside = tail.read(path)  # read before the database, to which a row can move in the meantime
        connection = databases.connect_readonly(path)
        # This reads a page, so a file that is not a database fails here.
        found = connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'calls'").fetchone()
        if beside and found is not None:
            connection.execute("PRAGMA temp_store=MEMORY")
            connection.executescript(_WITH_TAIL)
            connection.executemany(INSERT.replace("calls", "temp.tail", 1), beside)
            connection.commit()
    except (sqlite3.Error, OSError) as error:
        raise StoreError(
            f"journal {path}: {error}\n    -> set runtime.reuse to data folders with a readable journal.sqlite"
        ) from error
    return connection


def read_calls(path: Path, sample: str) -> Iterator[dict[str, Any]]:
    """Yield the calls of one sample as dicts, oldest first. The value of `request` is parsed from JSON. Raises
    StoreError if the journal cannot be read."""
    with closing(connect_readonly(path)) as connection:
        connection.row_factory = sqlite3.Row
        try:
            found = connection.execute("SELECT * FROM calls WHERE sample = ? ORDER BY at, role", (sample,)).fetchall()
        except sqlite3.Error as error:
            raise _unreadable(path, error) from error
    for row in found:
        yield {**dict(row), "request": json.loads(row["request"])}


def read_samples(path: Path) -> list[tuple[str, int]]:
    """Return the id of every sample and seed in the journal, with the number of its calls. Raises StoreError if the
    journal cannot be read."""
    with closing(connect_readonly(path)) as connection:
        try:
            return connection.execute("SELECT sample, count(*) FROM calls GROUP BY sample ORDER BY sample").fetchall()
        except sqlite3.Error as error:
            raise _unreadable(path, error) from error


def seconds_waited(path: Path) -> dict[str, dict[str, float]]:
    """Return how many seconds the run waited for the recorded replies, as {model: {role: seconds}}.

    The sums cover all starts of the run, and include calls of proposals that were not needed. A reply that was copied
    from another journal counts as 0 seconds. Raises StoreError if the journal cannot be read.
    """
    found: dict[str, dict[str, float]] = {}
    with closing(connect_readonly(path)) as connection:
        try:
            sums = connection.execute(
                "SELECT model, role, sum(seconds) FROM calls GROUP BY model, role ORDER BY model, role"
            )
            for model, role, seconds in sums:
                found.setdefault(model, {})[role] = round(seconds, 3)
        except sqlite3.Error as error:
            raise _unreadable(path, error) from error
    return found


def calls_recorded(path: Path) -> dict[str, dict[str, dict[str, int | None]]]:
    """Return the number of answered calls and their tokens as {model: {role: {in, out, calls, unknown}}}.

    `in` and `out` are numbers of tokens. `unknown` is the number of calls for which the server did not report the
    tokens. The counts cover all starts of the run, and include calls of proposals that were not needed. The value
    `tokens` in stats.json has the same form. Raises StoreError if the journal cannot be read.
    """
    found: dict[str, dict[str, dict[str, int | None]]] = {}
    known = "tokens_in IS NOT NULL AND tokens_out IS NOT NULL"
    query = (
        f"SELECT model, role, count(*), sum(NOT ({known})), sum(CASE WHEN {known} THEN tokens_in END), "
        f"sum(CASE WHEN {known} THEN tokens_out END) FROM calls GROUP BY model, role ORDER BY model, role"
    )
    with closing(connect_readonly(path)) as connection:
        try:
            for model, role, calls, unknown, tokens_in, tokens_out in connection.execute(query):
                found.setdefault(model, {})[role] = {
                    "in": tokens_in,
                    "out": tokens_out,
                    "calls": calls,
                    "unknown": unknown,
                }
        except sqlite3.Error as error:
            raise _unreadable(path, error) from error
    return found


def _unreadable(path: Path, error: Exception) -> StoreError:
    return StoreError(f"journal {path} cannot be read ({error})\n    -> restore it from a copy of the folder")
