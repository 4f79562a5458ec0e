"""Runs one model's server in a job, for the other jobs of a step: `python -m gra.cluster.serving SPEC.json --task N`.

The server asks squeue for the other jobs of its step. It ends when none of them is queued or running. Before that, it
takes the lock of `gra submit` and announces its end. So if a user submits new jobs at that moment, either `gra submit`
reads the announcement and queues a new server, or the server sees the new jobs and stays.
"""

from __future__ import annotations

import argparse
import logging
import os
import shutil
import socket
import sys
from dataclasses import replace
from pathlib import Path

from gra import server_addresses
from gra.chain.stage import load_stage
from gra.chain.step import Spec
from gra.cluster import slurm
from gra.cluster.layout import key_of
from gra.cluster.records import SERVERS, attempts_of, comment
from gra.errors import EXIT_CONFIG, GraError, StoreError
from gra.locks import locked
from gra.server_addresses import LEFT, Address
from gra.server_jobs import ServerTask

_PATIENCE_S = 10.0  # longest wait for the lock; a process that holds it longer is submitting, so a job may come
log = logging.getLogger("gra.cluster")


def main(words: list[str]) -> int:
    """Run the server of one model in a Slurm job. Return the exit code. `words`: the command's arguments."""
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s", datefmt="%H:%M:%S"
    )
    parser = argparse.ArgumentParser(prog="python -m gra.cluster.serving")
    parser.add_argument("spec", type=Path)
    parser.add_argument("--task", type=int, required=True)
    parser.add_argument("--host", default=None)
    given = parser.parse_args(words)
    try:
        return _serve(given.spec, given.task, given.host or socket.gethostname())
    except GraError as error:
        print(f"server {given.task}: {error}", file=sys.stderr, flush=True)
        return error.code


def _serve(path: Path, number: int, host: str) -> int:
    if shutil.which("squeue") is None:
        print(
            "no command squeue here: this server could not see when no job needs it, and would hold its GPUs\n    -> in a "
            "container, bind Slurm's commands, its configuration and munge's socket into it (cluster.container)",
            file=sys.stderr,
            flush=True,
        )
        return EXIT_CONFIG
    spec = Spec.read(path)
    stage = load_stage(spec.target)
    served = stage.served(spec.config)
    assert served is not None  # `gra submit` queues servers only for steps that can have some
    key = key_of(stage.name, spec.digest)
    watch = Watch(spec.store, key, number)
    task = ServerTask(number, watch.folder, host, watch.job, attempts_of(path.parent, str(number)), path.parent, watch)
    return served.serve(task)


class Watch:
    """Tells whether a model server, which is a Slurm job of a step, is still needed. It is needed while a job of this
    step that is not itself a server is queued or running.

    `key`: the key of the step's jobs.
    `number`: the task number of the server.
    """

    def __init__(self, store: Path, key: str, number: int):
        self._store, self._key, self._number = store, key, number
        self.folder = server_addresses.folder_of(store, key)
        self.job = job_id()

    def __call__(self) -> bool:
        """Return whether the server is still wanted. If no other job of the step is in the queue, mark the server's
        address as left and return False."""
        if self._clients():
            return True
        try:
            with locked(self._store / ".locks" / "submit.lock", lambda _who: None, _PATIENCE_S):
                if self._clients():
                    return True
                self._leave()
        except StoreError as error:  # somebody submits, or the disk is full: look again
            log.info("not ended yet: %s", str(error).partition("\n")[0])
            return True
        return False

    def _clients(self) -> bool:
        prefix = comment(self._store, self._key)
        try:
            rows = slurm.queue(prefix)
        except slurm.SlurmError as error:
            log.warning("%s", str(error).partition("\n")[0])
            return True  # a controller that does not answer is not a reason to end
        mine = f"{prefix}/{SERVERS}"
        return any(
            row.comment == prefix or (row.comment.startswith(f"{prefix}/") and row.comment != mine) for row in rows
        )

    def _leave(self) -> None:
        there = server_addresses.read(self.folder, self._number)
        if there is None or there.job == self.job:
            left = Address("", "", self.job, 0, 0.0, LEFT) if there is None else replace(there, state=LEFT)
            server_addresses.write(self.folder, self._number, left)


def job_id() -> str:
    """Return the id under which squeue lists the job of this process."""
    array, task = os.environ.get("SLURM_ARRAY_JOB_ID"), os.environ.get("SLURM_ARRAY_TASK_ID")
    return f"{array}_{task}" if array else os.environ.get("SLURM_JOB_ID", "")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
