"""Describes servers that run as separate jobs and serve the models of a run. gra/cluster queues these jobs;
gra/models/launch/published.py runs in them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class ServerTask:
    """The parameters of one task of a Slurm job that runs model servers. Each task runs one server.

    - `number`: the index of the task, from 0. With n models, the task serves the model with the index `number` % n.
    - `addresses`: the folder in which the task publishes the address of its server.
    - `host`: the name by which other nodes reach this node.
    - `job`: Slurm's id of the task as squeue shows it, e.g. 12_3 for task 3 of the array job 12.
    - `attempt`: the number of times that Slurm has started the task, including requeues.
    - `logs`: the folder of the server's log.
    - `wanted()`: returns whether the run still needs the server. It is called repeatedly, in a thread.
    """

    number: int
    addresses: Path
    host: str
    job: str
    attempt: int
    logs: Path
    wanted: Callable[[], bool]


@dataclass(frozen=True)
class Served:
    """Describes how a run's models can be served by jobs other than the job of the run.

    - `models`: the names of the models that the run calls.
    - `client(folder, wait_s)`: returns the config for the run. With this config, the run finds the servers' addresses
      in `folder`. The run waits up to `wait_s` seconds for each model, or longer if the run's original config allows
      a longer wait.
    - `serve(task)`: runs one server until the run does not need it any more, and returns the job's exit code.
    """

    models: tuple[str, ...]
    client: Callable[[Path, float], dict[str, Any]]
    serve: Callable[[ServerTask], int]
