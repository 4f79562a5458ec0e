"""Describes servers that run as separate jobs and serve the models of a run. gra/cluster queues these jobs;
gra/models/launch/published.py runs in them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class ServerTask:
    """The task of a server job: to run one server. `number`: number of the task, from 0; task n serves model n modulo
    the number of models. `addresses`: folder in which the task publishes the server's address. `host`: name by which
    other nodes reach this node. `job` and `attempt`: as in gra/server_addresses.py. `logs`: folder of the server's log.
    `wanted()` returns whether the run still needs the server; it is called repeatedly, in a thread."""

    number: int
    addresses: Path
    host: str
    job: str
    attempt: int
    logs: Path
    wanted: Callable[[], bool]


@dataclass(frozen=True)
class Served:
    """Describes how separate jobs can serve the `models` that a run calls. `client(folder, wait_s)` returns the config
    with which the run finds the servers' addresses in `folder`. With it, the run waits up to `wait_s` seconds for each
    model, or longer if its own config allows longer. `serve(task)` runs the server of a task until the run does not
    need it any more, and returns the job's exit code."""

    models: tuple[str, ...]
    client: Callable[[Path, float], dict[str, Any]]
    serve: Callable[[ServerTask], int]
