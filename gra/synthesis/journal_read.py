"""Reading a journal without writing to it: another run's replies, the calls of one sample, the time that calls took.

What a killed run left beside its database (tail.py) is read with it.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from gra.errors import StoreError
from gra.synthesis import tail
from gra.synthesis.journal_rows import COLUMNS, INSERT

# The rows beside the database stand in for those of the same request in it; the view hides the table of its name.
_WITH_TAIL = f"""
CREATE TEMP TABLE tail({COLUMNS});
CREATE TEMP VIEW calls AS
    SELECT * FROM temp.tail UNION ALL SELECT * FROM main.calls WHERE key NOT IN (SELECT key FROM temp.tail);
"""


def connect_other(path: Path) -> sqlite3.Connection | None:
    """Another run's journal, or None for one that has not got as far as its table. Raises StoreError."""
    connection = connect_readonly(path)
    if connection.execute("SELECT 1 FROM main.sqlite_master WHERE name = 'calls'").fetchone() is not None:
        return connection
    connection.close()
    return None


def connect_readonly(path: Path) -> sqlite3.Connection:
    """A connection whose `calls` are all that the journal holds. Raises StoreError."""
    try:
        beside = tail.read(path)  # first: what leaves the tail is in the database by then
        connection = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, check_same_thread=False, timeout=30)
        found = connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'calls'").fetchone()  # a page is read
        if beside and found is not None:
            connection.execute("PRAGMA temp_store=MEMORY")
            connection.executescript(_WITH_TAIL)
            connection.executemany(INSERT.replace("calls", "temp.tail", 1), beside)
            connection.commit()
    except (sqlite3.Error, OSError) as error:
        raise StoreError(f"journal {path}: {error}; give data folders with a journal.sqlite in runtime.reuse") from error
    return connection


def read_calls(path: Path, sample: str) -> Iterator[dict[str, Any]]:
    """The calls of one sample as dicts (request decoded), oldest first. Raises StoreError."""
    with closing(connect_readonly(path)) as connection:
        connection.row_factory = sqlite3.Row
        try:
            found = connection.execute("SELECT * FROM calls WHERE sample = ? ORDER BY at, role", (sample,)).fetchall()
        except sqlite3.Error as error:
            raise StoreError(f"journal {path}: {error}") from error
    for row in found:
        yield {**dict(row), "request": json.loads(row["request"])}


def read_samples(path: Path) -> list[tuple[str, int]]:
    """Every sample or seed that the journal knows, with its number of calls. Raises StoreError."""
    with closing(connect_readonly(path)) as connection:
        try:
            return connection.execute("SELECT sample, count(*) FROM calls GROUP BY sample ORDER BY sample").fetchall()
        except sqlite3.Error as error:
            raise StoreError(f"journal {path}: {error}") from error


def seconds_waited(path: Path) -> dict[str, dict[str, float]]:
    """Seconds waited for the recorded replies, by model and role, over all starts of the run; proposals begun in vain count
    too, replies taken over from other journals do not. Raises StoreError."""
    found: dict[str, dict[str, float]] = {}
    with closing(connect_readonly(path)) as connection:
        try:
            sums = connection.execute("SELECT model, role, sum(seconds) FROM calls GROUP BY model, role ORDER BY model, role")
            for model, role, seconds in sums:
                found.setdefault(model, {})[role] = round(seconds, 3)
        except sqlite3.Error as error:
            raise StoreError(f"journal {path}: {error}") from error
    return found


def calls_recorded(path: Path) -> dict[str, dict[str, dict[str, int | None]]]:
    """The answered calls of all starts of the run, by model and role: {in, out, calls, unknown} as in `tokens` of stats.json,
    those of proposals that were not needed included. Raises StoreError."""
    found: dict[str, dict[str, dict[str, int | None]]] = {}
    told = "tokens_in IS NOT NULL AND tokens_out IS NOT NULL"
    query = (
        f"SELECT model, role, count(*), sum(NOT ({told})), sum(CASE WHEN {told} THEN tokens_in END), "
        f"sum(CASE WHEN {told} THEN tokens_out END) FROM calls GROUP BY model, role ORDER BY model, role"
    )
    with closing(connect_readonly(path)) as connection:
        try:
            for model, role, calls, unknown, tokens_in, tokens_out in connection.execute(query):
                found.setdefault(model, {})[role] = {"in": tokens_in, "out": tokens_out, "calls": calls, "unknown": unknown}
        except sqlite3.Error as error:
            raise StoreError(f"journal {path}: {error}") from error
    return found
