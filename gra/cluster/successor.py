"""Submits a new job that continues an interrupted one, its successor: `python -m gra.cluster.successor JOB.sh TASK`.

slurm/attempts.sh runs this command on clusters where Slurm does not requeue jobs (`cluster.requeue=false`). The jobs
that wait for the old job then wait for the successor as well. The old job ends with exit code 0.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from gra.chain.step import Spec
from gra.chain.store.store import Store
from gra.cluster import slurm
from gra.cluster.records import newest, read_all
from gra.cluster.submit import dependency
from gra.errors import GraError
from gra.fileio import read_json
from gra.locks import locked


def main(words: list[str]) -> int:
    """Submit a new job that continues an interrupted one, and return the exit code.

    `words`: the path of the interrupted job's file job.sh, and the number of its task. If the job is not an array, the
        second word is `job`.
    """
    job_file, task = Path(words[0]), words[1]
    try:
        print(f"successor of {task}: job {_submit(job_file.parent, task)}", flush=True)
    except (GraError, OSError) as error:
        print(f"no successor: {error}", file=sys.stderr, flush=True)
        return 1
    return 0


def _submit(logs: Path, task: str) -> str:
    store = Store(Spec.read(logs / "spec.json").store)
    given = [word for word in read_json(logs / "sbatch.json") if not word.startswith(("--dependency=", "--array="))]
    offset = int(os.environ.get("GRA_OFFSET") or 0)
    array = [] if task == "job" else [f"--array={int(task) - offset}"]
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("SLURM_", "SBATCH_"))}
    if "SLURM_CONF" in os.environ:
        environment["SLURM_CONF"] = os.environ["SLURM_CONF"]
    number = slurm.submit([*array, *given], environment)
    with locked(store.root / ".locks" / "submit.lock", lambda _who: None):
        submissions = read_all(store.root)
        mine = next(s for s in submissions if s.folder.name == logs.parent.name)
        record = next(job for job in mine.jobs if Path(job.logs) == logs)
        record.ids[number] = offset
        mine.write()
        ids = {key: list(job.ids) for key, job in newest(submissions).items()}
        for job in newest(submissions).values():
            waits = dependency(job.after, job.after_any, ids)
            if record.key in (*job.after, *job.after_any) and waits is not None:
                for waiting in job.ids:
                    _update(waiting, waits)
    return number


def _update(job: str, waits: str) -> None:
    try:
        slurm.run(["scontrol", "update", f"JobId={job}", f"Dependency={waits}"])
    except slurm.SlurmError as error:
        print(f"job {job} does not wait for the successor: {error}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
