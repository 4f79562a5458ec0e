"""Finds a weight file in the cache and verifies it."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from gra import cache
from gra.errors import StoreError
from gra.fileio import sha256_file
from gra.weights.spec import Weights


def folder() -> Path:
    """Return the folder of all weights. Raises StoreError if GRA_CACHE=off."""
    root = cache.root()
    if root is None:
        raise StoreError(
            "GRA_CACHE=off: no cache for weights\n    -> unset it, or set it to a folder: export GRA_CACHE=FOLDER"
        )
    return root / "weights"


def path_of(weights: Weights) -> Path:
    """Return the path of the weight file in the cache, even if the file does not exist. The path contains the file's
    hash, so other weights never replace the file."""
    return folder() / weights.sha256[:16] / weights.file


def fault(weights: Weights) -> str | None:
    """Return why the weight file cannot be used, as the end of a sentence, e.g. "are missing". Return None if it can be
    used. The file is hashed once per process, which takes about a second per gigabyte."""
    try:
        path = path_of(weights)
        found = path.stat()
    except StoreError:
        return "have no cache (GRA_CACHE=off)"
    except OSError:
        return "are missing"
    if found.st_size != weights.bytes:
        return f"are damaged ({path} has {found.st_size:,} bytes, not {weights.bytes:,})"
    if _hash(path, found.st_size, found.st_mtime_ns) != weights.sha256:
        return f"are damaged ({path} does not have the expected sha256)"
    return None


@lru_cache(maxsize=64)
def _hash(path: Path, size: int, changed: int) -> str:  # noqa: ARG001 - size and time are part of the cache key
    return sha256_file(path)
