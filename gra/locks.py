"""Locks a path across processes and, on shared file systems, across machines (POSIX locks). The kernel releases a lock
when its process ends."""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from gra.databases import file_system
from gra.errors import StoreError

_POLL_S = 0.5
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL)


@contextmanager
def locked(path: Path, waiting: Callable[[str], None], patience_s: float | None = None) -> Iterator[None]:
    """Hold a lock on the file `path` during the `with` block. If another process holds the lock, first call `waiting`
    once with a description of that process, and then wait until the lock is free.

    `patience_s`: the maximum number of seconds to wait. After this time, StoreError is raised. None means no limit.
    StoreError is also raised if the file cannot be created or the file system does not support locks.

    The kernel holds the lock for this process, so a killed process blocks nobody. The file is removed when the lock is
    released.
    """
    handle = _acquire(path, waiting, patience_s)
    try:
        os.ftruncate(handle, 0)
        os.pwrite(handle, f"process {os.getpid()} on {socket.gethostname()}".encode(), 0)
        yield
    finally:
        path.unlink(missing_ok=True)
        os.close(handle)


def holder(path: Path) -> str | None:
    """Return a description of the process that holds a lock on the file `path` now. Return None if no process is known
    to hold it."""
    try:
        handle = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return None  # no such file, or not writable by this user; only `gra plan` shows the result, so no error
    try:
        return None if _try_lock(handle) else _read(handle)
    finally:
        os.close(handle)


def _acquire(path: Path, waiting: Callable[[str], None], patience_s: float | None) -> int:
    reported = False
    deadline = None if patience_s is None else time.monotonic() + patience_s
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        while True:
            handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
            try:
                if not _try_lock(handle):
                    if not reported:
                        waiting(_read(handle))
                        reported = True
                    _await_lock(handle, path, deadline)
                if _same_file(handle, path):
                    return handle
            except BaseException:
                os.close(handle)
                raise
            os.close(handle)  # the previous holder has removed the file: lock the new one
    except OSError as error:
        if error.errno in _NO_LOCKS:
            raise StoreError(
                f"{path}: cannot be locked: {error.strerror}; the file system is {file_system(path)}\n    -> have it mounted with "
                "locks (Lustre: -o flock), or choose a folder on another with store=DIR or output=DIR"
            ) from error
        remedy = "choose a writable folder on a file system that supports locks"
        raise StoreError(f"{path}: cannot be locked: {error.strerror}\n    -> {remedy}") from error


def _await_lock(handle: int, path: Path, deadline: float | None) -> None:
    if deadline is None:
        fcntl.lockf(handle, fcntl.LOCK_EX)
        return
    while not _try_lock(handle):
        if time.monotonic() >= deadline:
            remedy = "its result will be there when that process has ended; then run the same command again"
            raise StoreError(f"{path}: {_read(handle)} is using it\n    -> {remedy}")
        time.sleep(_POLL_S)


def _try_lock(handle: int) -> bool:
    try:
        fcntl.lockf(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EACCES, errno.EAGAIN):
            return False
        raise
    return True


def _same_file(handle: int, path: Path) -> bool:
    try:
        here = path.stat()
    except FileNotFoundError:
        return False
    held = os.fstat(handle)
    return (held.st_dev, held.st_ino) == (here.st_dev, here.st_ino)


def _read(handle: int) -> str:
    return os.pread(handle, 200, 0).decode(errors="replace") or "another process"
