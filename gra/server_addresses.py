"""Reads and writes the files in which server jobs publish their addresses: `STORE/.servers/STEP/TASK.json`, one for
each task of a step's server jobs.

A file is replaced atomically. Only the user whose job wrote it can read it, and it holds no API key. A server rewrites
its file every BEAT_S seconds. A file whose `beat` is too old therefore belongs to a job that died, and is ignored.
Before a client sends calls to an address, it checks that the server answers.
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
    120.0  # older files are ignored; the limit allows for some missed beats, NFS's attribute cache and differing clocks
)
UP, LEFT = "up", "left"


@dataclass(frozen=True)
class Address:
    """The address of one model server. The Slurm array task that runs the server publishes it in a file.

    `job`: Slurm's id of the task as squeue shows it, e.g. 12_3 for task 3 of the array job 12. `attempt`: the number of
    times that Slurm has started the task, including requeues. `beat`: the time at which the file was last written, in
    seconds since 1970. `state`: "up", or "left" if the server is about to end and must not be called any more.
    """

    model: str
    url: str
    job: str
    attempt: int
    beat: float
    state: str = UP

    @property
    def fresh(self) -> bool:
        """Whether the server wrote its address less than FRESH_S seconds ago, so that it is probably alive."""
        return abs(time.time() - self.beat) < FRESH_S

    def same_task(self, other: Address) -> bool:
        """Return whether this address and `other` come from the same start of the same task."""
        return (self.job, self.attempt) == (other.job, other.attempt)


def folder_of(store: Path, step: str) -> Path:
    """Return the folder of the files in which the model servers of a step publish their addresses. `store`: the folder
    of the run store. `step`: the key that identifies the step in the run store."""
    return store.absolute() / FOLDER / step


def write(folder: Path, task: int, address: Address) -> None:
    """Publish the address of a task, with the current time as `beat`. Raises OSError."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    folder.mkdir(mode=0o700, exist_ok=True)
    before = os.umask(0o077)
    try:
        write_json(_file(folder, task), asdict(replace(address, beat=time.time())))
    finally:
        os.umask(before)


def read(folder: Path, task: int) -> Address | None:
    """Return the address that one task of a server job published in a file in `folder`. Return None if there is no
    readable address. `task`: the index of the task in the job.

    Also return None if the file belongs to another user, because clients send the API key to the address.
    """
    try:
        if _file(folder, task).stat().st_uid != os.getuid():
            return None
        return Address(**read_json(_file(folder, task)))
    except (OSError, ValueError, TypeError):
        return None


def read_all(folder: Path) -> Mapping[int, Address]:
    """Return all readable addresses in the `folder` of a step: number of the task -> address."""
    found = {}
    for path in folder.glob("*.json"):
        if path.stem.isdigit() and (address := read(folder, int(path.stem))) is not None:
            found[int(path.stem)] = address
    return dict(sorted(found.items()))


def _file(folder: Path, task: int) -> Path:
    return folder / f"{task}.json"
