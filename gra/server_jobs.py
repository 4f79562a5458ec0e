"""Describes servers of a run's models that are jobs of their own. gra/cluster queues them; gra/models/launch/published.py is what
runs in them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class ServerTask:
    """One server task. `number`: counted from 0; task n serves model n modulo the number of models. `addresses`: the folder where
    it publishes where it listens; `host`: how other nodes call this one; `job`, `attempt`: see gra/server_addresses.py; `logs`: the
    folder of the server's log. `wanted`: whether to continue; it is called again and again, in a thread."""

    number: int
    addresses: Path
    host: str
    job: str
    attempt: int
    logs: Path
    wanted: Callable[[], bool]


@dataclass(frozen=True)
class Served:
    """The models that a run calls and could start servers of. `client(folder, wait_s)`: the config with which the run finds
    addresses in `folder`, waiting at most `wait_s` seconds for each model; `serve(task)`: runs the server of a task until it is not
    wanted, and returns the exit code of its job."""

    models: tuple[str, ...]
    client: Callable[[Path, float], dict[str, Any]]
    serve: Callable[[ServerTask], int]
