"""Reads a journal without writing to it: another run's replies, the calls of one sample, the time that calls took.

A journal that a run is writing is read as a copy of one moment (gra/databases.py). The tail files beside the database (tail.py)
are read too.
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
    """Another run's journal, or None if it has no table yet. Raises StoreError."""
    connection = connect_readonly(path)
    if connection.execute("SELECT 1 FROM main.sqlite_master WHERE name = 'calls'").fetchone() is not None:
        return connection
    connection.close()
    return None


def connect_readonly(path: Path) -> sqlite3.Connection:
    """Return a connection whose `calls` are all calls of the journal, the tail included. Raises StoreError."""
    try:
        beside = tail.read(path)  # first: rows that leave the tail in the meantime are in the database by then
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
            f"journal {path}: {error}\n    -> name data folders with a readable journal.sqlite in runtime.reuse"
        ) from error
    return connection


def read_calls(path: Path, sample: str) -> Iterator[dict[str, Any]]:
    """Yield the calls of one sample as dicts (request decoded), oldest first. Raises StoreError."""
    with closing(connect_readonly(path)) as connection:
        connection.row_factory = sqlite3.Row
        try:
            found = connection.execute("SELECT * FROM calls WHERE sample = ? ORDER BY at, role", (sample,)).fetchall()
        except sqlite3.Error as error:
            raise StoreError(f"journal {path}: {error}") from error
    for row in found:
        yield {**dict(row), "request": json.loads(row["request"])}


def read_samples(path: Path) -> list[tuple[str, int]]:
    """Return every sample or seed in the journal, with its number of calls. Raises StoreError."""
    with closing(connect_readonly(path)) as connection:
        try:
            return connection.execute("SELECT sample, count(*) FROM calls GROUP BY sample ORDER BY sample").fetchall()
        except sqlite3.Error as error:
            raise StoreError(f"journal {path}: {error}") from error


def seconds_waited(path: Path) -> dict[str, dict[str, float]]:
    """Seconds waited for the recorded replies, by model and role, over all starts of the run. Unneeded proposals count, replies
    copied from other journals do not. Raises StoreError."""
    found: dict[str, dict[str, float]] = {}
    with closing(connect_readonly(path)) as connection:
        try:
            sums = connection.execute(
                "SELECT model, role, sum(seconds) FROM calls GROUP BY model, role ORDER BY model, role"
            )
            for model, role, seconds in sums:
                found.setdefault(model, {})[role] = round(seconds, 3)
        except sqlite3.Error as error:
            raise StoreError(f"journal {path}: {error}") from error
    return found


def calls_recorded(path: Path) -> dict[str, dict[str, dict[str, int | None]]]:
    """Return the answered calls of all starts of the run, by model and role: {in, out, calls, unknown} as in `tokens` of
    stats.json. Unneeded proposals count. Raises StoreError."""
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
            raise StoreError(f"journal {path}: {error}") from error
    return found
