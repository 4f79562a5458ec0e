"""Records each submission in STORE/.jobs/TIME/submission.json. Beside this file, each job has a folder with its logs.

A job's folder holds job.sh, which sets the job's environment, and four files for each task N, which slurm/attempts.sh
writes: N.attempt-K.log (for each attempt K), N.attempts, N.exit and N.failures. If the job is not an array, N is `job`.
GRA recognises a job by its Slurm comment `gra:STORE:KEY`, not by its number, because Slurm may use a number again.
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
    """A job as it was submitted.

    `ids`: Slurm job number -> offset. A task's number in Slurm plus the offset is the task's number in this job. A job
        has several Slurm job numbers if its tasks do not fit into one array.
    """

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
        """Return how often a task was started."""
        return attempts_of(Path(self.logs), task)

    def exit_code(self, task: str) -> int | None:
        """Return the exit code of a task's last attempt.

        If the attempt has not ended, or if its shell was killed before it could record the code, return None.
        """
        return _number(Path(self.logs, f"{task}.exit"))

    def log(self, task: str) -> Path | None:
        """Return the path of the log of a task's last attempt; None if the task was not started."""
        path = Path(self.logs, f"{task}.attempt-{self.attempts(task)}.log")
        return path if path.is_file() else None

    @property
    def tasks(self) -> dict[str, list[str]]:
        """A mapping from each task to the folders that the task makes.

        The key is the number of the task as text. If the job is not an array, its only key is `job`.
        """
        return self.outputs if self.is_array else {"job": self.outputs["0"]}


@dataclass
class Submission:
    """One call of `gra submit`, with the jobs that it submitted."""

    folder: Path
    experiment: str
    cwd: str
    code: str | None
    words: list[str]
    jobs: list[Submitted] = field(default_factory=list)

    def write(self) -> None:
        """Write submission.json atomically.

        `gra submit` calls this before and after each job that it submits. So even if it is killed, the file lists all
        submitted jobs.
        """
        write_json(self.folder / FILE, {**asdict(self), "folder": self.folder.name})


def store_id(store: Path) -> str:
    """Return the text that stands for this store in the comments of its Slurm jobs."""
    return hashlib.sha256(str(store.resolve()).encode()).hexdigest()[:8]


def comment(store: Path, key: str = "") -> str:
    """Return the Slurm comment of the job with the key `key`.

    Without a key, return the text with which the comments of all jobs of the store begin.
    """
    return f"gra:{store_id(store)}:{key}"


def read_all(store: Path) -> list[Submission]:
    """Return all submissions of the store, oldest first. Raises StoreError if a record cannot be read."""
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
    """Return how often a task was started. `logs`: the folder of its logs."""
    return _number(logs / f"{task}.attempts") or 0


def newest(submissions: Iterable[Submission]) -> dict[str, Submitted]:
    """Return a mapping from the key of each job to the job's newest record."""
    return {job.key: job for submission in submissions for job in submission.jobs}


def _number(path: Path) -> int | None:
    try:
        return int(path.read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None
