"""Caches the vectors of seed texts and kept samples between runs: all arms, random seeds and rounds of an experiment
embed the same seed texts, and maps of the data embed its samples.

A vector depends on its text, the model, the libraries and the processor (embed.py). The text's hash is the key of a
row; a hash of the model, the libraries and the processor is in the folder's name. Files are written whole under unique
names and never changed, so any number of runs can read and write concurrently and be killed. All files together take at
most `LIMIT` bytes; the least recently used are deleted.

The environment variable GRA_CACHE=FOLDER sets the cache's folder; the default is $XDG_CACHE_HOME/gra or ~/.cache/gra.
GRA_CACHE=off disables the cache.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import logging
import os
import platform
import struct
import time
import uuid
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from gra.fileio import write_bytes

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

LIMIT = 1 << 30  # bytes; 680,000 vectors of MiniLM
WIDTH = 16  # bytes of a text's hash that are stored
_HEAD, _SUM = struct.Struct("<II"), hashlib.sha256().digest_size
OLD_S = 86_400  # seconds after which an unfinished file counts as left by a killed run
_LIBRARIES = ("torch", "transformers", "sentence-transformers", "tokenizers", "numpy")
log = logging.getLogger(__name__)


class VectorCache:
    """The cached vectors of one model on this machine, in the folder `root`/embeddings. If the folder cannot be
    written, a warning is logged and nothing is cached."""

    def __init__(self, root: Path, model: str):
        self._all = root / "embeddings"
        self._folder = self._all / hashlib.sha256("\n".join((model, *surroundings())).encode()).hexdigest()[:32]

    def get(self, keys: Collection[bytes]) -> dict[bytes, NDArray[np.float32]]:
        """Return the cached vectors of the texts whose hashes are `keys`, as a mapping from hash to vector. Texts
        without a cached vector are left out."""
        wanted, found = set(keys), dict[bytes, "NDArray[np.float32]"]()
        for path in _newest_first(self._folder):
            if not wanted:
                break
            here = _read(path, wanted)
            if here:
                found |= here
                wanted -= here.keys()
                _touch(path)
        return found

    def add(self, keys: Sequence[bytes], rows: NDArray[np.float32]) -> None:
        """Store vectors in the cache. `keys`: the hashes of the texts. `rows`: the texts' vectors, in the same
        order."""
        try:
            write_bytes(self._folder / f"{uuid.uuid4().hex}.vectors", _packed(keys, rows))
            self._keep_within(LIMIT)
        except OSError as error:
            log.warning("embeddings cannot be cached for later runs: %s (GRA_CACHE=FOLDER sets another place)", error)

    def _keep_within(self, limit: int) -> None:
        files = [path for folder in self._all.iterdir() if folder.is_dir() for path in _newest_first(folder)]
        taken = 0
        for path in sorted(files, key=_used, reverse=True):
            taken += _size(path)
            if taken > limit:
                path.unlink(missing_ok=True)
        if time.time() - _used(self._all / "swept") > OLD_S:
            (self._all / "swept").touch()
            for path in self._all.rglob(".*.tmp"):
                if time.time() - _used(path) > OLD_S:
                    path.unlink(missing_ok=True)


def surroundings() -> list[str]:
    """Return the versions of the libraries and the name of the processor. The last bits of a vector depend on them, so
    vectors from different versions or processors are cached separately."""
    found = [f"{name} {_version(name)}" for name in _LIBRARIES]
    return [*found, platform.machine(), _processor()]


def _version(library: str) -> str:
    try:
        return importlib.metadata.version(library)
    except importlib.metadata.PackageNotFoundError:
        return "-"


def _processor() -> str:
    try:
        with Path("/proc/cpuinfo").open(encoding="utf-8", errors="replace") as lines:
            return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
    except OSError:
        return platform.processor()


def _packed(keys: Sequence[bytes], rows: NDArray[np.float32]) -> bytes:
    """Return the content of a cache file. Its parts are, in this order: a checksum of the head and the hashes, a
    checksum of the vectors, the head (number and width of the vectors), the texts' hashes, the vectors."""
    names = _HEAD.pack(*rows.shape) + b"".join(keys)
    vectors = rows.astype("<f4").tobytes()
    return hashlib.sha256(names).digest() + hashlib.sha256(vectors).digest() + names + vectors


def _read(path: Path, wanted: Collection[bytes]) -> dict[bytes, NDArray[np.float32]]:
    """Return the wanted rows of one file. A damaged file is logged and removed."""
    import numpy as np

    try:
        with path.open("rb") as file:
            sums, head = file.read(2 * _SUM), file.read(_HEAD.size)
            count, width = _HEAD.unpack(head) if len(head) == _HEAD.size else (0, 0)
            names = file.read(min(count * WIDTH, LIMIT))
            whole = hashlib.sha256(head + names).digest() == sums[:_SUM]
            places = [
                (at // WIDTH, key) for at in range(0, len(names), WIDTH) if (key := names[at : at + WIDTH]) in wanted
            ]
            if whole and not places:
                return {}
            vectors = file.read() if whole else b""
    except FileNotFoundError:  # another run deleted it to free space
        return {}
    except OSError as error:
        log.warning("%s cannot be read (%s): its embeddings are computed again", path, error)
        return {}
    if not whole or hashlib.sha256(vectors).digest() != sums[_SUM:]:
        log.warning("%s is damaged: its embeddings are computed again", path)
        path.unlink(missing_ok=True)
        return {}
    rows = np.frombuffer(vectors, "<f4").reshape(count, width)
    return {key: rows[place].copy() for place, key in places}


def _newest_first(folder: Path) -> Iterator[Path]:
    yield from sorted(folder.glob("*.vectors"), key=_used, reverse=True)


def _used(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _touch(path: Path) -> None:
    try:
        os.utime(path)
    except OSError:  # another user's file, or deleted
        return
