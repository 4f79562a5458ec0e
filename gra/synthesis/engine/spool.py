"""Keeps the outcomes of a round on disk, so that memory does not grow with the number of proposals."""

from __future__ import annotations

import copyreg
import pickle
import shutil
from collections.abc import Callable, Iterator
from dataclasses import fields
from operator import attrgetter
from pathlib import Path
from typing import Any, BinaryIO
from weakref import WeakSet

from gra.synthesis.committee.records import CallRecord, Check, Outcome, Review, Roles


def _as_call(kind: type[Any]) -> Callable[[Any], tuple[Any, ...]]:
    """Return a function that tells pickle how to store an object of the dataclass `kind`: as a call of its class, with
    the values of its fields as arguments. Pickle's default also looks up the name of every field. For an outcome, which
    contains dozens of objects, it takes several times as long."""
    values = attrgetter(*(field.name for field in fields(kind)))
    return lambda value: (kind, values(value))


_REDUCE = copyreg.dispatch_table | {kind: _as_call(kind) for kind in (Outcome, Roles, Check, Review, CallRecord)}


_OPEN: WeakSet[Spool] = WeakSet()  # all spools of this process


def clear(folder: Path) -> None:
    """Close and delete all spools (temporary files of outcomes) in `folder`, then delete the folder if it exists. The
    spools are closed first because of NFS. If a file is deleted while it is open, NFS only renames it. The folder would
    then not be empty and could not be deleted. Raises OSError."""
    for spool in list(_OPEN):
        if folder in spool.path.parents:
            spool.remove()
    if folder.exists():
        shutil.rmtree(folder)


class Spool:
    """A file of outcomes (the results of proposals), in the order in which they were added. It can be read any number
    of times, even while outcomes are added.

    After a restart, the run replays its journal and does not read the old file. So only data that this process wrote is
    unpickled. Raises OSError if the file cannot be written.
    """

    def __init__(self, path: Path):
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self._file: BinaryIO = path.open("wb")
        self._count = 0
        _OPEN.add(self)

    def __reduce__(self) -> tuple[Any, ...]:
        """Reduce to a read-only view of the same outcomes, for another process (gra/worker_process.py)."""
        self._file.flush()
        return _reading, (self.path, self._count)

    def add(self, outcome: Outcome) -> None:
        """Append one outcome."""
        pickler = pickle.Pickler(self._file, protocol=pickle.HIGHEST_PROTOCOL)
        pickler.dispatch_table = _REDUCE
        pickler.dump(outcome)
        self._count += 1

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Outcome]:
        self._file.flush()
        with self.path.open("rb") as reader:
            for _ in range(self._count):
                yield pickle.load(reader)

    def remove(self) -> None:
        """Close and delete the file."""
        self._file.close()
        self.path.unlink(missing_ok=True)


def _reading(path: Path, count: int) -> Spool:
    spool = Spool.__new__(Spool)
    spool.path, spool._count, spool._file = path, count, path.open("rb")
    return spool
