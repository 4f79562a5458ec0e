"""Keeps what was submitted: `STORE/.jobs/TIME/submission.json`, and a folder beside it for each job with its logs.

A job's folder holds `job.sh`, which sets its environment, and four kinds of files that slurm/attempts.sh writes for
each task N: `N.attempt-K.log`, `N.attempts`, `N.exit` and `N.failures`. If the job is not an array, N is `job`. A job
is recognised by its Slurm comment, `gra:STORE:KEY`, so it does no harm that Slurm reuses job numbers.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from gra.chain.store.store import JOBS
from gra.errors import StoreError
from gra.fileio import read_json, write_json

FILE = "submission.json"
SERVERS = "servers"  # name of the array of a step's servers, used like the name of a wave


@dataclass
class Submitted:
    """A job as it was submitted. `ids`: Slurm's job number -> offset that turns Slurm's task numbers into the job's."""

    key: str
    name: str
    step: str
    stage: str
    digest: str
    wave: str | None
    shards: int
    after: list[str]
    after_any: list[str]
    outputs: dict[str, list[str]]
    logs: str
    ids: dict[str, int] = field(default_factory=dict)
    time: str = ""

    @property
    def is_array(self) -> bool:
        """Whether the job is an array, so that its tasks have numbers."""
        return self.wave is not None and not self.wave.startswith("merge")

    @property
    def serves(self) -> bool:
        """Whether the job's tasks are servers of the step's models."""
        return self.wave == SERVERS

    def attempts(self, task: str) -> int:
        """How often a task was started."""
        return attempts_of(Path(self.logs), task)

    def exit_code(self, task: str) -> int | None:
        """The exit code of a task's last attempt; None if it has not ended, or was killed together with its shell."""
        return _number(Path(self.logs, f"{task}.exit"))

    def log(self, task: str) -> Path | None:
        """The log of a task's last attempt, if it was started."""
        path = Path(self.logs, f"{task}.attempt-{self.attempts(task)}.log")
        return path if path.is_file() else None

    @property
    def tasks(self) -> dict[str, list[str]]:
        """Task, as the names of its files give it -> the folders that the task makes."""
        return self.outputs if self.is_array else {"job": self.outputs["0"]}


@dataclass
class Submission:
    """One `gra submit`."""

    folder: Path
    experiment: str
    cwd: str
    code: str | None
    words: list[str]
    jobs: list[Submitted] = field(default_factory=list)

    def write(self) -> None:
        """Write the submission atomically, after each job, so that a killed `gra submit` leaves a true record."""
        write_json(self.folder / FILE, {**asdict(self), "folder": self.folder.name})


def store_id(store: Path) -> str:
    """Return the text that marks the jobs of this store among the user's jobs."""
    return hashlib.sha256(str(store.resolve()).encode()).hexdigest()[:8]


def comment(store: Path, key: str = "") -> str:
    """Return the Slurm comment of the job with this key; without a key, the beginning of all comments of the store."""
    return f"gra:{store_id(store)}:{key}"


def read_all(store: Path) -> list[Submission]:
    """All submissions of the store, oldest first. Raises StoreError for one that cannot be read."""
    found = []
    for path in sorted((store / JOBS).glob(f"*/{FILE}")):
        try:
            raw: Mapping[str, Any] = read_json(path)
            jobs = [Submitted(**job) for job in raw["jobs"]]
            found.append(Submission(**{**raw, "folder": path.parent, "jobs": jobs}))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise StoreError(f"{path}: cannot be read: {error!r:.100}\n    -> remove it; no result is in it") from error
    return found


def attempts_of(logs: Path, task: str) -> int:
    """How often a task with the log folder `logs` was started."""
    return _number(logs / f"{task}.attempts") or 0


def newest(submissions: Iterable[Submission]) -> dict[str, Submitted]:
    """Key -> the job as it was last submitted."""
    return {job.key: job for submission in submissions for job in submission.jobs}


def _number(path: Path) -> int | None:
    try:
        return int(path.read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None
