"""Runs `gra status` and `gra cancel`, which show or cancel the submitted jobs of a store. The states of the jobs are
read from the store's folders and from one call of squeue."""

from __future__ import annotations

import json
import os
import re
import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from gra import server_addresses
from gra.chain.store.manifest import MANIFEST
from gra.chain.store.store import Store
from gra.cluster import slurm
from gra.cluster.records import Submitted, comment, newest, read_all
from gra.errors import EXIT_CONFIG, EXIT_PREEMPTED
from gra.server_addresses import UP
from gra.wellformed import printable

ORDINARY = {  # squeue's reasons for a job that only waits for its turn
    *(
        "",
        "None",
        "Priority",
        "Resources",
        "Dependency",
        "BeginTime",
        "JobArrayTaskLimit",
        "NodeDown",
        "Cleaning",
        "Licenses",
    ),
}
_TOLD = (0, EXIT_PREEMPTED, 128 + signal.SIGTERM)  # ends that are not failures: done, or told to stop
_BEGINS = re.compile(r" on \S+: attempt \d+, log ")  # slurm/attempts.sh writes this line when an attempt starts
_TAIL = 4000  # bytes at the end of a log that are searched for its last error
STATUS_HELP = """\
usage: gra status [store=DIR] [--json]

Print the jobs that `gra submit` queued: state (done, running, waiting, failed, stopped), attempts and, if not done, log and last
error (--json: the log of done jobs too). It reads the store (default: runs/store) and calls squeue once. Jobs of several
experiments in one store are grouped by experiment.
"""
CANCEL_HELP = """\
usage: gra cancel [store=DIR]

End the queued and running jobs of this store (default: runs/store), no others. Finished work is kept; `gra submit` resumes.
"""


@dataclass(frozen=True)
class Line:
    """The state of one job or array."""

    experiment: str  # of the last submission that queued it
    step: str
    wave: str | None
    state: str  # done, running, waiting, failed, stopped
    jobs: list[str]
    done: int
    total: int
    attempt: int
    log: str | None
    error: str | None
    failed: list[dict[str, object]]  # task, attempt, exit, log, error
    up: list[str]  # of a server array: the published addresses; `done` is their number


def status(words: Sequence[str]) -> int:
    """Print the state of every submitted job; returns the exit code."""
    if any(word in ("-h", "--help") for word in words):
        print(STATUS_HELP, end="")
        return 0
    store, as_json = _store(words, ("--json",)), "--json" in words
    if store is None:
        return EXIT_CONFIG
    if not store.is_dir():
        print(f"gra: there is no store {store}\n    -> store=DIR, as it was given to gra submit", file=sys.stderr)
        return EXIT_CONFIG
    note = None
    try:
        rows = slurm.queue(comment(store))
    except slurm.SlurmError as error:
        rows, note = [], str(error).splitlines()[0]
    lines = lines_of(store, rows)
    if as_json:
        print(json.dumps({"store": str(store), "note": note, "jobs": [asdict(line) for line in lines]}, indent=2))
        return 0
    if note:
        print(f"note: {note}; only what is on disk is shown", file=sys.stderr)
    if not lines:
        print(f"no job was submitted to the store {store}: gra submit queues them")
        return 0
    experiments = list(dict.fromkeys(line.experiment for line in lines))
    for experiment in experiments:
        if len(experiments) > 1:
            print(f"{experiment}:")
        for line in lines:
            if line.experiment == experiment:
                print(_text(line))
    print(f"{sum(line.state == 'done' for line in lines)} of {len(lines)} jobs and arrays are done ({store})")
    return 0


def cancel(words: Sequence[str]) -> int:
    """Cancel the jobs of a store; returns the exit code. Raises SlurmError."""
    if any(word in ("-h", "--help") for word in words):
        print(CANCEL_HELP, end="")
        return 0
    store = _store(words, ())
    if store is None:
        return EXIT_CONFIG
    found = sorted({row.job for row in slurm.queue(comment(store))}, key=int)
    if found:
        slurm.cancel(found)
    what = "job or array" if len(found) == 1 else "jobs and arrays"
    print(f"cancelled {len(found)} {what} of {store}" + (f": {', '.join(found)}" if found else ""))
    return 0


def lines_of(store: Path, rows: Sequence[slurm.Row]) -> list[Line]:
    """Return the state of each job that was submitted to the store.

    If a job was submitted several times, the last submission counts.
    `rows`: squeue's rows for this store.
    """
    by_key: dict[str, list[slurm.Row]] = {}
    for row in rows:
        by_key.setdefault(row.comment.removeprefix(comment(store)), []).append(row)
    submissions = read_all(store)
    jobs = newest(submissions)
    experiments = {job.key: submission.experiment for submission in submissions for job in submission.jobs}
    finished = {job.key for job in jobs.values() if Store(store).find(job.stage, job.digest) is not None}
    return [
        _line(experiments[job.key], job, by_key, jobs, _step(job) in finished, _up(store, job, by_key))
        for job in jobs.values()
    ]


def _up(store: Path, job: Submitted, rows: Mapping[str, Sequence[slurm.Row]]) -> list[str]:
    """The addresses that running server tasks of this array publish."""
    if not job.serves:
        return []
    alive = {row.id for row in rows.get(job.key, ())}
    there = server_addresses.read_all(server_addresses.folder_of(store, _step(job))).values()
    return [f"{one.model} {one.url}" for one in there if one.job in alive and one.state == UP and one.fresh]


def _step(job: Submitted) -> str:
    return job.key.partition("/")[0]


