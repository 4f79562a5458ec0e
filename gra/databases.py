"""SQLite files that a run writes and a later one goes on from: whether one is whole, and where a damaged one is put."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path


def intact(path: Path, *, indices: bool = False) -> bool:
    """Whether SQLite finds the file whole; `indices`: these, too, which takes longer.

    Raises sqlite3.OperationalError where that cannot be told: the file is locked, the folder read-only, the disk full.
    """
    check = "integrity_check" if indices else "quick_check"
    try:
        with closing(sqlite3.connect(path, timeout=30)) as connection:
            return bool(connection.execute(f"PRAGMA {check}(1)").fetchone()[0] == "ok")
    except sqlite3.OperationalError:
        raise
    except sqlite3.DatabaseError:
        return False


def set_aside(path: Path) -> Path:
    """Rename the file and its write-ahead log, which belongs to it alone, to the first free FILE.damaged-N; returns that name."""
    number = 1
    while (aside := path.with_name(f"{path.name}.damaged-{number}")).exists():
        number += 1
    for suffix in ("-wal", "-shm", ""):
        part = path.with_name(path.name + suffix)
        if part.exists():
            part.replace(aside.with_name(aside.name + suffix))
    return aside
