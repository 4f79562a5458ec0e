"""Describes the tasks into which a stage splits one run, so that several jobs can share the work. The tasks form waves,
which run one after the other; the tasks of a wave run at the same time. gra/cluster queues the jobs. For a synthesis,
gra/synthesis/engine/sharding.py makes the waves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Part:
    """One of the tasks into which a stage is split, so that several jobs can share its work.

    `target`: the dotted path of the stage function, which the task runs on `config`. `output`: the folder that the
    stage function writes. `inputs`: inputs of this task, in addition to the inputs of the whole run.
    """

    target: str
    config: dict[str, Any]
    output: Path
    inputs: dict[str, Path]


@dataclass(frozen=True)
class Wave:
    """Tasks that run at the same time, after all tasks of the previous wave.

    `tasks`: the number of tasks. `part(i)`: a function that returns task number i, counted from 0. `gathers`: whether
    this wave is a single task that collects the results of all tasks of the previous wave. Such a task also does the
    work that these tasks left undone.
    """

    name: str
    tasks: int
    part: Callable[[int], Part]
    gathers: bool = False
