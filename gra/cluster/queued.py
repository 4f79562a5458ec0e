"""Finds the queued and running jobs of a store: their Slurm ids, the server tasks among them, and the jobs that were
submitted with resources other than those that the config requests now."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import takewhile
from pathlib import Path

from gra import server_addresses
from gra.chain.execution.cluster_settings import SlurmSettings
from gra.cluster import slurm
from gra.cluster.layout import Job, options
from gra.cluster.records import SERVERS, comment, newest, read_all
from gra.fileio import read_json
from gra.server_addresses import LEFT

RECORD = "sbatch.json"  # in a job's folder: the words of sbatch
_NOT_OPTIONS = (
    "--job-name=",
    "--chdir=",
    "--output=",
    "--dependency=",
    "--array=",
)  # options about names, folders, order and task numbers, not about resources


def serving(store: Path, rows: Sequence[slurm.Row]) -> dict[str, set[int]]:
    """Return a mapping from the key of each server array to the numbers of its tasks that are queued or running.

    A server is left out if it has recorded that it is stopping.
    `rows`: squeue's rows for this store.
    """
    offsets = {
        number: offset
        for submission in read_all(store)
        for job in submission.jobs
        if job.serves
        for number, offset in job.ids.items()
    }
    found: dict[str, set[int]] = {}
    for row in rows:
        key = row.comment.removeprefix(comment(store))
        step, _, wave = key.rpartition("/")
        if wave != SERVERS or row.task is None:
            continue
        task = row.task + offsets.get(row.job, 0)
        there = server_addresses.read(server_addresses.folder_of(store, step), task)
        if there is None or there.job != row.id or there.state != LEFT:
            found.setdefault(key, set()).add(task)
    return found


def numbers_of(rows: Sequence[slurm.Row], store: Path) -> dict[str, list[str]]:
    """Return a mapping from the key of each queued or running job to its Slurm ids.

    `rows`: squeue's rows for this store.

    The records of submissions are not used here, because they can be wrong: if `gra submit` was killed, the last job
    that it submitted may be missing, and a recorded job may have ended.
    """
    found: dict[str, list[str]] = {}
    for row in rows:
        numbers = found.setdefault(row.comment.removeprefix(comment(store)), [])
        if row.job not in numbers:
            numbers.append(row.job)
    return found


def changed(store: Path, settings: SlurmSettings, jobs: Sequence[Job], alive: set[str]) -> Iterator[str]:
    """Yield a line for each queued or running job whose resources differ from those that `settings` request now.

    `jobs`: the jobs to look at.
    `alive`: the keys of the queued and running jobs.
    """
    recorded = newest(read_all(store))
    for job in jobs:
        if job.key not in alive or job.key not in recorded:
            continue
        path = Path(recorded[job.key].logs, RECORD)
        if not path.is_file():  # `gra submit` was killed before it wrote the file
            continue
        before, now = _resources(read_json(path)), _resources(options(job, settings, comment(store, job.key)))
        if before != now:
            was, wanted = [word for word in before if word not in now], [word for word in now if word not in before]
            yield f"{job.name}: has {' '.join(was) or 'no such option'}, asked for now: {' '.join(wanted) or 'none'}"


def _resources(words: Sequence[str]) -> list[str]:
    """Return the options before the batch script, without those of _NOT_OPTIONS."""
    given = takewhile(lambda word: not word.endswith(".sbatch"), words)
    return [word for word in given if not word.startswith(_NOT_OPTIONS)]
