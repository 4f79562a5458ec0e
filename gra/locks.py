"""A lock on a path that dies with the process that holds it, on one computer and on file systems shared by many (POSIX locks)."""

from __future__ import annotations

import errno
import fcntl
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from gra.errors import StoreError


@contextmanager
def locked(path: Path, waiting: Callable[[str], None]) -> Iterator[None]:
    """Hold the lock file `path`, waiting for whoever has it; `waiting` is then told who that is, once.

    The file is removed on release and is worth nothing by itself: what counts is the kernel's lock, so that nobody is kept
    out by a process that was killed. Raises StoreError where the file cannot be made or the file system knows no locks.
    """
    handle = _acquire(path, waiting)
    try:
        os.ftruncate(handle, 0)
        os.pwrite(handle, f"process {os.getpid()} on {socket.gethostname()}".encode(), 0)
        yield
    finally:
        path.unlink(missing_ok=True)
        os.close(handle)


def holder(path: Path) -> str | None:
    """Who holds the lock file `path` now, as text, or None if nobody does."""
    try:
        handle = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return None  # no such file, or one that we may not write: then this is only what `gra plan` shows
    try:
        return None if _try_lock(handle) else _read(handle)
    finally:
        os.close(handle)


def _acquire(path: Path, waiting: Callable[[str], None]) -> int:
    told = False
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        while True:
            handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
            try:
                if not _try_lock(handle):
                    if not told:
                        waiting(_read(handle))
                        told = True
                    fcntl.lockf(handle, fcntl.LOCK_EX)
                if _same_file(handle, path):
                    return handle
            except BaseException:
                os.close(handle)
                raise
            os.close(handle)  # the one who held it has removed the file: lock the new one
    except OSError as error:
        remedy = "choose a folder that can be written, on a file system with locks"
        raise StoreError(f"{path}: cannot be locked: {error.strerror}\n    -> {remedy}") from error


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
