"""Writes files atomically (temporary file in the same folder, fsync, rename), reads JSON and gzip, hashes files."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, cast

_TEMPORARY = re.compile(r"^\..+\.\d+\.tmp$")  # the names that `atomic_path` gives


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary path to which the `with` block writes a file. After the block, sync the file to disk and rename
    it to `path`. So `path` never holds an unfinished file.

    If the block raises an exception, the temporary file is removed. Use this function with libraries that write files
    themselves (pyarrow, matplotlib). Raises OSError.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        with temporary.open("rb+") as handle:
            os.fsync(handle.fileno())
        temporary.replace(path)
        sync_folder(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def remove_temporaries(folder: Path) -> None:
    """Remove the temporary files that killed processes left below `folder`. Call it only while no process writes
    there."""
    for path in folder.rglob(".*.tmp"):
        if _TEMPORARY.match(path.name) and path.is_file():
            path.unlink()


def write_bytes(path: Path, data: bytes) -> None:
    """Write `data` to `path` atomically."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 `text` to `path` atomically."""
    write_bytes(path, text.encode())


def write_json(path: Path, value: Any) -> None:
    """Write `value` atomically as indented JSON with sorted keys, so that equal values give equal bytes. Raises
    ValueError if `value` contains NaN or infinity."""
    write_text(path, json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: Path) -> Any:
    """Return the value in a JSON file. Raises OSError or json.JSONDecodeError."""
    return json.loads(path.read_text(encoding="utf-8"))


def sync_folder(folder: Path) -> None:
    """Make renames and new files in `folder` durable (POSIX: fsync of the directory)."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def open_maybe_gzip(path: Path) -> IO[bytes]:
    """Open a file, which may be compressed with gzip, and return a reader of the uncompressed bytes. The first two
    bytes show whether the file is compressed. Its name does not matter."""
    with path.open("rb") as handle:
        packed = handle.read(2) == b"\x1f\x8b"
    return cast(IO[bytes], gzip.open(path, "rb") if packed else path.open("rb"))


def bounded_lines(handle: IO[bytes], most: int) -> Iterator[bytes | None]:
    """Yield the lines of a stream, each with its line end. If a line has more than `most` bytes, yield None in its
    place. Such a line is skipped without being held in memory."""
    while line := handle.readline(most + 1):
        if len(line) <= most:
            yield line
            continue
        while line and not line.endswith(b"\n"):
            line = handle.readline(most)
        yield None


def sha256_file(path: Path) -> str:
    """Return the hex sha256 of a file's bytes. If `path` is a folder, return the sha256 of the relative paths and
    contents of all files in it, sorted by path."""
    digest = hashlib.sha256()
    files = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
    for file in files:
        if path.is_dir():
            digest.update(file.relative_to(path).as_posix().encode() + b"\0")
        with file.open("rb") as handle:
            while chunk := handle.read(1 << 20):
                digest.update(chunk)
    return digest.hexdigest()
