"""Where a weight file lies in the cache, and whether it is the right one."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from gra import cache
from gra.errors import StoreError
from gra.fileio import sha256_file
from gra.weights.spec import Weights


def folder() -> Path:
    """The folder of all weights. Raises StoreError where GRA_CACHE=off leaves no place for them."""
    root = cache.root()
    if root is None:
        raise StoreError("GRA_CACHE=off leaves no place for weights\n    -> unset it, or name a folder: export GRA_CACHE=FOLDER")
    return root / "weights"


def path_of(weights: Weights) -> Path:
    """Where the file lies, or is to lie. Its name holds the hash: other weights never take its place."""
    return folder() / weights.sha256[:16] / weights.file


def fault(weights: Weights) -> str | None:
    """Why the file cannot be used; None: it is there, whole. Reads it all once a process (a second for a gigabyte)."""
    try:
        path = path_of(weights)
        found = path.stat()
    except StoreError:
        return "GRA_CACHE=off leaves no place for them"
    except OSError:
        return "are not there"
    if found.st_size != weights.bytes:
        return f"are damaged ({path} has {found.st_size:,} bytes, not {weights.bytes:,})"
    if _hash(path, found.st_size, found.st_mtime_ns) != weights.sha256:
        return f"are damaged ({path} has another sha256)"
    return None


@lru_cache(maxsize=64)
def _hash(path: Path, size: int, changed: int) -> str:  # noqa: ARG001 - a file that was changed is another key
    return sha256_file(path)
