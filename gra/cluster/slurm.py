"""Calls Slurm's commands: sbatch, squeue, scancel, scontrol. One call handles many jobs, to spare the Slurm
controller."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gra.errors import GraError

_TIMEOUT_S = 60
_FORMAT = "%i|%T|%r|%k"  # id (with -r ARRAY_TASK), state, reason, comment
ACTIVE = ("RUNNING", "COMPLETING", "SUSPENDED", "STOPPED", "SIGNALING", "STAGE_OUT", "CONFIGURING")


class SlurmError(GraError):
    """A Slurm command is not installed, did not answer or reported an error."""


@dataclass(frozen=True)
class Row:
    """A row of squeue. It stands for one job, or one task of an array, that is queued or running.

    `comment`: the comment that `gra submit` gave to the job. It contains the job's key (records.py).
    """

    id: str
    state: str
    reason: str
    comment: str

    @property
    def task(self) -> int | None:
        """The task's number in its array; None for a job that is not an array."""
        _, _, number = self.id.partition("_")
        return int(number) if number.isdigit() else None

    @property
    def job(self) -> str:
        """The job's number; for an array task, the number of the array."""
        return self.id.partition("_")[0]

    @property
    def running(self) -> bool:
        """Whether the job has started; if not, it waits in the queue."""
        return self.state in ACTIVE


def run(words: Sequence[str], environment: Mapping[str, str] | None = None) -> str:
    """Run a Slurm command and return its standard output. If it fails, raises SlurmError with the command's message."""
    if shutil.which(words[0]) is None:
        raise SlurmError(
            f"no command {words[0]} here\n    -> run this on a login node of the cluster, or gra run cluster=local"
        )
    try:
        done = subprocess.run(
            list(words),
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_S,
            check=False,
            stdin=subprocess.DEVNULL,
            env=None if environment is None else dict(environment),
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise SlurmError(
            f"{words[0]} did not answer: {error}\n    -> try again when Slurm's controller answers"
        ) from error
    if done.returncode != 0:
        said = (done.stderr.strip() or done.stdout.strip() or f"exit code {done.returncode}")[-600:]
        raise SlurmError(f"{words[0]} refused: {said}")
    return done.stdout


def queue(prefix: str) -> list[Row]:
    """Return this user's queued and running jobs whose comment begins with `prefix`. Raises SlurmError."""
    rows = []
    for line in run(["squeue", "--me", "-h", "-r", "-o", _FORMAT]).splitlines():
        parts = line.strip().split("|", 3)
        if len(parts) == 4 and parts[3].startswith(prefix):
            rows.append(Row(*parts))
    return rows


def max_array() -> int:
    """Return Slurm's setting MaxArraySize. Each task number of an array must be below it. Raises SlurmError."""
    found = re.search(r"^MaxArraySize\s*=\s*(\d+)", run(["scontrol", "show", "config"]), re.MULTILINE)
    return int(found[1]) if found else 1001


def submit(words: Sequence[str], environment: Mapping[str, str]) -> str:
    """Submit a batch script; returns the job's number. Raises SlurmError."""
    return run(["sbatch", "--parsable", *words], environment).strip().splitlines()[-1].partition(";")[0]


def cancel(jobs: Sequence[str]) -> None:
    """End these jobs. Jobs that have ended already are not an error. Raises SlurmError."""
    for start in range(0, len(jobs), 200):
        run(["scancel", "--quiet", *jobs[start : start + 200]])
