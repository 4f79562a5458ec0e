"""Files in which the server jobs of a step publish where they listen: `STORE/.servers/STEP/TASK.json`, one for each task.

A file is replaced atomically, readable by its user alone, and holds no key. A server rewrites it every BEAT_S seconds, so a file
whose `beat` is old belongs to a job that died and is not believed; the reader asks the server itself before it calls it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from gra.fileio import read_json, write_json

FOLDER = ".servers"
BEAT_S = 10.0  # seconds between two writings of a file
FRESH_S = (
    120.0  # age from which a file is not believed: some beats, NFS's cache of attributes, clocks that differ a little
)
UP, LEFT = "up", "left"


@dataclass(frozen=True)
class Address:
    """Where one server task listens. `job`: Slurm's number, as squeue writes it (12_3); `attempt`: which start of the task; `beat`:
    seconds since 1970; `state`: up, or left (it ends, and its address is not to be used)."""

    model: str
    url: str
    job: str
    attempt: int
    beat: float
    state: str = UP

    @property
    def fresh(self) -> bool:
        """Whether its server was alive a short time ago."""
        return abs(time.time() - self.beat) < FRESH_S

    def same_task(self, other: Address) -> bool:
        """Whether both come from one launch of one task."""
        return (self.job, self.attempt) == (other.job, other.attempt)


def folder_of(store: Path, step: str) -> Path:
    """The folder of the addresses of a step; `step`: the key of its job."""
    return store.absolute() / FOLDER / step


def write(folder: Path, task: int, address: Address) -> None:
    """Publish the address of a task, with the time. Raises OSError."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    folder.mkdir(mode=0o700, exist_ok=True)
    before = os.umask(0o077)
    try:
        write_json(_file(folder, task), asdict(replace(address, beat=time.time())))
    finally:
        os.umask(before)


def read(folder: Path, task: int) -> Address | None:
    """The address that a task published; None if there is none, none that can be read, or one that another user wrote: the API
    key is sent there."""
    try:
        if _file(folder, task).stat().st_uid != os.getuid():
            return None
        return Address(**read_json(_file(folder, task)))
    except (OSError, ValueError, TypeError):
        return None


def read_all(folder: Path) -> Mapping[int, Address]:
    """All addresses of a step that can be read, by task."""
    found = {}
    for path in folder.glob("*.json"):
        if path.stem.isdigit() and (address := read(folder, int(path.stem))) is not None:
            found[int(path.stem)] = address
    return dict(sorted(found.items()))


def _file(folder: Path, task: int) -> Path:
    return folder / f"{task}.json"