def _line(
    experiment: str,
    job: Submitted,
    rows: Mapping[str, Sequence[slurm.Row]],
    jobs: Mapping[str, Submitted],
    finished: bool,
    up: list[str],
) -> Line:
    mine = rows.get(job.key, ())
    done = [task for task, folders in job.tasks.items() if finished or all(_made(folder) for folder in folders)]
    alive = {str(row.task + job.ids.get(row.job, 0)) if row.task is not None else "job" for row in mine}
    failed = [
        task for task in job.tasks if task not in done and task not in alive and (job.exit_code(task) or 0) not in _TOLD
    ]
    last = max(job.tasks, key=job.attempts)
    shown = failed[0] if failed else last
    error = _error(job, shown) if failed else None
    if len(done) == len(job.tasks) and not (job.serves and mine):
        state = "done"
    elif any(row.running for row in mine):
        state = "running"
    elif mine:
        state = "waiting"
        error = _why_waiting(mine) or error
    elif failed:
        state = "failed"
    else:
        state = "stopped"
        error = _why_stopped(job, rows, jobs)
        if job.serves and job.exit_code(shown) == 0:
            error = "no job of its step was queued or running; gra submit queues it again"
    log = job.log(shown)
    return Line(
        experiment=experiment,
        step=job.step,
        wave=job.wave,
        state=state,
        jobs=list(job.ids),
        done=len(up) if job.serves and not finished else len(done),
        up=up,
        total=len(job.tasks),
        attempt=job.attempts(shown),
        log=str(log) if log else None,
        error=error,
        failed=[
            {
                "task": task,
                "attempt": job.attempts(task),
                "exit": job.exit_code(task),
                "log": str(job.log(task)) if job.log(task) else None,
                "error": _error(job, task),
            }
            for task in failed
        ],
    )


def _why_waiting(rows: Sequence[slurm.Row]) -> str | None:
    """Return Slurm's reason why queued jobs have not started; None if they only wait for their turn."""
    odd = sorted({row.reason.strip("()") for row in rows} - ORDINARY)
    if not odd:
        return None
    return f"Slurm does not start it: {printable(', '.join(odd))[:200]}; other resources: gra cancel, change cluster.*, gra submit"


def _made(folder: str) -> bool:
    return Path(folder, MANIFEST).is_file()


def _why_stopped(job: Submitted, rows: Mapping[str, Sequence[slurm.Row]], jobs: Mapping[str, Submitted]) -> str:
    """Return why a job is no longer in the queue although it did not fail."""
    # not `after_any`: these jobs need only end, and may be there for the order alone (cluster.max_parallel)
    for key in job.after:
        before = jobs.get(key)
        if before is None or key in rows:
            continue
        if not all(_made(folder) for folders in before.outputs.values() for folder in folders):
            return f"not started: {before.name} did not finish"
    said = _slurm_said(job)
    return (
        f"{said}; gra submit queues it again"
        if said
        else "it was cancelled, or ended with its node; gra submit queues it again"
    )


def _slurm_said(job: Submitted) -> str | None:
    """Return Slurm's messages on why the last attempt ended (cancelled, out of memory, over its time limit), or
    None."""
    for path in sorted(Path(job.logs).glob("slurm-*.log"), key=lambda path: path.stat().st_mtime, reverse=True):
        lines = _tail(path)
        begun = max((number for number, line in enumerate(lines) if _BEGINS.search(line)), default=0)
        errors = [line.partition("error:")[2].strip(" *") for line in lines[begun:] if line.startswith("slurmstepd")]
        if found := list(dict.fromkeys(line for line in errors if line)):
            # several messages: a job that was cancelled may also have a step that ran out of memory
            return f"Slurm: {printable('; '.join(found[-3:]))[:300]}"
    return None


def _error(job: Submitted, task: str) -> str | None:
    """Return the last error in a task's log: the last line that is not advice (`->`); None if there is none."""
    path = job.log(task)
    if path is None:
        return None
    said = [line.strip() for line in _tail(path) if line.strip() and not line.strip().startswith("->")]
    return printable(said[-1])[:300] if said else None


def _tail(path: Path) -> list[str]:
    with path.open("rb") as handle:
        handle.seek(max(0, path.stat().st_size - _TAIL))
        return handle.read().decode(errors="replace").splitlines()


def _text(line: Line) -> str:
    name = f"{line.step} {line.wave}" if line.wave else line.step
    count = f" {line.done}/{line.total}" if line.total > 1 else ""
    parts = [f"{name}: {line.state}{count}", f"job {', '.join(line.jobs)}"]
    parts += [f"attempt {line.attempt}"] if line.attempt else []
    parts += [f"log {_near(line.log)}"] if line.log and line.state != "done" else []
    parts += [f"up: {'; '.join(line.up)}"] if line.up else []
    text = ", ".join(parts) + (f"\n    {line.error}" if line.error else "")
    for one in line.failed if line.total > 1 else ():
        log = f", log {_near(str(one['log']))}" if one["log"] else ""
        text += f"\n    task {one['task']}: attempt {one['attempt']}, exit code {one['exit']}{log}: {one['error']}"
    return text


def _near(path: str) -> str:
    """Return the path as seen from the current folder, where that is shorter."""
    return min(path, os.path.relpath(path), key=len)


def _store(words: Sequence[str], flags: Sequence[str]) -> Path | None:
    """Return the store that the words name. If a word is unknown, print a message and return None."""
    store = Path("runs/store")
    for word in words:
        if word.startswith("store="):
            store = Path(word.partition("=")[2]).expanduser()
        elif word not in flags:
            kind = "flag" if word.startswith("-") else "argument"
            print(f"gra: unknown {kind} `{word}`\n    -> give store=DIR; see gra status --help", file=sys.stderr)
            return None
    return store
