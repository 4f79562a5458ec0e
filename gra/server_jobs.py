"""Describes servers that run as separate jobs and serve the models of a run. gra/cluster queues these jobs;
gra/models/launch/published.py runs in them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class ServerTask:
    """One server task. `number`: counted from 0; task n serves model n modulo the number of models. `addresses`: folder
    in which the task publishes the server's address; `host`: name by which other nodes reach this node; `job`,
    `attempt`: see gra/server_addresses.py; `logs`: folder of the server's log. `wanted()`: whether the server is still
    wanted; it is called repeatedly, in a thread."""

    number: int
    addresses: Path
    host: str
    job: str
    attempt: int
    logs: Path
    wanted: Callable[[], bool]


@dataclass(frozen=True)
class Served:
    """The models that a run calls and for which it could start servers. `client(folder, wait_s)`: returns the config
    with which the run finds addresses in `folder`; the run waits up to `wait_s` seconds for each model, or longer if
    its `runtime` says so. `serve(task)`: runs the task's server until the server is not wanted any more, and returns
    the job's exit code."""

    models: tuple[str, ...]
    client: Callable[[Path, float], dict[str, Any]]
    serve: Callable[[ServerTask], int]
