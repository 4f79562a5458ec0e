"""Opens the SQLite files from which a run resumes. The process that writes a file locks all others out; a reader reads
a copy without disturbing the writer. Damaged files are renamed.

The writer locks the file exclusively (`locking_mode=EXCLUSIVE`, set before WAL). SQLite then keeps the WAL index in the
process's memory and creates no `-shm` file. Network file systems do not support the shared memory of such a file
(https://www.sqlite.org/wal.html, "Use of WAL Without Shared-Memory"). The file system must support POSIX locks.
"""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
import time
from contextlib import closing
from pathlib import Path
from typing import Any

_TRIES, _PAUSE_S = 20, 0.05  # attempts to copy a file while its writer may checkpoint the WAL into it
_WAL_HEAD = 32  # bytes of the WAL's header, which change when the WAL restarts
_MOUNTS = Path("/proc/self/mounts")


def connect_alone(path: Path, timeout_s: float = 30.0, **options: Any) -> sqlite3.Connection:
    """Open the SQLite file `path` in WAL mode and return the connection. While the connection is open, no other process
    can use the file: another process that tries gets the error `database is locked`. Raises sqlite3.Error."""
    connection = sqlite3.connect(path, check_same_thread=False, timeout=timeout_s, **options)
    try:
        connection.execute("PRAGMA locking_mode=EXCLUSIVE")
        connection.execute("PRAGMA journal_mode=WAL")
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def leave_wal(connection: sqlite3.Connection) -> None:
    """Switch an exclusive connection out of WAL mode. The database is then a single file that can be moved and read
    anywhere."""
    connection.execute("PRAGMA journal_mode=DELETE")


class _Copy(sqlite3.Connection):
    """A connection to a temporary copy of a database. Closing it deletes the copy."""

    folder: tempfile.TemporaryDirectory[str] | None = None

    def close(self) -> None:
        super().close()
        if self.folder is not None:
            self.folder.cleanup()


def connect_readonly(path: Path) -> sqlite3.Connection:
    """Return a connection that changes nothing on disk and does not disturb a writer. Raises sqlite3.Error, OSError.

    A file without a write-ahead log is read in place. A file has such a log while a process has it open for writing,
    and also after that process was killed. If there is a log, the function copies the file and its log to a temporary
    folder, and the connection reads this copy. The copy contains only complete commits.
    """
    if not path.is_file():
        raise sqlite3.OperationalError("unable to open database file")
    log = path.with_name(f"{path.name}-wal")
    if not log.exists():
        connection = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, check_same_thread=False, timeout=2)
        try:
            connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone()
        except sqlite3.OperationalError:  # a writer opened the file meanwhile, or the file system cannot do this
            connection.close()
        except BaseException:
            connection.close()
            raise
        else:
            return connection
    folder = tempfile.TemporaryDirectory(prefix="gra-read-")
    try:
        copy = Path(folder.name, path.name)
        _copy(path, log, copy)
        reading = sqlite3.connect(copy, check_same_thread=False, timeout=30, factory=_Copy)
    except BaseException:
        folder.cleanup()
        raise
    reading.folder = folder
    return reading


def _copy(path: Path, log: Path, to: Path) -> None:
    """Copy a database and its WAL in a consistent state. If the database or the WAL's header changed during the copy,
    copy again; pages that were appended to the WAL do no harm. Raises sqlite3.OperationalError after _TRIES
    attempts."""
    beside = to.with_name(f"{to.name}-wal")
    for _ in range(_TRIES):
        before = _state(path, log)
        shutil.copyfile(path, to)
        try:
            shutil.copyfile(log, beside)
        except FileNotFoundError:
            beside.unlink(missing_ok=True)
        if _state(path, log) == before:
            return
        time.sleep(_PAUSE_S)
    raise sqlite3.OperationalError("another process is writing it; read it again when that process has ended")


def _state(path: Path, log: Path) -> tuple[int, int, bytes]:
    found = path.stat()
    try:
        with log.open("rb") as handle:
            head = handle.read(_WAL_HEAD)
    except FileNotFoundError:
        head = b""
    return found.st_mtime_ns, found.st_size, head


def intact(path: Path, *, indices: bool = False) -> bool:
    """Return True if the file passes SQLite's check for damage, and False if it does not. `indices`: whether to check
    the indexes of the tables too. This check is slower than the default, SQLite's quick check.

    Raises sqlite3.OperationalError if the check cannot run, e.g. because the file is locked, the folder is read-only or
    the disk is full.
    """
    check = "integrity_check" if indices else "quick_check"
    try:
        with closing(sqlite3.connect(path, timeout=30)) as connection:
            connection.execute("PRAGMA locking_mode=EXCLUSIVE")
            return bool(connection.execute(f"PRAGMA {check}(1)").fetchone()[0] == "ok")
    except sqlite3.OperationalError:
        raise
    except sqlite3.DatabaseError:
        return False


def set_aside(path: Path) -> Path:
    """Rename the damaged file, and its write-ahead log, to FILE.damaged-N with the first free number N. Return the new
    path."""
    number = 1
    while (aside := path.with_name(f"{path.name}.damaged-{number}")).exists():
        number += 1
    for suffix in ("-wal", "-shm", ""):
        part = path.with_name(path.name + suffix)
        if part.exists():
            part.replace(aside.with_name(aside.name + suffix))
    return aside


def remedy(path: Path, error: Exception, setting: str) -> str:
    """Return advice for the user on a database error. `setting`: the config key with which the user can put the file
    elsewhere, e.g. `output=DIR`."""
    code = (getattr(error, "sqlite_errorcode", 0) or 0) & 0xFF
    place = f"{setting} on another file system (this one: {file_system(path)})"
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return f"another process is writing it: wait until it has ended; if none is, its locks do not work: {place}"
    if code in (sqlite3.SQLITE_PROTOCOL, sqlite3.SQLITE_NOLFS):
        return f"the file system's locks do not work: {place}"
    if code in (sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN):
        return f"free disk space, make the folder writable, or choose {place}; then run the same command again"
    return "free disk space or make the folder writable, then run the same command again"


def file_system(path: Path) -> str:
    """Return the type and mount point of the file system that holds `path`, as text. Return `unknown` if
    /proc/self/mounts cannot be read."""
    whole = str(path.absolute())
    try:
        lines = _MOUNTS.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return "unknown"
    best = ("", "unknown")
    for line in lines:
        _, place, kind, *_ = [*line.split(" "), "", "", ""]
        place = place.replace("\\040", " ")
        inside = whole == place or whole.startswith(place.rstrip("/") + "/")
        if inside and len(place) >= len(best[0]):
            best = (place, f"{kind} at {place}")
    return best[1]
